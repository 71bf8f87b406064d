//! What is due now: the whole state is looked at each time, so no wake-up can be missed.

use std::time::Duration;

use pod_model::{Role, Uptime};

use crate::narrate::{Narration, crash_loop_message};
use crate::rules::termination::{self, NextStep};
use crate::rules::{admission, phase, probes};
use crate::state::{Container, Failure, Phase, Sandbox, StopReason, StopStep};
use crate::{Action, Attempt, Hook, Instance, PodMachine, Timing};

impl PodMachine {
    pub(crate) fn decide(&mut self, now: Uptime) -> Vec<Action> {
        let mut actions = Vec::new();
        self.watch_deadline(now);
        self.settle_exits(now);
        let may_end = self.state.stop.is_none() && self.state.restart_of_all.is_none();
        if may_end && phase::is_over(&self.state, self.pod.restart_policy) {
            let grace = self.pod.termination_grace;
            self.stop_pod(StopReason::Over, grace, now);
        }
        self.restart_all(now, &mut actions);
        self.make_sandbox(now, &mut actions);
        self.begin_hooks(&mut actions);
        self.start_containers(now, &mut actions);
        self.run_probes(now, &mut actions);
        self.stop_containers(now, &mut actions);
        self.remove_sandbox(&mut actions);
        actions
    }

    fn instance(&self, at: usize) -> Instance {
        let container = &self.state.containers[at];
        let attempt = Attempt(container.next_attempt.saturating_sub(1));
        Instance { name: container.spec.name.clone(), attempt }
    }

    /// `activeDeadlineSeconds`.
    fn watch_deadline(&mut self, now: Uptime) {
        let is_over = self.active_deadline().is_some_and(|deadline| deadline <= now);
        if is_over && self.state.stop.is_none() {
            let text = "Pod was active on the node longer than the specified deadline";
            self.narration.pod(now, "DeadlineExceeded", text.into());
            self.state.reason = Some(("DeadlineExceeded".into(), text.into()));
            let grace = self.pod.termination_grace;
            self.stop_pod(StopReason::DeadlineExceeded, grace, now);
        }
    }

    /// A container that has ended and whose end has been published: now it is decided when it
    /// starts again.
    fn settle_exits(&mut self, now: Uptime) {
        let pod = self.pod.format();
        let timing = self.timing;
        for container in &mut self.state.containers {
            if let Phase::ImageFailed { decide_at, not_before } = container.phase
                && decide_at <= now
            {
                back_off_pulling(container, now, &mut self.narration);
                container.phase = Phase::Idle { not_before };
            }
            let Phase::Exited { decide_at, was_killed } = container.phase else {
                continue;
            };
            if decide_at > now {
                continue;
            }
            let (not_before, delay) = restart_time(container, was_killed, now, timing);
            if not_before > now {
                let name = container.spec.name.as_str();
                let message = crash_loop_message(delay, name, &pod);
                container.failure = Some(Failure { reason: "CrashLoopBackOff", message });
                let text = format!("Back-off restarting failed container {name} in pod {pod}");
                self.narration.container_warning(now, &container.spec, "BackOff", text);
            }
            container.phase = Phase::Idle { not_before };
        }
    }

    fn make_sandbox(&mut self, now: Uptime, actions: &mut Vec<Action>) {
        if let Sandbox::Missing { not_before } = self.state.sandbox
            && self.state.may_begin()
            && not_before <= now
        {
            self.state.sandbox = Sandbox::Creating;
            actions.push(Action::CreateSandbox);
        }
    }

    /// Hands out what facts have made due: starts after images, hooks after starts.
    fn begin_hooks(&mut self, actions: &mut Vec<Action>) {
        for at in std::mem::take(&mut self.to_start) {
            if self.state.containers[at].phase == Phase::Starting {
                actions.push(Action::Start { instance: self.instance(at) });
            } else if matches!(self.state.containers[at].phase, Phase::Stopping(_)) {
                // Stopped before its start was handed out: it never had a process.
                self.state.containers[at].phase = Phase::Done;
                self.state.containers[at].next_attempt -= 1;
            }
        }
        for at in std::mem::take(&mut self.to_hook) {
            if self.state.containers[at].phase != Phase::PostStart {
                continue;
            }
            let instance = self.instance(at);
            actions.push(Action::RunHook { instance, hook: Hook::PostStart, timeout: None });
        }
    }

    fn start_containers(&mut self, now: Uptime, actions: &mut Vec<Action>) {
        let restarts_all = self.state.restart_of_all.is_some();
        if self.state.stop.is_some() || restarts_all || self.state.sandbox != Sandbox::Ready {
            return;
        }
        for at in 0..admission::admitted(&self.state.containers) {
            let is_main = self.state.containers[at].spec.role == Role::Main;
            let before = &self.state.containers[..at];
            let is_held_up = before
                .iter()
                .any(|one| one.spec.role == Role::Main && admission::is_being_started(one));
            if is_main && is_held_up {
                break; // the main containers start one after another
            }
            self.start_container(at, now, actions);
        }
    }

