//! Rules about environment variables and the downward API.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, FileKeySelector, ObjectFieldSelector, ResourceFieldSelector,
};

use super::findings::Findings;
use super::formats;
use super::path::Path;
use super::volume::Volumes;

/// What a variable can tell of the pod.
pub(super) const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What a file can tell of the pod.
pub(super) const VOLUME_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

/// What Kubernetes knows as fields of a pod and tells nobody.
const UNTOLD_FIELDS: [&str; 4] =
    ["spec.host", "spec.restartPolicy", "spec.schedulerName", "status.phase"];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const SIZES: [&str; 13] =
    ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

pub(super) fn check(
    container: &Container,
    path: &Path,
    volumes: &Volumes<'_>,
    findings: &mut Findings,
) {
    let list = path.child("env");
    for (at, variable) in container.env.iter().flatten().enumerate() {
        check_variable(variable, &list.index(at), volumes, findings);
    }
    warn_hidden(container, &list, findings);
    let list = path.child("envFrom");
    for (at, source) in container.env_from.iter().flatten().enumerate() {
        check_source(source, &list, at, findings);
    }
}

fn check_variable(variable: &EnvVar, path: &Path, volumes: &Volumes<'_>, findings: &mut Findings) {
    let name = path.child("name");
    if variable.name.is_empty() {
        findings.required(&name, "");
    } else {
        findings.invalid_each(&name, &variable.name, &formats::env_name(&variable.name));
    }
    let Some(source) = &variable.value_from else {
        return;
    };
    let path = path.child("valueFrom");
    let mut sources = 0;
    if let Some(selector) = &source.field_ref {
        sources += 1;
        check_field(selector, &FIELDS, &path.child("fieldRef"), findings);
    }
    if let Some(selector) = &source.resource_field_ref {
        sources += 1;
        check_resource(selector, false, &path.child("resourceFieldRef"), findings);
    }
    if let Some(selector) = &source.config_map_key_ref {
        sources += 1;
        check_key(&selector.name, &selector.key, &path.child("configMapKeyRef"), findings);
    }
    if let Some(selector) = &source.secret_key_ref {
        sources += 1;
        check_key(&selector.name, &selector.key, &path.child("secretKeyRef"), findings);
    }
    if let Some(selector) = &source.file_key_ref {
        sources += 1;
        check_file(selector, volumes, &path.child("fileKeyRef"), findings);
    }
    let has_value = variable.value.as_ref().is_some_and(|value| !value.is_empty());
    match sources {
        0 => {
            let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, \
                `secretKeyRef` or `fileKeyRef`";
            findings.invalid(&path, "", why);
        }
        _ if has_value => {
            findings.invalid(&path, "", "may not be specified when `value` is not empty");
        }
        1 => {}
        _ => findings.invalid(&path, "", "may not have more than one field specified at a time"),
    }
}

/// What Kubernetes warns of: a variable that replaces another one without using its value.
fn warn_hidden(container: &Container, path: &Path, findings: &mut Findings) {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, variable) in container.env.iter().flatten().enumerate() {
        let value = variable.value.as_deref().unwrap_or_default();
        let reference = format!("$({})", variable.name);
        let uses_former = value.contains(&reference) && value != reference;
        if known.insert(&variable.name, at).is_some() && !uses_former {
            let why = format!(
                "hides previous definition of \"{}\", which may be dropped when using apply",
                variable.name
            );
            findings.warn(&path.index(at), &why);
        }
    }
}

fn check_source(source: &EnvFromSource, list: &Path, at: usize, findings: &mut Findings) {
    let path = list.index(at);
    if let Some(prefix) = &source.prefix {
        findings.invalid_each(&path.child("prefix"), prefix, &formats::env_name(prefix));
    }
    let names = [
        ("configMapRef", source.config_map_ref.as_ref().map(|one| &one.name)),
        ("secretRef", source.secret_ref.as_ref().map(|one| &one.name)),
    ];
    for (field, name) in names {
        let name_path = path.child(field).child("name");
        match name {
            None => {}
            Some(name) if name.is_empty() => findings.required(&name_path, ""),
            Some(name) => findings.invalid_each(&name_path, name, &formats::subdomain(name)),
        }
    }
    // Kubernetes names the list here, not the entry.
    findings.placed(&path, |findings| match names.iter().filter_map(|one| one.1).count() {
        0 => findings.invalid(list, "", "must specify one of: `configMapRef` or `secretRef`"),
        1 => {}
        _ => findings.invalid(list, "", "may not have more than one field specified at a time"),
    });
}

