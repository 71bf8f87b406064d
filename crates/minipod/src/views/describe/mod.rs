//! `describe` in kubectl's layout: a pod here, other objects in a file of their own.

mod container;
mod objects;
mod volumes;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Event, Pod, PodSpec, PodStatus, SeccompProfile, Toleration,
    TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(crate) use objects::{claim, config_map, secret};

use columns::{age, events};

use super::tabs;
use crate::printable::escaped;
use columns::pods::is_abandoned;

/// An annotation longer than this, key included, gets lines of its own.
const LONGEST_ANNOTATION: usize = 140;
/// What `kubectl apply` keeps for itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Blanks between the columns.
const PADDING: usize = 2;

/// Lines with tabulators between their cells; two blanks per level before them.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, level: usize, text: &str) {
        self.text.extend(std::iter::repeat_n("  ", level));
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// `name: value`, the value in the column of values.
    fn field(&mut self, level: usize, name: &str, value: &str) {
        self.line(level, &format!("{name}:\t{value}"));
    }

    /// The same, unless there is no value.
    fn field_if(&mut self, level: usize, name: &str, value: Option<&String>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.field(level, name, value);
        }
    }

    /// The page as it is seen. Controls are written out before columns are measured.
    fn aligned(&self) -> String {
        tabs::align(&escaped(&self.text), PADDING)
    }

    /// Values below each other; `<none>` when there is none.
    fn list(&mut self, name: &str, values: &[String]) {
        match values {
            [] => self.field(0, name, "<none>"),
            [first, rest @ ..] => {
                self.field(0, name, first);
                rest.iter().for_each(|value| self.line(0, &format!("\t{value}")));
            }
        }
    }
}

/// Everything about a pod. Without `events` there is no block of events.
pub(crate) fn pod(pod: &Pod, events: Option<&[Event]>, now: Timestamp) -> String {
    let mut page = Page::default();
    let spec = pod.spec.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    head(&mut page, pod, &spec);
    state(&mut page, pod, &status, now);
    profile(
        &mut page,
        0,
        spec.security_context.as_ref().and_then(|one| one.seccomp_profile.as_ref()),
    );
    addresses(&mut page, pod, &status);
    if let Some(resources) = &spec.resources {
        page.line(0, "Resources:");
        container::amounts(&mut page, 1, resources);
    }
    let inits = spec.init_containers.as_deref().unwrap_or_default();
    let statuses = status.init_container_statuses.as_deref().unwrap_or_default();
    if !inits.is_empty() {
        containers(&mut page, pod, "Init Containers", (inits, statuses));
    }
    let statuses = status.container_statuses.as_deref().unwrap_or_default();
    containers(&mut page, pod, "Containers", (&spec.containers, statuses));
    conditions(&mut page, &spec, &status);
    volumes::lines(&mut page, spec.volumes.as_deref().unwrap_or_default());
    page.field(0, "QoS Class", status.qos_class.as_deref().unwrap_or_default());
    page.list("Node-Selectors", &pairs(spec.node_selector.as_ref()));
    page.list("Tolerations", &tolerations(spec.tolerations.as_deref().unwrap_or_default()));
    spread(&mut page, spec.topology_spread_constraints.as_deref().unwrap_or_default());
    if events.is_some_and(<[Event]>::is_empty) {
        page.field(0, "Events", "<none>");
    }
    let table = events.filter(|events| !events.is_empty()).map(|events| event_table(events, now));
    page.aligned() + &table.unwrap_or_default()
}

