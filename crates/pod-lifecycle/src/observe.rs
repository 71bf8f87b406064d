//! What a fact means for the state.

use std::time::Duration;

use pod_model::{Role, Terminated, Uptime};

use crate::fact::PullReport;
use crate::narrate::{go_duration, pulled};
use crate::rules::{admission, restart, termination};
use crate::state::{
    Container, Failure, Newest, Outcome, Phase, PodStop, Sandbox, Stop, StopReason, StopStep,
};
use crate::{Fact, Hook, ImageFailure, Instance, PodMachine, ProbeKind, ProbeOutcome, StartStage};

/// A sandbox that could not be made is tried again after this time.
const SANDBOX_RETRY: Duration = Duration::from_secs(10);
/// A volume that could not be set up is tried again after this time, doubling.
const VOLUME_RETRY: Duration = Duration::from_millis(500);
const VOLUME_RETRY_LONGEST: Duration = Duration::from_secs(122);
/// A configuration error is looked at again after this time.
const CONFIG_RETRY: Duration = Duration::from_secs(10);

/// How a container's first process ended.
struct End {
    code: i32,
    signal: Option<i32>,
    out_of_memory: bool,
    message: Option<String>,
}

impl PodMachine {
    pub(crate) fn record(&mut self, fact: Fact, now: Uptime) {
        match fact {
            Fact::SandboxReady { ips } => {
                self.state.ips = ips;
                self.state.sandbox = Sandbox::Ready;
                self.state.sandbox_failures = 0;
            }
            Fact::SandboxFailed { message } => {
                let text = format!("Failed to create pod sandbox: {message}");
                self.narration.pod_warning(now, "FailedCreatePodSandBox", text);
                self.retry_sandbox(now, SANDBOX_RETRY);
            }
            Fact::VolumeFailed { volume, message } => {
                let text = format!("MountVolume.SetUp failed for volume \"{volume}\" : {message}");
                self.narration.pod_warning(now, "FailedMount", text);
                let doubled = VOLUME_RETRY * 2_u32.pow(self.state.sandbox_failures.min(10));
                self.retry_sandbox(now, doubled.min(VOLUME_RETRY_LONGEST));
            }
            Fact::SandboxGone => self.lose_sandbox(now),
            Fact::ImagePulling { name } => {
                if let Some(at) = self.position(&name) {
                    let spec = &self.state.containers[at].spec;
                    let message = format!("Pulling image \"{}\"", spec.image);
                    self.narration.container(now, spec, "Pulling", message);
                }
            }
            Fact::ImageReady { name, image_id, pulled } => {
                if let Some(at) = self.position(&name) {
                    self.image_ready(at, image_id, pulled.as_ref(), now);
                }
            }
            Fact::ImageFailed { name, failure, message } => {
                if let Some(at) = self.position(&name) {
                    self.image_failed(at, failure, message, now);
                }
            }
            Fact::Started { instance, container_id } => {
                self.with(&instance, |machine, at| machine.started(at, container_id, now));
            }
            Fact::StartFailed { instance, stage, message } => {
                self.with(&instance, |machine, at| machine.start_failed(at, stage, message, now));
            }
            Fact::Exited { instance, code, signal, out_of_memory, message } => {
                let end = End { code, signal, out_of_memory, message };
                self.with(&instance, |machine, at| machine.exited(at, end, now));
            }
            Fact::HookFinished { instance, hook, outcome } => {
                self.with(&instance, |machine, at| machine.hook_finished(at, hook, outcome, now));
            }
            Fact::ProbeFinished { instance, probe, outcome } => {
                self.with(&instance, |machine, at| machine.probed(at, probe, &outcome, now));
            }
            Fact::DeleteRequested { grace } => self.delete(grace, now),
            Fact::ConditionSet { kind, is_true } => {
                self.state.gates.retain(|(known, _)| *known != kind);
                self.state.gates.push((kind, is_true));
            }
            Fact::Evicted { message } => {
                self.narration.pod_warning(now, "Evicted", message.clone());
                self.state.reason = Some(("Evicted".into(), message));
                self.stop_pod(StopReason::Evicted, Duration::ZERO, now);
            }
            Fact::Warned { reason, message } => self.narration.pod_warning(now, reason, message),
            Fact::TimePassed => {}
        }
    }

