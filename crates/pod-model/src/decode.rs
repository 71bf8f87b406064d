//! A tree becomes a Kubernetes object, strictly: unknown fields and wrong types are problems.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use crate::fields::{self, Field, Level};
use crate::problem::{Problem, Severity, near};
use crate::quantity::Quantity;
use crate::validate::{Part, Path};
use crate::yaml::{Key, Node, Place, Value};

/// Collects problems while a tree is read.
pub(crate) struct Decoder {
    pub(crate) problems: Vec<Problem>,
    pub(crate) ignore_unsupported: bool,
    /// The object that is being read, for the problems.
    pub(crate) object: Option<String>,
    /// Whether a server gave the object: then it has fields that nobody wrote.
    pub(crate) is_from_server: bool,
}

impl Decoder {
    pub(crate) fn new(ignore_unsupported: bool) -> Self {
        Self { problems: Vec::new(), ignore_unsupported, object: None, is_from_server: false }
    }

    pub(crate) fn error(&mut self, place: Place, message: String, hint: Option<String>) {
        self.add(Severity::Error, place, message, hint);
    }

    pub(crate) fn add(
        &mut self,
        severity: Severity,
        place: Place,
        message: String,
        hint: Option<String>,
    ) {
        let object = self.object.clone();
        self.problems.push(Problem { severity, place, object, message, hint });
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Reads a node as a type of the table; `path` is where it stands in the object.
    pub(crate) fn object(&mut self, node: &Node, kind: &str, path: &Path) -> Option<Json> {
        let rows = fields::table().get(kind)?;
        let Value::Map(entries) = &node.value else {
            return self.wrong_type(node, "a map of fields", path);
        };
        let mut object = Map::new();
        for (key, value) in entries {
            let below = path.child(&key.name);
            let Some(row) = rows.iter().find(|row| row.name == key.name) else {
                self.unknown(rows, &key.name, key.place, &below);
                continue;
            };
            let is_kept = self.judge(row, key.place, &below, value);
            let json = self.value(value, row.kind, &below);
            if let Some(json) = json.filter(|_| is_kept) {
                object.insert(key.name.clone(), json);
            }
        }
        Some(Json::Object(object))
    }

    fn unknown(&mut self, rows: &[Field], name: &str, place: Place, path: &Path) {
        let near = near(name, rows.iter().map(|row| row.name));
        let hint = near.map(|near| format!("did you mean \"{near}\"?"));
        self.error(place, format!("unknown field \"{path}\""), hint);
    }

    /// Says what there is to say about a field that does not work, and whether to go on with it.
    fn judge(&mut self, row: &Field, place: Place, path: &Path, value: &Node) -> bool {
        // An empty source of a volume is a source all the same.
        let is_choice = row.kind.ends_with("Source") || row.kind.ends_with("Projection");
        let is_empty = !is_choice && is_nothing_below(value);
        if is_empty
            || is_nothing(value)
            || row.default.is_some_and(|default| is_text(value, default))
        {
            return true;
        }
        match row.level {
            Level::Works => true,
            Level::Harmless(_) if is_written_by_servers(path) || is_true_here(path, value) => true,
            Level::Harmless(_) if self.is_from_server && is_given_by_servers(path) => true,
            Level::Harmless(why) => {
                let message = format!("{path} changes nothing on one machine: {why}");
                self.add(Severity::Warning, place, message, None);
                true
            }
            Level::Unsupported(why) if self.ignore_unsupported => {
                let message = format!("{path} is ignored: {why}");
                self.add(Severity::Warning, place, message, None);
                false
            }
            Level::Unsupported(why) => {
                let hint = "--ignore-unsupported goes on without it".to_owned();
                self.error(place, format!("{path} is not supported: {why}"), Some(hint));
                true
            }
        }
    }

    fn value(&mut self, node: &Node, kind: &str, path: &Path) -> Option<Json> {
        if node.value == Value::Null {
            return None;
        }
        if let Some(kind) = kind.strip_prefix("[]") {
            return self.list(node, kind, path);
        }
        if let Some(kind) = kind.strip_prefix("{}") {
            return self.map(node, kind, path);
        }
        match kind {
            "any" => Some(plain(node)),
            "string" => self.text(node, path),
            "bytes" => self.bytes(node, path),
            "time" => self.time(node, path),
            "int" => self.number(node, (i32::MIN.into(), i32::MAX.into()), path),
            "long" => self.number(node, (i64::MIN, i64::MAX), path),
            "bool" => match &node.value {
                Value::Bool(value) => Some((*value).into()),
                _ => self.wrong_type(node, "true or false", path),
            },
            "quantity" => self.quantity(node, path),
            "intOrString" => match &node.value {
                Value::Text(text) => Some(text.clone().into()),
                Value::Int(_) => self.number(node, (i32::MIN.into(), i32::MAX.into()), path),
                _ => self.wrong_type(node, "a number or a name", path),
            },
            kind => self.object(node, kind, path),
        }
    }

    fn text(&mut self, node: &Node, path: &Path) -> Option<Json> {
        match &node.value {
            Value::Text(text) => Some(text.clone().into()),
            _ => self.wrong_type(node, "a string", path),
        }
    }

    /// A whole number; `8080.0` and `1e3` are whole, too.
    fn number(&mut self, node: &Node, (least, most): (i64, i64), path: &Path) -> Option<Json> {
        let number = match &node.value {
            Value::Int(number) => Some(*number),
            #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked")]
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e18 => {
                Some(*number as i64)
            }
            _ => None,
        };
        let Some(number) = number else {
            return self.wrong_type(node, "a whole number", path);
        };
        if (least..=most).contains(&number) {
            return Some(number.into());
        }
        let message = format!("{path} must be a number of 32 bits, and is {number}");
        self.error(node.place, message, None);
        None
    }

    /// A quantity, in the form in which Kubernetes writes it.
    fn quantity(&mut self, node: &Node, path: &Path) -> Option<Json> {
        let text = match &node.value {
            Value::Text(text) => text.trim().to_owned(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            _ => return self.wrong_type(node, "a quantity such as 500m or 64Mi", path),
        };
        match Quantity::canonical(&text) {
            Ok(canonical) => Some(canonical.into()),
            Err(error) => {
                let message = format!("{path}: Invalid value: \"{text}\": {error}");
                self.error(node.place, message, Some("such as 500m or 64Mi".to_owned()));
                None
            }
        }
    }

    fn bytes(&mut self, node: &Node, path: &Path) -> Option<Json> {
        let Value::Text(text) = &node.value else {
            return self.wrong_type(node, "a string", path);
        };
        let text = text.replace(['\n', '\r'], "");
        if let Err(error) = STANDARD.decode(&text) {
            let message = format!("{path}: illegal base64 data: {error}");
            let hint = match path.parts() {
                [Part::Field(name), _] if name == "data" => Some("plain text goes to stringData"),
                _ => None,
            };
            self.error(node.place, message, hint.map(str::to_owned));
            return None;
        }
        Some(text.into())
    }

    fn time(&mut self, node: &Node, path: &Path) -> Option<Json> {
        match &node.value {
            Value::Text(text) if text.parse::<jiff::Timestamp>().is_ok() => {
                Some(text.clone().into())
            }
            _ => self.wrong_type(node, "a time such as 2006-01-02T15:04:05Z", path),
        }
    }

    fn list(&mut self, node: &Node, kind: &str, path: &Path) -> Option<Json> {
        let Value::List(items) = &node.value else {
            return self.wrong_type(node, "a list", path);
        };
        let mut list = Vec::new();
        for (at, item) in items.iter().enumerate() {
            list.push(self.value(item, kind, &path.index(at)).unwrap_or_else(|| empty(kind)));
        }
        Some(Json::Array(list))
    }

    fn map(&mut self, node: &Node, kind: &str, path: &Path) -> Option<Json> {
        let Value::Map(entries) = &node.value else {
            return self.wrong_type(node, "a map", path);
        };
        let mut map = Map::new();
        for (key, value) in entries {
            let json = self.value(value, kind, &path.key(&key.name));
            map.insert(key.name.clone(), json.unwrap_or_else(|| empty(kind)));
        }
        Some(Json::Object(map))
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str, path: &Path) -> Option<Json> {
        let found = match &node.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Int(number) => format!("the number {number}"),
            Value::Float(number) => format!("the number {number}"),
            Value::Text(text) => format!("the string {text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        };
        let hint = match (&node.value, wanted) {
            (Value::Bool(_), "a string") => Some(
                "put it in quotes to make it a string: y, yes, on and the like are booleans in YAML",
            ),
            (Value::Int(_) | Value::Float(_), "a string") => {
                Some("put it in quotes to make it a string")
            }
            (Value::Text(_), "a whole number" | "true or false") => Some("without quotes"),
            _ => None,
        };
        let message = format!("{path} must be {wanted}, and is {found}");
        self.error(node.place, message, hint.map(str::to_owned));
        None
    }
}

/// A value that sets nothing, or an object of which no field sets anything.
fn is_nothing_below(node: &Node) -> bool {
    match &node.value {
        Value::Map(entries) => entries.iter().all(|(_, node)| is_nothing_below(node)),
        _ => is_nothing(node),
    }
}

/// A value that sets nothing.
fn is_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => true,
        Value::List(items) => items.is_empty(),
        Value::Text(text) => text.is_empty(),
        _ => false,
    }
}

fn is_text(node: &Node, text: &str) -> bool {
    match &node.value {
        Value::Text(own) => own == text,
        Value::Bool(value) => value.to_string() == text,
        Value::Int(number) => number.to_string() == text,
        _ => false,
    }
}

/// That the node has to run Linux, which it does.
fn is_true_here(path: &Path, value: &Node) -> bool {
    let is_selector = matches!(path.parts(), [Part::Field(spec), Part::Field(name)]
        if spec == "spec" && name == "nodeSelector");
    let Value::Map(labels) = &value.value else {
        return false;
    };
    let is_met =
        |(key, value): &(Key, Node)| key.name == "kubernetes.io/os" && is_text(value, "linux");
    is_selector && labels.iter().all(is_met)
}

/// Fields that every object has that comes from an API server.
fn is_written_by_servers(path: &Path) -> bool {
    match path.parts() {
        [Part::Field(name)] => name == "status",
        [Part::Field(name), ..] => name == "metadata",
        _ => false,
    }
}

/// Fields that every pod gets from a scheduler and from admission plug-ins.
fn is_given_by_servers(path: &Path) -> bool {
    match path.parts() {
        [Part::Field(spec), Part::Field(name)] if spec == "spec" => {
            matches!(name.as_str(), "nodeName" | "tolerations")
        }
        _ => false,
    }
}

/// What Kubernetes makes of an item that is nothing.
fn empty(kind: &str) -> Json {
    match kind {
        "string" | "bytes" => "".into(),
        "int" | "long" | "intOrString" => 0.into(),
        "quantity" => "0".into(),
        _ if kind.starts_with("[]") => Json::Array(Vec::new()),
        _ => Json::Object(Map::new()),
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
pub(crate) fn place_of(node: &Node, path: &Path) -> Place {
    let mut current = node;
    let mut place = node.place;
    for part in path.parts() {
        let next = match (part, &current.value) {
            (Part::Index(index), Value::List(items)) => items.get(*index),
            (Part::Field(name) | Part::Key(name), _) => current.get(name),
            (Part::Index(_), _) => None,
        };
        let Some(next) = next else {
            return place;
        };
        place = match part {
            // What is wrong with an entry of a map may be its key.
            Part::Key(name) => current.key(name).map_or(next.place, |key| key.place),
            _ => next.place,
        };
        current = next;
    }
    place
}
