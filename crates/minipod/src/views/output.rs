//! What `-o` asks for: objects as JSON, YAML, names, columns and templates.

use serde_json::{Value, json};

use super::custom_columns::{self, Column};
use super::jsonpath::Template;
use super::yaml;
use crate::failure::{Failure, Kind};
use crate::printable::in_json;
use crate::screen;

/// The formats that `-o` takes, for hints.
const KNOWN: &str = "json, yaml, name, wide, jsonpath=TEMPLATE, jsonpath-as-json=TEMPLATE, \
                     jsonpath-file=FILE, custom-columns=SPEC or custom-columns-file=FILE";

/// An output format.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    /// A table; perhaps with more columns.
    Table {
        /// `-o wide`.
        is_wide: bool,
    },
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// `kind/name`.
    Name,
    /// Fields, by a template.
    JsonPath(Template),
    /// What a template finds, as a JSON array.
    JsonPathAsJson(Template),
    /// A table of chosen fields.
    Columns(Vec<Column>),
}

/// The format that `-o` names; `read` reads a file that it names.
pub(crate) fn format(
    text: Option<&str>,
    read: impl Fn(&str) -> Result<String, Failure>,
) -> Result<Format, Failure> {
    let Some(text) = text else {
        return Ok(Format::Table { is_wide: false });
    };
    let (name, argument) = text.split_once('=').map_or((text, None), |(a, b)| (a, Some(b)));
    let needed = || argument.ok_or_else(|| template_missing(name));
    let problem = |problem: String| Failure::new(Kind::Usage, problem);
    match name {
        "" => Ok(Format::Table { is_wide: false }),
        "wide" => Ok(Format::Table { is_wide: true }),
        "json" => Ok(Format::Json),
        "yaml" => Ok(Format::Yaml),
        "name" => Ok(Format::Name),
        "jsonpath" => Ok(Format::JsonPath(template(needed()?)?)),
        "jsonpath-as-json" => Ok(Format::JsonPathAsJson(template(needed()?)?)),
        "jsonpath-file" => Ok(Format::JsonPath(template(read(needed()?)?.trim_end_matches('\n'))?)),
        "custom-columns" => custom_columns::parse(argument.unwrap_or_default())
            .map(Format::Columns)
            .map_err(problem),
        "custom-columns-file" => {
            custom_columns::parse_file(&read(needed()?)?).map(Format::Columns).map_err(problem)
        }
        "go-template" | "go-template-file" | "template" | "templatefile" => Err(Failure::new(
            Kind::Usage,
            "minipod has no Go and no Go templates, so it cannot fill in a go-template",
        )
        .hint("-o jsonpath=TEMPLATE has loops, filters and text, too; -o json goes to jq")),
        other => Err(Failure::new(
            Kind::Usage,
            format!("unable to match a printer suitable for the output format \"{other}\""),
        )
        .hint(KNOWN)),
    }
}

/// The format that `-o` names for objects that were made or changed; nothing for a sentence.
pub(crate) fn of_result(text: Option<&str>) -> Result<Option<Format>, Failure> {
    let format = format(text, |path| {
        let text = format!("minipod reads no template from a file here: {path}");
        Err(Failure::new(Kind::Usage, text).hint("-o jsonpath=TEMPLATE"))
    })?;
    match format {
        Format::Table { is_wide: false } => Ok(None),
        Format::Table { is_wide: true } | Format::Columns(_) => {
            let text = text.unwrap_or_default();
            let text =
                format!("unable to match a printer suitable for the output format \"{text}\"");
            Err(Failure::new(Kind::Usage, text).hint("json, yaml, name or jsonpath=TEMPLATE"))
        }
        other => Ok(Some(other)),
    }
}

fn template_missing(name: &str) -> Failure {
    Failure::new(Kind::Usage, "template format specified but no template given")
        .hint(format!("-o {name}='{{.metadata.name}}'"))
}

fn template(text: &str) -> Result<Template, Failure> {
    Template::parse(text).map_err(|error| Failure::of(Kind::Usage, &error))
}

/// One object as it is, several as a List.
pub(crate) fn whole(mut objects: Vec<Value>, is_single: bool) -> Value {
    if is_single && objects.len() == 1 {
        return objects.remove(0);
    }
    json!({ "apiVersion": "v1", "items": objects, "kind": "List", "metadata": { "resourceVersion": "" } })
}

/// Objects in a format that is no table of minipod's own columns.
pub(crate) fn document(
    values: Vec<Value>,
    is_single: bool,
    format: &Format,
    with_header: bool,
) -> Result<String, Failure> {
    match format {
        Format::Name => Ok(values.iter().map(name).collect()),
        Format::Columns(columns) => Ok(custom_columns::table(columns, &values, with_header)?),
        Format::Json => Ok(json_text(&whole(values, is_single))),
        Format::JsonPath(template) => Ok(template.text(&whole(values, is_single))?),
        Format::JsonPathAsJson(template) => {
            Ok(json_text(&Value::Array(template.values(&whole(values, is_single))?)))
        }
        Format::Yaml | Format::Table { .. } => Ok(yaml::text(&whole(values, is_single))),
    }
}

/// Prints text in that format. What a template finds is exact in a pipe: a script asked for it.
pub(crate) fn show(text: &str, format: &Format) -> Result<(), Failure> {
    match format {
        Format::JsonPath(_) => screen::answer_value(text),
        _ => screen::answer(text),
    }
}

fn name(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    format!("{kind}/{}\n", object["metadata"]["name"].as_str().unwrap_or_default())
}

/// JSON with four blanks, as kubectl indents it.
pub(crate) fn json_text(value: &Value) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    // A value of JSON has a text, and a Vec takes it.
    let _ = serde::Serialize::serialize(value, &mut serializer);
    text.push(b'\n');
    in_json(&String::from_utf8_lossy(&text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_or_refused_with_the_known_ones() {
        let read = |_: &str| Ok("{.a}\n".to_owned());
        let parse = |text| format(Some(text), read);
        assert_eq!(parse("wide").unwrap(), Format::Table { is_wide: true });
        assert_eq!(parse("jsonpath-file=x").unwrap(), parse("jsonpath={.a}").unwrap());
        for (text, wanted) in [
            ("xml", "unable to match a printer suitable for the output format \"xml\""),
            ("jsonpath", "template format specified but no template given"),
            ("go-template={{.a}}", "minipod has no Go and no Go templates"),
            ("jsonpath={.a", "error parsing jsonpath {.a, unclosed action"),
            ("custom-columns", "custom-columns format specified but no custom columns given"),
        ] {
            let told = parse(text).unwrap_err().to_string();
            assert!(told.contains(wanted), "{told}");
        }
    }

    #[test]
    fn what_was_made_is_a_sentence_a_name_or_a_document() {
        assert_eq!(of_result(None).unwrap(), None);
        assert_eq!(of_result(Some("name")).unwrap(), Some(Format::Name));
        for text in ["wide", "custom-columns=A:.a", "xml", "jsonpath-file=x"] {
            assert!(of_result(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn several_objects_are_a_list() {
        let object = json!({"kind": "Pod", "metadata": {"name": "web"}});
        let text =
            |format: &Format, single| document(vec![object.clone()], single, format, true).unwrap();
        assert_eq!(text(&Format::Name, true), "pod/web\n");
        assert!(text(&Format::Json, true).starts_with("{\n    \"kind\": \"Pod\""));
        assert!(text(&Format::Yaml, false).starts_with("apiVersion: v1\nitems:\n- kind: Pod\n"));
    }
}
