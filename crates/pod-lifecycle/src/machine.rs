//! The machine: facts in, actions out, the status on demand.

use pod_model::{Condition, Pod, PodEvent, PodStatus, Uptime};

use crate::narrate::Narration;
use crate::rules::{probes, termination};
use crate::state::{Container, Phase, PodState, Sandbox};
use crate::{Action, Fact, Timing, view};

/// The life of one pod.
#[derive(Clone, Debug)]
pub struct PodMachine {
    pub(crate) pod: Pod,
    pub(crate) timing: Timing,
    pub(crate) state: PodState,
    pub(crate) narration: Narration,
    /// Containers whose images are ready, and those whose postStart hook is due.
    pub(crate) to_start: Vec<usize>,
    pub(crate) to_hook: Vec<usize>,
    conditions: Vec<Condition>,
    now: Uptime,
}

impl PodMachine {
    /// A pod that has been accepted and of which nothing exists yet.
    pub fn new(pod: Pod, timing: Timing, now: Uptime) -> Self {
        let state = PodState {
            sandbox: Sandbox::Missing { not_before: now },
            sandbox_failures: 0,
            ips: Vec::new(),
            started: now,
            is_gated: pod.is_gated,
            containers: pod.containers.iter().cloned().map(Container::new).collect(),
            stop: None,
            restart_of_all: None,
            deletion: None,
            reason: None,
            gates: Vec::new(),
        };
        let mut machine = Self {
            pod,
            timing,
            state,
            narration: Narration::default(),
            to_start: Vec::new(),
            to_hook: Vec::new(),
            conditions: Vec::new(),
            now,
        };
        if !machine.state.is_gated {
            machine.begin(now);
        }
        machine.conditions = machine.status().conditions;
        machine
    }

    /// The pod is given to the node: from now on it is made.
    pub(crate) fn begin(&mut self, now: Uptime) {
        let Pod { namespace, name, node, .. } = &self.pod;
        let message = format!("Successfully assigned {namespace}/{name} to {node}");
        self.narration.pod(now, "Scheduled", message);
        self.state.started = now;
        self.state.sandbox = Sandbox::Missing { not_before: now };
    }

    /// Records what happened. Facts about an earlier attempt are stale and change nothing.
    pub fn observe(&mut self, fact: Fact, now: Uptime) {
        self.now = now;
        self.record(fact, now);
        self.keep_conditions();
    }

    /// Decides what to do and marks it as under way, so that asking again returns nothing.
    pub fn advance(&mut self, now: Uptime) -> Vec<Action> {
        self.now = now;
        let actions = self.decide(now);
        self.keep_conditions();
        actions
    }

    /// The next moment at which the passing of time alone changes the answer.
    pub fn next_deadline(&self) -> Option<Uptime> {
        let sandbox = match self.state.sandbox {
            Sandbox::Missing { not_before } if self.state.may_begin() => Some(not_before),
            _ => None,
        };
        let admitted = crate::rules::admission::admitted(&self.state.containers);
        let containers = self.state.containers.iter().enumerate();
        let containers = containers.filter_map(|(at, one)| self.deadline_of(one, at < admitted));
        let stop = self.state.stop.is_none().then(|| self.active_deadline()).flatten();
        containers.chain(sandbox).chain(stop).min()
    }

    fn deadline_of(&self, container: &Container, is_admitted: bool) -> Option<Uptime> {
        let is_stopping = self.state.stop.is_some();
        let own = match &container.phase {
            Phase::Idle { not_before } if is_admitted && !is_stopping => {
                let is_ready = matches!(self.state.sandbox, Sandbox::Ready);
                // One that could start now waits for another container, not for time.
                (is_ready && *not_before > self.now).then_some(*not_before)
            }
            Phase::Exited { decide_at, .. } | Phase::ImageFailed { decide_at, .. } => {
                Some(*decide_at)
            }
            Phase::Stopping(stop) => termination::deadline(stop),
            _ => None,
        };
        let probes = probes::KINDS.iter().filter_map(|kind| probes::due(container, *kind));
        probes.chain(own).min()
    }

    /// What a user sees. Derived each time, never stored.
    pub fn status(&self) -> PodStatus {
        let gates = &self.pod.readiness_gates;
        let former = (self.conditions.as_slice(), self.now);
        view::status(&self.state, self.pod.restart_policy, gates, former)
    }

    /// The events since the last call, in order.
    pub fn take_events(&mut self) -> Vec<PodEvent> {
        self.narration.take()
    }

    /// Whether nothing of the pod runs or is held any more, and nothing will.
    pub fn is_finished(&self) -> bool {
        matches!(self.state.sandbox, Sandbox::Gone)
    }

    /// The pod.
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// When `activeDeadlineSeconds` is over.
    pub(crate) fn active_deadline(&self) -> Option<Uptime> {
        let limit = self.pod.active_deadline.filter(|_| !self.state.is_gated)?;
        Some(self.state.started + limit)
    }

    /// Conditions remember since when they are as they are.
    fn keep_conditions(&mut self) {
        self.conditions = self.status().conditions;
    }
}
