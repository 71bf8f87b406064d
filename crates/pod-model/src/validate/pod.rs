//! Rules about the pod as a whole.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PodSpec;

use super::{Findings, container, metadata, volume};

/// The sysctls that Kubernetes calls safe: they are the pod's own.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

pub(super) fn check(spec: &PodSpec, findings: &mut Findings) {
    let volumes = volume::check_all(spec, findings);
    if spec.containers.is_empty() {
        findings.required("spec.containers", "");
    }
    let mut names = BTreeSet::new();
    for (at, one) in spec.containers.iter().enumerate() {
        let path = format!("spec.containers[{at}]");
        container::check(one, &path, &volumes, findings);
        unique(findings, &mut names, &path, &one.name);
    }
    for (at, one) in spec.init_containers.iter().flatten().enumerate() {
        let path = format!("spec.initContainers[{at}]");
        container::check(one, &path, &volumes, findings);
        container::check_init(one, &path, findings);
        unique(findings, &mut names, &path, &one.name);
    }
    let text = |field: &Option<String>| field.clone();
    findings.one_of(
        "spec.restartPolicy",
        text(&spec.restart_policy).as_deref(),
        &["Always", "OnFailure", "Never"],
    );
    findings.one_of(
        "spec.dnsPolicy",
        text(&spec.dns_policy).as_deref(),
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
    );
    let grace = spec.termination_grace_period_seconds;
    findings.not_negative("spec.terminationGracePeriodSeconds", grace);
    findings.positive("spec.activeDeadlineSeconds", spec.active_deadline_seconds);
    for (field, name) in [("spec.hostname", &spec.hostname), ("spec.subdomain", &spec.subdomain)] {
        if let Some(name) = name {
            metadata::label(findings, field, name);
        }
    }
    if spec.host_pid == Some(true) && spec.share_process_namespace == Some(true) {
        let field = "spec.shareProcessNamespace";
        findings.invalid(field, "true", "ShareProcessNamespace and HostPID cannot both be enabled");
    }
    if spec.host_users == Some(false) {
        findings.forbidden("spec.hostUsers", "minipod has no user namespaces yet");
    }
    check_sysctls(spec, findings);
    check_aliases(spec, findings);
}

fn unique(findings: &mut Findings, names: &mut BTreeSet<String>, path: &str, name: &str) {
    if !name.is_empty() && !names.insert(name.to_owned()) {
        findings.duplicate(&format!("{path}.name"), name);
    }
}

fn check_sysctls(spec: &PodSpec, findings: &mut Findings) {
    let context = spec.security_context.as_ref();
    let sysctls = context.iter().flat_map(|context| context.sysctls.iter().flatten());
    for (at, sysctl) in sysctls.enumerate() {
        let name = sysctl.name.replace('/', ".");
        if !SAFE_SYSCTLS.contains(&name.as_str()) {
            let field = format!("spec.securityContext.sysctls[{at}].name");
            let why = format!("forbidden sysctl: \"{name}\" not allowlisted");
            findings.forbidden(&field, &why);
        }
    }
}

fn check_aliases(spec: &PodSpec, findings: &mut Findings) {
    for (at, alias) in spec.host_aliases.iter().flatten().enumerate() {
        if alias.ip.parse::<std::net::IpAddr>().is_err() {
            let field = format!("spec.hostAliases[{at}].ip");
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            findings.invalid(&field, &format!("\"{}\"", alias.ip), why);
        }
    }
}
