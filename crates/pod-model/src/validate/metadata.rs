//! Names, labels, annotations.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Findings;
use crate::{ContainerName, PodName};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
    or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
    regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

pub(super) fn check(metadata: &ObjectMeta, findings: &mut Findings) {
    object_name(metadata, findings);
    for (key, value) in metadata.labels.iter().flatten() {
        if value.len() > 63 || !is_label_value(value) {
            let why = "a valid label must be an empty string or consist of alphanumeric \
                characters, '-', '_' or '.', and must start and end with an alphanumeric character \
                (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
                '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
            findings.invalid(&format!("metadata.labels.{key}"), &format!("\"{value}\""), why);
        }
    }
}

/// The name and the namespace of any object.
pub(crate) fn object_name(metadata: &ObjectMeta, findings: &mut Findings) {
    match metadata.name.as_deref() {
        None | Some("") => findings.required("metadata.name", "name or generateName is required"),
        Some(name) if PodName::parse(name).is_err() => {
            findings.invalid("metadata.name", &format!("\"{name}\""), SUBDOMAIN);
        }
        Some(_) => {}
    }
    if let Some(namespace) = metadata.namespace.as_deref()
        && ContainerName::parse(namespace).is_err()
    {
        findings.invalid("metadata.namespace", &format!("\"{namespace}\""), LABEL);
    }
}

/// A DNS label: container names, volume names, host names.
pub(super) fn label(findings: &mut Findings, field: &str, name: &str) {
    if name.is_empty() {
        findings.required(field, "");
    } else if name.len() > 63 {
        findings.invalid(field, &format!("\"{name}\""), "must be no more than 63 characters");
    } else if ContainerName::parse(name).is_err() {
        findings.invalid(field, &format!("\"{name}\""), LABEL);
    }
}

fn is_label_value(value: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    value.chars().all(is_inner) && is_edge(value.chars().next()) && is_edge(value.chars().last())
}