    fn position(&self, name: &pod_model::ContainerName) -> Option<usize> {
        self.state.containers.iter().position(|container| container.spec.name == *name)
    }

    /// Applies a fact about a start of a container, unless a later start has replaced it.
    fn with(&mut self, instance: &Instance, apply: impl FnOnce(&mut Self, usize)) {
        let Some(at) = self.position(&instance.name) else {
            return;
        };
        let container = &self.state.containers[at];
        if container.is_alive() && instance.attempt.0 + 1 == container.next_attempt {
            apply(self, at);
        }
    }

    fn retry_sandbox(&mut self, now: Uptime, wait: Duration) {
        self.state.sandbox_failures += 1;
        self.state.sandbox = if self.state.stop.is_some() {
            Sandbox::Gone
        } else {
            Sandbox::Missing { not_before: now + self.timing.scaled(wait) }
        };
    }

    /// The sandbox is gone: as asked, or because somebody killed its holder.
    fn lose_sandbox(&mut self, now: Uptime) {
        if self.state.sandbox == Sandbox::Removing || self.state.stop.is_some() {
            self.state.sandbox = Sandbox::Gone;
            return;
        }
        let text = "Pod sandbox changed, it will be killed and re-created.";
        self.narration.pod(now, "SandboxChanged", text.into());
        self.state.ips.clear();
        self.state.any_main_started = false;
        self.state.sandbox = Sandbox::Missing { not_before: now };
        for container in &mut self.state.containers {
            container.is_initialized = false;
            if container.is_alive() {
                let end = End { code: 137, signal: Some(9), out_of_memory: false, message: None };
                record_end(container, end, now);
            }
            container.phase = Phase::Idle { not_before: now };
        }
    }

    fn image_ready(
        &mut self,
        at: usize,
        image_id: String,
        report: Option<&PullReport>,
        now: Uptime,
    ) {
        let container = &mut self.state.containers[at];
        if container.phase != Phase::Image {
            return;
        }
        container.image_id = image_id;
        container.image_backoff = Default::default();
        let message = pulled(&container.spec.image, report);
        self.narration.container(now, &container.spec, "Pulled", message);
        container.phase = Phase::Starting;
        container.next_attempt += 1;
        // Marked as under way by `decide`, which also hands the action out.
        self.to_start.push(at);
    }

    fn image_failed(&mut self, at: usize, failure: ImageFailure, message: String, now: Uptime) {
        let timing = self.timing;
        let container = &mut self.state.containers[at];
        if container.phase != Phase::Image {
            return;
        }
        let spec = container.spec.clone();
        let image = &spec.image;
        let (event, text, reason) = match failure {
            ImageFailure::Pull => {
                ("Failed", format!("Failed to pull image \"{image}\": {message}"), "ErrImagePull")
            }
            ImageFailure::Registry => (
                "Failed",
                format!("Failed to pull image \"{image}\": {message}"),
                "RegistryUnavailable",
            ),
            ImageFailure::NeverPull => ("ErrImageNeverPull", message.clone(), "ErrImageNeverPull"),
            ImageFailure::InvalidName => ("InspectFailed", message.clone(), "InvalidImageName"),
            ImageFailure::Inspect => ("InspectFailed", message.clone(), "ImageInspectError"),
        };
        self.narration.container_warning(now, &spec, event, text);
        self.narration.container_warning(now, &spec, "Failed", format!("Error: {reason}"));
        container.failure = Some(Failure { reason, message });
        container.phase = if matches!(failure, ImageFailure::Pull | ImageFailure::Registry) {
            container.image_backoff.lengthen(now, now);
            let not_before = container.image_backoff.not_before(now, timing);
            Phase::ImageFailed { decide_at: now + timing.settle, not_before }
        } else {
            Phase::Idle { not_before: now + timing.scaled(CONFIG_RETRY) }
        };
    }

