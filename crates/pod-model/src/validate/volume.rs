//! Rules about volumes.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, EphemeralVolumeSource, HostPathVolumeSource, KeyToPath, PodSpec, Volume,
};

use super::findings::Findings;
use super::formats;
use super::path::Path;
use super::{metadata, objects, projected};
use crate::quantity::Quantity;

/// The volumes without errors by their names; only these can be mounted.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a Volume>;

/// Checks all volumes and returns those that are fine.
pub(super) fn check_all<'a>(spec: &'a PodSpec, pod: &str, findings: &mut Findings) -> Volumes<'a> {
    let list = Path::root("spec").child("volumes");
    let mut volumes = Volumes::new();
    for (at, volume) in spec.volumes.iter().flatten().enumerate() {
        let path = list.index(at);
        let before = findings.errors();
        check_source(volume, &path, findings);
        check_claims(spec, volume, (pod, &path), findings);
        let name = path.child("name");
        if volume.name.is_empty() {
            findings.required(&name, "");
        } else {
            findings.invalid_each(&name, &volume.name, &formats::label(&volume.name));
        }
        if volumes.contains_key(volume.name.as_str()) {
            findings.duplicate(&name, &volume.name);
        }
        if findings.errors() == before {
            volumes.insert(&volume.name, volume);
        }
    }
    volumes
}

fn check_source(volume: &Volume, path: &Path, findings: &mut Findings) {
    let kinds = kinds(volume);
    for kind in kinds.iter().skip(1) {
        findings.forbidden(&path.child(kind), "may not specify more than 1 volume type");
    }
    if kinds.is_empty() {
        findings.required(path, "must specify a volume type");
    }
    if let Some(source) = &volume.empty_dir {
        check_empty_dir(source, &path.child("emptyDir"), findings);
    }
    if let Some(source) = &volume.host_path {
        check_host_path(source, &path.child("hostPath"), findings);
    }
    if let Some(source) = &volume.secret {
        let path = path.child("secret");
        let name = source.secret_name.as_deref().unwrap_or_default();
        required(name, &path.child("secretName"), findings);
        check_files(source.default_mode, source.items.as_deref(), &path, findings);
    }
    if let Some(source) = &volume.config_map {
        let path = path.child("configMap");
        required(&source.name, &path.child("name"), findings);
        check_files(source.default_mode, source.items.as_deref(), &path, findings);
    }
    if let Some(source) = &volume.downward_api {
        let path = path.child("downwardAPI");
        check_mode(source.default_mode, &path.child("defaultMode"), findings);
        projected::check_downward(source.items.as_deref(), &path, findings);
    }
    if let Some(source) = &volume.persistent_volume_claim {
        let path = path.child("persistentVolumeClaim");
        required(&source.claim_name, &path.child("claimName"), findings);
    }
    if let Some(source) = &volume.ephemeral {
        check_template(source, &path.child("ephemeral"), findings);
    }
    if let Some(source) = &volume.projected {
        projected::check(source, &path.child("projected"), findings);
    }
    if let Some(source) = &volume.image {
        let path = path.child("image");
        let reference = source.reference.as_deref().unwrap_or_default();
        required(reference, &path.child("reference"), findings);
        let policy = source.pull_policy.as_ref();
        let words = ["Always", "IfNotPresent", "Never"];
        findings.maybe_one_of(&path.child("pullPolicy"), policy, &words);
    }
}

/// The claim that is made for the pod.
fn check_template(source: &EphemeralVolumeSource, path: &Path, findings: &mut Findings) {
    let path = path.child("volumeClaimTemplate");
    let Some(template) = &source.volume_claim_template else {
        return findings.required(&path, "");
    };
    let metadata = template.metadata.clone().unwrap_or_default();
    metadata::check_template(&metadata, &path.child("metadata"), findings);
    objects::claim_spec(&template.spec, &path.child("spec"), findings);
}

/// The names of claims that are made for the pod, which is called `pod` if it has a name already.
fn check_claims(
    spec: &PodSpec,
    volume: &Volume,
    (pod, path): (&str, &Path),
    findings: &mut Findings,
) {
    if volume.ephemeral.is_some() && !pod.is_empty() && !volume.name.is_empty() {
        let claim = format!("{pod}-{}", volume.name);
        for why in formats::subdomain(&claim) {
            let why = format!("PVC name {claim:?}: {why}");
            findings.invalid(&path.child("name"), &volume.name, &why);
        }
    }
    let Some(source) = &volume.persistent_volume_claim else { return };
    let mut others = spec.volumes.iter().flatten().filter(|other| other.ephemeral.is_some());
    if others.any(|other| format!("{pod}-{}", other.name) == source.claim_name) {
        let path = path.child("persistentVolumeClaim").child("claimName");
        let why = "must not reference a PVC that gets created for an ephemeral volume";
        findings.invalid(&path, &source.claim_name, why);
    }
}

