//! Sessions shown in the documentation, run for real and compared.
//!
//! A fenced block marked `console` holds commands (`$ …`) and what they print. `…` stands for any
//! text in a line, a line of its own for any lines; how long ago something was and how wide a
//! column is do not matter. A command that ends in `&` goes on beside the others; what it printed is
//! compared when the document ends.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::node::{PATIENCE, Watch};
use crate::{Node, fixtures};

/// A command of a document and what it shows.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The command, for `sh`.
    pub command: String,
    /// The lines shown below it.
    pub shown: Vec<String>,
}

/// The commands of all `console` blocks of a document, in order.
pub fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_inside = false;
    for line in document.lines() {
        if line.starts_with("```") {
            is_inside = line == "```console";
        } else if is_inside {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { command: command.to_owned(), shown: Vec::new() });
                }
                (None, Some(step)) => step.shown.push(line.to_owned()),
                (None, None) => {}
            }
        }
    }
    for step in &mut steps {
        while step.shown.last().is_some_and(String::is_empty) {
            step.shown.pop();
        }
    }
    steps
}

/// Whether what was printed is what is shown.
pub fn matches(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.trim() == "…" => {
            (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, others)| line_matches(first, line) && matches(rest, others)),
    }
}

/// Words are compared, so the width of columns does not matter.
fn line_matches(shown: &str, printed: &str) -> bool {
    let shown: Vec<&str> = shown.split_whitespace().collect();
    let printed: Vec<&str> = printed.split_whitespace().collect();
    words_match(&shown, &printed)
}

fn words_match(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"…", rest)) => {
            (0..=printed.len()).any(|skipped| words_match(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(word, others)| word_matches(first, word) && words_match(rest, others)),
    }
}

fn word_matches(shown: &str, printed: &str) -> bool {
    if is_age(shown) && is_age(printed) {
        return true;
    }
    match shown.split_once('…') {
        None => shown == printed,
        Some((start, end)) => {
            printed.len() >= start.len() + end.len()
                && printed.starts_with(start)
                && printed.ends_with(end)
        }
    }
}

/// `5s`, `2m10s`, `(1s`.
fn is_age(word: &str) -> bool {
    let word = word.strip_prefix('(').unwrap_or(word);
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.ends_with(['s', 'm', 'h'])
        && word.chars().all(|c| c.is_ascii_digit() || "smh".contains(c))
}

/// Where the commands of a document run: on a node, with `minipod` and what the shell has.
#[derive(Debug)]
pub struct Session<'a> {
    node: &'a Node,
    directory: TempDir,
    background: Vec<(Step, Watch)>,
}

impl<'a> Session<'a> {
    /// A session on that node.
    ///
    /// # Panics
    ///
    /// When its directory cannot be made.
    pub fn new(node: &'a Node) -> Self {
        let directory = TempDir::new().expect("a directory for the session");
        symlink(fixtures::program(), directory.path().join("minipod")).expect("a link to minipod");
        Self { node, directory, background: Vec::new() }
    }

    /// Runs every command of the document and compares what it prints.
    ///
    /// # Panics
    ///
    /// When something else is printed than is shown.
    pub fn play(mut self, document: &str) {
        for step in steps(document) {
            if let Some(line) = step.command.strip_suffix('&') {
                let watch = Watch::start(self.command(line.trim_end()));
                self.background.push((step, watch));
                continue;
            }
            let mut command = self.command(&step.command);
            let output = command.output().expect("the shell can be started");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let printed: Vec<&str> = text.lines().collect();
            assert_shows(&step, &printed);
        }
        for (step, mut watch) in self.background {
            // What it prints follows what happened, so it may come a little later.
            let deadline = Instant::now() + PATIENCE;
            let mut printed: Vec<String> = Vec::new();
            while !shows(&step, &printed) {
                let Some(line) = watch.line(deadline) else { break };
                printed.push(line);
            }
            assert_shows(&step, &printed);
        }
    }

    fn command(&self, line: &str) -> Command {
        let script = format!("exec 2>&1; {line}");
        let mut command = self.node.with_places(Path::new("/bin/sh"), &["-c", &script]);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", self.directory.path().display()))
            .current_dir(fixtures::workspace())
            .stdin(Stdio::null());
        command
    }
}

fn shows(step: &Step, printed: &[impl AsRef<str>]) -> bool {
    let is_text = |line: &&str| !line.trim().is_empty();
    let shown: Vec<&str> = step.shown.iter().map(String::as_str).filter(is_text).collect();
    let printed: Vec<String> =
        printed.iter().map(AsRef::as_ref).filter(is_text).map(as_on_the_node).collect();
    matches(&shown, &printed.iter().map(String::as_str).collect::<Vec<_>>())
}

fn assert_shows(step: &Step, printed: &[impl AsRef<str>]) {
    let lines: Vec<&str> = printed.iter().map(AsRef::as_ref).collect();
    let (shown, lines) = (step.shown.join("\n"), lines.join("\n"));
    let command = &step.command;
    assert!(shows(step, printed), "$ {command}\nshown:\n{shown}\n\nprinted:\n{lines}");
}

/// The line with this machine's name as the documents have it.
fn as_on_the_node(line: &str) -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let words = line.split(' ').map(|word| if word == name.trim() { "vm" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_commands_with_what_they_show() {
        let document = "text\n```console\n$ one\nshown\n\n$ two\n```\n```sh\n$ three\n```\n";
        let step = |command: &str, shown: &[&str]| Step {
            command: command.into(),
            shown: shown.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(steps(document), [step("one", &["shown"]), step("two", &[])]);
    }

    #[test]
    fn dots_stand_for_any_text_and_ages_for_any_age() {
        for (shown, printed, is_equal) in [
            ("kubia   Running  5s", "kubia Running 12s", true),
            ("kubia … 5s", "kubia 0/2 Running 12s", true),
            ("net:[…]", "net:[4026532]", true),
            ("kubia Running", "kubia Pending", false),
            ("kubia Running 5s", "kubia Running 0", false),
        ] {
            assert_eq!(line_matches(shown, printed), is_equal, "{shown} | {printed}");
        }
        let shown = ["a", "…", "b"];
        assert!(matches(&shown, &["a", "x", "y", "b"]));
        assert!(!matches(&shown, &["a", "x"]));
    }
}
