//! kubectl's JSONPath templates: `{.status.phase}`, `{range .items[*]}…{end}` and text between.
//!
//! Paths have fields (`.a`, `['a']`, `.a\.b` for a dot in a name), indexes and slices (`[0]`,
//! `[-1:]`, `[0:4:2]`), wildcards (`[*]`, `.*`), unions (`['a','b']`, `[0,2]`), filters
//! (`[?(@.name=="web")]`) and recursive descent (`..name`).

mod evaluate;
mod parse;

use serde_json::Value;
use thiserror::Error;

pub(crate) use evaluate::plain;

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum JsonPathError {
    /// It is not a template.
    #[error("error parsing jsonpath {template}, {problem}")]
    Parse {
        /// The template.
        template: String,
        /// What is wrong.
        problem: String,
    },
    /// It does not fit the object.
    #[error("error executing jsonpath {template:?}: {problem}")]
    Execute {
        /// The template.
        template: String,
        /// What is wrong.
        problem: String,
    },
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Path(Vec<Step>),
    Range { path: Vec<Step>, body: Vec<Node> },
}

/// From values to those below them.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    Descendants,
    Slice(Slice),
    Union(Vec<Vec<Step>>),
    Filter(Box<Filter>),
    Literal(Value),
}

/// `[start:end:step]`; an index is a slice of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
    is_index: bool,
}

/// `[?(left operator right)]`; without operator, what is there passes.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Vec<Step>,
    comparison: Option<(Operator, Vec<Step>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A template that has been read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    text: String,
    nodes: Vec<Node>,
}

impl Template {
    /// Reads a template.
    pub(crate) fn parse(text: &str) -> Result<Self, JsonPathError> {
        let failed = |problem| JsonPathError::Parse { template: text.to_owned(), problem };
        let nodes = parse::nodes(text).map_err(failed)?;
        Ok(Self { text: text.to_owned(), nodes })
    }

    /// Reads a single path, for which braces and the first dot may be left out: `metadata.name`.
    pub(crate) fn parse_relaxed(text: &str) -> Result<Self, JsonPathError> {
        let bare = text.trim();
        let bare =
            bare.strip_prefix('{').map_or(bare, |rest| rest.strip_suffix('}').unwrap_or(bare));
        let bare = bare.trim().trim_start_matches(['$', '@']);
        let starts_well = bare.is_empty() || bare.starts_with(['.', '[']);
        Self::parse(&format!("{{{}{bare}}}", if starts_well { "" } else { "." }))
    }

    /// The template filled in.
    pub(crate) fn text(&self, value: &Value) -> Result<String, JsonPathError> {
        let mut text = String::new();
        evaluate::print(&self.nodes, value, &mut text).map_err(|problem| self.failed(problem))?;
        Ok(text)
    }

    /// Every value that the template's paths find.
    pub(crate) fn values(&self, value: &Value) -> Result<Vec<Value>, JsonPathError> {
        let mut found = Vec::new();
        evaluate::collect(&self.nodes, value, &mut found)
            .map_err(|problem| self.failed(problem))?;
        Ok(found)
    }

    fn failed(&self, problem: String) -> JsonPathError {
        JsonPathError::Execute { template: self.text.clone(), problem }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods() -> Value {
        json!({"kind": "List", "items": [
            {"metadata": {"name": "a", "labels": {"app.x/y": "one"}}, "n": 1, "tags": ["p", "q", "r"]},
            {"metadata": {"name": "b", "labels": {}}, "n": 2, "ok": true, "tags": []}
        ]})
    }

    #[test]
    fn templates_are_filled_in_as_kubectl_fills_them_in() {
        for (template, text) in [
            ("{.kind}", "List"),
            ("kind: {.kind}!", "kind: List!"),
            ("{$.kind}{@.kind}", "ListList"),
            ("{.items[*].metadata.name}", "a b"),
            ("{.items[0].metadata.name}{\"\\t\"}{.items[-1].n}{'\\n'}", "a\t2\n"),
            ("{.items[0].tags[0:2]}", "p q"),
            ("{.items[0].tags[::2]}", "p r"),
            ("{.items[0].tags[-2:]}", "q r"),
            ("{.items[0].tags[0,2]}", "p r"),
            ("{.items[0]['metadata','n']}", r#"{"labels":{"app.x/y":"one"},"name":"a"} 1"#),
            ("{.items[0].metadata.labels.app\\.x/y}", "one"),
            ("{.items[0].metadata.labels['app\\.x/y']}", "one"),
            ("{..name}", "a b"),
            ("{.items[?(@.n==2)].metadata.name}", "b"),
            ("{.items[?(@.n>=1)].n}", "1 2"),
            ("{.items[?(@.metadata.name!=\"a\")].n}", "2"),
            ("{.items[?(@.metadata.name=='a')].n}", "1"),
            ("{.items[?(@.ok)].n}", "2"),
            ("{.items[?(@.ok==true)].n}", "2"),
            ("{range .items[*]}{.metadata.name}={.n};{end}.", "a=1;b=2;."),
            ("{range .items[*]}[{range .tags[*]}{@},{end}]{end}", "[p,q,r,][]"),
            ("{range .nothing[*]}x{end}y", "y"),
            ("x{.nothing.at.all}y", "xy"),
            ("{.items[0].metadata.*}", r#"{"app.x/y":"one"} a"#),
        ] {
            let filled = Template::parse(template).unwrap().text(&pods()).unwrap();
            assert_eq!(filled, text, "{template}");
        }
    }

    #[test]
    fn a_wrong_template_is_told_with_its_problem() {
        for (template, problem) in [
            ("{.items[", "unterminated array"),
            ("{.items", "unclosed action"),
            ("{.items[a]}", "invalid array index a"),
            ("{range .items[*]}{.n}", "unclosed range, no {end}"),
            ("{end}", "not in range, nothing to end"),
            ("{.a[?(@.b==]}", "unterminated filter"),
            ("{\"abc}", "unterminated quoted string"),
            ("{%}", "unrecognized character in action: '%'"),
        ] {
            let error = Template::parse(template).unwrap_err().to_string();
            assert_eq!(error, format!("error parsing jsonpath {template}, {problem}"));
        }
        let error = Template::parse("{.items[7]}").unwrap().text(&pods()).unwrap_err();
        assert!(error.to_string().ends_with("array index out of bounds: index 7, length 2"));
    }

    #[test]
    fn a_relaxed_path_needs_neither_braces_nor_a_dot() {
        for text in [".items[0].n", "items[0].n", "{.items[0].n}", "{items[0].n}", "$.items[0].n"] {
            let template = Template::parse_relaxed(text).unwrap();
            assert_eq!(template.values(&pods()).unwrap(), [json!(1)], "{text}");
        }
    }
}