/// The kinds of source that the volume has, in the order in which Kubernetes looks at them.
fn kinds(volume: &Volume) -> Vec<&'static str> {
    let order = [
        "emptyDir",
        "hostPath",
        "gitRepo",
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "secret",
        "nfs",
        "iscsi",
        "glusterfs",
        "flocker",
        "persistentVolumeClaim",
        "rbd",
        "cinder",
        "cephfs",
        "quobyte",
        "downwardAPI",
        "fc",
        "flexVolume",
        "configMap",
        "azureFile",
        "vsphereVolume",
        "photonPersistentDisk",
        "portworxVolume",
        "azureDisk",
        "storageos",
        "projected",
        "scaleIO",
        "csi",
        "ephemeral",
        "image",
    ];
    let json = serde_json::to_value(volume).unwrap_or_default();
    order.into_iter().filter(|kind| json.get(kind).is_some()).collect()
}

fn check_empty_dir(source: &EmptyDirVolumeSource, path: &Path, findings: &mut Findings) {
    let limit = source.size_limit.as_ref().and_then(|text| Quantity::parse(&text.0).ok());
    if limit.is_some_and(Quantity::is_negative) {
        let why = "SizeLimit field must be a valid resource quantity";
        findings.forbidden(&path.child("sizeLimit"), why);
    }
    check_medium(source.medium.as_deref().unwrap_or_default(), &path.child("medium"), findings);
}

fn check_medium(medium: &str, path: &Path, findings: &mut Findings) {
    if medium.starts_with("HugePages") {
        findings.forbidden(path, "minipod has no emptyDir of huge pages");
    } else {
        // A kubelet refuses it when it sets up the volume.
        findings.one_of(path, medium, &["", "Memory"]);
    }
}

fn check_host_path(source: &HostPathVolumeSource, path: &Path, findings: &mut Findings) {
    let field = path.child("path");
    if source.path.is_empty() {
        return findings.required(&field, "");
    }
    findings.invalid_each(&field, &source.path, &formats::no_backsteps(&source.path));
    if !source.path.starts_with('/') {
        findings.invalid(&field, &source.path, "must be an absolute path");
        if source.path == "tmpfs" {
            findings
                .hint("podman writes this for memory; here it is: emptyDir: { medium: Memory }");
        }
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
    findings.maybe_one_of(&path.child("type"), source.type_.as_ref(), &words);
}

fn check_files(
    mode: Option<i32>,
    items: Option<&[KeyToPath]>,
    path: &Path,
    findings: &mut Findings,
) {
    check_mode(mode, &path.child("defaultMode"), findings);
    let mut targets = BTreeSet::new();
    for (at, item) in items.into_iter().flatten().enumerate() {
        check_item(item, &path.child("items").index(at), findings);
        if !item.path.is_empty() && !targets.insert(item.path.as_str()) {
            findings.warn(
                &path.child("items").index(at).child("path"),
                &format!("{:?} is the path of an earlier item, which it replaces", item.path),
            );
        }
    }
}

/// One key that becomes a file.
pub(super) fn check_item(item: &KeyToPath, path: &Path, findings: &mut Findings) {
    required(&item.key, &path.child("key"), findings);
    let file = path.child("path");
    required(&item.path, &file, findings);
    findings.invalid_each(&file, &item.path, &formats::volume_path(&item.path));
    check_mode(item.mode, &path.child("mode"), findings);
}

/// The mode of a file.
pub(super) fn check_mode(mode: Option<i32>, path: &Path, findings: &mut Findings) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        let why = "must be a number between 0 and 0777 (octal), both inclusive";
        findings.invalid(path, &mode, why);
        let octal = i32::from_str_radix(&mode.to_string(), 8);
        if octal.is_ok_and(|octal| octal <= 0o777) {
            findings.hint(&format!("an octal number begins with 0: 0{mode}"));
        }
    }
}

/// A text that may not be empty.
pub(super) fn required(text: &str, path: &Path, findings: &mut Findings) {
    if text.is_empty() {
        findings.required(path, "");
    }
}
