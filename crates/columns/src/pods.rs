//! `get pods`: the STATUS, READY and RESTARTS columns by kubectl's algorithm.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStatus, Pod, PodSpec, PodStatus,
};

use super::age;

/// The names of the columns.
pub fn header(is_wide: bool) -> Vec<&'static str> {
    let mut names = vec!["NAME", "READY", "STATUS", "RESTARTS", "AGE"];
    if is_wide {
        names.extend(["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]);
    }
    names
}

/// The cells of one pod.
pub fn row(pod: &Pod, is_wide: bool, now: Timestamp) -> Vec<String> {
    let summary = summary(pod, now);
    let metadata = &pod.metadata;
    let mut cells = vec![
        metadata.name.clone().unwrap_or_default(),
        format!("{}/{}", summary.ready, summary.total),
        summary.status,
        summary.restarts,
        age::age(metadata.creation_timestamp.as_ref(), now),
    ];
    if is_wide {
        let or_none = |text: Option<&String>| {
            text.filter(|text| !text.is_empty()).map_or_else(|| "<none>".to_owned(), Clone::clone)
        };
        let status = pod.status.as_ref();
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        cells.extend([
            or_none(status.and_then(|status| status.pod_ip.as_ref())),
            or_none(node),
            or_none(status.and_then(|status| status.nominated_node_name.as_ref())),
            or_none(gates(pod).as_ref()),
        ]);
    }
    cells
}

/// How many readiness gates are open.
fn gates(pod: &Pod) -> Option<String> {
    let gates = pod.spec.as_ref()?.readiness_gates.as_ref().filter(|gates| !gates.is_empty())?;
    let status = pod.status.clone().unwrap_or_default();
    let open = gates.iter().filter(|gate| has_condition(&status, &gate.condition_type)).count();
    Some(format!("{open}/{}", gates.len()))
}

/// What the status columns say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Containers that are ready.
    pub ready: usize,
    /// Containers that should be.
    pub total: usize,
    /// STATUS.
    pub status: String,
    /// RESTARTS.
    pub restarts: String,
}

/// The status columns.
pub fn summary(pod: &Pod, now: Timestamp) -> Summary {
    let spec = pod.spec.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let mut tally = Tally::new(&spec, &status);
    let is_initializing = tally.init_containers(&spec, &status);
    if !is_initializing || has_condition(&status, "Initialized") {
        tally.containers(&status);
    }
    tally.deletion(pod, &status);
    if is_abandoned(pod) {
        tally.reason = "Unknown".to_owned();
    }
    let Restarts { count, last } = tally.restarts;
    let restarts = match last.filter(|_| count != 0) {
        Some(at) => format!("{count} ({} ago)", age::human(now.as_second() - at)),
        None => count.to_string(),
    };
    Summary { ready: tally.ready, total: tally.total, status: tally.reason, restarts }
}

/// Whether the pod's supervisor died before the pod had ended.
pub fn is_abandoned(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.contains_key(pod_api::pods::SUPERVISOR))
}

/// How often, and when last (in seconds since 1970).
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i32,
    last: Option<i64>,
}

impl Restarts {
    fn add(&mut self, status: &ContainerStatus) {
        self.count += status.restart_count;
        let end = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let at = end.and_then(|end| end.finished_at.as_ref()).map(|time| time.0.as_second());
        self.last = self.last.max(at);
    }
}

struct Tally {
    ready: usize,
    total: usize,
    reason: String,
    restarts: Restarts,
    sidecar_restarts: Restarts,
}

impl Tally {
    fn new(spec: &PodSpec, status: &PodStatus) -> Self {
        let phase = status.phase.clone().unwrap_or_default();
        let mut reason = status.reason.clone().filter(|one| !one.is_empty()).unwrap_or(phase);
        let mut conditions = status.conditions.iter().flatten();
        if conditions.any(|one| {
            one.type_ == "PodScheduled" && one.reason.as_deref() == Some("SchedulingGated")
        }) {
            reason = "SchedulingGated".to_owned();
        }
        let sidecars = spec.init_containers.iter().flatten().filter(|one| is_sidecar(one));
        Self {
            ready: 0,
            total: spec.containers.len() + sidecars.count(),
            reason,
            restarts: Restarts::default(),
            sidecar_restarts: Restarts::default(),
        }
    }

    /// Goes through the init containers up to the first that has not done its part; whether there
    /// is such a one.
    fn init_containers(&mut self, spec: &PodSpec, status: &PodStatus) -> bool {
        let specs = spec.init_containers.as_deref().unwrap_or_default();
        let statuses = status.init_container_statuses.as_deref().unwrap_or_default();
        for (at, one) in statuses.iter().enumerate() {
            self.restarts.add(one);
            let sidecar = specs.iter().any(|spec| spec.name == one.name && is_sidecar(spec));
            if sidecar {
                self.sidecar_restarts.add(one);
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
            return true;
        }
        false
    }

    /// From the last to the first, so that the first that does not run has the word.
    fn containers(&mut self, status: &PodStatus) {
        self.restarts = self.sidecar_restarts;
        let statuses = status.container_statuses.as_deref().unwrap_or_default();
        let mut has_running = false;
        let mut error = None;
        for one in statuses.iter().rev() {
            self.restarts.add(one);
            let state = one.state.clone().unwrap_or_default();
            let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
            if let Some(waiting) = waiting.filter(|waiting| !waiting.is_empty()) {
                self.reason = waiting;
            } else if let Some(end) = &state.terminated {
                let reason = end.reason.clone().filter(|reason| !reason.is_empty());
                self.reason = reason.unwrap_or_else(|| ended(end.signal, end.exit_code));
                if end.exit_code != 0 {
                    error = Some(self.reason.clone());
                }
            } else if state.running.is_some() && one.ready {
                has_running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            if has_running && has_condition(status, "Ready") {
                "Running".clone_into(&mut self.reason);
            } else if let Some(error) = error {
                self.reason = error;
            } else if has_running {
                "NotReady".clone_into(&mut self.reason);
            }
        }
    }

    fn deletion(&mut self, pod: &Pod, status: &PodStatus) {
        if pod.metadata.deletion_timestamp.is_none() {
            return;
        }
        let is_over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        if status.reason.as_deref() == Some("NodeLost") {
            "Unknown".clone_into(&mut self.reason);
        } else if !is_over {
            "Terminating".clone_into(&mut self.reason);
        }
    }
}

fn init_reason(state: &ContainerState, at: usize, count: usize) -> String {
    if let Some(end) = &state.terminated {
        let reason = end.reason.clone().filter(|reason| !reason.is_empty());
        return format!("Init:{}", reason.unwrap_or_else(|| ended(end.signal, end.exit_code)));
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

fn has_condition(status: &PodStatus, kind: &str) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|one| one.type_ == kind && one.status == "True")
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
