//! The conditions of a pod, with reasons and messages as a kubelet writes them.

use pod_model::{Condition, PodPhase, Role, Uptime};

use crate::rules::{probes, restart};
use crate::state::{PodState, Sandbox};

/// A condition before it is known since when it is so.
struct Draft {
    kind: String,
    is_true: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

/// The conditions as they are now. Those that stand as before keep the time of their last change.
pub(crate) fn conditions(
    state: &PodState,
    phase: PodPhase,
    gates: &[String],
    (former, now): (&[Condition], Uptime),
) -> Vec<Condition> {
    if state.is_gated {
        let since = former.first().map_or(now, |known| known.since);
        return vec![Condition {
            kind: "PodScheduled".into(),
            is_true: false,
            since,
            reason: Some("SchedulingGated".into()),
            message: Some("Scheduling is blocked due to non-empty scheduling gates".into()),
        }];
    }
    let drafts = [
        ready_to_start(state),
        initialized(state, phase),
        ready(state, phase, gates),
        containers_ready(state, phase, "ContainersReady"),
        Draft { kind: "PodScheduled".into(), is_true: true, reason: None, message: None },
    ];
    let restarting =
        state.containers.iter().any(|one| restart::may_restart_all(&one.spec)).then(|| {
            let is_true = state.restart_of_all.is_some();
            let reason = is_true.then_some("RestartAllContainersStarted");
            Draft { kind: "AllContainersRestarting".into(), is_true, reason, message: None }
        });
    let own = state.gates.iter().map(|(kind, is_true)| Draft {
        kind: kind.clone(),
        is_true: *is_true,
        reason: None,
        message: None,
    });
    drafts
        .into_iter()
        .chain(restarting)
        .chain(own)
        .map(|draft| {
            let known = former.iter().find(|known| known.kind == draft.kind);
            let since = known.filter(|known| known.is_true == draft.is_true);
            Condition {
                since: since.map_or(now, |known| known.since),
                kind: draft.kind,
                is_true: draft.is_true,
                reason: draft.reason.map(str::to_owned),
                message: draft.message,
            }
        })
        .collect()
}

fn ready_to_start(state: &PodState) -> Draft {
    let is_true = matches!(state.sandbox, Sandbox::Ready | Sandbox::Removing);
    Draft { kind: "PodReadyToStartContainers".into(), is_true, reason: None, message: None }
}

fn initialized(state: &PodState, phase: PodPhase) -> Draft {
    let kind = "Initialized".to_owned();
    let inits = state.containers.iter().filter(|one| one.spec.role != Role::Main);
    let open: Vec<&str> =
        inits.filter(|init| !init.is_initialized).map(|init| init.spec.name.as_str()).collect();
    if phase == PodPhase::Succeeded {
        return Draft { kind, is_true: true, reason: Some("PodCompleted"), message: None };
    }
    if open.is_empty() || state.any_main_started() {
        return Draft { kind, is_true: true, reason: None, message: None };
    }
    let message = format!("containers with incomplete status: [{}]", open.join(" "));
    Draft { kind, is_true: false, reason: Some("ContainersNotInitialized"), message: Some(message) }
}

fn containers_ready(state: &PodState, phase: PodPhase, kind: &str) -> Draft {
    let kind = kind.to_owned();
    match phase {
        PodPhase::Succeeded => {
            return Draft { kind, is_true: false, reason: Some("PodCompleted"), message: None };
        }
        PodPhase::Failed => {
            return Draft { kind, is_true: false, reason: Some("PodFailed"), message: None };
        }
        PodPhase::Pending | PodPhase::Running => {}
    }
    let counted = state.containers.iter().filter(|one| one.spec.role != Role::Init);
    let unready: Vec<&str> =
        counted.filter(|one| !probes::is_ready(one)).map(|one| one.spec.name.as_str()).collect();
    if unready.is_empty() {
        return Draft { kind, is_true: true, reason: None, message: None };
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    Draft { kind, is_true: false, reason: Some("ContainersNotReady"), message: Some(message) }
}

fn ready(state: &PodState, phase: PodPhase, gates: &[String]) -> Draft {
    let of_containers = containers_ready(state, phase, "Ready");
    if !of_containers.is_true {
        return of_containers;
    }
    let closed: Vec<String> = gates
        .iter()
        .filter_map(|gate| match state.gates.iter().find(|(kind, _)| kind == gate) {
            Some((_, true)) => None,
            Some((_, false)) => Some(format!(
                "the status of pod readiness gate \"{gate}\" is not \"True\", but False"
            )),
            None => Some(format!(
                "corresponding condition of pod readiness gate \"{gate}\" does not exist."
            )),
        })
        .collect();
    if closed.is_empty() {
        return of_containers;
    }
    Draft {
        kind: "Ready".into(),
        is_true: false,
        reason: Some("ReadinessGatesNotReady"),
        message: Some(closed.join(", ")),
    }
}