fn check_key(name: &str, key: &str, path: &Path, findings: &mut Findings) {
    findings.invalid_each(&path.child("name"), name, &formats::subdomain(name));
    if key.is_empty() {
        findings.required(&path.child("key"), "");
    } else {
        findings.invalid_each(&path.child("key"), key, &formats::config_key(key));
    }
}

fn check_file(
    selector: &FileKeySelector,
    volumes: &Volumes<'_>,
    path: &Path,
    findings: &mut Findings,
) {
    let volume = path.child("volumeName");
    let name = selector.volume_name.as_str();
    match volumes.get(name) {
        _ if name.is_empty() => findings.required(&volume, ""),
        None => findings.not_found(&volume, name, &volumes.keys().copied().collect::<Vec<_>>()),
        Some(found) if found.empty_dir.is_none() => {
            findings.invalid(&volume, name, "must be an emptyDir volume");
        }
        Some(_) => {}
    }
    let file = path.child("path");
    if selector.path.is_empty() {
        findings.required(&file, "");
    }
    findings.invalid_each(&file, &selector.path, &formats::volume_path(&selector.path));
    let key = path.child("key");
    if selector.key.is_empty() {
        findings.required(&key, "");
    }
    findings.invalid_each(&key, &selector.key, &formats::env_name(&selector.key));
}

/// A reference to a field of the pod.
pub(super) fn check_field(
    selector: &ObjectFieldSelector,
    known: &[&str],
    path: &Path,
    findings: &mut Findings,
) {
    let text = selector.field_path.as_str();
    let field = path.child("fieldPath");
    if let Some(version) = selector.api_version.as_deref().filter(|version| *version != "v1") {
        let why = format!("unsupported pod version: {version}");
        findings.invalid(&path.child("apiVersion"), version, &why);
        return;
    }
    if text.is_empty() {
        findings.required(&field, "");
    } else if let Some((map, key)) = text.strip_suffix("']").and_then(|one| one.split_once("['")) {
        match map {
            "metadata.annotations" => {
                findings.invalid_each(path, key, &formats::label_key(&key.to_lowercase()));
            }
            "metadata.labels" => findings.invalid_each(path, key, &formats::label_key(key)),
            _ => {
                let why = "error converting fieldPath: field label does not support subscript";
                findings.invalid(&field, text, &format!("{why}: {text}"));
            }
        }
    } else if known.contains(&text) {
        // A field that can be told.
    } else if [&FIELDS[..], &VOLUME_FIELDS, &UNTOLD_FIELDS].concat().contains(&text) {
        findings.one_of(&field, text, known);
    } else {
        unknown_field(text, known, &field, findings);
    }
}

fn unknown_field(text: &str, known: &[&str], field: &Path, findings: &mut Findings) {
    let why = format!("error converting fieldPath: field label not supported: {text}");
    findings.invalid(field, text, &why);
    let near = crate::problem::near(text, known.iter().copied());
    let list = || format!("the fields are {}", known.join(", "));
    findings.hint(&near.map_or_else(list, |near| format!("did you mean \"{near}\"?")));
}

/// A reference to a resource of a container.
pub(super) fn check_resource(
    selector: &ResourceFieldSelector,
    is_in_volume: bool,
    path: &Path,
    findings: &mut Findings,
) {
    let resource = selector.resource.as_str();
    let is_huge_page =
        ["limits.hugepages-", "requests.hugepages-"].iter().any(|one| resource.starts_with(one));
    if is_in_volume && selector.container_name.as_ref().is_none_or(String::is_empty) {
        findings.required(&path.child("containerName"), "");
    } else if resource.is_empty() {
        findings.required(&path.child("resource"), "");
    } else if !is_huge_page {
        findings.one_of(&path.child("resource"), resource, &RESOURCES);
    }
    let divisor = selector.divisor.as_ref().map(|divisor| divisor.0.as_str());
    let Some(divisor) = divisor.filter(|divisor| *divisor != "0") else {
        return;
    };
    let kind = resource.split_once('.').map_or("", |(_, kind)| kind);
    let (sizes, noun): (&[&str], _) = match kind {
        "cpu" => (&["1m", "1"], "cpu"),
        "memory" => (&SIZES, "memory"),
        "ephemeral-storage" => (&SIZES, "local ephemeral storage"),
        _ if is_huge_page => (&SIZES, "hugepages"),
        _ => return,
    };
    if !sizes.contains(&divisor) {
        let list = if kind == "cpu" { "1m and 1".to_owned() } else { sizes.join(", ") };
        let why = format!("only divisor's values {list} are supported with the {noun} resource");
        findings.invalid(&path.child("divisor"), resource, &why);
    }
}
