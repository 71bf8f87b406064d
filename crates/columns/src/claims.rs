//! `get persistentvolumeclaims`. A claim is a directory of this machine, bound as soon as it exists.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::age;

/// The names of the columns.
pub fn header(is_wide: bool) -> Vec<&'static str> {
    let mut names = vec![
        "NAME",
        "STATUS",
        "VOLUME",
        "CAPACITY",
        "ACCESS MODES",
        "STORAGECLASS",
        "VOLUMEATTRIBUTESCLASS",
        "AGE",
    ];
    if is_wide {
        names.push("VOLUMEMODE");
    }
    names
}

/// The cells of one claim.
pub fn row(claim: &PersistentVolumeClaim, is_wide: bool, now: Timestamp) -> Vec<String> {
    let spec = claim.spec.clone().unwrap_or_default();
    let mut cells = vec![
        claim.metadata.name.clone().unwrap_or_default(),
        phase(claim),
        spec.volume_name.unwrap_or_default(),
        capacity(claim),
        access_modes(claim),
        spec.storage_class_name.unwrap_or_default(),
        spec.volume_attributes_class_name.unwrap_or_else(|| "<unset>".to_owned()),
        age::age(claim.metadata.creation_timestamp.as_ref(), now),
    ];
    if is_wide {
        cells.push(spec.volume_mode.unwrap_or_else(|| "Filesystem".to_owned()));
    }
    cells
}

/// Its STATUS.
pub fn phase(claim: &PersistentVolumeClaim) -> String {
    if claim.metadata.deletion_timestamp.is_some() {
        return "Terminating".to_owned();
    }
    let phase = claim.status.as_ref().and_then(|status| status.phase.clone());
    phase.unwrap_or_else(|| "Bound".to_owned())
}

/// Its CAPACITY.
pub fn capacity(claim: &PersistentVolumeClaim) -> String {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let storage = requests.and_then(|requests| requests.get("storage"));
    storage.map(|storage| storage.0.clone()).unwrap_or_default()
}

/// In their short form.
pub fn access_modes(claim: &PersistentVolumeClaim) -> String {
    let short = |mode: &String| match mode.as_str() {
        "ReadWriteOnce" => "RWO".to_owned(),
        "ReadOnlyMany" => "ROX".to_owned(),
        "ReadWriteMany" => "RWX".to_owned(),
        "ReadWriteOncePod" => "RWOP".to_owned(),
        other => other.to_owned(),
    };
    let modes = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_ref());
    modes.into_iter().flatten().map(short).collect::<Vec<_>>().join(",")
}
