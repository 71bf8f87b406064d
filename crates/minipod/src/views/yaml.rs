//! Values as YAML in block style, as kubectl prints them.

use serde_json::Value;

use crate::printable::{in_json, is_obeyed};

/// A value as YAML.
pub(crate) fn text(value: &Value) -> String {
    let mut text = String::new();
    yaml(value, 0, &mut text);
    text
}

fn yaml(value: &Value, indent: usize, text: &mut String) {
    let blank = " ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                text.push_str(&format!("{blank}{}:", quoted(key)));
                below(value, indent, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push_str(&blank);
                text.push('-');
                let mut inner = String::new();
                let is_nested = match item {
                    Value::Object(map) => !map.is_empty(),
                    Value::Array(items) => !items.is_empty(),
                    _ => false,
                };
                if is_nested {
                    yaml(item, indent + 2, &mut inner);
                    text.push(' ');
                    text.push_str(inner.trim_start());
                } else {
                    below(item, indent, text);
                }
            }
        }
        scalar => {
            text.push_str(&scalar_text(scalar, indent));
            text.push('\n');
        }
    }
}

/// What stands behind a colon or a dash.
fn below(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) if map.is_empty() => text.push_str(" {}\n"),
        Value::Array(items) if items.is_empty() => text.push_str(" []\n"),
        Value::Object(_) => {
            text.push('\n');
            yaml(value, indent + 2, text);
        }
        Value::Array(_) => {
            text.push('\n');
            yaml(value, indent, text);
        }
        scalar => {
            text.push_str(&format!(" {}\n", scalar_text(scalar, indent)));
        }
    }
}

fn scalar_text(value: &Value, indent: usize) -> String {
    match value {
        Value::String(text)
            if text.contains('\n')
                && !text.contains('\t')
                && !text.starts_with([' ', '\n'])
                && !text.chars().any(is_obeyed) =>
        {
            block(text, indent + 2)
        }
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A text of several lines.
fn block(text: &str, indent: usize) -> String {
    let keep = if text.ends_with("\n\n") {
        "|+"
    } else if text.ends_with('\n') {
        "|"
    } else {
        "|-"
    };
    let blank = " ".repeat(indent);
    let lines: Vec<String> = text
        .lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("{blank}{line}") })
        .collect();
    format!("{keep}\n{}", lines.join("\n"))
}

/// A string that reads as one: in quotes when it would read as something else.
fn quoted(text: &str) -> String {
    let is_word = matches!(
        text.to_lowercase().as_str(),
        "" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null" | "~"
    );
    let is_number = text.parse::<f64>().is_ok() || text.starts_with("0x");
    let starts_oddly = text.starts_with(|c: char| "-?:,[]{}#&*!|>'\"%@` ".contains(c))
        && !(text.starts_with('-') && text.len() > 1 && !text.starts_with("- "));
    let is_odd = starts_oddly
        || text.contains(": ")
        || text.contains(" #")
        || text.ends_with(':')
        || text.ends_with(' ')
        || text.chars().any(|one| one.is_control() || is_obeyed(one));
    let is_date =
        text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[0].is_ascii_digit();
    if is_word || is_number || is_odd || is_date {
        // A string of JSON in its quotes is one of YAML, too.
        return in_json(&serde_json::to_string(text).unwrap_or_default()).into_owned();
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_quotes_what_would_read_as_something_else() {
        let value = json!({
            "a": "yes", "b": "1.0", "c": "plain text", "d": [1, {"x": "y: z"}], "e": {}, "f": "a\nb\n",
            "g": "2026-01-02T00:00:00Z", "h": [[1, 2], {"i": [{"j": null}]}], "k": "é", "l": "a\n  b",
            "m": "\n x", "n": "key:", "o": "-", "p": "- x", "q": "a\tb\nc",
            "r": "a\n\u{1b}[2J\u{9b}\n", "s": "\u{202e}cod"
        });
        insta::assert_snapshot!(text(&value), @r#"
        a: "yes"
        b: "1.0"
        c: plain text
        d:
        - 1
        - x: "y: z"
        e: {}
        f: |
          a
          b
        g: "2026-01-02T00:00:00Z"
        h:
        - - 1
          - 2
        - i:
          - j: null
        k: é
        l: |-
          a
            b
        m: "\n x"
        "n": "key:"
        o: "-"
        p: "- x"
        q: "a\tb\nc"
        r: "a\n\u001b[2J\u009b\n"
        s: "\u202ecod"
        "#);
    }
}
