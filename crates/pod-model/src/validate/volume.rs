//! Rules about volumes.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ImageVolumeSource, PodSpec, Volume};

use super::{Findings, metadata};
use crate::quantity::Quantity;

/// Checks all volumes and returns their names.
pub(super) fn check_all(spec: &PodSpec, findings: &mut Findings) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, volume) in spec.volumes.iter().flatten().enumerate() {
        let path = format!("spec.volumes[{at}]");
        metadata::label(findings, &format!("{path}.name"), &volume.name);
        if !names.insert(volume.name.clone()) {
            findings.duplicate(&format!("{path}.name"), &volume.name);
        }
        check(volume, &path, findings);
    }
    names
}

fn check(volume: &Volume, path: &str, findings: &mut Findings) {
    let kinds = [
        volume.empty_dir.is_some(),
        volume.host_path.is_some(),
        volume.config_map.is_some(),
        volume.secret.is_some(),
        volume.downward_api.is_some(),
        volume.projected.is_some(),
        volume.persistent_volume_claim.is_some(),
        volume.image.is_some(),
    ];
    if kinds.iter().filter(|is_set| **is_set).count() > 1 {
        findings.forbidden(path, "may not specify more than 1 volume type");
    }
    if let Some(source) = &volume.host_path {
        let field = format!("{path}.hostPath");
        if source.path.is_empty() {
            findings.required(&format!("{field}.path"), "");
        } else if source.path.split('/').any(|part| part == "..") {
            let value = format!("\"{}\"", source.path);
            findings.invalid(&format!("{field}.path"), &value, "must not contain '..'");
        }
        let words = [
            "",
            "BlockDevice",
            "CharDevice",
            "Directory",
            "DirectoryOrCreate",
            "File",
            "FileOrCreate",
            "Socket",
        ];
        findings.one_of(&format!("{field}.type"), source.type_.as_deref(), &words);
    }
    if let Some(source) = &volume.image {
        check_image(source, &format!("{path}.image"), findings);
    }
    if let Some(source) = &volume.empty_dir {
        let field = format!("{path}.emptyDir");
        let words = ["", "Memory"];
        findings.one_of(&format!("{field}.medium"), source.medium.as_deref(), &words);
        if let Some(limit) = &source.size_limit
            && let Err(error) = Quantity::parse(&limit.0)
        {
            let value = format!("\"{}\"", limit.0);
            findings.invalid(&format!("{field}.sizeLimit"), &value, &error.to_string());
        }
    }
}

fn check_image(source: &ImageVolumeSource, field: &str, findings: &mut Findings) {
    if source.reference.as_ref().is_none_or(String::is_empty) {
        findings.required(&format!("{field}.reference"), "");
    }
    let words = ["Always", "IfNotPresent", "Never"];
    findings.one_of(&format!("{field}.pullPolicy"), source.pull_policy.as_deref(), &words);
}
