//! `describe pod` in kubectl's layout.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStatus, Event, Pod, PodSpec, PodStatus, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{events, table};

/// Lines of `name: value` with the values in one column.
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, indent: usize, name: &str, value: &str) {
        let name = format!("{}{name}:", " ".repeat(indent));
        let width = if indent == 0 { 18 } else { 20 };
        // A String takes whatever is written to it.
        let _ = writeln!(self.text, "{}", format!("{name:<width$}{value}").trim_end());
    }

    fn list(&mut self, name: &str, values: &[String]) {
        if values.is_empty() {
            return self.line(0, name, "<none>");
        }
        for (at, value) in values.iter().enumerate() {
            if at == 0 {
                self.line(0, name, value);
            } else {
                let _ = writeln!(self.text, "{:18}{value}", "");
            }
        }
    }

    fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }
}

/// Everything about a pod.
pub(crate) fn pod(pod: &Pod, events: &[Event], now: Timestamp) -> String {
    let mut page = Page { text: String::new() };
    let spec = pod.spec.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    head(&mut page, pod, &spec, &status);
    if let Some(inits) = &spec.init_containers {
        page.raw("Init Containers:\n");
        let statuses = status.init_container_statuses.as_deref().unwrap_or_default();
        inits.iter().for_each(|one| container(&mut page, one, find(statuses, &one.name)));
    }
    page.raw("Containers:\n");
    let statuses = status.container_statuses.as_deref().unwrap_or_default();
    spec.containers.iter().for_each(|one| container(&mut page, one, find(statuses, &one.name)));
    conditions(&mut page, &status);
    volumes(&mut page, &spec);
    page.line(0, "QoS Class", &status.qos_class.clone().unwrap_or_default());
    page.line(0, "Node-Selectors", "<none>");
    page.line(0, "Tolerations", "<none>");
    page.raw(&event_table(events, now));
    page.text
}

fn head(page: &mut Page, pod: &Pod, spec: &PodSpec, status: &PodStatus) {
    let metadata = &pod.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    page.line(0, "Name", &text(&metadata.name));
    page.line(0, "Namespace", &text(&metadata.namespace));
    page.line(0, "Priority", "0");
    let account = spec.service_account_name.clone().unwrap_or_else(|| "default".into());
    page.line(0, "Service Account", &account);
    let node = text(&spec.node_name);
    match &status.host_ip {
        Some(ip) => page.line(0, "Node", &format!("{node}/{ip}")),
        None => page.line(0, "Node", &node),
    }
    if let Some(start) = &status.start_time {
        page.line(0, "Start Time", &date(start));
    }
    page.list("Labels", &pairs(metadata.labels.as_ref(), "="));
    page.list("Annotations", &pairs(metadata.annotations.as_ref(), ": "));
    if metadata.deletion_timestamp.is_some() {
        page.line(0, "Status", "Terminating");
        let grace = metadata.deletion_grace_period_seconds.unwrap_or_default();
        page.line(0, "Termination Grace Period", &format!("{grace}s"));
    } else {
        page.line(0, "Status", &text(&status.phase));
    }
    for (name, value) in [("Reason", &status.reason), ("Message", &status.message)] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            page.line(0, name, value);
        }
    }
    page.line(0, "IP", &text(&status.pod_ip));
    let ips: Vec<&str> = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str()).collect();
    if ips.is_empty() {
        page.line(0, "IPs", "<none>");
    } else {
        page.raw("IPs:\n");
        ips.iter().for_each(|ip| page.raw(&format!("  IP:  {ip}\n")));
    }
}

fn pairs(map: Option<&BTreeMap<String, String>>, between: &str) -> Vec<String> {
    map.into_iter().flatten().map(|(key, value)| format!("{key}{between}{value}")).collect()
}

fn find<'a>(statuses: &'a [ContainerStatus], name: &str) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|status| status.name == name)
}

