//! What the machine remembers about a pod and its containers.

use std::net::IpAddr;
use std::time::Duration;

use pod_model::{ContainerSpec, Role, Terminated, Uptime};

use crate::rules::backoff::Backoff;
use crate::rules::probes::ProbeState;

/// The pod's namespaces and network.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sandbox {
    /// Not there; made again when the time has come.
    Missing { not_before: Uptime },
    /// Being made.
    Creating,
    /// There.
    Ready,
    /// Being removed for good.
    Removing,
    /// Removed for good.
    Gone,
}

/// Why everything is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The pod is deleted.
    Deleted,
    /// `activeDeadlineSeconds` is over.
    DeadlineExceeded,
    /// A limit on storage was exceeded.
    Evicted,
    /// Every main container has ended, or an init container failed for good.
    Over,
}

/// That the whole pod is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PodStop {
    pub(crate) reason: StopReason,
    /// When the grace period ends.
    pub(crate) deadline: Uptime,
    /// Whether containers are killed without being asked.
    pub(crate) at_once: bool,
}

/// Everything that is remembered.
#[derive(Clone, Debug)]
pub(crate) struct PodState {
    pub(crate) sandbox: Sandbox,
    pub(crate) sandbox_failures: u32,
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) started: Uptime,
    /// Scheduling gates keep it from being started.
    pub(crate) is_gated: bool,
    pub(crate) containers: Vec<Container>,
    pub(crate) stop: Option<PodStop>,
    /// Every container is being removed, to be started afresh; the one named by its index began it.
    pub(crate) restart_of_all: Option<usize>,
    pub(crate) deletion: Option<(Uptime, Duration)>,
    pub(crate) reason: Option<(String, String)>,
    pub(crate) gates: Vec<(String, bool)>,
}

impl PodState {
    /// Whether a sandbox may be made.
    pub(crate) fn may_begin(&self) -> bool {
        self.stop.is_none() && !self.is_gated
    }

    /// Whether a main container has ever run: the pod has been initialized then.
    pub(crate) fn any_main_started(&self) -> bool {
        self.containers.iter().any(|one| one.spec.role == Role::Main && one.newest.is_some())
    }
}

/// One container.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) spec: ContainerSpec,
    pub(crate) phase: Phase,
    /// The number of the next start.
    pub(crate) next_attempt: u32,
    /// The newest start that ran.
    pub(crate) newest: Option<Newest>,
    /// How the one before it ended.
    pub(crate) last: Option<Terminated>,
    /// Why it waits, when something went wrong.
    pub(crate) failure: Option<Failure>,
    pub(crate) image_id: String,
    /// The image that could not be pulled last: its own, or one that a volume shows.
    pub(crate) missing_image: String,
    /// Its image was changed while the former one was looked for.
    pub(crate) is_image_stale: bool,
    pub(crate) image_backoff: Backoff,
    pub(crate) crash_backoff: Backoff,
    /// An init container that ended well, a sidecar that started: the gate behind it stays open.
    pub(crate) is_initialized: bool,
    /// Its newest start has got past its postStart hook.
    pub(crate) is_settled: bool,
    pub(crate) startup: ProbeState,
    pub(crate) liveness: ProbeState,
    pub(crate) readiness: ProbeState,
}

/// A waiting reason with its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// The newest start of a container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Newest {
    pub(crate) attempt: u32,
    pub(crate) container_id: String,
    pub(crate) outcome: Outcome,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It runs.
    Running { since: Uptime },
    /// It has ended.
    Ended(Terminated),
}

/// Where a container is, with what belongs to that place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// To be started when its turn has come, and not before that time.
    Idle { not_before: Uptime },
    /// Its image is looked for or pulled.
    Image,
    /// The pull failed; the error is seen first, then that the next pull has to wait.
    ImageFailed { decide_at: Uptime, not_before: Uptime },
    /// Its process is being started.
    Starting,
    /// It runs, and its postStart hook has not ended.
    PostStart,
    /// It runs.
    Running,
    /// It runs and is being stopped.
    Stopping(Stop),
    /// It has ended; what happens next is decided at that time, so that the end is seen first.
    Exited { decide_at: Uptime, was_killed: bool },
    /// It has ended and is not started again.
    Done,
}

/// How far the stopping of a container has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) step: StopStep,
    /// When the grace period ends.
    pub(crate) deadline: Uptime,
    pub(crate) after: After,
}

/// What follows the stop of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It is started again, whatever its exit code; that was decided when the stop began.
    Restarts,
    /// It stays as it is, whatever its exit code.
    Stays,
    /// The exit code decides, as if it had ended by itself.
    AsItEnds,
}

/// A step of stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopStep {
    /// Nothing has been done yet.
    Begin,
    /// The preStop hook runs.
    PreStop,
    /// It waits for the containers that stop before it.
    Turn,
    /// It has been asked to stop and is killed at that time.
    Asked { kill_at: Uptime },
    /// It has been killed.
    Killed,
}

impl Container {
    /// A container that has not been started yet.
    pub(crate) fn new(spec: ContainerSpec) -> Self {
        Self {
            spec,
            phase: Phase::Idle { not_before: Uptime::START },
            next_attempt: 0,
            newest: None,
            last: None,
            failure: None,
            image_id: String::new(),
            missing_image: String::new(),
            is_image_stale: false,
            image_backoff: Backoff::default(),
            crash_backoff: Backoff::default(),
            is_initialized: false,
            is_settled: false,
            startup: ProbeState::default(),
            liveness: ProbeState::default(),
            readiness: ProbeState::default(),
        }
    }

    /// Whether it has a process, or is about to.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(
            self.phase,
            Phase::Starting | Phase::PostStart | Phase::Running | Phase::Stopping(_)
        )
    }

    /// Whether its program runs.
    pub(crate) fn is_running(&self) -> bool {
        self.running_since().is_some()
    }

    /// Whether its program runs and its postStart hook has not succeeded. A kubelet is busy with the
    /// hook then and publishes nothing of the start: to a user, the container is still created.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_running() && !self.is_settled
    }

    /// Whether it is being stopped.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping(_))
    }

    /// Since when its program runs.
    pub(crate) fn running_since(&self) -> Option<Uptime> {
        match self.newest.as_ref()?.outcome {
            Outcome::Running { since } => Some(since),
            Outcome::Ended(_) => None,
        }
    }

    /// How its newest start ended, unless it runs.
    pub(crate) fn ended(&self) -> Option<&Terminated> {
        match &self.newest.as_ref()?.outcome {
            Outcome::Ended(terminated) => Some(terminated),
            Outcome::Running { .. } => None,
        }
    }

    /// The number of its newest start.
    pub(crate) fn attempt(&self) -> u32 {
        self.newest.as_ref().map_or(0, |newest| newest.attempt)
    }
}