fn head(page: &mut Page, pod: &Pod, spec: &PodSpec) {
    let metadata = &pod.metadata;
    page.field(0, "Name", metadata.name.as_deref().unwrap_or_default());
    page.field(0, "Namespace", metadata.namespace.as_deref().unwrap_or_default());
    page.field_if(0, "Priority", spec.priority.map(|priority| priority.to_string()).as_ref());
    page.field_if(0, "Priority Class Name", spec.priority_class_name.as_ref());
    page.field_if(0, "Runtime Class Name", spec.runtime_class_name.as_ref());
    page.field_if(0, "Service Account", spec.service_account_name.as_ref());
    let status = pod.status.as_ref();
    match spec.node_name.as_deref().filter(|node| !node.is_empty()) {
        None => page.field(0, "Node", "<none>"),
        Some(node) => {
            let ip = status.and_then(|status| status.host_ip.as_deref()).unwrap_or_default();
            page.field(0, "Node", &format!("{node}/{ip}"));
        }
    }
    if let Some(start) = status.and_then(|status| status.start_time.as_ref()) {
        page.field(0, "Start Time", &date(start));
    }
    page.list("Labels", &pairs(metadata.labels.as_ref()));
    annotations(page, metadata.annotations.as_ref());
}

fn annotations(page: &mut Page, annotations: Option<&BTreeMap<String, String>>) {
    let shown = annotations.into_iter().flatten().filter(|(key, _)| *key != LAST_APPLIED);
    let mut lines = Vec::new();
    for (key, value) in shown {
        let value = value.strip_suffix('\n').unwrap_or(value);
        if key.len() + value.len() + 2 <= LONGEST_ANNOTATION && !value.contains('\n') {
            lines.push(format!("{key}: {value}"));
            continue;
        }
        lines.push(format!("{key}:"));
        for line in value.split('\n') {
            let cut: String = line.chars().take(LONGEST_ANNOTATION - 2).collect();
            let more = if cut.len() < line.len() { "..." } else { "" };
            lines.push(format!("  {cut}{more}"));
        }
    }
    page.list("Annotations", &lines);
}

fn state(page: &mut Page, pod: &Pod, status: &PodStatus, now: Timestamp) {
    let phase = status.phase.as_deref().unwrap_or_default();
    let is_over = matches!(phase, "Succeeded" | "Failed");
    match pod.metadata.deletion_timestamp.as_ref().filter(|_| !is_over) {
        Some(deletion) => {
            let lasts = age::age(Some(deletion), now);
            page.field(0, "Status", &format!("Terminating (lasts {lasts})"));
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
            page.field(0, "Termination Grace Period", &format!("{grace}s"));
        }
        None if is_abandoned(pod) => {
            page.field(0, "Status", &format!("Unknown (was {phase}; the pod's supervisor died)"));
        }
        None => page.field(0, "Status", phase),
    }
    page.field_if(0, "Reason", status.reason.as_ref());
    page.field_if(0, "Message", status.message.as_ref());
}

fn profile(page: &mut Page, level: usize, profile: Option<&SeccompProfile>) {
    if let Some(profile) = profile {
        page.field(level, "SeccompProfile", &profile.type_);
        page.field_if(level, "LocalhostProfile", profile.localhost_profile.as_ref());
    }
}

fn addresses(page: &mut Page, pod: &Pod, status: &PodStatus) {
    page.field(0, "IP", status.pod_ip.as_deref().unwrap_or_default());
    let ips = status.pod_ips.as_deref().unwrap_or_default();
    if ips.is_empty() {
        page.field(0, "IPs", "<none>");
    } else {
        page.line(0, "IPs:");
        ips.iter().for_each(|ip| page.field(1, "IP", &ip.ip));
    }
    let owners = pod.metadata.owner_references.iter().flatten();
    if let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) {
        page.field(0, "Controlled By", &format!("{}/{}", owner.kind, owner.name));
    }
    page.field_if(0, "NominatedNodeName", status.nominated_node_name.as_ref());
}

fn containers(
    page: &mut Page,
    pod: &Pod,
    title: &str,
    (containers, statuses): (&[Container], &[ContainerStatus]),
) {
    page.line(0, &format!("{title}:"));
    for one in containers {
        let status = statuses.iter().find(|status| status.name == one.name);
        container::lines(page, pod, one, status);
    }
}

