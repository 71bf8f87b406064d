//! One container of a described pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ContainerState, ContainerStatus, EnvVar, EnvVarSource, Pod, Probe,
    ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Page, date, profile};
use crate::views::jsonpath;

pub(super) fn lines(
    page: &mut Page,
    pod: &Pod,
    spec: &Container,
    status: Option<&ContainerStatus>,
) {
    page.line(1, &format!("{}:", spec.name));
    if let Some(status) = status {
        page.field(2, "Container ID", status.container_id.as_deref().unwrap_or_default());
    }
    page.field(2, "Image", spec.image.as_deref().unwrap_or_default());
    if let Some(status) = status {
        page.field(2, "Image ID", &status.image_id);
    }
    ports(page, spec.ports.as_deref().unwrap_or_default());
    profile(page, 2, spec.security_context.as_ref().and_then(|one| one.seccomp_profile.as_ref()));
    command(page, "Command", spec.command.as_deref());
    command(page, "Args", spec.args.as_deref());
    if let Some(status) = status {
        state(page, "State", &status.state.clone().unwrap_or_default());
        if let Some(last) = status.last_state.as_ref().filter(|last| last.terminated.is_some()) {
            state(page, "Last State", last);
        }
        page.field(2, "Ready", if status.ready { "True" } else { "False" });
        page.field(2, "Restart Count", &status.restart_count.to_string());
    }
    if let Some(resources) = &spec.resources {
        amounts(page, 2, resources);
    }
    for (name, one) in [
        ("Liveness", &spec.liveness_probe),
        ("Readiness", &spec.readiness_probe),
        ("Startup", &spec.startup_probe),
    ] {
        if let Some(one) = one {
            page.field(2, name, &probe(one));
        }
    }
    environment_sources(page, spec);
    environment(page, pod, spec);
    mounts(page, spec);
}

fn ports(page: &mut Page, ports: &[ContainerPort]) {
    let protocol = |one: &ContainerPort| one.protocol.clone().unwrap_or_else(|| "TCP".into());
    let inside = |one: &ContainerPort| {
        let name = one.name.as_ref().filter(|name| !name.is_empty());
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{}/{}{name}", one.container_port, protocol(one))
    };
    let outside = |one: &ContainerPort| format!("{}/{}", one.host_port.unwrap_or(0), protocol(one));
    let plural = if ports.len() > 1 { "s" } else { "" };
    let list = |texts: Vec<String>| {
        if texts.is_empty() { "<none>".to_owned() } else { texts.join(", ") }
    };
    page.field(2, &format!("Port{plural}"), &list(ports.iter().map(inside).collect()));
    page.field(2, &format!("Host Port{plural}"), &list(ports.iter().map(outside).collect()));
}

fn command(page: &mut Page, name: &str, words: Option<&[String]>) {
    if let Some(words) = words.filter(|words| !words.is_empty()) {
        page.line(2, &format!("{name}:"));
        words.iter().flat_map(|word| word.split('\n')).for_each(|line| page.line(3, line));
    }
}

fn state(page: &mut Page, name: &str, state: &ContainerState) {
    if let Some(running) = &state.running {
        page.field(2, name, "Running");
        page.field(3, "Started", &running.started_at.as_ref().map(date).unwrap_or_default());
    } else if let Some(end) = &state.terminated {
        page.field(2, name, "Terminated");
        page.field_if(3, "Reason", end.reason.as_ref());
        page.field_if(3, "Message", end.message.as_ref());
        page.field(3, "Exit Code", &end.exit_code.to_string());
        let signal = end.signal.filter(|signal| *signal > 0);
        page.field_if(3, "Signal", signal.map(|signal| signal.to_string()).as_ref());
        page.field(3, "Started", &end.started_at.as_ref().map(date).unwrap_or_default());
        page.field(3, "Finished", &end.finished_at.as_ref().map(date).unwrap_or_default());
    } else {
        page.field(2, name, "Waiting");
        page.field_if(3, "Reason", state.waiting.as_ref().and_then(|one| one.reason.as_ref()));
    }
}

/// Limits and requests.
pub(super) fn amounts(page: &mut Page, level: usize, resources: &ResourceRequirements) {
    let list = |page: &mut Page, name: &str, list: Option<&BTreeMap<String, Quantity>>| {
        let Some(list) = list.filter(|list| !list.is_empty()) else {
            return;
        };
        page.line(level, &format!("{name}:"));
        list.iter().for_each(|(name, amount)| page.field(level + 1, name, &amount.0));
    };
    list(page, "Limits", resources.limits.as_ref());
    list(page, "Requests", resources.requests.as_ref());
}

/// `http-get http://:8080/healthz delay=0s timeout=1s period=10s #success=1 #failure=3`
fn probe(probe: &Probe) -> String {
    let numbers = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        probe.initial_delay_seconds.unwrap_or(0),
        probe.timeout_seconds.unwrap_or(1),
        probe.period_seconds.unwrap_or(10),
        probe.success_threshold.unwrap_or(1),
        probe.failure_threshold.unwrap_or(3)
    );
    if let Some(exec) = &probe.exec {
        let words = exec.command.as_deref().unwrap_or_default().join(" ");
        return format!("exec [{words}] {numbers}");
    }
    if let Some(get) = &probe.http_get {
        let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let (host, port) = (get.host.as_deref().unwrap_or_default(), port(&get.port));
        let path = get.path.as_deref().unwrap_or_default();
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        return format!("http-get {scheme}://{host}:{port}{slash}{path} {numbers}");
    }
    if let Some(socket) = &probe.tcp_socket {
        let host = socket.host.as_deref().unwrap_or_default();
        return format!("tcp-socket {host}:{} {numbers}", port(&socket.port));
    }
    if let Some(grpc) = &probe.grpc {
        let service = grpc.service.as_deref().unwrap_or_default();
        return format!("grpc <pod>:{} {service} {numbers}", grpc.port);
    }
    format!("unknown {numbers}")
}