    fn start_container(&mut self, at: usize, now: Uptime, actions: &mut Vec<Action>) {
        let container = &mut self.state.containers[at];
        let Phase::Idle { not_before } = container.phase else {
            return;
        };
        let is_finished_init = container.spec.role == Role::Init && container.is_initialized;
        if is_finished_init {
            return;
        }
        if not_before > now {
            return;
        }
        container.phase = Phase::Image;
        actions.push(Action::EnsureImage { name: container.spec.name.clone() });
    }

    fn run_probes(&mut self, now: Uptime, actions: &mut Vec<Action>) {
        for at in 0..self.state.containers.len() {
            for kind in probes::KINDS {
                let is_due = probes::due(&self.state.containers[at], kind);
                if is_due.is_none_or(|due| due > now) {
                    continue;
                }
                let instance = self.instance(at);
                let since = self.state.containers[at].running_since().unwrap_or(now);
                if let Some((spec, state)) = self.state.containers[at].probe_mut(kind) {
                    state.begin(spec, since, now);
                    actions.push(Action::Probe { instance, probe: kind });
                }
            }
        }
    }

    fn stop_containers(&mut self, now: Uptime, actions: &mut Vec<Action>) {
        let at_once =
            self.state.restart_of_all.is_some() || self.state.stop.is_some_and(|stop| stop.at_once);
        for at in 0..self.state.containers.len() {
            while self.stop_step(at, at_once, now, actions) {}
        }
    }

    /// Takes the next step of stopping a container; false when there is none. A container that is
    /// still being started is stopped when its program runs.
    fn stop_step(
        &mut self,
        at: usize,
        at_once: bool,
        now: Uptime,
        actions: &mut Vec<Action>,
    ) -> bool {
        let instance = self.instance(at);
        // Only when the whole pod stops is there an order.
        let its_turn =
            self.state.stop.is_none() || termination::is_its_turn(&self.state.containers, at);
        let container = &mut self.state.containers[at];
        let is_running = container.is_running();
        let has_hook = is_running && container.spec.pre_stop.is_some();
        let Phase::Stopping(stop) = &mut container.phase else {
            return false;
        };
        if at_once && stop.step != StopStep::Killed {
            stop.step = StopStep::Killed;
            actions.push(Action::Kill { instance });
            return true;
        }
        if !is_running && stop.step == StopStep::Begin {
            let is_over = stop.deadline <= now;
            if is_over {
                stop.step = StopStep::Killed;
                actions.push(Action::Kill { instance });
            }
            return is_over;
        }
        let Some(next) = termination::next_step(stop, has_hook, its_turn, now) else {
            return false;
        };
        match next {
            NextStep::RunHook => {
                stop.step = StopStep::PreStop;
                let timeout = Some(stop.deadline.since(now));
                actions.push(Action::RunHook { instance, hook: Hook::PreStop, timeout });
            }
            NextStep::AwaitTurn => stop.step = StopStep::Turn,
            NextStep::Ask { kill_at } => {
                stop.step = StopStep::Asked { kill_at };
                actions.push(Action::Terminate { instance });
            }
            NextStep::Kill => {
                stop.step = StopStep::Killed;
                actions.push(Action::Kill { instance });
            }
        }
        true
    }

    /// With the last container gone the sandbox goes.
    fn remove_sandbox(&mut self, actions: &mut Vec<Action>) {
        let is_quiet = !self.state.containers.iter().any(Container::is_alive);
        if self.state.stop.is_none() || !is_quiet {
            return;
        }
        match self.state.sandbox {
            Sandbox::Ready => {
                self.state.sandbox = Sandbox::Removing;
                actions.push(Action::RemoveSandbox);
            }
            Sandbox::Missing { .. } => self.state.sandbox = Sandbox::Gone,
            Sandbox::Creating | Sandbox::Removing | Sandbox::Gone => {}
        }
    }
}

/// When a container that has ended may start again, and the back-off that this comes from. One that
/// was killed in order to start again is judged by the end before: a kubelet kills and starts in one
/// go, and has not seen the new end yet.
fn restart_time(
    container: &mut Container,
    was_killed: bool,
    now: Uptime,
    timing: Timing,
) -> (Uptime, Duration) {
    let finished = container.ended().map_or(now, |end| end.finished);
    let former = container.last.as_ref().map(|end| end.finished);
    let backoff = &mut container.crash_backoff;
    if was_killed {
        let Some(former) = former else {
            return (now, Duration::ZERO);
        };
        if backoff.not_before(former, timing) <= now {
            backoff.lengthen(former, now);
            return (now, Duration::ZERO);
        }
    }
    let (delay, not_before) = (backoff.delay(), backoff.not_before(finished, timing));
    backoff.lengthen(finished, not_before.max(now));
    (not_before, delay)
}

/// From now on the container is shown as waiting for its next pull.
fn back_off_pulling(container: &mut Container, now: Uptime, narration: &mut Narration) {
    let Some(failure) = container.failure.take() else {
        return;
    };
    let message = format!("Back-off pulling image \"{}\"", container.missing_image);
    let told = format!("{message}: {}: {}", failure.reason, failure.message);
    container.failure = Some(Failure { reason: "ImagePullBackOff", message: told });
    narration.container(now, &container.spec, "BackOff", message);
    let text = "Error: ImagePullBackOff".to_owned();
    narration.container_warning(now, &container.spec, "Failed", text);
}
