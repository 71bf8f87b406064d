//! What a fact means for the state.

mod checks;
mod images;
mod starts;
mod stop;

use std::time::Duration;

use pod_model::{RestartPolicy, Role, Uptime};

use crate::state::{Container, Phase, Sandbox, StopReason};
use crate::{Fact, Instance, PodMachine, narrate};

use images::ImageOwner;
use starts::{End, record_end};

/// A sandbox that could not be made is tried again after this time.
const SANDBOX_RETRY: Duration = Duration::from_secs(10);
/// A volume that could not be set up is tried again after this time, doubling.
const VOLUME_RETRY: Duration = Duration::from_millis(500);
const VOLUME_RETRY_LONGEST: Duration = Duration::from_secs(122);
/// A configuration error is looked at again after this time.
const CONFIG_RETRY: Duration = Duration::from_secs(10);

impl PodMachine {
    pub(crate) fn record(&mut self, fact: Fact, now: Uptime) {
        match fact {
            Fact::SandboxReady { .. }
            | Fact::SandboxFailed { .. }
            | Fact::VolumesFailed { .. }
            | Fact::SandboxGone => self.record_sandbox(fact, now),
            Fact::ImagePulling { .. }
            | Fact::ImageReady { .. }
            | Fact::ImageFailed { .. }
            | Fact::VolumeImagePulling { .. }
            | Fact::VolumeImageReady { .. }
            | Fact::VolumeImageFailed { .. } => self.record_image(fact, now),
            Fact::Started { .. }
            | Fact::StartFailed { .. }
            | Fact::Exited { .. }
            | Fact::HookFinished { .. }
            | Fact::ProbeFinished { .. } => self.record_start(fact, now),
            Fact::DeleteRequested { grace } => self.delete(grace, now),
            Fact::Updated(update) => self.update(update, now),
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

    fn record_sandbox(&mut self, fact: Fact, now: Uptime) {
        if fact == Fact::SandboxGone {
            return self.lose_sandbox(now);
        }
        if self.state.sandbox != Sandbox::Creating {
            return;
        }
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
            Fact::VolumesFailed { failures } => {
                for (volume, why) in failures {
                    let text = format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}");
                    self.narration.pod_warning(now, "FailedMount", text);
                }
                let doubled = VOLUME_RETRY * 2_u32.pow(self.state.sandbox_failures.min(10));
                self.retry_sandbox(now, doubled.min(VOLUME_RETRY_LONGEST));
            }
            _ => {}
        }
    }

    fn record_image(&mut self, fact: Fact, now: Uptime) {
        match fact {
            Fact::ImagePulling { name } => {
                let at = self.position(&name);
                if let Some(at) = at.filter(|at| self.state.containers[*at].phase == Phase::Image) {
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
                    let image = self.state.containers[at].spec.image.clone();
                    self.image_failed(at, (image, ImageOwner::Container), (failure, message), now);
                }
            }
            Fact::VolumeImagePulling { image } => {
                self.narration.pod(now, "Pulling", format!("Pulling image \"{image}\""));
            }
            Fact::VolumeImageReady { image, pulled } => {
                self.narration.pod(now, "Pulled", narrate::pulled(&image, pulled.as_ref()));
            }
            Fact::VolumeImageFailed { name, image, failure, message } => {
                if let Some(at) = self.position(&name) {
                    self.image_failed(at, (image, ImageOwner::Pod), (failure, message), now);
                }
            }
            _ => {}
        }
    }

    /// What concerns one start of a container.
    fn record_start(&mut self, fact: Fact, now: Uptime) {
        match fact {
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
            _ => {}
        }
    }

    pub(crate) fn position(&self, name: &pod_model::ContainerName) -> Option<usize> {
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

    /// The sandbox is gone: as asked, or because somebody killed its holder. Then what ran in it
    /// is gone, too, and the pod begins again with its first init container; a pod that restarts
    /// nothing has ended.
    fn lose_sandbox(&mut self, now: Uptime) {
        if !matches!(self.state.sandbox, Sandbox::Ready | Sandbox::Removing) {
            return;
        }
        let policy = self.pod.restart_policy;
        let is_through = |one: &Container| {
            policy == RestartPolicy::OnFailure
                && one.spec.role == Role::Main
                && one.phase == Phase::Done
                && one.ended().is_some_and(|end| end.exit_code == 0)
        };
        // Before what still lives is marked as ended, too.
        let through: Vec<bool> = self.state.containers.iter().map(is_through).collect();
        for container in self.state.containers.iter_mut().filter(|one| one.is_alive()) {
            lose_container(container, now);
        }
        if self.state.sandbox == Sandbox::Removing || self.state.stop.is_some() {
            self.state.sandbox = Sandbox::Gone;
            return;
        }
        let text = "Pod sandbox changed, it will be killed and re-created.";
        self.narration.pod(now, "SandboxChanged", text.into());
        self.state.ips.clear();
        self.state.restart_of_all = None;
        self.state.sandbox = Sandbox::Missing { not_before: now };
        let has_run = self.state.containers.iter().any(|one| one.newest.is_some());
        let mut mains = self.state.containers.iter().zip(&through);
        let all_through = mains.all(|(one, through)| *through || one.spec.role != Role::Main);
        if policy == RestartPolicy::Never && has_run || all_through {
            self.stop_pod(StopReason::Over, Duration::ZERO, now);
            return;
        }
        for (container, through) in self.state.containers.iter_mut().zip(through) {
            if !through {
                container.is_initialized = false;
                container.phase = Phase::Idle { not_before: now };
            }
        }
    }
}

/// What was left of a container went with the sandbox.
fn lose_container(container: &mut Container, now: Uptime) {
    if container.is_running() {
        let end = End { code: 137, signal: Some(9), out_of_memory: false, message: None };
        record_end(container, end, now);
    } else {
        container.next_attempt -= 1; // it never ran: the next start has the same number
    }
    container.phase = Phase::Done;
}