fn port(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

fn environment_sources(page: &mut Page, spec: &Container) {
    let sources = spec.env_from.as_deref().unwrap_or_default();
    if sources.is_empty() {
        return;
    }
    page.line(2, "Environment Variables from:");
    for source in sources {
        let (name, kind, optional) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(map), _) => (map.name.as_str(), "ConfigMap", map.optional),
            (None, Some(secret)) => (secret.name.as_str(), "Secret", secret.optional),
            (None, None) => ("", "", None),
        };
        let prefix = source.prefix.as_ref().filter(|prefix| !prefix.is_empty());
        let prefix = prefix.map(|prefix| format!(" with prefix '{prefix}'")).unwrap_or_default();
        let optional = optional.unwrap_or(false);
        page.line(3, &format!("{name}\t{kind}{prefix}\tOptional: {optional}"));
    }
}

fn environment(page: &mut Page, pod: &Pod, spec: &Container) {
    let variables = spec.env.as_deref().unwrap_or_default();
    if variables.is_empty() {
        return page.field(2, "Environment", "<none>");
    }
    page.line(2, "Environment:");
    for EnvVar { name, value, value_from } in variables {
        if let Some(source) = value_from {
            page.field(3, name, &source_text(pod, spec, source));
            continue;
        }
        let mut lines = value.as_deref().unwrap_or_default().split('\n');
        page.field(3, name, lines.next().unwrap_or_default());
        lines.for_each(|line| page.line(3, &format!("\t{line}")));
    }
}

fn source_text(pod: &Pod, spec: &Container, source: &EnvVarSource) -> String {
    if let Some(field) = &source.field_ref {
        let version = field.api_version.as_deref().unwrap_or("v1");
        let value = field_value(pod, &field.field_path);
        return format!("{value} ({version}:{})", field.field_path);
    }
    if let Some(resource) = &source.resource_field_ref {
        let value = resource_value(spec, &resource.resource);
        return format!("{value} ({})", resource.resource);
    }
    if let Some(key) = &source.secret_key_ref {
        let optional = key.optional.unwrap_or(false);
        let (key, name) = (&key.key, &key.name);
        return format!("<set to the key '{key}' in secret '{name}'>\tOptional: {optional}");
    }
    if let Some(key) = &source.config_map_key_ref {
        let optional = key.optional.unwrap_or(false);
        let (key, name) = (&key.key, &key.name);
        return format!("<set to the key '{key}' of config map '{name}'>\tOptional: {optional}");
    }
    String::new()
}

/// What a `fieldRef` finds in the object; fields of the status are not looked up.
fn field_value(pod: &Pod, path: &str) -> String {
    let metadata = &pod.metadata;
    let entry = |map: &Option<BTreeMap<String, String>>, path: &str| {
        let key = path.split_once("['").and_then(|(_, rest)| rest.strip_suffix("']"));
        let map = map.as_ref()?;
        if let Some(key) = key {
            return map.get(key).cloned();
        }
        let lines = map.iter().map(|(key, value)| format!("{key}={value:?}"));
        Some(lines.collect::<Vec<_>>().join(" "))
    };
    let value = match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace.clone(),
        "metadata.uid" => metadata.uid.clone(),
        _ if path.starts_with("metadata.labels") => entry(&metadata.labels, path),
        _ if path.starts_with("metadata.annotations") => entry(&metadata.annotations, path),
        _ if path.starts_with("spec.") => {
            let spec = serde_json::to_value(&pod.spec).unwrap_or_default();
            spec.get(&path[5..]).map(jsonpath::plain)
        }
        _ => None,
    };
    value.unwrap_or_default()
}

/// What a `resourceFieldRef` finds: CPUs rounded up, bytes; what is not limited is the node's.
fn resource_value(spec: &Container, resource: &str) -> String {
    let resources = spec.resources.clone().unwrap_or_default();
    let Some((list, name)) = resource.split_once('.') else {
        return String::new();
    };
    let list = if list == "limits" { resources.limits } else { resources.requests };
    let amount = list.as_ref().and_then(|list| list.get(name));
    let whole = amount.and_then(|amount| pod_model::Quantity::parse(&amount.0).ok());
    match whole.map(pod_model::Quantity::value) {
        Some(amount) if amount != 0 => amount.to_string(),
        _ if resource == "limits.cpu" || resource == "limits.memory" => "node allocatable".into(),
        _ => "0".into(),
    }
}

fn mounts(page: &mut Page, spec: &Container) {
    let mut mounts: Vec<_> = spec.volume_mounts.iter().flatten().collect();
    mounts.sort_by_key(|mount| mount.mount_path.clone());
    if mounts.is_empty() {
        page.field(2, "Mounts", "<none>");
    } else {
        page.line(2, "Mounts:");
    }
    for mount in mounts {
        let mode = if mount.read_only == Some(true) { "ro" } else { "rw" };
        let below = mount.sub_path.as_ref().filter(|path| !path.is_empty());
        let below = below.map(|path| format!(",path={path:?}")).unwrap_or_default();
        page.line(3, &format!("{} from {} ({mode}{below})", mount.mount_path, mount.name));
    }
    let devices = spec.volume_devices.as_deref().unwrap_or_default();
    if !devices.is_empty() {
        page.line(2, "Devices:");
    }
    for device in devices {
        page.line(3, &format!("{} from {}", device.device_path, device.name));
    }
}
