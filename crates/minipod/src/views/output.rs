//! Objects as JSON, YAML, names.

use serde_json::{Value, json};

use crate::failure::{Failure, Kind};

/// An output format that is no table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// `kind/name`.
    Name,
    /// Fields, by a JSONPath of dots and indexes.
    JsonPath(String),
}

/// The format that `-o` names.
pub(crate) fn format(text: &str) -> Result<Format, Failure> {
    match text {
        "wide" => Ok(Format::Wide),
        "json" => Ok(Format::Json),
        "yaml" => Ok(Format::Yaml),
        "name" => Ok(Format::Name),
        other => match other.strip_prefix("jsonpath=") {
            Some(path) => Ok(Format::JsonPath(path.to_owned())),
            None => Err(Failure::new(Kind::Usage, format!("unknown output format {other:?}"))
                .hint("wide, json, yaml, name or jsonpath=TEMPLATE")),
        },
    }
}

/// One object as it is, several as a List.
pub(crate) fn whole(mut objects: Vec<Value>, is_single: bool) -> Value {
    if is_single && objects.len() == 1 {
        return objects.remove(0);
    }
    json!({ "apiVersion": "v1", "items": objects, "kind": "List", "metadata": { "resourceVersion": "" } })
}

/// JSON with four blanks, as kubectl indents it.
pub(crate) fn json_text(value: &Value) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    // A value of JSON has a text, and a Vec takes it.
    let _ = serde::Serialize::serialize(value, &mut serializer);
    text.push(b'\n');
    String::from_utf8_lossy(&text).into_owned()
}

/// YAML in block style.
pub(crate) fn yaml_text(value: &Value) -> String {
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
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        yaml(item, indent + 2, &mut inner);
                        text.push(' ');
                        text.push_str(inner.trim_start());
                    }
                    _ => below(item, indent, text),
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
        Value::String(text) if text.contains('\n') && !text.contains('\t') => {
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
        || text.chars().any(char::is_control);
    let is_date =
        text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[0].is_ascii_digit();
    if is_word || is_number || is_odd || is_date {
        return serde_json::to_string(text).unwrap_or_default();
    }
    text.to_owned()
}

/// A template of fields: `{.status.phase}`, `{.items[0].metadata.name}`, `{.items[*].x}` and text.
pub(crate) fn jsonpath(value: &Value, template: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (path, after) = after.split_once('}').ok_or_else(|| {
            Failure::new(Kind::Usage, format!("the template {template:?} lacks a closing brace"))
        })?;
        rest = after;
        if let Some(literal) = path.strip_prefix('"').and_then(|path| path.strip_suffix('"')) {
            text.push_str(&literal.replace("\\n", "\n").replace("\\t", "\t"));
            continue;
        }
        let found = find(value, path)?;
        let words: Vec<String> = found.iter().map(|one| plain(one)).collect();
        text.push_str(&words.join(" "));
    }
    text.push_str(rest);
    Ok(text)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn find<'a>(value: &'a Value, path: &str) -> Result<Vec<&'a Value>, Failure> {
    let mut found = vec![value];
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']').ok_or_else(|| {
                Failure::new(Kind::Usage, format!("the path {path:?} lacks a closing bracket"))
            })?;
            found = found.into_iter().flat_map(|one| elements(one, index)).collect();
            rest = after;
            continue;
        }
        let after = rest.strip_prefix('.').unwrap_or(rest);
        let end = after.find(['.', '[']).unwrap_or(after.len());
        let name = &after[..end];
        if !name.is_empty() {
            found = found.into_iter().filter_map(|one| one.get(name)).collect();
        }
        rest = &after[end..];
        if name.is_empty() && rest == after {
            break;
        }
    }
    Ok(found)
}

fn elements<'a>(value: &'a Value, index: &str) -> Vec<&'a Value> {
    let name = index.trim_matches(['\'', '"']);
    match (value, index) {
        (Value::Array(items), "*") => items.iter().collect(),
        (Value::Array(items), number) => {
            let at = number.parse::<usize>().ok();
            at.and_then(|at| items.get(at)).into_iter().collect()
        }
        (value, _) => value.get(name).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_quotes_what_would_read_as_something_else() {
        let value = json!({
            "a": "yes", "b": "1.0", "c": "plain text", "d": [1, {"x": "y: z"}], "e": {}, "f": "a\nb\n",
            "g": "2026-01-02T00:00:00Z"
        });
        insta::assert_snapshot!(yaml_text(&value), @r#"
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
        "#);
    }

    #[test]
    fn a_jsonpath_finds_fields() {
        let value = json!({"items": [{"n": "a"}, {"n": "b"}], "status": {"phase": "Running"}});
        for (template, text) in [
            ("{.status.phase}", "Running"),
            ("{.items[*].n}", "a b"),
            ("{.items[1].n}{\"\\n\"}", "b\n"),
            ("x={.nothing}", "x="),
        ] {
            assert_eq!(jsonpath(&value, template).unwrap(), text, "{template}");
        }
    }
}
