//! `get pods`: the STATUS, READY and RESTARTS columns by kubectl's algorithm.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStatus, Pod, PodSpec, PodStatus,
};

use super::age;

/// Which columns are shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Columns {
    pub(crate) namespace: bool,
    pub(crate) wide: bool,
    pub(crate) labels: bool,
}

/// What the status columns say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) ready: usize,
    pub(crate) total: usize,
    pub(crate) status: String,
    pub(crate) restarts: String,
}

/// The names of the columns.
pub(crate) fn header(columns: Columns) -> Vec<&'static str> {
    let mut names = Vec::new();
    if columns.namespace {
        names.push("NAMESPACE");
    }
    names.extend(["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    if columns.wide {
        names.extend(["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]);
    }
    if columns.labels {
        names.push("LABELS");
    }
    names
}

/// The cells of one pod.
pub(crate) fn row(pod: &Pod, columns: Columns, now: Timestamp) -> Vec<String> {
    let summary = summary(pod, now);
    let metadata = &pod.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "<none>".to_owned());
    let mut cells = Vec::new();
    if columns.namespace {
        cells.push(text(&metadata.namespace));
    }
    cells.extend([
        text(&metadata.name),
        format!("{}/{}", summary.ready, summary.total),
        summary.status,
        summary.restarts,
        age::age(metadata.creation_timestamp.as_ref(), now),
    ]);
    if columns.wide {
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let node = node.filter(|node| !node.is_empty());
        cells.extend([or_none(ip), or_none(node), or_none(None), or_none(gates(pod))]);
    }
    if columns.labels {
        let labels: Vec<String> =
            metadata.labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        cells.push(or_none((!labels.is_empty()).then(|| labels.join(","))));
    }
    cells
}

/// How many readiness gates are open.
fn gates(pod: &Pod) -> Option<String> {
    let gates = pod.spec.as_ref()?.readiness_gates.as_ref().filter(|gates| !gates.is_empty())?;
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is_open = |kind: &str| {
        conditions
            .iter()
            .flat_map(|list| list.iter())
            .any(|one| one.type_ == kind && one.status == "True")
    };
    let open = gates.iter().filter(|gate| is_open(&gate.condition_type)).count();
    Some(format!("{open}/{}", gates.len()))
}

/// The status columns.
pub(crate) fn summary(pod: &Pod, now: Timestamp) -> Summary {
    let spec = pod.spec.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let mut state = Tally::new(&spec, &status);
    state.init_containers(&spec, &status);
    if !state.is_initializing || is_initialized(&status) {
        state.containers(&status);
    }
    state.deletion(pod, &status);
    let annotations = pod.metadata.annotations.as_ref();
    if annotations.is_some_and(|all| all.contains_key(pod_runner::pods::SUPERVISOR)) {
        state.reason = "Unknown".to_owned();
    }
    let restarts = match state.last_restart.filter(|_| state.restarts > 0) {
        Some(at) => format!("{} ({} ago)", state.restarts, age::human(now.as_second() - at)),
        None => state.restarts.to_string(),
    };
    Summary { ready: state.ready, total: state.total, status: state.reason, restarts }
}

struct Tally {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i32,
    last_restart: Option<i64>,
    is_initializing: bool,
}

impl Tally {
    fn new(spec: &PodSpec, status: &PodStatus) -> Self {
        let phase = status.phase.clone().unwrap_or_default();
        let sidecars = spec.init_containers.iter().flatten().filter(|one| is_sidecar(one));
        Self {
            ready: 0,
            total: spec.containers.len() + sidecars.count(),
            reason: status.reason.clone().filter(|reason| !reason.is_empty()).unwrap_or(phase),
            restarts: 0,
            last_restart: None,
            is_initializing: false,
        }
    }

    fn count(&mut self, status: &ContainerStatus) {
        self.restarts += status.restart_count;
        let end = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let at = end.and_then(|end| end.finished_at.as_ref()).map(|time| time.0.as_second());
        self.last_restart = self.last_restart.max(at);
    }

    fn init_containers(&mut self, spec: &PodSpec, status: &PodStatus) {
        let specs = spec.init_containers.as_deref().unwrap_or_default();
        let statuses = status.init_container_statuses.as_deref().unwrap_or_default();
        let mut sidecar_restarts = 0;
        for (at, one) in statuses.iter().enumerate() {
            self.count(one);
            let sidecar = specs.iter().any(|spec| spec.name == one.name && is_sidecar(spec));
            if sidecar {
                sidecar_restarts += one.restart_count;
            }
            let state = one.state.clone().unwrap_or_default();
            if state.terminated.as_ref().is_some_and(|end| end.exit_code == 0) {
                continue;
            }
            if sidecar && one.started == Some(true) {
                self.ready += usize::from(one.ready);
                continue;
            }
            self.reason = init_reason(&state, at, specs.len());
            self.is_initializing = true;
            break;
        }
        if !self.is_initializing || is_initialized(status) {
            self.restarts = sidecar_restarts;
        }
    }

    fn containers(&mut self, status: &PodStatus) {
        let statuses = status.container_statuses.as_deref().unwrap_or_default();
        let mut has_running = false;
        let mut reason = None;
        // The last container of the list has the word, as in kubectl.
        for one in statuses.iter().rev() {
            self.count(one);
            let state = one.state.clone().unwrap_or_default();
            let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
            if let Some(waiting) = waiting.filter(|waiting| !waiting.is_empty()) {
                reason = Some(waiting);
            } else if let Some(end) = &state.terminated {
                reason = Some(match &end.reason {
                    Some(text) if !text.is_empty() => text.clone(),
                    _ => ended(end.signal, end.exit_code),
                });
            } else if state.running.is_some() && one.ready {
                has_running = true;
                self.ready += 1;
            }
        }
        if let Some(reason) = reason {
            self.reason = reason;
        }
        if self.reason == "Completed" && has_running {
            let is_ready = has_condition(status, "Ready");
            self.reason = if is_ready { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn deletion(&mut self, pod: &Pod, status: &PodStatus) {
        if pod.metadata.deletion_timestamp.is_none() {
            return;
        }
        let is_over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        if status.reason.as_deref() == Some("NodeLost") {
            self.reason = "Unknown".to_owned();
        } else if !is_over {
            self.reason = "Terminating".to_owned();
        }
    }
}

fn init_reason(state: &ContainerState, at: usize, count: usize) -> String {
    if let Some(end) = &state.terminated {
        let reason = end.reason.as_deref().filter(|reason| !reason.is_empty());
        return match reason {
            Some(reason) => format!("Init:{reason}"),
            None => format!("Init:{}", ended(end.signal, end.exit_code)),
        };
    }
    let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref());
    match waiting {
        Some(reason) if !reason.is_empty() && reason != "PodInitializing" => {
            format!("Init:{reason}")
        }
        _ => format!("Init:{at}/{count}"),
    }
}

fn ended(signal: Option<i32>, code: i32) -> String {
    match signal.filter(|signal| *signal != 0) {
        Some(signal) => format!("Signal:{signal}"),
        None => format!("ExitCode:{code}"),
    }
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn is_initialized(status: &PodStatus) -> bool {
    has_condition(status, "Initialized")
}

fn has_condition(status: &PodStatus, kind: &str) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|one| one.type_ == kind && one.status == "True")
}
