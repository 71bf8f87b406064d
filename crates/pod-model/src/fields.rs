//! The one table of fields: it decides what is read, what is warned about, what is refused, and it
//! is what the documentation is made from.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::OnceLock;

/// What a field means on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It works.
    Works,
    /// It changes nothing here; why.
    Harmless(&'static str),
    /// It would change what the pod does, and is not supported; why.
    Unsupported(&'static str),
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field's name.
    pub name: &'static str,
    /// Its type, as the table writes it.
    pub kind: &'static str,
    /// What it means here.
    pub level: Level,
    /// The value that Kubernetes gives it anyway, of which nobody has to be warned.
    pub default: Option<&'static str>,
}

/// The fields of each type.
pub type Table = BTreeMap<&'static str, Vec<Field>>;

const TEXT: &str = include_str!("fields.table");

/// The table.
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(read)
}

fn read() -> Table {
    let mut table = Table::new();
    let mut current = "";
    for line in TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            current = name;
            table.entry(current).or_default();
        } else if let Some(field) = row(line) {
            table.entry(current).or_default().push(field);
        }
    }
    table
}

fn row(line: &'static str) -> Option<Field> {
    let (name, rest) = line.split_once(' ')?;
    let rest = rest.trim_start();
    let (kind, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let rest = rest.trim();
    let (mark, why) = rest.split_once(' ').unwrap_or((rest, ""));
    let level = match mark {
        "!" => Level::Unsupported(why),
        _ if mark.starts_with('~') => Level::Harmless(why),
        _ => Level::Works,
    };
    Some(Field { name, kind, level, default: mark.strip_prefix("~=") })
}

/// The fields that do not work as in a cluster, as a table in Markdown.
pub fn differences_markdown() -> String {
    let mut text = String::from("| Type | Field | Here | Why |\n| --- | --- | --- | --- |\n");
    for (kind, fields) in table() {
        for field in fields {
            let is_written = *kind == "ObjectMeta" || field.name == "status";
            let (word, why) = match field.level {
                Level::Works => continue,
                Level::Harmless(why) if is_written => ("ignored", why),
                Level::Harmless(why) => ("ignored, with a warning", why),
                Level::Unsupported(why) => ("refused", why),
            };
            let but = field.default.map(|value| format!(" (but for `{value}`)"));
            let but = but.unwrap_or_default();
            // A String takes whatever is written to it.
            let _ = writeln!(text, "| {kind} | `{}` | {word}{but} | {why} |", field.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use k8s_openapi::api::core::v1;
    use schemars::generate::SchemaGenerator;
    use serde_json::Value;

    use super::*;

    /// The types as Kubernetes publishes them: the fields of each with their types, written as the
    /// table writes them.
    fn schema() -> BTreeMap<String, BTreeMap<String, String>> {
        let mut generator = SchemaGenerator::default();
        generator.subschema_for::<v1::Pod>();
        generator.subschema_for::<v1::ConfigMap>();
        generator.subschema_for::<v1::Secret>();
        generator.subschema_for::<v1::PersistentVolumeClaim>();
        let definitions = generator.take_definitions(true);
        let fields = |definition: &Value| {
            let properties = definition["properties"].as_object();
            let field = |(name, one): (&String, &Value)| (name.clone(), kind_of(one));
            properties.into_iter().flatten().map(field).collect()
        };
        definitions.iter().map(|(name, one)| (short(name), fields(one))).collect()
    }

    fn short(name: &str) -> String {
        let last = name.rsplit(['.', '/']).next().unwrap();
        match last {
            "Quantity" => "quantity",
            "IntOrString" => "intOrString",
            "Time" | "MicroTime" => "time",
            "FieldsV1" => "any",
            other => other,
        }
        .to_owned()
    }

    fn kind_of(schema: &Value) -> String {
        if let Some(reference) = schema["$ref"].as_str() {
            return short(reference);
        }
        if let Some(all) = schema["allOf"].as_array() {
            return kind_of(&all[0]);
        }
        match (schema["type"].as_str(), schema["format"].as_str()) {
            (Some("array"), _) => format!("[]{}", kind_of(&schema["items"])),
            (Some("object"), _) => format!("{{}}{}", kind_of(&schema["additionalProperties"])),
            (Some("integer"), Some("int64")) => "long".to_owned(),
            (Some("integer"), _) => "int".to_owned(),
            (Some("boolean"), _) => "bool".to_owned(),
            (Some("string"), Some("byte")) => "bytes".to_owned(),
            (Some("string"), Some("date-time")) => "time".to_owned(),
            (kind, _) => kind.unwrap_or("any").to_owned(),
        }
    }

    /// Types of what minipod writes itself, and of what is not looked into.
    const WRITTEN: [&str; 3] = ["PodStatus", "PersistentVolumeClaimStatus", "any"];
    const PLAIN: [&str; 9] =
        ["string", "int", "long", "bool", "time", "bytes", "quantity", "intOrString", "any"];

    #[test]
    fn every_field_that_kubernetes_has_stands_in_the_table_with_its_type() {
        let schema = schema();
        let roots = ["Pod", "ConfigMap", "Secret", "PersistentVolumeClaim"];
        let mut todo: Vec<String> = roots.map(str::to_owned).to_vec();
        let mut seen = BTreeSet::new();
        while let Some(kind) = todo.pop() {
            if !seen.insert(kind.clone()) {
                continue;
            }
            let rows = table().get(kind.as_str());
            let rows: BTreeMap<&str, &str> =
                rows.into_iter().flatten().map(|row| (row.name, row.kind)).collect();
            for (name, wanted) in &schema[&kind] {
                let written = rows.get(name.as_str()).unwrap_or_else(|| {
                    panic!("{kind}.{name} ({wanted}) has no row in fields.table")
                });
                let is_written = WRITTEN.contains(&wanted.as_str());
                assert!(written == wanted || is_written, "{kind}.{name}: {written}, not {wanted}");
                let below = wanted.trim_start_matches("[]").trim_start_matches("{}");
                if !PLAIN.contains(&below) && !is_written && !seen.contains(below) {
                    todo.push(below.to_owned());
                }
            }
            let surplus = rows.keys().find(|name| !schema[&kind].contains_key(**name));
            assert_eq!(surplus, None, "Kubernetes has no such field in {kind}");
        }
        let unused: Vec<_> = table().keys().filter(|kind| !seen.contains(**kind)).collect();
        assert!(unused.is_empty(), "no field has these types: {unused:?}");
        assert!(seen.len() > 100, "{} types are all there are", seen.len());
    }

    #[test]
    fn a_field_that_does_not_work_says_why() {
        for (kind, rows) in table() {
            for row in rows {
                let why = match row.level {
                    Level::Works => continue,
                    Level::Harmless(why) | Level::Unsupported(why) => why,
                };
                assert!(why.len() > 8, "{kind}.{}", row.name);
            }
        }
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kubernetes-differences.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, table) = text.split_at(text.find("| Type | Field |").unwrap());
        if std::env::var_os("MINIPOD_WRITE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{}", differences_markdown())).unwrap();
            return;
        }
        assert_eq!(table, differences_markdown(), "MINIPOD_WRITE_DOCS=1 writes it");
    }
}
