//! Rules about containers: the common ones, then those of their role.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::findings::Findings;
use super::path::Path;
use super::volume::Volumes;
use super::{env, formats, mounts, ports, probe, resources, restart, security};

/// `spec.containers`.
pub(super) fn check_mains(spec: &PodSpec, volumes: &Volumes<'_>, findings: &mut Findings) {
    let list = Path::root("spec").child("containers");
    if spec.containers.is_empty() {
        return findings.required(&list, "");
    }
    let mut names = BTreeSet::new();
    for (at, one) in spec.containers.iter().enumerate() {
        let path = list.index(at);
        check(one, spec, &path, volumes, findings);
        if !names.insert(one.name.as_str()) {
            findings.duplicate(&path.child("name"), &one.name);
        }
        probe::check(one, spec, &path, findings);
        restart::check(one, &path, findings);
    }
    ports::check_host_ports(&spec.containers, &list, findings);
}

/// `spec.initContainers`.
pub(super) fn check_inits(spec: &PodSpec, volumes: &Volumes<'_>, findings: &mut Findings) {
    let list = Path::root("spec").child("initContainers");
    let mut names: BTreeSet<&str> = spec.containers.iter().map(|one| one.name.as_str()).collect();
    for (at, one) in spec.init_containers.iter().flatten().enumerate() {
        let path = list.index(at);
        check(one, spec, &path, volumes, findings);
        restart::check(one, &path, findings);
        if !one.name.is_empty() && !names.insert(one.name.as_str()) {
            findings.duplicate(&path.child("name"), &one.name);
        }
        // They run one after the other, so that each has the ports to itself.
        findings.placed(&path.child("ports"), |findings| {
            ports::check_host_ports(std::slice::from_ref(one), &list, findings);
        });
        if one.restart_policy.as_deref() == Some("Always") {
            probe::check(one, spec, &path, findings);
        } else {
            check_ordinary(one, &path, findings);
        }
        if let Some(policy) = one.resize_policy.as_ref().filter(|policy| !policy.is_empty()) {
            let why = "must not be set for init containers";
            findings.invalid(&path.child("resizePolicy"), policy, why);
        }
    }
}

/// What init containers that run to their end may not have.
fn check_ordinary(container: &Container, path: &Path, findings: &mut Findings) {
    for (name, is_set) in [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ] {
        if is_set {
            let why = "may not be set for init containers without restartPolicy=Always";
            findings.forbidden(&path.child(name), why);
        }
    }
}

/// What is true of every container.
fn check(
    container: &Container,
    spec: &PodSpec,
    path: &Path,
    volumes: &Volumes<'_>,
    findings: &mut Findings,
) {
    let name = path.child("name");
    if container.name.is_empty() {
        findings.required(&name, "");
    } else {
        findings.invalid_each(&name, &container.name, &formats::label(&container.name));
    }
    if container.image.as_ref().is_none_or(String::is_empty) {
        findings.required(&path.child("image"), "");
    }
    let policy = container.termination_message_policy.as_ref();
    let words = ["File", "FallbackToLogsOnError"];
    findings.maybe_one_of(&path.child("terminationMessagePolicy"), policy, &words);
    ports::check(container, &path.child("ports"), findings);
    env::check(container, path, volumes, findings);
    mounts::check(container, path, volumes, findings);
    let policy = container.image_pull_policy.as_ref();
    let words = ["Always", "IfNotPresent", "Never"];
    findings.maybe_one_of(&path.child("imagePullPolicy"), policy, &words);
    if let Some(resources) = &container.resources {
        resources::check(resources, &path.child("resources"), findings);
    }
    check_resize(container, spec, &path.child("resizePolicy"), findings);
    let has_host_users = spec.host_users != Some(false);
    let context = path.child("securityContext");
    security::check_container(container, &context, has_host_users, findings);
}

fn check_resize(container: &Container, spec: &PodSpec, path: &Path, findings: &mut Findings) {
    let mut names = BTreeSet::new();
    for (at, policy) in container.resize_policy.iter().flatten().enumerate() {
        let (name, restart) = (policy.resource_name.as_str(), policy.restart_policy.as_str());
        if !names.insert(name) {
            findings.duplicate(&path.index(at), name);
        }
        findings.placed(&path.index(at), |findings| {
            match name {
                "" => findings.required(path, ""),
                _ => findings.one_of(path, name, &["cpu", "memory"]),
            }
            match restart {
                "" => findings.required(path, ""),
                _ => findings.one_of(path, restart, &["NotRequired", "RestartContainer"]),
            }
            let never = spec.restart_policy.as_deref() == Some("Never");
            if never && restart == "RestartContainer" {
                let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
                findings.invalid(path, restart, why);
            }
        });
    }
}

/// `image` without blanks around it; Kubernetes looks at this last of all.
pub(super) fn check_image_blanks(spec: &PodSpec, findings: &mut Findings) {
    for (container, path) in all(spec) {
        let image = container.image.as_deref().unwrap_or_default();
        if image.trim() != image {
            let why = "must not have leading or trailing whitespace";
            findings.invalid(&path.child("image"), image, why);
        }
    }
}

/// Every container with its path, init containers first.
pub(super) fn all(spec: &PodSpec) -> impl Iterator<Item = (&Container, Path)> {
    let path = Path::root("spec");
    let (inits, mains) = (path.child("initContainers"), path.child("containers"));
    let paths = move |list: &Path, at| list.index(at);
    let inits = spec
        .init_containers
        .iter()
        .flatten()
        .enumerate()
        .map(move |(at, one)| (one, paths(&inits, at)));
    inits.chain(spec.containers.iter().enumerate().map(move |(at, one)| (one, paths(&mains, at))))
}
