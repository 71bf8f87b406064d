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
    let name = path.child("name");
    match metadata.name.as_deref() {
        None | Some("") => findings.required(&name, "name or generateName is required"),
        Some(text) => findings.invalid_each(&name, text, &formats::subdomain(text)),
    }
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    findings.invalid_each(&path.child("namespace"), namespace, &formats::label(namespace));
    labels(metadata.labels.as_ref(), &path.child("labels"), findings);
    annotations(metadata.annotations.as_ref(), &path.child("annotations"), findings);
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
