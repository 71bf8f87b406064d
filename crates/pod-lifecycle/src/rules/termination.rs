//! How containers are stopped: hook, signal, kill; sidecars last, in reverse order.

use std::time::Duration;

use pod_model::{Role, Uptime};

use crate::state::{Container, Stop, StopStep};

/// However little grace is left, a container has this long between being asked and being killed.
pub(crate) const LEAST_GRACE: Duration = Duration::from_secs(2);

/// What is to be done next to stop a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Run the preStop hook until the deadline.
    RunHook,
    /// Wait for the turn.
    AwaitTurn,
    /// Send the stop signal.
    Ask { kill_at: Uptime },
    /// Kill.
    Kill,
}

/// The next step, if there is one now. The hook, the turn and the signal share one grace period.
pub(crate) fn next_step(
    stop: &Stop,
    has_hook: bool,
    is_its_turn: bool,
    now: Uptime,
) -> Option<NextStep> {
    let is_over = stop.deadline <= now;
    match stop.step {
        StopStep::Begin if has_hook && !is_over => Some(NextStep::RunHook),
        StopStep::Begin => Some(NextStep::AwaitTurn),
        StopStep::PreStop if is_over => Some(NextStep::AwaitTurn),
        StopStep::Turn if is_its_turn || is_over => {
            Some(NextStep::Ask { kill_at: stop.deadline.max(now + LEAST_GRACE) })
        }
        StopStep::Asked { kill_at } if kill_at <= now => Some(NextStep::Kill),
        StopStep::PreStop | StopStep::Turn | StopStep::Asked { .. } | StopStep::Killed => None,
    }
}

/// Whose turn it is to stop when the whole pod stops: everything but sidecars at once, then, when
/// the main containers are gone, sidecars one by one, last started first.
pub(crate) fn is_its_turn(containers: &[Container], at: usize) -> bool {
    if containers[at].spec.role != Role::Sidecar {
        return true;
    }
    let goes_first = |(other, container): (usize, &Container)| match container.spec.role {
        Role::Main => container.is_alive(),
        Role::Sidecar => container.is_alive() && other > at,
        Role::Init => false,
    };
    !containers.iter().enumerate().filter(|(other, _)| *other != at).any(goes_first)
}

/// When time alone brings the next step.
pub(crate) fn deadline(stop: &Stop) -> Option<Uptime> {
    match stop.step {
        StopStep::Begin | StopStep::PreStop | StopStep::Turn => Some(stop.deadline),
        StopStep::Asked { kill_at } => Some(kill_at),
        StopStep::Killed => None,
    }
}
