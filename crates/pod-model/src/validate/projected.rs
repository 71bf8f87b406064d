//! Rules about projected volumes and the files of the downward API.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, ProjectedVolumeSource, ServiceAccountTokenProjection, VolumeProjection,
};

use super::env::{VOLUME_FIELDS, check_field, check_resource};
use super::findings::Findings;
use super::formats;
use super::path::Path;
use super::volume::{check_item, check_mode, required};

pub(super) fn check(source: &ProjectedVolumeSource, path: &Path, findings: &mut Findings) {
    check_mode(source.default_mode, &path.child("defaultMode"), findings);
    let mut targets = BTreeSet::new();
    for (at, one) in source.sources.iter().flatten().enumerate() {
        let at = path.child("sources").index(at);
        check_one(one, path, &at, findings);
        for (name, target) in targets_of(one) {
            if !target.is_empty() && !targets.insert(target) {
                findings.placed(&at, |findings| {
                    findings.invalid(path, name, "conflicting duplicate paths");
                });
            }
        }
        let kinds = [
            one.secret.is_some(),
            one.config_map.is_some(),
            one.downward_api.is_some(),
            one.service_account_token.is_some(),
            one.cluster_trust_bundle.is_some(),
            one.pod_certificate.is_some(),
        ];
        if kinds.iter().filter(|is_set| **is_set).count() > 1 {
            findings.forbidden(&at, "may not specify more than 1 volume type per source");
        }
    }
}

fn check_one(one: &VolumeProjection, path: &Path, at: &Path, findings: &mut Findings) {
    if let Some(secret) = &one.secret {
        let at = at.child("secret");
        required(&secret.name, &at.child("name"), findings);
        for (index, item) in secret.items.iter().flatten().enumerate() {
            check_item(item, &at.child("items").index(index), findings);
        }
    }
    if let Some(map) = &one.config_map {
        let at = at.child("configMap");
        required(&map.name, &at.child("name"), findings);
        for (index, item) in map.items.iter().flatten().enumerate() {
            check_item(item, &at.child("items").index(index), findings);
        }
    }
    if let Some(downward) = &one.downward_api {
        check_downward(downward.items.as_deref(), &at.child("downwardAPI"), findings);
    }
    if let Some(token) = &one.service_account_token {
        check_token(token, path, &at.child("serviceAccountToken"), findings);
    }
}

/// What a target belongs to, as Kubernetes shows it when two are the same, and the target.
fn targets_of(one: &VolumeProjection) -> Vec<(&str, &str)> {
    let mut targets = Vec::new();
    if let Some(secret) = &one.secret {
        let items = secret.items.iter().flatten();
        targets.extend(items.map(|item| (secret.name.as_str(), item.path.as_str())));
    }
    if let Some(map) = &one.config_map {
        let items = map.items.iter().flatten();
        targets.extend(items.map(|item| (map.name.as_str(), item.path.as_str())));
    }
    if let Some(downward) = &one.downward_api {
        let items = downward.items.iter().flatten();
        targets.extend(items.map(|item| (item.path.as_str(), item.path.as_str())));
    }
    targets
}

/// The files of a downwardAPI volume; Kubernetes names the volume in its findings, not the item.
pub(super) fn check_downward(
    items: Option<&[DownwardAPIVolumeFile]>,
    path: &Path,
    findings: &mut Findings,
) {
    for (at, file) in items.into_iter().flatten().enumerate() {
        findings.placed(&path.child("items").index(at), |findings| {
            let target = path.child("path");
            required(&file.path, &target, findings);
            findings.invalid_each(&target, &file.path, &formats::volume_path(&file.path));
            match (&file.field_ref, &file.resource_field_ref) {
                (None, None) => {
                    findings.required(path, "one of fieldRef and resourceFieldRef is required");
                }
                (Some(field), resource) => {
                    check_field(field, &VOLUME_FIELDS, &path.child("fieldRef"), findings);
                    if resource.is_some() {
                        let why = "fieldRef and resourceFieldRef can not be specified \
                            simultaneously";
                        findings.invalid(path, "resource", why);
                    }
                }
                (None, Some(resource)) => {
                    check_resource(resource, true, &path.child("resourceFieldRef"), findings);
                }
            }
            check_mode(file.mode, &path.child("mode"), findings);
        });
    }
}

fn check_token(
    token: &ServiceAccountTokenProjection,
    path: &Path,
    at: &Path,
    findings: &mut Findings,
) {
    let seconds = token.expiration_seconds.unwrap_or_default();
    let field = at.child("expirationSeconds");
    if seconds < 600 {
        findings.invalid(&field, &seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > 1 << 32 {
        let why = "may not specify a duration larger than 2^32 seconds";
        findings.invalid(&field, &seconds, why);
    }
    // Kubernetes names the volume here, not the source.
    findings.placed(&at.child("path"), |findings| {
        let shown = path.child("path");
        required(&token.path, &shown, findings);
        findings.invalid_each(&shown, &token.path, &formats::volume_path(&token.path));
    });
}
