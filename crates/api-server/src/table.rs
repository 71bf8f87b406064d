//! `Table`: what `kubectl get` shows, column by column.

use columns::rows;
use jiff::Timestamp;
use pod_api::Object;
use serde_json::{Value, json};

use crate::kinds::{Kind, Source};

/// Whether a client asks for tables, and what it wants of each object in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Objects as they are.
    Objects,
    /// Tables with the metadata of each object.
    Table,
    /// Tables with each object.
    TableOfObjects,
    /// Tables with nothing else.
    BareTable,
    /// Metadata alone.
    Metadata,
}

impl Form {
    /// What `Accept` and `includeObject` ask for.
    pub(crate) fn of(accept: &str, include: Option<&str>) -> Self {
        let mut parts = accept.split(',').map(str::trim);
        let known = parts.find(|part| part.starts_with("application/json") || *part == "*/*");
        match known {
            Some(part) if part.contains("as=Table") => match include {
                Some("Object") => Self::TableOfObjects,
                Some("None") => Self::BareTable,
                _ => Self::Table,
            },
            Some(part) if part.contains("as=PartialObjectMetadata") => Self::Metadata,
            _ => Self::Objects,
        }
    }
}

/// One object, as a client wants it.
pub(crate) fn one(form: Form, kind: &Kind, value: &Value, object: Option<&Object>) -> Value {
    match form {
        Form::Objects => value.clone(),
        Form::Metadata => metadata(value),
        _ => {
            let version = value["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            table(kind, vec![row(form, kind, value, object)], version)
        }
    }
}

/// A table of these rows.
pub(crate) fn table(kind: &Kind, rows: Vec<Value>, version: &str) -> Value {
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": definitions(kind),
        "rows": rows,
    })
}

/// The row of an object.
pub(crate) fn row(form: Form, kind: &Kind, value: &Value, object: Option<&Object>) -> Value {
    let now = Timestamp::now();
    let cells = match object {
        Some(object) => rows::row(object, true, now),
        None => other_cells(kind, value, now),
    };
    let shown = match form {
        Form::TableOfObjects => value.clone(),
        Form::BareTable => Value::Null,
        _ => metadata(value),
    };
    json!({"cells": cells, "object": shown})
}

/// `PartialObjectMetadata` of an object.
pub(crate) fn metadata(value: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"],
    })
}

fn definitions(kind: &Kind) -> Vec<Value> {
    let (all, narrow) = match kind.source {
        Source::Stored(resource) => (rows::header(resource, true), rows::header(resource, false)),
        Source::Nodes => (
            vec![
                "NAME",
                "STATUS",
                "ROLES",
                "AGE",
                "VERSION",
                "INTERNAL-IP",
                "EXTERNAL-IP",
                "OS-IMAGE",
                "KERNEL-VERSION",
                "CONTAINER-RUNTIME",
            ],
            vec!["NAME", "STATUS", "ROLES", "AGE", "VERSION"],
        ),
        Source::Namespaces => (vec!["NAME", "STATUS", "AGE"], vec!["NAME", "STATUS", "AGE"]),
        Source::ServiceAccounts => (vec!["NAME", "AGE"], vec!["NAME", "AGE"]),
    };
    let definition = |name: &&str| {
        json!({
            "name": titled(name),
            "type": "string",
            "format": if *name == "NAME" { "name" } else { "" },
            "description": "",
            "priority": u8::from(!narrow.contains(name)),
        })
    };
    all.iter().map(definition).collect()
}

/// `LAST SEEN` as `Last Seen`; `IP` stays.
fn titled(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(1);
        if word == "IP" { word.to_owned() } else { first.to_owned() + &rest.to_lowercase() }
    };
    name.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn other_cells(kind: &Kind, value: &Value, now: Timestamp) -> Vec<String> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let name = text("/metadata/name").to_owned();
    let created = serde_json::from_value(value["metadata"]["creationTimestamp"].clone()).ok();
    let age = columns::age::age(created.as_ref(), now);
    match kind.source {
        Source::Nodes => {
            let info = |field: &str| text(&format!("/status/nodeInfo/{field}")).to_owned();
            vec![
                name,
                "Ready".to_owned(),
                "<none>".to_owned(),
                age,
                info("kubeletVersion"),
                text("/status/addresses/0/address").to_owned(),
                "<none>".to_owned(),
                info("osImage"),
                info("kernelVersion"),
                info("containerRuntimeVersion"),
            ]
        }
        Source::Namespaces => vec![name, text("/status/phase").to_owned(), age],
        Source::ServiceAccounts | Source::Stored(_) => vec![name, age],
    }
}

#[cfg(test)]
mod tests {
    use pod_api::Resource;

    use super::*;

    #[test]
    fn kubectl_gets_every_column_and_hides_what_is_wide() {
        let pods = Kind::of_resource(Resource::Pod);
        let columns = definitions(pods);
        let told: Vec<(&str, u64)> = columns
            .iter()
            .map(|one| (one["name"].as_str().unwrap(), one["priority"].as_u64().unwrap()))
            .collect();
        assert_eq!(told[..3], [("Name", 0), ("Ready", 0), ("Status", 0)]);
        assert!(told.contains(&("IP", 1)) && told.contains(&("Nominated Node", 1)));
    }

    #[test]
    fn the_form_is_what_accept_names_first() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        assert_eq!(Form::of(table, None), Form::Table);
        assert_eq!(Form::of(table, Some("Object")), Form::TableOfObjects);
        let typed = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(Form::of(typed, None), Form::Objects);
        let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
        assert_eq!(Form::of(partial, None), Form::Metadata);
    }
}
