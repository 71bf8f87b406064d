//! Events of the parser become a tree, within limits.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScanError, Span, StrInput, Tag};

use super::scalar;
use super::{Broken, Key, Node, Place, Value};

/// Deeper nesting is not a manifest.
const DEEPEST: usize = 64;
/// Aliases may not blow a document up beyond this many nodes.
const MOST_NODES: usize = 200_000;

pub(super) struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    first_line: usize,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, first_line: usize) -> Self {
        let parser = Parser::new_from_str(text);
        Self { parser, first_line, anchors: HashMap::new(), nodes: 0 }
    }

    /// The one node of the document.
    pub(super) fn read(mut self) -> Result<Node, Broken> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            let place = self.place(span);
            match event {
                Event::StreamEnd => return Ok(root.unwrap_or(Node { place, value: Value::Null })),
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if root.is_none() => {}
                Event::DocumentStart(_) => {
                    let message = "another document begins here: put a line `---` before it";
                    return Err(Broken { place, message: message.into() });
                }
                event => root = Some(self.node(event, span, 0)?),
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
        self.count(1, depth, place)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().map(tag_name).transpose();
                let value = tag.and_then(|tag| scalar::value(&text, style, tag));
                (value.map_err(|message| Broken { place, message })?, anchor)
            }
            Event::SequenceStart(anchor, _) => (Value::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Value::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => return self.alias(anchor, depth, place),
            _ => (Value::Null, 0),
        };
        let node = Node { place, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, depth: usize, place: Place) -> Result<(), Broken> {
        self.nodes += nodes;
        if depth > DEEPEST || self.nodes > MOST_NODES {
            let message = format!(
                "the document is too large or nested too deeply: at most {MOST_NODES} values, \
                 {DEEPEST} levels"
            );
            return Err(Broken { place, message });
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, depth: usize, place: Place) -> Result<Node, Broken> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Broken { place, message: "the alias names no anchor".into() });
        };
        let (count, deeper) = node.size();
        let node = Node { place, value: node.value.clone() };
        self.count(count, depth + deeper, place)?;
        Ok(node)
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
            let (name, is_merge) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => {
                    let is_plain = style == saphyr_parser::ScalarStyle::Plain;
                    (scalar::key(&text, style), is_plain && text == "<<")
                }
                _ => (None, false),
            };
            let Some(name) = name else {
                return Err(Broken { place, message: "a key must be a text".into() });
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if is_merge {
                merged.push(node);
            } else {
                entries.push((Key { place, name }, node));
            }
        }
        let mut known = entries.iter().map(|(key, _)| key.name.clone()).collect();
        for node in merged {
            merge(&mut entries, &mut known, node)?;
        }
        Ok(entries)
    }
}

/// `<<: *anchor`: what the map does not say itself is taken from the other.
fn merge(
    entries: &mut Vec<(Key, Node)>,
    known: &mut HashSet<String>,
    node: Node,
) -> Result<(), Broken> {
    match node.value {
        Value::Map(others) => {
            let new = others.into_iter().filter(|(key, _)| known.insert(key.name.clone()));
            entries.extend(new);
            Ok(())
        }
        Value::List(nodes) => nodes.into_iter().try_for_each(|node| merge(entries, known, node)),
        _ => {
            let message = "map merge requires map or sequence of maps as the value".into();
            Err(Broken { place: node.place, message })
        }
    }
}

/// The name of a tag of YAML itself.
fn tag_name(tag: &Tag) -> Result<&str, String> {
    let known = ["str", "binary", "int", "float", "bool", "null", "timestamp"];
    if tag.is_yaml_core_schema() && known.contains(&tag.suffix.as_str()) {
        return Ok(&tag.suffix);
    }
    let Tag { handle, suffix } = tag;
    Err(format!("the tag {handle}{suffix} means nothing here"))
}
