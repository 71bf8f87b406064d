//! YAML and JSON text as a tree in which every node knows its place.
//!
//! Documents are split at lines that begin with `---`, as Kubernetes does it, so that a broken one
//! does not hide the others. Plain scalars mean what YAML 1.1 says, because that is what Kubernetes
//! reads: `yes` is a boolean and `0644` is octal.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

/// A place in a text: line and column, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: String,
}

/// That a text is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// Deeper nesting is not a manifest.
const DEEPEST: usize = 64;
/// Aliases may not blow a document up beyond this many nodes.
const MOST_NODES: usize = 200_000;

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
    let is_empty = |line: &String| line.trim().is_empty() || line.trim_start().starts_with('#');
    if lines.iter().all(is_empty) {
        return None;
    }
    if let Some(broken) = find_tab(lines, first_line) {
        return Some(Err(broken));
    }
    let text = lines.join("\n") + "\n";
    Some(Reader::new(&text, first_line).read())
}

/// A tab in the indentation is the mistake that YAML explains worst.
fn find_tab(lines: &[String], first_line: usize) -> Option<Broken> {
    if lines.iter().find(|line| !line.trim().is_empty())?.trim_start().starts_with('{') {
        return None; // JSON may be indented with tabs
    }
    lines.iter().enumerate().find_map(|(at, line)| {
        let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
        let column = indent.chars().position(|c| c == '\t')? + 1;
        (!line.trim().is_empty()).then(|| Broken {
            place: Place { line: first_line + at + 1, column },
            message: "a tab character is used for indentation; YAML takes spaces only".into(),
        })
    })
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    first_line: usize,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, first_line: usize) -> Self {
        let parser = Parser::new_from_str(text);
        Self { parser, first_line, anchors: HashMap::new(), nodes: 0 }
    }

    fn read(mut self) -> Result<Node, Broken> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    let place = self.place(span);
                    return Ok(Node { place, value: Value::Null });
                }
                event => return self.node(event, span, 0),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Broken> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.broken(&error)),
            None => Err(Broken {
                place: Place { line: self.first_line + 1, column: 1 },
                message: "the document ends too early".into(),
            }),
        }
    }

    fn broken(&self, error: &ScanError) -> Broken {
        let marker = error.marker();
        let place =
            Place { line: self.first_line + marker.line().max(1), column: marker.col() + 1 };
        Broken { place, message: format!("the YAML is broken: {}", error.info()) }
    }

    fn place(&self, span: Span) -> Place {
        Place { line: self.first_line + span.start.line().max(1), column: span.start.col() + 1 }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Broken> {
        let place = self.place(span);
        self.nodes += 1;
        if depth > DEEPEST || self.nodes > MOST_NODES {
            let message = "the document is nested too deeply or too large".into();
            return Err(Broken { place, message });
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.suffix == "str");
                (scalar(&text, style, is_text), anchor)
            }
            Event::SequenceStart(anchor, _) => (Value::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Value::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => return self.alias(anchor, place),
            _ => (Value::Null, 0),
        };
        let node = Node { place, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<Node, Broken> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(Broken { place, message: "the alias names no anchor".into() });
        };
        self.nodes += node.size();
        Ok(Node { place, ..node })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Broken> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Broken> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let place = self.place(span);
            let name = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(Broken { place, message: "a key must be a text".into() }),
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if name == "<<" {
                merged.push(node);
                continue;
            }
            if let Some((first, _)) = entries.iter().find(|(key, _)| key.name == name) {
                let line = first.place.line;
                let message = format!("the key \"{name}\" was given in line {line} already");
                return Err(Broken { place, message });
            }
            entries.push((Key { place, name }, node));
        }
        for node in merged {
            merge(&mut entries, node);
        }
        Ok(entries)
    }
}

/// `<<: *anchor`: what the map does not say itself is taken from the other.
fn merge(entries: &mut Vec<(Key, Node)>, node: Node) {
    match node.value {
        Value::Map(others) => {
            for (key, node) in others {
                if !entries.iter().any(|(known, _)| known.name == key.name) {
                    entries.push((key, node));
                }
            }
        }
        Value::List(nodes) => nodes.into_iter().for_each(|node| merge(entries, node)),
        _ => {}
    }
}

impl Node {
    fn size(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node.size()).sum(),
            _ => 0,
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => {
                entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What a scalar means in YAML 1.1.
fn scalar(text: &str, style: ScalarStyle, is_text: bool) -> Value {
    if is_text || style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    integer(text)
        .map(Value::Int)
        .or_else(|| float(text))
        .unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn integer(text: &str) -> Option<i64> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16)
    } else if let Some(octal) = digits.strip_prefix("0o") {
        i64::from_str_radix(octal, 8)
    } else if let Some(binary) = digits.strip_prefix("0b") {
        i64::from_str_radix(binary, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(&digits[1..], 8)
    } else {
        digits.parse()
    };
    number.ok().map(|number| sign * number)
}

fn float(text: &str) -> Option<Value> {
    let is_number = text.chars().all(|c| matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'))
        && text.chars().any(|c| c.is_ascii_digit());
    if !is_number {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        documents(text).remove(0).unwrap()
    }

    #[test]
    fn plain_scalars_mean_what_yaml_1_1_says() {
        for (text, value) in [
            ("yes", Value::Bool(true)),
            ("off", Value::Bool(false)),
            ("0644", Value::Int(0o644)),
            ("0o644", Value::Int(0o644)),
            ("0x10", Value::Int(16)),
            ("1_000", Value::Int(1000)),
            ("1.5", Value::Float(1.5)),
            ("1.0.0", Value::Text("1.0.0".into())),
            ("'yes'", Value::Text("yes".into())),
            ("~", Value::Null),
        ] {
            let node = one(&format!("a: {text}\n"));
            assert_eq!(node.get("a").unwrap().value, value, "{text}");
        }
    }

    #[test]
    fn every_node_knows_its_place() {
        let found = documents("a: 1\n---\n# nothing\n---\nb:\n- c: x\n");
        assert_eq!(found.len(), 2);
        let node = found[1].as_ref().unwrap();
        let Value::List(items) = &node.get("b").unwrap().value else { panic!("no list") };
        assert_eq!(items[0].get("c").unwrap().place, Place { line: 6, column: 6 });
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        let node = one("base: &b {x: 1, y: 2}\nmine:\n  <<: *b\n  y: 3\n");
        let mine = node.get("mine").unwrap();
        assert_eq!(mine.get("x").unwrap().value, Value::Int(1));
        assert_eq!(mine.get("y").unwrap().value, Value::Int(3));
    }

    #[test]
    fn broken_documents_say_where() {
        for (text, line, part) in [
            ("a: 1\na: 2\n", 2, "was given in line 1 already"),
            ("a:\n\tb: 1\n", 2, "tab character"),
            ("a: [1\n", 2, "YAML is broken"),
        ] {
            let broken = documents(text).remove(0).unwrap_err();
            assert!(broken.message.contains(part), "{}", broken.message);
            assert_eq!(broken.place.line, line, "{text}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..8 {
            let former = format!("*a{}", level - 1);
            let row = vec![former; 10].join(",");
            text.push_str(&format!("a{level}: &a{level} [{row}]\n"));
        }
        assert!(documents(&text).remove(0).is_err());
    }
}
