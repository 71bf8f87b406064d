//! Rules about probes and hooks.

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Findings;

pub(super) fn check(
    probe: &Probe,
    (container, name): (&Container, &str),
    path: &str,
    findings: &mut Findings,
) {
    let ports = [
        ("httpGet", probe.http_get.as_ref().map(|get| &get.port)),
        ("tcpSocket", probe.tcp_socket.as_ref().map(|tcp| &tcp.port)),
    ];
    let kinds =
        [probe.exec.is_some(), probe.grpc.is_some(), ports[0].1.is_some(), ports[1].1.is_some()];
    check_kinds(&kinds, path, findings);
    for (kind, port) in ports {
        if let Some(port) = port {
            check_port(port, container, &format!("{path}.{kind}.port"), findings);
        }
    }
    let number = |value: Option<i32>| value.map(i64::from);
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        findings.not_negative(&format!("{path}.{field}"), number(value));
    }
    if name != "readinessProbe" && probe.success_threshold.is_some_and(|value| value != 1) {
        let value = probe.success_threshold.unwrap_or_default().to_string();
        findings.invalid(&format!("{path}.successThreshold"), &value, "must be 1");
    }
}

pub(super) fn check_hook(
    hook: &LifecycleHandler,
    container: &Container,
    path: &str,
    findings: &mut Findings,
) {
    let kinds = [
        hook.exec.is_some(),
        hook.http_get.is_some(),
        hook.tcp_socket.is_some(),
        hook.sleep.is_some(),
    ];
    check_kinds(&kinds, path, findings);
    if let Some(get) = &hook.http_get {
        check_port(&get.port, container, &format!("{path}.httpGet.port"), findings);
    }
}

fn check_kinds(kinds: &[bool], path: &str, findings: &mut Findings) {
    match kinds.iter().filter(|is_set| **is_set).count() {
        0 => findings.required(path, "must specify a handler type"),
        1 => {}
        _ => findings.forbidden(path, "may not specify more than 1 handler type"),
    }
}

fn check_port(port: &IntOrString, container: &Container, path: &str, findings: &mut Findings) {
    match port {
        IntOrString::Int(number) if !(1..=65535).contains(number) => {
            let why = "must be between 1 and 65535, inclusive";
            findings.invalid(path, &number.to_string(), why);
        }
        IntOrString::Int(_) => {}
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            let names: Vec<&str> = ports.filter_map(|port| port.name.as_deref()).collect();
            if name.parse::<u16>().is_err() && !names.contains(&name.as_str()) {
                findings.not_found(path, name, &names);
            }
        }
    }
}
