//! A tree becomes a Kubernetes object, strictly: unknown fields and wrong types are problems.

use serde_json::{Map, Value as Json};

use crate::fields::{self, Field, Level};
use crate::problem::{Problem, Severity, near};
use crate::yaml::{Node, Place, Value};

/// Collects problems while a tree is read.
pub(crate) struct Decoder {
    pub(crate) problems: Vec<Problem>,
    pub(crate) ignore_unsupported: bool,
}

impl Decoder {
    fn error(&mut self, place: Place, message: String, hint: Option<String>) {
        self.problems.push(Problem { severity: Severity::Error, place, message, hint });
    }

    fn warn(&mut self, place: Place, message: String) {
        self.problems.push(Problem { severity: Severity::Warning, place, message, hint: None });
    }

    /// Reads a node as a type of the table; `path` is where it stands in the object.
    pub(crate) fn object(&mut self, node: &Node, kind: &str, path: &str) -> Option<Json> {
        let Some(rows) = fields::table().get(kind) else {
            return Some(plain(node));
        };
        let Value::Map(entries) = &node.value else {
            if node.value == Value::Null {
                return None;
            }
            self.wrong_type(node, "a map of fields", path);
            return None;
        };
        let mut object = Map::new();
        for (key, value) in entries {
            let below =
                if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
            let Some(row) = rows.iter().find(|row| row.name == key.name) else {
                self.unknown(rows, &key.name, key.place, &below);
                continue;
            };
            self.judge(row, key.place, &below, value);
            if let Some(json) = self.value(value, row.kind, &below) {
                object.insert(key.name.clone(), json);
            }
        }
        Some(Json::Object(object))
    }

    fn unknown(&mut self, rows: &[Field], name: &str, place: Place, path: &str) {
        let near = near(name, rows.iter().map(|row| row.name));
        let hint = near.map(|near| format!("did you mean \"{near}\"?"));
        self.error(place, format!("unknown field \"{path}\""), hint);
    }

    fn judge(&mut self, row: &Field, place: Place, path: &str, value: &Node) {
        if value.value == Value::Null || value.value == Value::Bool(false) {
            return;
        }
        match row.level {
            Level::Works => {}
            Level::Harmless(_) if path == "status" || path.starts_with("metadata.") => {}
            Level::Harmless(why) => {
                self.warn(place, format!("{path} changes nothing on one machine: {why}"));
            }
            Level::Unsupported(why) if self.ignore_unsupported => {
                self.warn(place, format!("{path} is ignored: {why}"));
            }
            Level::Unsupported(why) => {
                let hint = "--ignore-unsupported goes on without it".to_owned();
                self.error(place, format!("{path} is not supported: {why}"), Some(hint));
            }
        }
    }

    fn value(&mut self, node: &Node, kind: &str, path: &str) -> Option<Json> {
        if node.value == Value::Null {
            return None;
        }
        if let Some(kind) = kind.strip_prefix("[]") {
            return self.list(node, kind, path);
        }
        if let Some(kind) = kind.strip_prefix("{}") {
            return self.map(node, kind, path);
        }
        match (kind, &node.value) {
            ("any", _) => Some(plain(node)),
            ("string" | "time" | "bytes", Value::Text(text)) => Some(text.clone().into()),
            ("int", Value::Int(number)) => Some((*number).into()),
            ("bool", Value::Bool(value)) => Some((*value).into()),
            ("quantity" | "intOrString", Value::Text(text)) => Some(text.clone().into()),
            ("intOrString", Value::Int(number)) => Some((*number).into()),
            ("quantity", Value::Int(number)) => Some(number.to_string().into()),
            ("quantity", Value::Float(number)) => Some(number.to_string().into()),
            ("string" | "time" | "bytes", _) => self.wrong_type(node, "a string", path),
            ("int", _) => self.wrong_type(node, "a whole number", path),
            ("bool", _) => self.wrong_type(node, "true or false", path),
            ("quantity", _) => self.wrong_type(node, "a quantity such as 500m or 64Mi", path),
            ("intOrString", _) => self.wrong_type(node, "a number or a name", path),
            (kind, _) => self.object(node, kind, path),
        }
    }

    fn list(&mut self, node: &Node, kind: &str, path: &str) -> Option<Json> {
        let Value::List(items) = &node.value else {
            return self.wrong_type(node, "a list", path);
        };
        let mut list = Vec::new();
        for (at, item) in items.iter().enumerate() {
            list.extend(self.value(item, kind, &format!("{path}[{at}]")));
        }
        Some(Json::Array(list))
    }

    fn map(&mut self, node: &Node, kind: &str, path: &str) -> Option<Json> {
        let Value::Map(entries) = &node.value else {
            return self.wrong_type(node, "a map", path);
        };
        let mut map = Map::new();
        for (key, value) in entries {
            if let Some(json) = self.value(value, kind, &format!("{path}.{}", key.name)) {
                map.insert(key.name.clone(), json);
            }
        }
        Some(Json::Object(map))
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str, path: &str) -> Option<Json> {
        let (found, hint) = match &node.value {
            Value::Null => ("nothing".to_owned(), None),
            Value::Bool(value) => {
                (format!("the boolean {value}"), Some("put it in quotes to make it a string"))
            }
            Value::Int(number) => {
                (format!("the number {number}"), Some("put it in quotes to make it a string"))
            }
            Value::Float(number) => {
                (format!("the number {number}"), Some("put it in quotes to make it a string"))
            }
            Value::Text(text) => (format!("the string \"{text}\""), None),
            Value::List(_) => ("a list".to_owned(), None),
            Value::Map(_) => ("a map".to_owned(), None),
        };
        let hint = hint.filter(|_| wanted == "a string").map(str::to_owned);
        self.error(node.place, format!("{path} must be {wanted}, and is {found}"), hint);
        None
    }
}

/// A tree whose fields nobody checks.
fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Text(text) => text.clone().into(),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => {
            entries.iter().map(|(key, node)| (key.name.clone(), plain(node))).collect()
        }
    }
}

/// The place of a field, or of what is nearest above it.
pub(crate) fn place_of(node: &Node, path: &str) -> Place {
    let mut current = node;
    let mut place = node.place;
    for part in path.split('.').flat_map(|part| part.split('[')) {
        let next = match (part.strip_suffix(']'), &current.value) {
            (Some(index), Value::List(items)) => {
                index.parse::<usize>().ok().and_then(|index| items.get(index))
            }
            _ => current.get(part),
        };
        let Some(next) = next else {
            return place;
        };
        current = next;
        place = next.place;
    }
    place
}