    fn started(&mut self, at: usize, container_id: String, now: Uptime) {
        let container = &mut self.state.containers[at];
        let spec = container.spec.clone();
        if let Some(ended) = container.ended().cloned() {
            container.last = Some(ended);
        }
        let attempt = container.next_attempt - 1;
        let outcome = Outcome::Running { since: now };
        container.newest = Some(Newest { attempt, container_id, outcome });
        container.failure = None;
        container.startup = Default::default();
        container.liveness = Default::default();
        container.readiness = Default::default();
        if container.phase == Phase::Starting {
            container.phase =
                if spec.post_start.is_some() { Phase::PostStart } else { Phase::Running };
        }
        self.state.any_main_started |= spec.role == Role::Main;
        let name = &spec.name;
        self.narration.container(now, &spec, "Created", format!("Created container {name}"));
        self.narration.container(now, &spec, "Started", format!("Started container {name}"));
        if self.state.containers[at].phase == Phase::PostStart {
            self.to_hook.push(at);
        }
        self.open_gate(at);
    }

    /// A sidecar that has started lets the next container start, for good.
    pub(crate) fn open_gate(&mut self, at: usize) {
        let container = &mut self.state.containers[at];
        if container.spec.role == Role::Sidecar && admission::has_started(container) {
            container.is_initialized = true;
        }
    }

    fn start_failed(&mut self, at: usize, stage: StartStage, message: String, now: Uptime) {
        let timing = self.timing;
        let policy = self.pod.restart_policy;
        let container = &mut self.state.containers[at];
        let spec = container.spec.clone();
        let reason = match stage {
            StartStage::Config => "CreateContainerConfigError",
            StartStage::Create => "CreateContainerError",
            StartStage::Run => "RunContainerError",
        };
        if stage == StartStage::Run {
            let name = &spec.name;
            let text = format!("Created container {name}");
            self.narration.container(now, &spec, "Created", text);
        }
        self.narration.container_warning(now, &spec, "Failed", format!("Error: {message}"));
        let failure = Failure { reason, message: message.clone() };
        if stage != StartStage::Run {
            container.next_attempt -= 1; // nothing ran: the next try has the same number
            if matches!(container.phase, Phase::Stopping(_)) {
                container.phase = Phase::Done;
                return;
            }
            container.failure = Some(failure);
            container.phase = Phase::Idle { not_before: now + timing.scaled(CONFIG_RETRY) };
            return;
        }
        let end = Terminated {
            exit_code: 128,
            signal: None,
            reason: "StartError".into(),
            message: Some(message),
            started: None,
            finished: now,
            container_id: String::new(),
        };
        if let Some(ended) = container.ended().cloned() {
            container.last = Some(ended);
        }
        let attempt = container.next_attempt - 1;
        let outcome = Outcome::Ended(end);
        container.newest = Some(Newest { attempt, container_id: String::new(), outcome });
        container.failure = Some(failure);
        self.state.any_main_started |= spec.role == Role::Main;
        let container = &mut self.state.containers[at];
        let is_stopping = self.state.stop.is_some();
        container.phase = if !is_stopping && restart::restarts(&spec, policy, 128) {
            Phase::Exited { decide_at: now + timing.settle }
        } else {
            container.failure = None;
            Phase::Done
        };
    }

