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
    let level = if let Some(why) = rest.strip_prefix("~ ") {
        Level::Harmless(why)
    } else if let Some(why) = rest.strip_prefix("! ") {
        Level::Unsupported(why)
    } else {
        Level::Works
    };
    Some(Field { name, kind, level })
}

/// The fields that do not work as in a cluster, as a table in Markdown.
pub fn differences_markdown() -> String {
    let mut text = String::from("| Type | Field | Here | Why |\n| --- | --- | --- | --- |\n");
    for (kind, fields) in table() {
        for field in fields {
            let (word, why) = match field.level {
                Level::Works => continue,
                Level::Harmless(why) => ("ignored, with a warning", why),
                Level::Unsupported(why) => ("refused", why),
            };
            // A String takes whatever is written to it.
            let _ = writeln!(text, "| {kind} | `{}` | {word} | {why} |", field.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use k8s_openapi::api::core::v1;
    use schemars::generate::SchemaGenerator;

    use super::*;

    /// The types and their fields, as Kubernetes publishes them.
    fn schema() -> BTreeMap<String, BTreeSet<String>> {
        let mut generator = SchemaGenerator::default();
        generator.subschema_for::<v1::Pod>();
        generator.subschema_for::<v1::ConfigMap>();
        generator.subschema_for::<v1::Secret>();
        generator.subschema_for::<v1::PersistentVolumeClaim>();
        let definitions = generator.take_definitions(true);
        let fields = |definition: &serde_json::Value| {
            let properties = definition["properties"].as_object();
            properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        let short = |name: &str| name.rsplit('.').next().unwrap().to_owned();
        definitions.iter().map(|(name, one)| (short(name), fields(one))).collect()
    }

    #[test]
    fn every_field_of_every_type_has_a_row_and_every_row_a_field() {
        let schema = schema();
        for (kind, rows) in table() {
            let rows: BTreeSet<String> = rows.iter().map(|row| row.name.to_owned()).collect();
            assert_eq!(rows, schema[*kind], "{kind}");
        }
    }

    #[test]
    fn every_type_that_a_row_names_is_in_the_table_or_known() {
        let known = ["string", "int", "bool", "time", "bytes", "quantity", "intOrString", "any"];
        for field in table().values().flatten() {
            let kind = field.kind.trim_start_matches("[]").trim_start_matches("{}");
            assert!(known.contains(&kind) || table().contains_key(kind), "{kind}");
        }
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kubernetes-differences.md");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.ends_with(&differences_markdown()),
            "put this there:\n{}",
            differences_markdown()
        );
    }
}
