//! What the lifecycle decides upon, taken out of a checked object.

use std::time::Duration;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::pod::{
    ContainerRestartPolicy, ContainerSpec, Handler, HttpScheme, Pod, PodUid, ProbeSpec, PullPolicy,
    RestartPolicy, RestartRule, RestartRuleAction, Role,
};
use crate::{ContainerName, NameError, PodName, expand};

/// The pod that a checked object describes. Only a name that was never checked can fail.
pub(crate) fn pod(object: v1::Pod) -> Result<Pod, NameError> {
    let spec = object.spec.clone().unwrap_or_default();
    let inits = spec.init_containers.iter().flatten().map(|one| {
        let is_sidecar = one.restart_policy.as_deref() == Some("Always");
        (one, if is_sidecar { Role::Sidecar } else { Role::Init })
    });
    let mains = spec.containers.iter().map(|one| (one, Role::Main));
    let containers = inits.chain(mains).map(|(one, role)| container(one, role));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(Pod {
        name: PodName::parse(&text(&object.metadata.name))?,
        namespace: text(&object.metadata.namespace),
        uid: PodUid(text(&object.metadata.uid)),
        containers: containers.collect::<Result<_, _>>()?,
        restart_policy: policy(spec.restart_policy.as_deref()),
        // Less than a second is one (Kubernetes: a negative value means 1).
        termination_grace: seconds(spec.termination_grace_period_seconds.unwrap_or(30).max(1)),
        active_deadline: spec.active_deadline_seconds.map(seconds),
        is_gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
        readiness_gates: spec
            .readiness_gates
            .iter()
            .flatten()
            .map(|gate| gate.condition_type.clone())
            .collect(),
        node: text(&spec.node_name),
        object,
    })
}

fn container(container: &v1::Container, role: Role) -> Result<ContainerSpec, NameError> {
    let probe =
        |probe: &Option<v1::Probe>| probe.as_ref().and_then(|one| self::probe(one, container));
    let hooks = container.lifecycle.as_ref();
    let hook =
        |hook: Option<&v1::LifecycleHandler>| hook.and_then(|one| self::hook(one, container));
    Ok(ContainerSpec {
        name: ContainerName::parse(&container.name)?,
        role,
        image: container.image.clone().unwrap_or_default(),
        pull_policy: match container.image_pull_policy.as_deref() {
            Some("Always") => PullPolicy::Always,
            Some("Never") => PullPolicy::Never,
            _ => PullPolicy::IfNotPresent,
        },
        restart: container.restart_policy.as_deref().map(|own| ContainerRestartPolicy {
            policy: policy(Some(own)),
            rules: container.restart_policy_rules.iter().flatten().map(rule).collect(),
        }),
        startup_probe: probe(&container.startup_probe),
        liveness_probe: probe(&container.liveness_probe),
        readiness_probe: probe(&container.readiness_probe),
        post_start: hook(hooks.and_then(|hooks| hooks.post_start.as_ref())),
        pre_stop: hook(hooks.and_then(|hooks| hooks.pre_stop.as_ref())),
    })
}

fn policy(text: Option<&str>) -> RestartPolicy {
    match text {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    }
}

fn rule(rule: &v1::ContainerRestartRule) -> RestartRule {
    let codes = rule.exit_codes.as_ref();
    RestartRule {
        action: match rule.action.as_str() {
            "RestartAllContainers" => RestartRuleAction::RestartAllContainers,
            _ => RestartRuleAction::Restart,
        },
        matches_listed: codes.is_none_or(|codes| codes.operator != "NotIn"),
        codes: codes.and_then(|codes| codes.values.clone()).unwrap_or_default(),
    }
}

fn probe(probe: &v1::Probe, container: &v1::Container) -> Option<ProbeSpec> {
    let handler = if let Some(exec) = &probe.exec {
        Handler::Exec { command: probe_command(exec, container) }
    } else if let Some(get) = &probe.http_get {
        http_get(get, container)?
    } else if let Some(tcp) = &probe.tcp_socket {
        Handler::TcpSocket { host: tcp.host.clone(), port: port(&tcp.port, container)? }
    } else {
        let grpc = probe.grpc.as_ref()?;
        let service = grpc.service.clone().unwrap_or_default();
        Handler::Grpc { port: u16::try_from(grpc.port).ok()?, service }
    };
    let of = |value: Option<i32>, default: i32| value.filter(|value| *value > 0).unwrap_or(default);
    let threshold = |value, default| of(value, default).unsigned_abs();
    Some(ProbeSpec {
        handler,
        initial_delay: seconds(probe.initial_delay_seconds.unwrap_or(0).into()),
        timeout: seconds(of(probe.timeout_seconds, 1).into()),
        period: seconds(of(probe.period_seconds, 10).into()),
        success_threshold: threshold(probe.success_threshold, 1),
        failure_threshold: threshold(probe.failure_threshold, 3),
        termination_grace: probe.termination_grace_period_seconds.map(seconds),
    })
}

/// A probe's command may refer to the variables that the manifest sets itself; a hook's may not.
fn probe_command(exec: &v1::ExecAction, container: &v1::Container) -> Vec<String> {
    let variables = || container.env.iter().flatten().filter(|one| one.value_from.is_none());
    let value = |name: &str| {
        let last = variables().rfind(|one| one.name == name);
        last.map(|one| one.value.as_deref().unwrap_or_default())
    };
    exec.command.iter().flatten().map(|text| expand(text, value)).collect()
}

fn hook(hook: &v1::LifecycleHandler, container: &v1::Container) -> Option<Handler> {
    if let Some(exec) = &hook.exec {
        return Some(Handler::Exec { command: exec.command.clone().unwrap_or_default() });
    }
    if let Some(get) = &hook.http_get {
        return http_get(get, container);
    }
    if let Some(tcp) = &hook.tcp_socket {
        let port = port(&tcp.port, container)?;
        return Some(Handler::TcpSocket { host: tcp.host.clone(), port });
    }
    hook.sleep.as_ref().map(|sleep| Handler::Sleep { duration: seconds(sleep.seconds) })
}

fn http_get(get: &v1::HTTPGetAction, container: &v1::Container) -> Option<Handler> {
    let path = get.path.clone().unwrap_or_default();
    let headers = get.http_headers.iter().flatten();
    Some(Handler::HttpGet {
        scheme: match get.scheme.as_deref() {
            Some("HTTPS") => HttpScheme::Https,
            _ => HttpScheme::Http,
        },
        host: get.host.clone().filter(|host| !host.is_empty()),
        port: port(&get.port, container)?,
        path: if path.starts_with('/') { path } else { format!("/{path}") },
        headers: headers.map(|one| (one.name.clone(), one.value.clone())).collect(),
    })
}

/// A port by its number or by its name in the container's list.
fn port(port: &IntOrString, container: &v1::Container) -> Option<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_ref() == Some(text));
            named.map(|port| port.container_port).or_else(|| text.parse().ok())?
        }
    };
    u16::try_from(number).ok()
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(u64::try_from(number).unwrap_or(0))
}
