//! `RestartAllContainers`: every container is killed and removed, then the pod begins again with
//! its first init container. Volumes, network and addresses stay.

use pod_model::{Terminated, Uptime};

use crate::state::{After, Container, Failure, Newest, Outcome, Phase, Stop, StopStep};
use crate::{Action, Attempt, Instance, PodMachine};

/// Reason of containers that wait for it and of the ends it causes.
const REASON: &str = "RestartingAllContainers";

impl PodMachine {
    /// The end of that container is one that restarts all.
    pub(crate) fn begin_restart_of_all(&mut self, trigger: usize, now: Uptime) {
        if self.state.restart_of_all.is_some() {
            return;
        }
        self.state.restart_of_all = Some(trigger);
        for container in &mut self.state.containers {
            match container.phase {
                Phase::Starting | Phase::PostStart | Phase::Running | Phase::Stopping(_) => {
                    if container.is_running() {
                        self.narration.container(now, &container.spec, "Killing", "killing".into());
                    }
                    let step = StopStep::Begin;
                    let after = After::Stays;
                    container.phase = Phase::Stopping(Stop { step, deadline: now, after });
                }
                _ => container.phase = Phase::Done,
            }
        }
    }

    /// Removes the containers when none of them has a process any more, the one that began it
    /// last, and lets the pod begin again.
    pub(crate) fn restart_all(&mut self, now: Uptime, actions: &mut Vec<Action>) {
        let Some(trigger) = self.state.restart_of_all else {
            return;
        };
        if self.state.stop.is_some() || self.state.containers.iter().any(Container::is_alive) {
            return;
        }
        let others = (0..self.state.containers.len()).filter(|at| *at != trigger);
        for at in others.chain([trigger]) {
            let container = &mut self.state.containers[at];
            if container.newest.is_some() {
                let attempt = Attempt(container.attempt());
                let name = container.spec.name.clone();
                actions.push(Action::RemoveContainer { instance: Instance { name, attempt } });
                forget(container, now);
            }
            container.is_initialized = false;
            container.phase = Phase::Idle { not_before: now };
        }
        self.state.restart_of_all = None;
    }
}

/// What stays of a removed container: that it was, and that it counts as a restart.
fn forget(container: &mut Container, now: Uptime) {
    let started = match &container.newest {
        Some(Newest { outcome: Outcome::Ended(end), .. }) => end.started,
        _ => None,
    };
    let end = Terminated {
        exit_code: 137,
        signal: None,
        reason: REASON.into(),
        message: None,
        started,
        finished: now,
        container_id: container.newest.take().map(|newest| newest.container_id).unwrap_or_default(),
    };
    let attempt = container.next_attempt;
    let outcome = Outcome::Ended(end);
    container.newest = Some(Newest { attempt, container_id: String::new(), outcome });
    container.failure = Some(Failure { reason: REASON, message: String::new() });
}
