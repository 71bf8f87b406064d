//! Rules about ports.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Container;

use super::findings::Findings;
use super::formats;
use super::path::Path;

/// What port numbers there are.
pub(super) const PORTS: (i64, i64) = (1, 65535);

/// The ports of one container.
pub(super) fn check(container: &Container, path: &Path, findings: &mut Findings) {
    let mut names = BTreeSet::new();
    for (at, port) in container.ports.iter().flatten().enumerate() {
        let path = path.index(at);
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let wrong = formats::port_name(name);
            findings.invalid_each(&path.child("name"), name, &wrong);
            if wrong.is_empty() && !names.insert(name) {
                findings.duplicate(&path.child("name"), name);
            }
        }
        match port.container_port {
            0 => findings.required(&path.child("containerPort"), ""),
            number => findings.within(&path.child("containerPort"), Some(number.into()), PORTS),
        }
        let host_port = port.host_port.filter(|number| *number != 0).map(i64::from);
        findings.within(&path.child("hostPort"), host_port, PORTS);
        let protocol = port.protocol.as_deref().unwrap_or_default();
        findings.one_of(&path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        if let Some(ip) = port.host_ip.as_deref().filter(|ip| !ip.is_empty()) {
            findings.invalid_each(&path.child("hostIP"), ip, &formats::ip(ip));
        }
    }
}

/// That no two ports are the same port of the host.
pub(super) fn check_host_ports(containers: &[Container], path: &Path, findings: &mut Findings) {
    let mut taken = BTreeSet::new();
    for (at, container) in containers.iter().enumerate() {
        let path = path.index(at).child("ports");
        for (at, port) in container.ports.iter().flatten().enumerate() {
            let Some(number) = port.host_port.filter(|number| *number != 0) else {
                continue;
            };
            let protocol = port.protocol.as_deref().unwrap_or_default();
            let ip = port.host_ip.as_deref().unwrap_or_default();
            let key = format!("{protocol}/{ip}/{number}");
            if !taken.insert(key.clone()) {
                findings.duplicate(&path.index(at).child("hostPort"), &key);
            }
        }
    }
}

/// In the host's network a port cannot be another port of the host.
pub(super) fn check_host_network(containers: &[Container], path: &Path, findings: &mut Findings) {
    for (at, container) in containers.iter().enumerate() {
        let path = path.index(at).child("ports");
        for (at, port) in container.ports.iter().flatten().enumerate() {
            let number = port.host_port.unwrap_or_default();
            if number != port.container_port {
                let why = "must match `containerPort` when `hostNetwork` is true";
                findings.invalid(&path.index(at).child("hostPort"), &number, why);
            }
        }
    }
}

/// What Kubernetes warns of: the same port twice.
pub(super) fn warn_duplicates<'a>(
    containers: impl Iterator<Item = (&'a Container, Path)>,
    findings: &mut Findings,
) {
    let mut known: Vec<(&str, i32, &str, i32, Path)> = Vec::new();
    for (container, path) in containers {
        for (at, port) in container.ports.iter().flatten().enumerate() {
            let path = path.child("ports").index(at);
            let protocol = port.protocol.as_deref().unwrap_or_default();
            let ip = port.host_ip.as_deref().unwrap_or_default();
            let host_port = port.host_port.unwrap_or_default();
            let same = known.iter().find(|one| {
                (one.0, one.1, one.2, one.3) == (protocol, port.container_port, ip, host_port)
            });
            if let Some((.., other)) = same {
                findings.warn(&path, &format!("duplicate port definition with {other}"));
            }
            known.push((protocol, port.container_port, ip, host_port, path));
        }
    }
}