    fn exited(&mut self, at: usize, end: End, now: Uptime) {
        let policy = self.pod.restart_policy;
        let settle = self.timing.settle;
        let is_stopping = self.state.stop.is_some();
        let container = &mut self.state.containers[at];
        let stopped = match container.phase {
            Phase::Stopping(stop) => Some(stop.restarts),
            _ => None,
        };
        let (code, out_of_memory) = (end.code, end.out_of_memory);
        if container.newest.is_none() || container.attempt() + 1 != container.next_attempt {
            // The exit came before the news that the program runs.
            let outcome = Outcome::Running { since: now };
            let attempt = container.next_attempt - 1;
            container.newest = Some(Newest { attempt, container_id: String::new(), outcome });
        }
        record_end(container, end, now);
        let succeeded = code == 0 && !out_of_memory;
        if container.spec.role == Role::Init && succeeded && stopped.is_none() {
            container.is_initialized = true;
            container.phase = Phase::Done;
            return;
        }
        // An init container killed for memory has failed, whatever its code.
        let judged = if code == 0 && out_of_memory { 137 } else { code };
        let restarts = !is_stopping
            && stopped.unwrap_or_else(|| restart::restarts(&container.spec, policy, judged));
        container.phase =
            if restarts { Phase::Exited { decide_at: now + settle } } else { Phase::Done };
    }

    fn hook_finished(&mut self, at: usize, hook: Hook, outcome: Result<(), String>, now: Uptime) {
        let policy = self.pod.restart_policy;
        let grace = self.pod.termination_grace;
        let container = &mut self.state.containers[at];
        let spec = container.spec.clone();
        match (hook, container.phase.clone(), outcome) {
            (Hook::PostStart, Phase::PostStart, Ok(())) => {
                container.phase = Phase::Running;
                self.open_gate(at);
            }
            (Hook::PostStart, Phase::PostStart, Err(message)) => {
                let text = "PostStartHook failed".to_owned();
                self.narration.container_warning(now, &spec, "FailedPostStartHook", text);
                let text = "FailedPostStartHook".to_owned();
                self.narration.container(now, &spec, "Killing", text);
                container.failure = Some(Failure { reason: "PostStartHookError", message });
                let restarts = restart::restarts_after_kill(&spec, policy);
                let deadline = now + grace;
                let step = StopStep::Begin;
                container.phase = Phase::Stopping(Stop { step, deadline, restarts });
            }
            (Hook::PreStop, Phase::Stopping(mut stop), outcome) => {
                if outcome.is_err() {
                    let text = "PreStopHook failed".to_owned();
                    self.narration.container_warning(now, &spec, "FailedPreStopHook", text);
                }
                if stop.step == StopStep::PreStop {
                    stop.step = StopStep::Turn;
                    container.phase = Phase::Stopping(stop);
                }
            }
            _ => {}
        }
    }

    fn probed(&mut self, at: usize, kind: ProbeKind, outcome: &ProbeOutcome, now: Uptime) {
        let policy = self.pod.restart_policy;
        let container = &mut self.state.containers[at];
        let Some((spec, state)) = container.probe_mut(kind) else {
            return;
        };
        state.record(spec, outcome);
        let grace = spec.termination_grace;
        let word = match kind {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        };
        let spec = container.spec.clone();
        match outcome {
            ProbeOutcome::Success => {}
            ProbeOutcome::Warning(text) => {
                let text = format!("{word} probe warning: {text}");
                self.narration.container_warning(now, &spec, "ProbeWarning", text);
            }
            ProbeOutcome::Failure(text) => {
                let text = format!("{word} probe failed: {text}");
                self.narration.container_warning(now, &spec, "Unhealthy", text);
            }
            ProbeOutcome::Unknown(text) => {
                let text = format!("{word} probe errored and resulted in unknown state: {text}");
                self.narration.container_warning(now, &spec, "Unhealthy", text);
            }
        }
        self.open_gate(at);
        let container = &self.state.containers[at];
        let is_fatal = match kind {
            ProbeKind::Startup => container.startup.has_failed(),
            ProbeKind::Liveness => container.liveness.has_failed(),
            ProbeKind::Readiness => false,
        };
        if is_fatal && matches!(container.phase, Phase::Running | Phase::PostStart) {
            let restarts = restart::restarts_after_kill(&spec, policy);
            let (name, word) = (&spec.name, word.to_lowercase());
            let text = match (spec.role, restarts) {
                (Role::Sidecar, _) => format!("Init container {name} failed {word} probe"),
                (_, true) => format!("Container {name} failed {word} probe, will be restarted"),
                (_, false) => format!("Container {name} failed {word} probe"),
            };
            self.narration.container(now, &spec, "Killing", text);
            let deadline = now + grace.unwrap_or(self.pod.termination_grace);
            let step = StopStep::Begin;
            let stop = Stop { step, deadline, restarts };
            self.state.containers[at].phase = Phase::Stopping(stop);
        }
    }

