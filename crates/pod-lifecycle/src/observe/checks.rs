//! What a hook or a probe has found, and what follows from it.

use pod_model::{Role, Uptime};

use crate::rules::restart;
use crate::state::{Failure, Phase, Stop, StopStep};
use crate::{Hook, PodMachine, ProbeKind, ProbeOutcome};

impl PodMachine {
    pub(super) fn hook_finished(
        &mut self,
        at: usize,
        hook: Hook,
        outcome: Result<(), String>,
        now: Uptime,
    ) {
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

    pub(super) fn probed(
        &mut self,
        at: usize,
        kind: ProbeKind,
        outcome: &ProbeOutcome,
        now: Uptime,
    ) {
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
}
