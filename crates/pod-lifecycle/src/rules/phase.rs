//! The phase of the pod, from top to bottom as a kubelet evaluates it.

use pod_model::{PodPhase, RestartPolicy, Role};

use crate::rules::restart;
use crate::state::{Container, Phase, PodState, Sandbox, StopReason};

/// The pod's phase: one of the last two only when nothing runs any more.
pub(crate) fn phase(state: &PodState, policy: RestartPolicy) -> PodPhase {
    let is_torn_down = matches!(state.sandbox, Sandbox::Gone);
    match evaluate(state, policy, is_torn_down) {
        PodPhase::Succeeded | PodPhase::Failed if !is_torn_down => running_or_pending(state),
        phase => phase,
    }
}

fn evaluate(state: &PodState, policy: RestartPolicy, is_torn_down: bool) -> PodPhase {
    if let Some(stop) = state.stop
        && is_torn_down
        && (stop.reason != StopReason::Over || !is_over(state, policy))
    {
        let succeeded = stop.reason == StopReason::Deleted && all_mains(state, ended_well);
        return if succeeded { PodPhase::Succeeded } else { PodPhase::Failed };
    }
    if has_failed_init(state, policy) {
        return PodPhase::Failed;
    }
    if is_initializing(state) || waits_for_the_first_time(state) {
        return PodPhase::Pending;
    }
    if state.containers.iter().any(|one| one.spec.role != Role::Init && one.is_running()) {
        return PodPhase::Running;
    }
    if all_mains(state, |main| matches!(main.phase, Phase::Done)) {
        let well = all_mains(state, ended_well);
        return if well { PodPhase::Succeeded } else { PodPhase::Failed };
    }
    running_or_pending(state)
}

fn running_or_pending(state: &PodState) -> PodPhase {
    if state.any_main_started() { PodPhase::Running } else { PodPhase::Pending }
}

/// Whether the pod has nothing more to do: every main container has ended for good, or an init
/// container has failed for good.
pub(crate) fn is_over(state: &PodState, policy: RestartPolicy) -> bool {
    has_failed_init(state, policy)
        || (state.any_main_started() && all_mains(state, |main| matches!(main.phase, Phase::Done)))
}

/// Whether an ordinary init container failed and is not started again.
fn has_failed_init(state: &PodState, policy: RestartPolicy) -> bool {
    state.containers.iter().filter(|one| one.spec.role == Role::Init).any(|init| {
        matches!(init.phase, Phase::Done)
            && !init.is_initialized
            && init.ended().is_some_and(|end| !restart::restarts(&init.spec, policy, end.exit_code))
    })
}

/// Whether init containers are still to end, or sidecars are to start for the first time.
fn is_initializing(state: &PodState) -> bool {
    let has_run = state.any_main_started();
    state.containers.iter().any(|one| match one.spec.role {
        Role::Init => !one.is_initialized,
        Role::Sidecar => !one.is_initialized && !has_run,
        Role::Main => false,
    })
}

fn waits_for_the_first_time(state: &PodState) -> bool {
    let mut others = state.containers.iter().filter(|one| one.spec.role != Role::Init);
    others.any(|one| {
        let never_ran = one.newest.is_none() && !matches!(one.phase, Phase::Done);
        never_ran || (one.is_held_up() && one.last.is_none())
    })
}

fn all_mains(state: &PodState, is: impl Fn(&Container) -> bool) -> bool {
    state.containers.iter().filter(|one| one.spec.role == Role::Main).all(is)
}

fn ended_well(main: &Container) -> bool {
    main.ended().is_some_and(|end| end.exit_code == 0)
}
