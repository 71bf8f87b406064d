//! Probes: when they run, and what their results mean.

use pod_model::{ProbeSpec, Uptime};

use crate::fact::{ProbeKind, ProbeOutcome};
use crate::state::{Container, Phase};

/// How often a probe is tried in a row when it cannot be carried out.
const MOST_TRIES: u32 = 3;

/// How one probe of one start stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProbeState {
    successes: u32,
    failures: u32,
    /// How often in a row it could not be carried out.
    errors: u32,
    verdict: Option<bool>,
    in_flight: bool,
    next: Option<Uptime>,
    /// It was asked before its first period was over.
    is_early: bool,
}

impl ProbeState {
    /// Whether the probe has succeeded often enough.
    pub(crate) fn has_succeeded(&self) -> bool {
        self.verdict == Some(true)
    }

    /// When it runs next. As with a kubelet, that is first when a period is over after the start.
    /// What can only make a container start or become ready sooner is looked at once before.
    pub(crate) fn next(&self, kind: ProbeKind, spec: &ProbeSpec, since: Uptime) -> Option<Uptime> {
        if self.in_flight {
            return None;
        }
        let delay = match kind {
            ProbeKind::Liveness => spec.initial_delay.max(spec.period),
            ProbeKind::Startup | ProbeKind::Readiness => spec.initial_delay,
        };
        Some(self.next.unwrap_or(since + delay))
    }

    /// Remembers that it runs now; `since` is the container's start.
    pub(crate) fn begin(&mut self, spec: &ProbeSpec, since: Uptime, now: Uptime) {
        let regular = since + spec.period;
        self.in_flight = true;
        self.is_early = now < regular;
        self.next = Some(if self.is_early { regular } else { now + spec.period });
    }

    /// Whether an answer is awaited.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// Counts it as succeeded, so that nobody waits for it.
    pub(crate) fn pass(&mut self) {
        self.verdict = Some(true);
    }

    /// Remembers a result; the verdict changes when the threshold is reached. One that could not
    /// be carried out is tried again at once, twice, and changes no count. An early look that fails
    /// says nothing. Returns whether there is a result to tell.
    pub(crate) fn record(&mut self, spec: &ProbeSpec, outcome: &ProbeOutcome, now: Uptime) -> bool {
        self.in_flight = false;
        if self.is_early && matches!(outcome, ProbeOutcome::Failure(_) | ProbeOutcome::Unknown(_)) {
            return false;
        }
        if !matches!(outcome, ProbeOutcome::Unknown(_)) {
            self.errors = 0;
        }
        match outcome {
            ProbeOutcome::Success | ProbeOutcome::Warning(_) => {
                self.successes += 1;
                self.failures = 0;
                if self.successes >= spec.success_threshold {
                    self.verdict = Some(true);
                }
            }
            ProbeOutcome::Failure(_) => {
                self.failures += 1;
                self.successes = 0;
                if self.failures >= spec.failure_threshold {
                    self.verdict = Some(false);
                }
            }
            ProbeOutcome::Unknown(_) if self.errors + 1 < MOST_TRIES => {
                self.errors += 1;
                self.next = Some(now);
                return false;
            }
            ProbeOutcome::Unknown(_) => self.errors = 0,
        }
        true
    }

    /// Whether it has failed often enough.
    pub(crate) fn has_failed(&self) -> bool {
        self.verdict == Some(false)
    }
}

/// The kinds of probes in the order in which they are looked at.
pub(crate) const KINDS: [ProbeKind; 3] =
    [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];

impl Container {
    /// A probe's specification and state.
    pub(crate) fn probe(&self, kind: ProbeKind) -> Option<(&ProbeSpec, &ProbeState)> {
        let (spec, state) = match kind {
            ProbeKind::Startup => (&self.spec.startup_probe, &self.startup),
            ProbeKind::Liveness => (&self.spec.liveness_probe, &self.liveness),
            ProbeKind::Readiness => (&self.spec.readiness_probe, &self.readiness),
        };
        spec.as_ref().map(|spec| (spec, state))
    }

    /// The same, to change the state.
    pub(crate) fn probe_mut(&mut self, kind: ProbeKind) -> Option<(&ProbeSpec, &mut ProbeState)> {
        let (spec, state) = match kind {
            ProbeKind::Startup => (&self.spec.startup_probe, &mut self.startup),
            ProbeKind::Liveness => (&self.spec.liveness_probe, &mut self.liveness),
            ProbeKind::Readiness => (&self.spec.readiness_probe, &mut self.readiness),
        };
        spec.as_ref().map(|spec| (spec, state))
    }
}

/// Whether a probe of that kind runs at all now: none before the end of the postStart hook; the
/// startup probe comes first and ends when it is decided; a container that stops is asked for its
/// readiness only.
pub(crate) fn is_active(container: &Container, kind: ProbeKind) -> bool {
    let is_started = container.spec.startup_probe.is_none() || container.startup.has_succeeded();
    match (&container.phase, kind) {
        (Phase::Running, ProbeKind::Startup) => {
            !container.startup.has_succeeded() && !container.startup.has_failed()
        }
        (Phase::Running, ProbeKind::Liveness) => is_started && !container.liveness.has_failed(),
        (Phase::Running | Phase::Stopping(_), ProbeKind::Readiness) => is_started,
        _ => false,
    }
}

/// When a probe of that kind is due, if it is active.
pub(crate) fn due(container: &Container, kind: ProbeKind) -> Option<Uptime> {
    let since = container.running_since()?;
    let (spec, state) = container.probe(kind)?;
    if is_active(container, kind) { state.next(kind, spec, since) } else { None }
}

/// `started`: it runs, and its startup probe has succeeded.
pub(crate) fn is_started(container: &Container) -> bool {
    container.is_running()
        && (container.spec.startup_probe.is_none() || container.startup.has_succeeded())
}

/// `ready` of a main container or sidecar.
pub(crate) fn is_ready(container: &Container) -> bool {
    is_started(container)
        && container.is_settled
        && (container.spec.readiness_probe.is_none() || container.readiness.has_succeeded())
}
