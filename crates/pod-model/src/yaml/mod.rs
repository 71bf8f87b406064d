//! YAML and JSON text as a tree in which every node knows its place.
//!
//! Documents are split at lines that begin with `---`, as Kubernetes does it, so that a broken one
//! does not hide the others. Plain scalars mean what YAML 1.1 says, because that is what Kubernetes
//! reads: `yes` is a boolean and `0644` is octal.

mod lenient;
mod reader;
mod scalar;
mod tree;

use reader::Reader;
pub use tree::Place;
pub(crate) use tree::{Broken, Key, Node, Value};

/// The documents of a text; empty ones are left out.
pub(crate) fn documents(text: &str) -> Vec<Result<Node, Broken>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let (mut first_line, mut lines) = (0, Vec::new());
    for (at, line) in text.lines().enumerate() {
        let is_border = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if is_border {
            found.extend(document(&lines, first_line));
            // What stands behind the dashes belongs to the new document.
            lines = vec![line.replacen("---", "   ", 1)];
            first_line = at;
        } else {
            lines.push(line.to_owned());
        }
    }
    found.extend(document(&lines, first_line));
    found
}

fn document(lines: &[String], first_line: usize) -> Option<Result<Node, Broken>> {
    let is_empty = |line: &String| {
        let text = line.trim();
        text.is_empty() || text.starts_with('#') || line.starts_with('%') || text == "..."
    };
    let first = lines.iter().find(|line| !is_empty(line))?;
    if let Some(broken) = find_control(lines, first_line) {
        return Some(Err(broken));
    }
    let is_json = first.trim_start().starts_with(['{', '[']);
    let text = lines.join("\n") + "\n";
    let text = if is_json { join_surrogates(&text) } else { text };
    let read = Reader::new(&text, first_line).read().or_else(|broken| {
        Reader::new(&lenient::strict(&text), first_line).read().map_err(|_| broken)
    });
    Some(read.map_err(|broken| find_tab(lines, first_line, &broken).unwrap_or(broken)))
}

/// Characters that no text has.
fn find_control(lines: &[String], first_line: usize) -> Option<Broken> {
    lines.iter().enumerate().find_map(|(at, line)| {
        let is_wrong = |c: char| c.is_control() && c != '\t' && c != '\u{85}';
        let column = line.chars().position(is_wrong)? + 1;
        let found = u32::from(line.chars().nth(column - 1)?);
        Some(Broken {
            place: Place { line: first_line + at + 1, column },
            message: format!("control characters are not allowed: U+{found:04X}"),
        })
    })
}

/// A tab in the indentation is the mistake that YAML explains worst.
fn find_tab(lines: &[String], first_line: usize, broken: &Broken) -> Option<Broken> {
    let near = broken.place.line.saturating_sub(first_line);
    let lines = lines.iter().enumerate().take(near + 1).skip(near.saturating_sub(3));
    lines.into_iter().find_map(|(at, line)| {
        let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
        let column = indent.chars().position(|c| c == '\t')? + 1;
        (!line.trim().is_empty()).then(|| Broken {
            place: Place { line: first_line + at + 1, column },
            message: "a tab character is used for indentation; YAML takes spaces only".into(),
        })
    })
}

/// JSON writes characters beyond 16 bits as two escapes, which YAML does not know.
fn join_surrogates(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\u") {
        let (before, escape) = rest.split_at(at);
        joined.push_str(before);
        if let Some(character) = surrogates(escape) {
            joined.push(character);
            rest = &escape[12..];
        } else {
            joined.push_str("\\u");
            rest = &escape[2..];
        }
    }
    joined.push_str(rest);
    joined
}

fn surrogates(escape: &str) -> Option<char> {
    let unit = |text: Option<&str>| u16::from_str_radix(text?.strip_prefix("\\u")?, 16).ok();
    let pair = [unit(escape.get(..6))?, unit(escape.get(6..12))?];
    if !(0xd800..0xdc00).contains(&pair[0]) {
        return None;
    }
    char::decode_utf16(pair).next()?.ok()
}

#[cfg(test)]
mod tests;