/// RFC 1123 with a numeric zone, as kubectl prints dates.
fn date(time: &Time) -> String {
    time.0.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

fn container(page: &mut Page, spec: &Container, status: Option<&ContainerStatus>) {
    page.raw(&format!("  {}:\n", spec.name));
    let of_status = |field: fn(&ContainerStatus) -> Option<String>| status.and_then(field);
    let id = of_status(|status| status.container_id.clone()).unwrap_or_default();
    page.line(4, "Container ID", &id);
    page.line(4, "Image", spec.image.as_deref().unwrap_or_default());
    let id = of_status(|status| Some(status.image_id.clone())).unwrap_or_default();
    page.line(4, "Image ID", &id);
    ports(page, spec);
    command(page, "Command", spec.command.as_deref());
    command(page, "Args", spec.args.as_deref());
    if let Some(status) = status {
        let state = status.state.clone().unwrap_or_default();
        state_lines(page, "State", &state);
        if let Some(last) = status.last_state.as_ref().filter(|last| last.terminated.is_some()) {
            state_lines(page, "Last State", last);
        }
        page.line(4, "Ready", if status.ready { "True" } else { "False" });
        page.line(4, "Restart Count", &status.restart_count.to_string());
    }
    let resources = spec.resources.clone().unwrap_or_default();
    for (name, list) in [("Limits", resources.limits), ("Requests", resources.requests)] {
        if let Some(list) = list.filter(|list| !list.is_empty()) {
            page.raw(&format!("    {name}:\n"));
            list.iter().for_each(|(name, amount)| page.line(6, name, &amount.0));
        }
    }
    environment(page, spec);
    mounts(page, spec);
}

fn ports(page: &mut Page, spec: &Container) {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let protocol = |one: &Option<String>| one.clone().unwrap_or_else(|| "TCP".into());
    let list = |number: fn(&k8s_openapi::api::core::v1::ContainerPort) -> i32| {
        let texts: Vec<String> = ports
            .iter()
            .map(|one| format!("{}/{}", number(one), protocol(&one.protocol)))
            .collect();
        if texts.is_empty() { "<none>".to_owned() } else { texts.join(", ") }
    };
    let (port, host) =
        if ports.len() > 1 { ("Ports", "Host Ports") } else { ("Port", "Host Port") };
    page.line(4, port, &list(|one| one.container_port));
    page.line(4, host, &list(|one| one.host_port.unwrap_or(0)));
}

fn command(page: &mut Page, name: &str, words: Option<&[String]>) {
    if let Some(words) = words.filter(|words| !words.is_empty()) {
        page.raw(&format!("    {name}:\n"));
        words.iter().for_each(|word| page.raw(&format!("      {word}\n")));
    }
}

fn state_lines(page: &mut Page, name: &str, state: &ContainerState) {
    if let Some(running) = &state.running {
        page.line(4, name, "Running");
        if let Some(since) = &running.started_at {
            page.line(6, "Started", &date(since));
        }
    } else if let Some(waiting) = &state.waiting {
        page.line(4, name, "Waiting");
        if let Some(reason) = waiting.reason.as_ref().filter(|reason| !reason.is_empty()) {
            page.line(6, "Reason", reason);
        }
        if let Some(message) = waiting.message.as_ref().filter(|message| !message.is_empty()) {
            page.line(6, "Message", message);
        }
    } else if let Some(end) = &state.terminated {
        page.line(4, name, "Terminated");
        if let Some(reason) = end.reason.as_ref().filter(|reason| !reason.is_empty()) {
            page.line(6, "Reason", reason);
        }
        if let Some(message) = end.message.as_ref().filter(|message| !message.is_empty()) {
            page.line(6, "Message", message);
        }
        page.line(6, "Exit Code", &end.exit_code.to_string());
        if let Some(time) = &end.started_at {
            page.line(6, "Started", &date(time));
        }
        if let Some(time) = &end.finished_at {
            page.line(6, "Finished", &date(time));
        }
    } else {
        page.line(4, name, "Waiting");
    }
}

fn environment(page: &mut Page, spec: &Container) {
    let variables = spec.env.as_deref().unwrap_or_default();
    if variables.is_empty() {
        return page.line(4, "Environment", "<none>");
    }
    page.raw("    Environment:\n");
    for variable in variables {
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(source)) => source_text(source),
            (value, None) => value.clone().unwrap_or_default(),
        };
        page.line(6, &variable.name, &value);
    }
}

