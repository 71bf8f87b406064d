//! How the stopping of the whole pod begins.

use std::time::Duration;

use pod_model::Uptime;

use crate::PodMachine;
use crate::rules::termination;
use crate::state::{After, Container, Phase, PodStop, Stop, StopReason, StopStep};

impl PodMachine {
    pub(super) fn delete(&mut self, grace: Option<Duration>, now: Uptime) {
        // The pod's own grace is at least a second; only who asks can ask for none at all.
        let grace = grace.unwrap_or(self.pod.termination_grace.max(Duration::from_secs(1)));
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
                if stop.reason == StopReason::Over {
                    stop.reason = reason;
                }
            }
            None => self.state.stop = Some(PodStop { reason, deadline, at_once }),
        }
        let stop = self.state.stop.unwrap_or(PodStop { reason, deadline, at_once });
        self.state.restart_of_all = None;
        for container in &mut self.state.containers {
            if reason == StopReason::Deleted && container.is_running() {
                container.startup.pass(); // nobody waits for it any more
            }
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
            let after = After::Stays;
            container.phase = Phase::Stopping(Stop { step, deadline, after });
        }
        Phase::Stopping(known) => {
            known.deadline = known.deadline.min(stop.deadline);
            known.after = After::Stays;
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
