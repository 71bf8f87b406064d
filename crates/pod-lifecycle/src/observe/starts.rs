//! What becomes of a container when its program runs, cannot run, or has ended.

use pod_model::{Role, Terminated, Uptime};

use crate::rules::probes::ProbeState;
use crate::rules::{admission, restart};
use crate::state::{After, Container, Failure, Newest, Outcome, Phase, Stop};
use crate::{PodMachine, StartStage};

use super::CONFIG_RETRY;

/// How a container's first process ended.
pub(super) struct End {
    pub(super) code: i32,
    pub(super) signal: Option<i32>,
    pub(super) out_of_memory: bool,
    pub(super) message: Option<String>,
}

impl PodMachine {
    pub(super) fn started(&mut self, at: usize, container_id: String, now: Uptime) {
        let container = &mut self.state.containers[at];
        if container.is_running() {
            return;
        }
        let spec = container.spec.clone();
        if let Some(ended) = container.ended().cloned() {
            container.last = Some(ended);
        }
        let attempt = container.next_attempt - 1;
        let outcome = Outcome::Running { since: now };
        container.newest = Some(Newest { attempt, container_id, outcome });
        container.failure = None;
        container.startup = ProbeState::default();
        container.liveness = ProbeState::default();
        container.readiness = ProbeState::default();
        container.is_settled = spec.post_start.is_none();
        if container.phase == Phase::Starting {
            container.phase =
                if spec.post_start.is_some() { Phase::PostStart } else { Phase::Running };
        }
        let name = &spec.name;
        self.narration.container(now, &spec, "Created", format!("Created container {name}"));
        self.narration.container(now, &spec, "Started", format!("Started container {name}"));
        if self.state.containers[at].phase == Phase::PostStart {
            self.to_hook.push(at);
        }
        if self.state.containers[at].is_stopping() && self.state.stop.is_some() {
            let text = format!("Stopping container {name}");
            self.narration.container(now, &spec, "Killing", text);
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

    pub(super) fn start_failed(
        &mut self,
        at: usize,
        stage: StartStage,
        message: String,
        now: Uptime,
    ) {
        let timing = self.timing;
        let container = &mut self.state.containers[at];
        if container.is_running() {
            return;
        }
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
        let failure = Failure { reason, message };
        if stage != StartStage::Run {
            self.narration.last_awaits_change();
            container.next_attempt -= 1; // nothing ran: the next try has the same number
            if let Phase::Stopping(Stop { after: After::Stays, .. }) = container.phase {
                container.phase = Phase::Done;
                return;
            }
            container.failure = Some(failure);
            container.phase = Phase::Idle { not_before: now + timing.scaled(CONFIG_RETRY) };
            return;
        }
        self.failed_to_run(at, failure, now);
    }

    /// The container was made, but its program cannot run: that counts as an end with code 128.
    fn failed_to_run(&mut self, at: usize, failure: Failure, now: Uptime) {
        let policy = self.pod.restart_policy;
        let settle = self.timing.settle;
        let is_stopping = self.state.stop.is_some();
        let container = &mut self.state.containers[at];
        let end = Terminated {
            exit_code: 128,
            signal: None,
            reason: "StartError".into(),
            message: Some(failure.message.clone()),
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
        let restarts = !is_stopping && restart::restarts(&container.spec, policy, 128);
        container.failure = restarts.then_some(failure);
        container.phase = if restarts { exited_at(now + settle, false) } else { Phase::Done };
    }

    pub(super) fn exited(&mut self, at: usize, end: End, now: Uptime) {
        let policy = self.pod.restart_policy;
        let settle = self.timing.settle;
        let is_stopping = self.state.stop.is_some();
        let container = &mut self.state.containers[at];
        let after = match container.phase {
            Phase::Stopping(stop) => stop.after,
            _ => After::AsItEnds,
        };
        let (code, out_of_memory) = (end.code, end.out_of_memory);
        if !container.is_running() {
            // The exit came before the news that the program runs.
            container.last = container.ended().cloned().or(container.last.take());
            let outcome = Outcome::Running { since: now };
            let attempt = container.next_attempt - 1;
            container.newest = Some(Newest { attempt, container_id: String::new(), outcome });
        }
        record_end(container, end, now);
        // An init container killed for memory has failed, whatever its code.
        let judged = if code == 0 && out_of_memory { 137 } else { code };
        let by_itself = after == After::AsItEnds && !is_stopping;
        if by_itself && restart::restarts_all(&container.spec, judged) {
            container.phase = Phase::Done;
            self.begin_restart_of_all(at, now);
            return;
        }
        if container.spec.role == Role::Init && judged == 0 {
            container.is_initialized = true;
            container.phase = Phase::Done;
            return;
        }
        let restarts = !is_stopping
            && match after {
                After::Restarts => true,
                After::Stays => false,
                After::AsItEnds => restart::restarts(&container.spec, policy, judged),
            };
        let was_killed = after == After::Restarts;
        container.phase = if restarts { exited_at(now + settle, was_killed) } else { Phase::Done };
    }
}

fn exited_at(decide_at: Uptime, was_killed: bool) -> Phase {
    Phase::Exited { decide_at, was_killed }
}

/// Puts the end of a container into its record.
pub(super) fn record_end(container: &mut Container, end: End, now: Uptime) {
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