fn source_text(source: &k8s_openapi::api::core::v1::EnvVarSource) -> String {
    if let Some(key) = &source.config_map_key_ref {
        format!("<set to the key '{}' of config map '{}'>", key.key, key.name)
    } else if let Some(key) = &source.secret_key_ref {
        format!("<set to the key '{}' in secret '{}'>", key.key, key.name)
    } else if let Some(field) = &source.field_ref {
        format!("({}:{})", field.api_version.as_deref().unwrap_or("v1"), field.field_path)
    } else if let Some(resource) = &source.resource_field_ref {
        format!("({})", resource.resource)
    } else {
        String::new()
    }
}

fn mounts(page: &mut Page, spec: &Container) {
    let mounts = spec.volume_mounts.as_deref().unwrap_or_default();
    if mounts.is_empty() {
        return page.line(4, "Mounts", "<none>");
    }
    page.raw("    Mounts:\n");
    for mount in mounts {
        let mode = if mount.read_only == Some(true) { "ro" } else { "rw" };
        let below = mount.sub_path.as_ref().map(|path| format!(",path=\"{path}\""));
        let below = below.unwrap_or_default();
        page.raw(&format!("      {} from {} ({mode}{below})\n", mount.mount_path, mount.name));
    }
}

fn conditions(page: &mut Page, status: &PodStatus) {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    if conditions.is_empty() {
        return;
    }
    page.raw("Conditions:\n");
    let rows: Vec<Vec<String>> =
        conditions.iter().map(|one| vec![format!("  {}", one.type_), one.status.clone()]).collect();
    page.raw(&table::render(Some(&["  Type", "Status"]), &rows));
}

fn volumes(page: &mut Page, spec: &PodSpec) {
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    if volumes.is_empty() {
        return page.line(0, "Volumes", "<none>");
    }
    page.raw("Volumes:\n");
    for volume in volumes {
        page.raw(&format!("  {}:\n", volume.name));
        for (name, value) in volume_lines(volume) {
            page.line(4, name, &value);
        }
    }
}

fn volume_lines(volume: &Volume) -> Vec<(&'static str, String)> {
    if let Some(source) = &volume.host_path {
        return vec![
            ("Type", "HostPath (bare host directory volume)".into()),
            ("Path", source.path.clone()),
            ("HostPathType", source.type_.clone().unwrap_or_default()),
        ];
    }
    if let Some(source) = &volume.config_map {
        return vec![
            ("Type", "ConfigMap (a volume populated by a ConfigMap)".into()),
            ("Name", source.name.clone()),
            ("Optional", source.optional.unwrap_or(false).to_string()),
        ];
    }
    if let Some(source) = &volume.secret {
        return vec![
            ("Type", "Secret (a volume populated by a Secret)".into()),
            ("SecretName", source.secret_name.clone().unwrap_or_default()),
            ("Optional", source.optional.unwrap_or(false).to_string()),
        ];
    }
    if let Some(source) = &volume.empty_dir {
        let limit = source.size_limit.as_ref().map_or("<unset>".to_owned(), |one| one.0.clone());
        return vec![
            ("Type", "EmptyDir (a temporary directory that shares a pod's lifetime)".into()),
            ("Medium", source.medium.clone().unwrap_or_default()),
            ("SizeLimit", limit),
        ];
    }
    if let Some(source) = &volume.persistent_volume_claim {
        return vec![
            ("Type", "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)".into()),
            ("ClaimName", source.claim_name.clone()),
            ("ReadOnly", source.read_only.unwrap_or(false).to_string()),
        ];
    }
    let kind = if volume.downward_api.is_some() {
        "DownwardAPI (a volume populated by information about the pod)"
    } else {
        "Projected (a volume that contains injected data from multiple sources)"
    };
    vec![("Type", kind.into())]
}

fn event_table(list: &[Event], now: Timestamp) -> String {
    if list.is_empty() {
        return "Events:            <none>\n".to_owned();
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let rule = |length: usize| "-".repeat(length);
    let mut rows = vec![vec![format!("  {}", rule(4)), rule(6), rule(4), rule(4), rule(7)]];
    rows.extend(list.iter().map(|event| {
        let from = event.source.as_ref().and_then(|source| source.component.clone());
        vec![
            format!("  {}", text(&event.type_)),
            text(&event.reason),
            events::interval(event, now),
            from.unwrap_or_default(),
            text(&event.message).trim().to_owned(),
        ]
    }));
    format!(
        "Events:\n{}",
        table::render(Some(&["  Type", "Reason", "Age", "From", "Message"]), &rows)
    )
}
