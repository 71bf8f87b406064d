//! What a hook or a probe has found, and what follows from it.

use pod_model::{ContainerSpec, Role, Uptime};

use crate::narrate::Narration;
use crate::rules::restart;
use crate::state::{After, Failure, Phase, Stop, StopStep};
use crate::{Hook, PodMachine, ProbeKind, ProbeOutcome};

impl PodMachine {
    pub(super) fn hook_finished(
        &mut self,
        at: usize,
        hook: Hook,
        outcome: Result<(), String>,
        now: Uptime,
    ) {
        let grace = self.pod.termination_grace;
        let container = &mut self.state.containers[at];
        let spec = container.spec.clone();
        match (hook, container.phase.clone(), outcome) {
            (Hook::PostStart, Phase::PostStart, Ok(())) => {
                container.phase = Phase::Running;
                container.is_settled = true;
                self.open_gate(at);
            }
            (Hook::PostStart, Phase::PostStart, Err(message)) => {
                let text = "PostStartHook failed".to_owned();
                self.narration.container_warning(now, &spec, "FailedPostStartHook", text);
                let text = "FailedPostStartHook".to_owned();
                self.narration.container(now, &spec, "Killing", text);
                container.failure = Some(Failure { reason: "PostStartHookError", message });
                let (deadline, step) = (now + grace, StopStep::Begin);
                let after = After::AsItEnds;
                container.phase = Phase::Stopping(Stop { step, deadline, after });
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
        let container = &mut self.state.containers[at];
        // One that is being stopped is asked for its readiness only; what comes late is no news.
        let is_asked = kind == ProbeKind::Readiness || !container.is_stopping();
        let Some((spec, state)) = container.probe_mut(kind) else {
            return;
        };
        if !is_asked || !state.is_in_flight() || !state.record(spec, outcome, now) {
            return;
        }
        tell(&mut self.narration, &container.spec, (kind, outcome), now);
        self.open_gate(at);
        let container = &self.state.containers[at];
        let is_fatal = match kind {
            ProbeKind::Startup => container.startup.has_failed(),
            ProbeKind::Liveness => container.liveness.has_failed(),
            ProbeKind::Readiness => false,
        };
        if is_fatal && matches!(container.phase, Phase::Running | Phase::PostStart) {
            self.kill_unhealthy(at, kind, now);
        }
    }

    /// A container whose startup or liveness probe has failed for good is stopped, and started
    /// again as its policy says.
    fn kill_unhealthy(&mut self, at: usize, kind: ProbeKind, now: Uptime) {
        let policy = self.pod.restart_policy;
        let container = &mut self.state.containers[at];
        let spec = &container.spec;
        let restarts = restart::restarts_after_kill(spec, policy);
        let (name, word) = (&spec.name, word(kind).to_lowercase());
        let text = match (spec.role, restarts) {
            (Role::Sidecar, _) => format!("Init container {name} failed {word} probe"),
            (_, true) => format!("Container {name} failed {word} probe, will be restarted"),
            (_, false) => format!("Container {name} failed {word} probe"),
        };
        self.narration.container(now, spec, "Killing", text);
        let own = container.probe(kind).and_then(|(probe, _)| probe.termination_grace);
        let deadline = now + own.unwrap_or(self.pod.termination_grace);
        let after = if restarts { After::Restarts } else { After::Stays };
        container.phase = Phase::Stopping(Stop { step: StopStep::Begin, deadline, after });
    }
}

fn word(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Startup => "Startup",
        ProbeKind::Liveness => "Liveness",
        ProbeKind::Readiness => "Readiness",
    }
}

/// The event about one result of a probe.
fn tell(
    narration: &mut Narration,
    spec: &ContainerSpec,
    (kind, outcome): (ProbeKind, &ProbeOutcome),
    now: Uptime,
) {
    let word = word(kind);
    let (reason, text) = match outcome {
        ProbeOutcome::Success => return,
        ProbeOutcome::Warning(text) => ("ProbeWarning", format!("{word} probe warning: {text}")),
        ProbeOutcome::Failure(text) => ("Unhealthy", format!("{word} probe failed: {text}")),
        ProbeOutcome::Unknown(text) => {
            ("Unhealthy", format!("{word} probe errored and resulted in unknown state: {text}"))
        }
    };
    narration.container_warning(now, spec, reason, text);
}