    fn delete(&mut self, grace: Option<Duration>, now: Uptime) {
        let grace = grace.unwrap_or(self.pod.termination_grace);
        let requested = self.state.deletion.map_or(now, |(requested, _)| requested);
        let shortest = self.state.deletion.map_or(grace, |(_, known)| known.min(grace));
        self.state.deletion = Some((requested, shortest));
        self.stop_pod(StopReason::Deleted, grace, now);
    }

    /// Begins to stop everything, or shortens the grace of a stop that has begun.
    pub(crate) fn stop_pod(&mut self, reason: StopReason, grace: Duration, now: Uptime) {
        let at_once = grace.is_zero();
        let deadline = now + grace;
        match &mut self.state.stop {
            Some(stop) => {
                stop.deadline = stop.deadline.min(deadline);
                stop.at_once |= at_once;
                if reason == StopReason::Deleted {
                    stop.reason = reason;
                }
            }
            None => self.state.stop = Some(PodStop { reason, deadline, at_once }),
        }
        let stop = self.state.stop.unwrap_or(PodStop { reason, deadline, at_once });
        for container in &mut self.state.containers {
            stop_container(container, stop, now, &mut self.narration);
        }
    }
}

/// Enters the one way in which a container stops; one that never ran has nothing to stop.
fn stop_container(
    container: &mut Container,
    stop: PodStop,
    now: Uptime,
    narration: &mut crate::narrate::Narration,
) {
    match &mut container.phase {
        Phase::PostStart | Phase::Running | Phase::Starting => {
            if container.is_running() {
                let text = format!("Stopping container {}", container.spec.name);
                narration.container(now, &container.spec, "Killing", text);
            }
            let step = StopStep::Begin;
            let deadline = stop.deadline;
            container.phase = Phase::Stopping(Stop { step, deadline, restarts: false });
        }
        Phase::Stopping(known) => {
            known.deadline = known.deadline.min(stop.deadline);
            known.restarts = false;
            if let StopStep::Asked { kill_at } = known.step {
                let soonest =
                    now + if stop.at_once { Duration::ZERO } else { termination::LEAST_GRACE };
                let kill_at = kill_at.min(known.deadline.max(soonest));
                known.step = StopStep::Asked { kill_at };
            }
        }
        Phase::Idle { .. } | Phase::Image | Phase::ImageFailed { .. } | Phase::Exited { .. } => {
            container.phase = Phase::Done;
        }
        Phase::Done => {}
    }
}

/// Puts the end of a container into its record.
fn record_end(container: &mut Container, end: End, now: Uptime) {
    let reason = match (end.out_of_memory, end.code) {
        (true, _) => "OOMKilled",
        (false, 0) => "Completed",
        (false, _) => "Error",
    };
    let started = container.running_since();
    if let Some(newest) = &mut container.newest {
        newest.outcome = Outcome::Ended(Terminated {
            exit_code: end.code,
            signal: end.signal,
            reason: reason.into(),
            message: end.message,
            started,
            finished: now,
            container_id: newest.container_id.clone(),
        });
    }
}

/// The message of `CrashLoopBackOff`.
pub(crate) fn crash_loop_message(delay: Duration, name: &str, pod: &str) -> String {
    format!("back-off {} restarting failed container={name} pod={pod}", go_duration(delay))
}
