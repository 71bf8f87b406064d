//! Which start of a container a user means, and what is said when there is none.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::error::ApiError;

/// What is said of a container that has not run yet.
const WAITS: &str = "is waiting to start";

/// Whether the error is that a container has not run yet, but may.
pub fn is_waiting(error: &ApiError) -> bool {
    error.message.contains(WAITS)
}

/// One start of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its number.
    pub attempt: u32,
    /// Its id, as the pod's status has it.
    pub container_id: String,
}

/// The start that runs or ran last; with `previous` the one before.
pub fn choose(pod: &Pod, container: &str, previous: bool) -> Result<Instance, ApiError> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let bad_request = |problem: &str| {
        ApiError::bad_request(format!("container \"{container}\" in pod \"{name}\" {problem}"))
    };
    let Some(status) = status_of(pod, container) else {
        return Err(bad_request("is not available"));
    };
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let is_waiting = state.running.is_none() && state.terminated.is_none();
    let current = u32::try_from(status.restart_count).unwrap_or(0);
    if previous {
        let last = last.ok_or_else(|| {
            ApiError::bad_request(format!(
                "previous terminated container \"{container}\" in pod \"{name}\" not found"
            ))
        })?;
        // While a container waits, its last start is the previous one and still the current one.
        let attempt = if is_waiting { current } else { current.saturating_sub(1) };
        let container_id = last.container_id.clone().unwrap_or_default();
        return Ok(Instance { attempt, container_id });
    }
    if is_waiting && last.is_none() {
        let reason = state.waiting.and_then(|waiting| waiting.reason).unwrap_or_default();
        let reason = match reason.as_str() {
            "ErrImagePull" => "image can't be pulled",
            "ImagePullBackOff" => "trying and failing to pull image",
            "" => "ContainerCreating",
            other => other,
        };
        return Err(bad_request(&format!("{WAITS}: {reason}")));
    }
    let container_id = status.container_id.clone().unwrap_or_default();
    Ok(Instance { attempt: current, container_id })
}

/// Whether that start has ended, so that nothing more comes from it.
pub fn has_ended(pod: &Pod, container: &str, instance: &Instance) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let is_over = matches!(phase, Some("Succeeded" | "Failed"));
    let Some(status) = status_of(pod, container) else {
        return is_over;
    };
    let current = u32::try_from(status.restart_count).unwrap_or(0);
    let runs = status.state.as_ref().is_some_and(|state| state.running.is_some());
    is_over || current > instance.attempt || !runs
}

fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let mains = status.container_statuses.iter().flatten();
    let inits = status.init_container_statuses.iter().flatten();
    mains.chain(inits).find(|status| status.name == container)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn chosen(state: Value, last: Value, count: i32, previous: bool) -> Result<u32, String> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "status": {"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": false,
                "restartCount": count, "state": state, "lastState": last}]}
        }))
        .unwrap();
        let chosen = choose(&pod, "c", previous);
        chosen.map(|one| one.attempt).map_err(|error| error.to_string())
    }

    #[test]
    fn the_start_that_runs_or_ran_last_is_meant() {
        let (running, waiting) =
            (json!({"running": {}}), json!({"waiting": {"reason": "CrashLoopBackOff"}}));
        let ended = json!({"terminated": {"exitCode": 1}});
        for (state, last, previous, wanted) in [
            (&running, &json!({}), false, 2),
            (&ended, &json!({}), false, 2),
            (&waiting, &ended, false, 2),
            (&running, &ended, true, 1),
            (&waiting, &ended, true, 2),
        ] {
            assert_eq!(chosen(state.clone(), last.clone(), 2, previous), Ok(wanted));
        }
    }

    #[test]
    fn what_there_is_no_log_of_is_told_in_kubernetes_words() {
        for (reason, wanted) in [
            (
                "PodInitializing",
                "container \"c\" in pod \"p\" is waiting to start: PodInitializing",
            ),
            (
                "ErrImagePull",
                "container \"c\" in pod \"p\" is waiting to start: image can't be pulled",
            ),
            (
                "ImagePullBackOff",
                "container \"c\" in pod \"p\" is waiting to start: trying and failing to pull image",
            ),
        ] {
            let told =
                chosen(json!({"waiting": {"reason": reason}}), json!({}), 0, false).unwrap_err();
            assert_eq!(told, wanted);
        }
        let told = chosen(json!({"running": {}}), json!({}), 0, true).unwrap_err();
        assert_eq!(told, "previous terminated container \"c\" in pod \"p\" not found");
        let told = choose(&Pod::default(), "c", false).unwrap_err().to_string();
        assert_eq!(told, "container \"c\" in pod \"\" is not available");
    }
}
