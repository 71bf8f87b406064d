//! Names, labels, annotations.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::findings::Findings;
use super::formats;
use super::path::Path;

/// The most bytes that the annotations of an object may have.
const MOST_ANNOTATIONS: usize = 256 << 10;

/// The metadata of any object.
pub(super) fn check(metadata: &ObjectMeta, findings: &mut Findings) {
    let path = Path::root("metadata");
    let prefix = metadata.generate_name.as_deref().unwrap_or_default();
    let field = path.child("generateName");
    findings.invalid_each(&field, prefix, &beginning_of_subdomain(prefix));
    let name = path.child("name");
    match metadata.name.as_deref().unwrap_or_default() {
        "" if prefix.is_empty() => findings.required(&name, "name or generateName is required"),
        "" => {}
        text => findings.invalid_each(&name, text, &formats::subdomain(text)),
    }
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    findings.invalid_each(&path.child("namespace"), namespace, &formats::label(namespace));
    labels(metadata.labels.as_ref(), &path.child("labels"), findings);
    annotations(metadata.annotations.as_ref(), &path.child("annotations"), findings);
}

/// The metadata of an object that is made from a template.
pub(super) fn check_template(metadata: &ObjectMeta, path: &Path, findings: &mut Findings) {
    for (name, text) in [
        ("name", &metadata.name),
        ("generateName", &metadata.generate_name),
        ("namespace", &metadata.namespace),
    ] {
        if text.as_deref().is_some_and(|text| !text.is_empty()) {
            findings.forbidden(&path.child(name), "cannot be set for an ephemeral volume");
        }
    }
    labels(metadata.labels.as_ref(), &path.child("labels"), findings);
    annotations(metadata.annotations.as_ref(), &path.child("annotations"), findings);
}

/// What a name may begin with: in it a dash may be the last character.
fn beginning_of_subdomain(prefix: &str) -> Vec<String> {
    match prefix.strip_suffix('-') {
        None if prefix.is_empty() => Vec::new(),
        Some(rest) if !rest.is_empty() => formats::subdomain(&format!("{rest}a")),
        _ => formats::subdomain(prefix),
    }
}

/// Labels, and selectors that look like them.
pub(super) fn labels(
    labels: Option<&BTreeMap<String, String>>,
    path: &Path,
    findings: &mut Findings,
) {
    for (key, value) in labels.into_iter().flatten() {
        findings.placed(&path.key(key), |findings| {
            findings.invalid_each(path, key, &formats::label_key(key));
            findings.invalid_each(path, value, &formats::label_value(value));
        });
    }
}

fn annotations(
    annotations: Option<&BTreeMap<String, String>>,
    path: &Path,
    findings: &mut Findings,
) {
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        size += key.len() + value.len();
        let wrong = formats::label_key(&key.to_lowercase());
        findings.placed(&path.key(key), |findings| findings.invalid_each(path, key, &wrong));
    }
    if size > MOST_ANNOTATIONS {
        findings.too_long(path, MOST_ANNOTATIONS);
    }
}