fn conditions(page: &mut Page, spec: &PodSpec, status: &PodStatus) {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    if !gates.is_empty() {
        page.line(0, "Readiness Gates:");
        page.line(1, "Type\tStatus");
    }
    for gate in gates {
        let found = conditions.iter().find(|one| one.type_ == gate.condition_type);
        let status = found.map_or("<none>", |one| one.status.as_str());
        page.line(1, &format!("{} \t{status} ", gate.condition_type));
    }
    if !conditions.is_empty() {
        page.line(0, "Conditions:");
        page.line(1, "Type\tStatus");
    }
    for one in conditions {
        page.line(1, &format!("{} \t{} ", one.type_, one.status));
    }
}

fn pairs(map: Option<&BTreeMap<String, String>>) -> Vec<String> {
    map.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect()
}

/// `key=value:effect op=Exists for 300s`
fn tolerations(tolerations: &[Toleration]) -> Vec<String> {
    let mut sorted: Vec<&Toleration> = tolerations.iter().collect();
    sorted.sort_by_key(|one| one.key.clone().unwrap_or_default());
    let text = |one: &&Toleration| {
        let part = |before: &str, part: &Option<String>| {
            let part = part.as_ref().filter(|part| !part.is_empty());
            part.map_or_else(String::new, |part| format!("{before}{part}"))
        };
        let what = part("", &one.key) + &part("=", &one.value) + &part(":", &one.effect);
        let exists = one.operator.as_deref() == Some("Exists")
            && one.value.as_ref().is_none_or(String::is_empty);
        let operator = match (exists, what.is_empty()) {
            (true, true) => "op=Exists",
            (true, false) => " op=Exists",
            (false, _) => "",
        };
        let time = one.toleration_seconds.map(|seconds| format!(" for {seconds}s"));
        format!("{what}{operator}{}", time.unwrap_or_default())
    };
    sorted.iter().map(text).collect()
}

fn spread(page: &mut Page, constraints: &[TopologySpreadConstraint]) {
    if constraints.is_empty() {
        return;
    }
    let mut sorted: Vec<&TopologySpreadConstraint> = constraints.iter().collect();
    sorted.sort_by_key(|one| one.topology_key.clone());
    let text = |one: &&TopologySpreadConstraint| {
        let what = format!("{}:{}", one.topology_key, one.when_unsatisfiable);
        let labels = one.label_selector.as_ref().and_then(|one| one.match_labels.as_ref());
        let selector =
            labels.map(|labels| format!(" for selector {}", pairs(Some(labels)).join(",")));
        format!("{what} when max skew {} is exceeded{}", one.max_skew, selector.unwrap_or_default())
    };
    let lines: Vec<String> = sorted.iter().map(text).collect();
    page.list("Topology Spread Constraints", &lines);
}

/// RFC 1123 with a numeric zone, as Go prints dates; in the zone of whoever looks.
fn date(time: &Time) -> String {
    time.0.to_zoned(TimeZone::system()).strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
}

fn event_table(list: &[Event], now: Timestamp) -> String {
    let mut sorted: Vec<&Event> = list.iter().collect();
    sorted.sort_by_key(|event| pod_api::object::last_seen(event).map(|time| time.0));
    let mut page = Page::default();
    page.line(0, "Events:");
    page.line(1, "Type\tReason\tAge\tFrom\tMessage");
    page.line(1, "----\t------\t----\t----\t-------");
    for event in sorted {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let from = event.source.as_ref().and_then(|source| source.component.clone());
        let path = text(&event.involved_object.field_path);
        let place = if path.is_empty() { path } else { format!("{path}: ") };
        let message = text(&event.message);
        page.line(
            1,
            &format!(
                "{}\t{}\t{}\t{}\t{place}{}",
                text(&event.type_),
                text(&event.reason),
                events::interval(event, now),
                from.or_else(|| event.reporting_component.clone()).unwrap_or_default(),
                message.trim()
            ),
        );
    }
    tabs::align(&page.text, PADDING)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
