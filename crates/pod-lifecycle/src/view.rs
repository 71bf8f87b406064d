//! The state as a user sees it: derived each time, never stored.

use pod_model::{
    Condition, ContainerState, ContainerStatus, Deletion, PodPhase, PodStatus, RestartPolicy, Role,
    Uptime,
};

use crate::rules::{conditions, phase, probes};
use crate::state::{Container, Outcome, Phase, PodState};

/// The status of the pod.
pub(crate) fn status(
    state: &PodState,
    policy: RestartPolicy,
    gates: &[String],
    (former, now): (&[Condition], Uptime),
) -> PodStatus {
    let phase = phase::phase(state, policy);
    let has_inits = state.containers.iter().any(|one| one.spec.role != Role::Main);
    let of = |main: bool| {
        // A pod that nobody has scheduled has no containers yet.
        let all = state.containers.iter().filter(|_| !state.is_gated);
        let chosen = all.filter(move |one| (one.spec.role == Role::Main) == main);
        chosen.map(|one| container(one, has_inits)).collect::<Vec<_>>()
    };
    let mut containers = of(true);
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    // Why the pod failed is told when it has.
    let told = state.reason.as_ref().filter(|_| phase == PodPhase::Failed);
    PodStatus {
        conditions: conditions::conditions(state, phase, gates, (former, now)),
        phase,
        reason: told.map(|(reason, _)| reason.clone()),
        message: told.map(|(_, message)| message.clone()),
        started: (!state.is_gated).then_some(state.started),
        pod_ips: state.ips.clone(),
        init_containers: of(false),
        containers,
        deletion: state.deletion.map(|(requested, grace)| Deletion { requested, grace }),
    }
}

fn container(container: &Container, has_inits: bool) -> ContainerStatus {
    let newest = container.newest.as_ref();
    let seen = newest.filter(|_| !container.is_held_up());
    let (state, last_state) = match (seen.map(|newest| &newest.outcome), waiting(container)) {
        (Some(Outcome::Running { since }), _) => {
            (ContainerState::Running { since: *since }, container.last.clone())
        }
        (Some(Outcome::Ended(end)), Some(waiting)) => (waiting, Some(end.clone())),
        (Some(Outcome::Ended(end)), None) => {
            (ContainerState::Terminated(end.clone()), container.last.clone())
        }
        (None, Some(waiting)) => (waiting, container.last.clone()),
        (None, None) => {
            let reason = if has_inits { "PodInitializing" } else { "ContainerCreating" };
            let waiting = ContainerState::Waiting { reason: reason.into(), message: None };
            (waiting, container.last.clone())
        }
    };
    let is_init = container.spec.role == Role::Init;
    ContainerStatus {
        name: container.spec.name.clone(),
        image: container.spec.image.clone(),
        image_id: container.image_id.clone(),
        container_id: newest.map(|newest| newest.container_id.clone()).unwrap_or_default(),
        state,
        last_state,
        restart_count: container.attempt(),
        ready: if is_init { container.is_initialized } else { probes::is_ready(container) },
        started: if is_init { container.is_running() } else { probes::is_started(container) }
            && !container.is_held_up(),
    }
}

/// The waiting state of a container that something went wrong with. One that has ended and is to
/// start again waits only when its start or its hook failed; otherwise its end is seen first.
fn waiting(container: &Container) -> Option<ContainerState> {
    let waits = matches!(
        container.phase,
        Phase::Idle { .. }
            | Phase::Image
            | Phase::ImageFailed { .. }
            | Phase::Starting
            | Phase::Exited { .. }
    );
    let failure = container.failure.as_ref().filter(|_| waits)?;
    let message = Some(failure.message.clone()).filter(|message| !message.is_empty());
    Some(ContainerState::Waiting { reason: failure.reason.to_owned(), message })
}
