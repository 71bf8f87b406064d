//! Whether a container that has ended is started again.

use pod_model::{ContainerSpec, RestartPolicy, RestartRuleAction, Role};

/// The container's own policy and rules come before the pod's.
pub(crate) fn restarts(spec: &ContainerSpec, pod: RestartPolicy, code: i32) -> bool {
    if let Some(own) = &spec.restart {
        for rule in &own.rules {
            if rule.codes.contains(&code) == rule.matches_listed {
                return matches!(
                    rule.action,
                    RestartRuleAction::Restart | RestartRuleAction::RestartAllContainers
                );
            }
        }
        return by_policy(own.policy, code);
    }
    match spec.role {
        Role::Sidecar => true,
        Role::Init if code == 0 => false,
        Role::Init | Role::Main => by_policy(pod, code),
    }
}

/// Whether a container that is stopped for a failed probe is started again: the policy decides,
/// whatever the exit code.
pub(crate) fn restarts_after_kill(spec: &ContainerSpec, pod: RestartPolicy) -> bool {
    let policy = spec.restart.as_ref().map_or(pod, |own| own.policy);
    spec.role == Role::Sidecar || policy != RestartPolicy::Never
}

/// Whether that end starts every container of the pod afresh.
pub(crate) fn restarts_all(spec: &ContainerSpec, code: i32) -> bool {
    let rules = spec.restart.iter().flat_map(|own| &own.rules);
    let first = rules.into_iter().find(|rule| rule.codes.contains(&code) == rule.matches_listed);
    first.is_some_and(|rule| rule.action == RestartRuleAction::RestartAllContainers)
}

/// Whether some end of that container would start every container of the pod afresh.
pub(crate) fn may_restart_all(spec: &ContainerSpec) -> bool {
    let mut rules = spec.restart.iter().flat_map(|own| &own.rules);
    rules.any(|rule| rule.action == RestartRuleAction::RestartAllContainers)
}

fn by_policy(policy: RestartPolicy, code: i32) -> bool {
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => code != 0,
        RestartPolicy::Never => false,
    }
}
