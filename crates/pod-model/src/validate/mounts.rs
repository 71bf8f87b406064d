//! Rules about what a container mounts.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, VolumeDevice, VolumeMount};

use super::findings::Findings;
use super::formats;
use super::path::Path;
use super::volume::Volumes;

pub(super) fn check(
    container: &Container,
    path: &Path,
    volumes: &Volumes<'_>,
    findings: &mut Findings,
) {
    let devices: BTreeMap<&str, &str> =
        devices(container).map(|one| (one.name.as_str(), one.device_path.as_str())).collect();
    let list = path.child("volumeMounts");
    let mut targets = BTreeSet::new();
    for (at, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = list.index(at);
        check_name(&mount.name, &path.child("name"), volumes, findings);
        let target = path.child("mountPath");
        if mount.mount_path.is_empty() {
            findings.required(&target, "");
        }
        if !targets.insert(mount.mount_path.as_str()) {
            findings.invalid(&target, &mount.mount_path, "must be unique");
        }
        if devices.contains_key(mount.name.as_str()) {
            let why = "must not already exist in volumeDevices";
            findings.invalid(&path.child("name"), &mount.name, why);
        }
        if devices.values().any(|device| *device == mount.mount_path) {
            let why = "must not already exist as a path in volumeDevices";
            findings.invalid(&target, &mount.mount_path, why);
        }
        check_sub_path(mount, &list, &path, findings);
        check_modes(container, mount, &list, &path, findings);
    }
    check_devices(container, path, volumes, findings);
}

fn devices(container: &Container) -> impl Iterator<Item = &VolumeDevice> {
    container.volume_devices.iter().flatten()
}

fn check_name(name: &str, path: &Path, volumes: &Volumes<'_>, findings: &mut Findings) {
    if name.is_empty() {
        findings.required(path, "");
    }
    if !volumes.contains_key(name) {
        let known: Vec<&str> = volumes.keys().copied().collect();
        findings.not_found(path, name, &known);
    }
}

/// Kubernetes names the list in these findings, not the entry.
fn check_sub_path(mount: &VolumeMount, list: &Path, path: &Path, findings: &mut Findings) {
    let below = mount.sub_path.as_deref().unwrap_or_default();
    let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
    findings.placed(&path.child("subPath"), |findings| {
        let wrong = formats::descending_path(below);
        findings.invalid_each(&list.child("subPath"), below, &wrong);
    });
    if !expression.is_empty() && !below.is_empty() {
        let why = "subPathExpr and subPath are mutually exclusive";
        findings.invalid(&path.child("subPathExpr"), expression, why);
    }
    findings.placed(&path.child("subPathExpr"), |findings| {
        let wrong = formats::descending_path(expression);
        findings.invalid_each(&list.child("subPathExpr"), expression, &wrong);
    });
}

/// The same is true of these.
fn check_modes(
    container: &Container,
    mount: &VolumeMount,
    list: &Path,
    path: &Path,
    findings: &mut Findings,
) {
    let context = container.security_context.as_ref();
    let is_privileged = context.is_some_and(|context| context.privileged == Some(true));
    let propagation = mount.mount_propagation.as_deref();
    findings.placed(&path.child("mountPropagation"), |findings| {
        let shown = list.child("mountPropagation");
        let words = ["Bidirectional", "HostToContainer", "None"];
        findings.maybe_one_of(&shown, mount.mount_propagation.as_ref(), &words);
        if propagation == Some("Bidirectional") && !is_privileged {
            let why = "Bidirectional mount propagation is available only to privileged containers";
            findings.forbidden(&shown, why);
        }
    });
    findings.placed(&path.child("recursiveReadOnly"), |findings| {
        let shown = list.child("recursiveReadOnly");
        let words = ["Disabled", "Enabled", "IfPossible"];
        findings.maybe_one_of(&shown, mount.recursive_read_only.as_ref(), &words);
        if !matches!(mount.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible")) {
            return;
        }
        if mount.read_only != Some(true) {
            findings.forbidden(&shown, "may only be specified when readOnly is true");
        }
        if propagation.is_some_and(|mode| mode != "None") {
            let why = "may only be specified when mountPropagation is None or not specified";
            findings.forbidden(&shown, why);
        }
    });
}

fn check_devices(
    container: &Container,
    path: &Path,
    volumes: &Volumes<'_>,
    findings: &mut Findings,
) {
    let (mut names, mut targets) = (BTreeSet::new(), BTreeSet::new());
    for (at, device) in devices(container).enumerate() {
        let path = path.child("volumeDevices").index(at);
        let (name, target) = (path.child("name"), path.child("devicePath"));
        if !names.insert(device.name.as_str()) {
            findings.invalid(&name, &device.name, "must be unique");
        }
        let volume = volumes.get(device.name.as_str());
        let is_claim = |one: &&k8s_openapi::api::core::v1::Volume| {
            one.persistent_volume_claim.is_some() || one.ephemeral.is_some()
        };
        if volume.is_some_and(|volume| !is_claim(volume)) {
            let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for \
                block mode";
            findings.invalid(&name, &device.name, why);
        }
        check_name(&device.name, &name, volumes, findings);
        if device.device_path.is_empty() {
            findings.required(&target, "");
        }
        if !targets.insert(device.device_path.as_str()) {
            findings.invalid(&target, &device.device_path, "must be unique");
        }
        if !formats::no_backsteps(&device.device_path).is_empty() {
            let why = "can not contain backsteps ('..')";
            findings.invalid(&target, &device.device_path, why);
        }
    }
}
