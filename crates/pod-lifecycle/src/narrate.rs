//! What happens, in the words of Kubernetes' events.

use std::time::Duration;

use pod_model::{ContainerSpec, EventKind, EventSubject, PodEvent, Role, Uptime};

use crate::fact::PullReport;

/// The events that nobody has taken yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Narration {
    events: Vec<PodEvent>,
}

impl Narration {
    /// Hands out the events.
    pub(crate) fn take(&mut self) -> Vec<PodEvent> {
        std::mem::take(&mut self.events)
    }

    /// Something normal about the pod.
    pub(crate) fn pod(&mut self, at: Uptime, reason: &'static str, message: String) {
        self.add(at, EventKind::Normal, (reason, EventSubject::Pod), message);
    }

    /// A warning about the pod.
    pub(crate) fn pod_warning(&mut self, at: Uptime, reason: &'static str, message: String) {
        self.add(at, EventKind::Warning, (reason, EventSubject::Pod), message);
    }

    /// Something normal about a container.
    pub(crate) fn container(
        &mut self,
        at: Uptime,
        spec: &ContainerSpec,
        reason: &'static str,
        message: String,
    ) {
        self.add(at, EventKind::Normal, (reason, subject(spec)), message);
    }

    /// A warning about a container.
    pub(crate) fn container_warning(
        &mut self,
        at: Uptime,
        spec: &ContainerSpec,
        reason: &'static str,
        message: String,
    ) {
        self.add(at, EventKind::Warning, (reason, subject(spec)), message);
    }

    /// The last event tells of a failure that trying again does not mend.
    pub(crate) fn last_awaits_change(&mut self) {
        if let Some(last) = self.events.last_mut() {
            last.awaits_change = true;
        }
    }

    fn add(
        &mut self,
        at: Uptime,
        kind: EventKind,
        (reason, subject): (&'static str, EventSubject),
        message: String,
    ) {
        self.events.push(PodEvent { at, kind, reason, subject, message, awaits_change: false });
    }
}

fn subject(spec: &ContainerSpec) -> EventSubject {
    match spec.role {
        Role::Main => EventSubject::Container(spec.name.clone()),
        Role::Init | Role::Sidecar => EventSubject::InitContainer(spec.name.clone()),
    }
}

/// The message of `Pulled`.
pub(crate) fn pulled(image: &str, report: Option<&PullReport>) -> String {
    match report {
        None => format!("Container image \"{image}\" already present on machine"),
        Some(report) => format!(
            "Successfully pulled image \"{image}\" in {} ({} including waiting). Image size: {} \
             bytes.",
            go_duration(milliseconds(report.took)),
            go_duration(milliseconds(report.took_with_waiting)),
            report.bytes
        ),
    }
}

fn milliseconds(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// A duration as Go prints it, in milliseconds: `1.5s`, `250ms`, `1m0s`.
pub(crate) fn go_duration(duration: Duration) -> String {
    let total = duration.as_secs();
    if total == 0 && !duration.is_zero() {
        return format!("{}ms", duration.as_millis());
    }
    let (hours, minutes) = (total / 3600, total / 60 % 60);
    let milliseconds = duration.subsec_millis();
    let fraction = format!(".{milliseconds:03}");
    let fraction = if milliseconds == 0 { "" } else { fraction.trim_end_matches('0') };
    let seconds = format!("{}{fraction}s", total % 60);
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

/// The message of `CrashLoopBackOff`.
pub(crate) fn crash_loop_message(delay: Duration, name: &str, pod: &str) -> String {
    format!("back-off {} restarting failed container={name} pod={pod}", go_duration(delay))
}
