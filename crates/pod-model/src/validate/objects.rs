//! Rules about the objects that pods refer to.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, PersistentVolumeClaimSpec, Secret,
};

use super::findings::Findings;
use super::path::Path;
use super::{formats, metadata};
use crate::quantity::Quantity;

/// The most bytes that a ConfigMap or a Secret holds.
const MOST_BYTES: usize = 1 << 20;

/// A ConfigMap.
pub(crate) fn config_map(map: &ConfigMap, findings: &mut Findings) {
    metadata::check(&map.metadata, findings);
    let mut size = 0;
    for (key, value) in map.data.iter().flatten() {
        let path = Path::root("data").key(key);
        findings.invalid_each(&path, key, &formats::config_key(key));
        if map.binary_data.as_ref().is_some_and(|data| data.contains_key(key)) {
            findings.invalid(&path, key.as_str(), "duplicate of key present in binaryData");
        }
        size += value.len();
    }
    for (key, value) in map.binary_data.iter().flatten() {
        let path = Path::root("binaryData").key(key);
        findings.invalid_each(&path, key, &formats::config_key(key));
        size += value.0.len();
    }
    if size > MOST_BYTES {
        findings.placed(&Path::root("data"), |findings| {
            findings.too_long(&Path::root(""), MOST_BYTES);
        });
    }
}

/// A Secret, whose `stringData` is in `data` already.
pub(crate) fn secret(secret: &Secret, findings: &mut Findings) {
    metadata::check(&secret.metadata, findings);
    let data = Path::root("data");
    for key in secret.data.iter().flatten().map(|(key, _)| key) {
        findings.invalid_each(&data.key(key), key, &formats::config_key(key));
    }
    let size: usize = secret.data.iter().flatten().map(|(_, value)| value.0.len()).sum();
    if size > MOST_BYTES {
        findings.too_long(&data, MOST_BYTES);
    }
    let has = |key: &str| secret.data.as_ref().is_some_and(|data| data.contains_key(key));
    match secret.type_.as_deref().unwrap_or_default() {
        "kubernetes.io/dockercfg" => check_json(secret, ".dockercfg", findings),
        "kubernetes.io/dockerconfigjson" => check_json(secret, ".dockerconfigjson", findings),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            findings.required(&data.key("username"), "");
            findings.required(&data.key("password"), "");
        }
        "kubernetes.io/ssh-auth" if !has("ssh-privatekey") => {
            findings.required(&data.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"].iter().filter(|key| !has(key)) {
                findings.required(&data.key(key), "");
            }
        }
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            let annotations = secret.metadata.annotations.as_ref();
            if annotations.and_then(|one| one.get(key)).is_none_or(String::is_empty) {
                findings.required(&Path::root("metadata").child("annotations").key(key), "");
            }
        }
        _ => {}
    }
}

/// Registry credentials are JSON; what is in them is never shown.
fn check_json(secret: &Secret, key: &str, findings: &mut Findings) {
    let path = Path::root("data").key(key);
    let Some(ByteString(bytes)) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return findings.required(&path, "");
    };
    let parsed = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes);
    if parsed.is_err() {
        findings.invalid(&path, "<secret contents redacted>", "must be a JSON object");
    }
}

/// A PersistentVolumeClaim.
pub(crate) fn claim(claim: &PersistentVolumeClaim, findings: &mut Findings) {
    metadata::check(&claim.metadata, findings);
    let path = Path::root("spec");
    match &claim.spec {
        Some(spec) => claim_spec(spec, &path, findings),
        None => findings.required(&path, ""),
    }
}

/// What a claim asks for, on its own or in a pod.
pub(super) fn claim_spec(spec: &PersistentVolumeClaimSpec, path: &Path, findings: &mut Findings) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    let field = path.child("accessModes");
    if modes.is_empty() {
        findings.required(&field, "at least 1 access mode is required");
    }
    let words = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    for (at, mode) in modes.iter().enumerate() {
        findings.placed(&field.index(at), |findings| findings.one_of(&field, mode, &words));
    }
    let is_single = |mode: &String| mode == "ReadWriteOncePod";
    if modes.iter().any(is_single) && !modes.iter().all(is_single) {
        findings.forbidden(&field, "may not use ReadWriteOncePod with other access modes");
    }
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let storage = path.child("resources").key("storage");
    let place = path.child("resources").child("requests").key("storage");
    findings.placed(&place, |findings| {
        match requests.and_then(|requests| requests.get("storage")) {
            None => findings.required(&storage, ""),
            Some(text) if Quantity::parse(&text.0).is_ok_and(|one| one.value() <= 0) => {
                findings.invalid(&storage, &text.0, "must be greater than zero");
            }
            Some(_) => {}
        }
    });
    if let Some(class) = spec.storage_class_name.as_deref().filter(|class| !class.is_empty()) {
        let field = path.child("storageClassName");
        findings.invalid_each(&field, class, &formats::subdomain(class));
    }
    match spec.volume_mode.as_deref() {
        Some("Block") => {
            let why = "minipod's claims are directories, not block devices";
            findings.forbidden(&path.child("volumeMode"), why);
        }
        Some(mode) => {
            findings.one_of(&path.child("volumeMode"), mode, &["Block", "Filesystem"]);
        }
        None => {}
    }
}
