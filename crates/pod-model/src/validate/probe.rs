//! Rules about probes and hooks.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, Lifecycle, LifecycleHandler, PodSpec, Probe,
    SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::findings::Findings;
use super::formats;
use super::path::Path;
use super::ports::PORTS;

/// What a probe or a hook does; exactly one of these.
struct Actions<'a> {
    exec: Option<&'a ExecAction>,
    http: Option<&'a HTTPGetAction>,
    tcp: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
}

/// Hooks and probes of a main container or a sidecar.
pub(super) fn check(container: &Container, spec: &PodSpec, path: &Path, findings: &mut Findings) {
    if let Some(hooks) = &container.lifecycle {
        check_hooks(hooks, container, spec, &path.child("lifecycle"), findings);
    }
    for (name, probe) in [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ] {
        let path = path.child(name);
        let Some(probe) = probe else {
            continue;
        };
        check_probe(probe, container, &path, findings);
        let grace = path.child("terminationGracePeriodSeconds");
        if name == "readinessProbe" {
            if let Some(seconds) = probe.termination_grace_period_seconds {
                findings.invalid(&grace, &seconds, "must not be set for readinessProbes");
            }
        } else if let Some(count) = probe.success_threshold.filter(|count| *count != 1) {
            findings.invalid(&path.child("successThreshold"), &count, "must be 1");
        }
    }
}

fn check_probe(probe: &Probe, container: &Container, path: &Path, findings: &mut Findings) {
    let actions = Actions {
        exec: probe.exec.as_ref(),
        http: probe.http_get.as_ref(),
        tcp: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
    };
    check_actions(&actions, container, 0, path, findings);
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        findings.not_negative(&path.child(field), value.map(i64::from));
    }
    let grace = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0);
    if let Some(seconds) = grace {
        let field = path.child("terminationGracePeriodSeconds");
        findings.invalid(&field, &seconds, "must be greater than 0");
    }
}

fn check_hooks(
    hooks: &Lifecycle,
    container: &Container,
    spec: &PodSpec,
    path: &Path,
    findings: &mut Findings,
) {
    let grace = spec.termination_grace_period_seconds.unwrap_or_default();
    for (name, hook) in [("postStart", &hooks.post_start), ("preStop", &hooks.pre_stop)] {
        if let Some(hook) = hook {
            check_actions(&actions_of(hook), container, grace, &path.child(name), findings);
        }
    }
    if let Some(signal) = &hooks.stop_signal {
        let field = path.child("stopSignal");
        if spec.os.as_ref().is_none_or(|os| os.name.is_empty()) {
            let why = "may not be set for containers with empty `spec.os.name`";
            findings.forbidden(&field, why);
            findings.hint("spec: { os: { name: linux } }");
        }
        let names = signals();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        findings.one_of(&field, signal, &names);
    }
}

fn actions_of(hook: &LifecycleHandler) -> Actions<'_> {
    Actions {
        exec: hook.exec.as_ref(),
        http: hook.http_get.as_ref(),
        tcp: hook.tcp_socket.as_ref(),
        grpc: None,
        sleep: hook.sleep.as_ref(),
    }
}

fn check_actions(
    actions: &Actions<'_>,
    container: &Container,
    grace: i64,
    path: &Path,
    findings: &mut Findings,
) {
    let mut is_first = true;
    for (name, is_set) in [
        ("exec", actions.exec.is_some()),
        ("httpGet", actions.http.is_some()),
        ("tcpSocket", actions.tcp.is_some()),
        ("grpc", actions.grpc.is_some()),
        ("sleep", actions.sleep.is_some()),
    ] {
        if is_set && !is_first {
            findings.forbidden(&path.child(name), "may not specify more than 1 handler type");
        }
        is_first &= !is_set;
    }
    if is_first {
        findings.required(path, "must specify a handler type");
    }
    if actions.exec.is_some_and(|exec| exec.command.iter().flatten().count() == 0) {
        findings.required(&path.child("exec").child("command"), "");
    }
    if let Some(get) = actions.http {
        check_get(get, container, &path.child("httpGet"), findings);
    }
    if let Some(tcp) = actions.tcp {
        check_port(&tcp.port, container, &path.child("tcpSocket").child("port"), findings);
    }
    if let Some(grpc) = actions.grpc {
        let port = path.child("grpc").child("port");
        findings.within(&port, Some(grpc.port.into()), PORTS);
    }
    let seconds = actions.sleep.map(|sleep| sleep.seconds);
    if let Some(seconds) = seconds.filter(|seconds| *seconds < 0 || *seconds > grace) {
        let why =
            format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        findings.invalid(&path.child("sleep"), &seconds, &why);
    }
}

fn check_get(get: &HTTPGetAction, container: &Container, path: &Path, findings: &mut Findings) {
    check_port(&get.port, container, &path.child("port"), findings);
    findings.maybe_one_of(&path.child("scheme"), get.scheme.as_ref(), &["HTTP", "HTTPS"]);
    for (at, header) in get.http_headers.iter().flatten().enumerate() {
        let shown = path.child("httpHeaders");
        findings.placed(&shown.index(at).child("name"), |findings| {
            let wrong = formats::header_name(&header.name);
            findings.invalid_each(&shown, &header.name, &wrong);
        });
    }
}

/// A port by number, or by a name. That a name belongs to no port a kubelet notices only when it
/// is about to probe; here it is said at once.
fn check_port(port: &IntOrString, container: &Container, path: &Path, findings: &mut Findings) {
    let name = match port {
        IntOrString::Int(number) => {
            return findings.within(path, Some((*number).into()), PORTS);
        }
        IntOrString::String(name) => name,
    };
    if name.parse::<u16>().is_ok_and(|number| number > 0) {
        return;
    }
    let wrong = formats::port_name(name);
    findings.invalid_each(path, name, &wrong);
    let ports = container.ports.iter().flatten();
    let names: BTreeSet<&str> = ports.filter_map(|port| port.name.as_deref()).collect();
    if wrong.is_empty() && !names.contains(name.as_str()) {
        findings.not_found(path, name, &names.into_iter().collect::<Vec<_>>());
    }
}

/// The signals that a container can be asked to stop with.
fn signals() -> Vec<String> {
    const NAMES: &str = "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF \
        PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ \
        RTMIN RTMAX";
    let plain = NAMES.split_whitespace().map(|name| format!("SIG{name}"));
    let low = (1..=15).map(|at| format!("SIGRTMIN+{at}"));
    let high = (1..=14).map(|at| format!("SIGRTMAX-{at}"));
    let mut names: Vec<String> = plain.chain(low).chain(high).collect();
    names.sort();
    names
}
