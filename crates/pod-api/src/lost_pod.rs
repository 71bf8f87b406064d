//! Pods as views show them when nobody supervises them, or when their record cannot be read.

use k8s_openapi::api::core::v1;

use crate::places::PodDir;

/// The reason of a pod whose supervisor has died.
pub(crate) const REASON: &str = "SupervisorLost";
/// What a kubelet says of a container that it cannot find any more.
const GONE: &str = "The container could not be located when the pod was terminated";

/// The pod after the death of its supervisor: the kernel killed its containers with it. A
/// supervisor that could not go on has said why.
pub(crate) fn mark(pod: &mut v1::Pod, last_words: &str) {
    let status = pod.status.get_or_insert_default();
    let containers = status.container_statuses.iter_mut().flatten();
    let inits = status.init_container_statuses.iter_mut().flatten();
    for container in containers.chain(inits) {
        mark_container(container);
    }
    for condition in status.conditions.iter_mut().flatten() {
        let fails = matches!(
            condition.type_.as_str(),
            "Ready" | "ContainersReady" | "PodReadyToStartContainers"
        );
        if fails && condition.status == "True" {
            condition.status = "False".into();
            condition.reason = Some(REASON.into());
        }
    }
    status.phase = Some("Failed".into());
    status.reason = Some(REASON.into());
    let mut text = "The pod's supervisor died, and its containers were killed with it".to_owned();
    if !last_words.is_empty() {
        text = format!("{text}: {last_words}");
    }
    status.message = Some(text);
}

fn mark_container(container: &mut v1::ContainerStatus) {
    container.ready = false;
    container.started = Some(false);
    let Some(running) = container.state.as_mut().and_then(|state| state.running.take()) else {
        return;
    };
    container.state = Some(v1::ContainerState {
        terminated: Some(v1::ContainerStateTerminated {
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".into()),
            message: Some(GONE.into()),
            started_at: running.started_at,
            container_id: container.container_id.clone(),
            ..v1::ContainerStateTerminated::default()
        }),
        ..v1::ContainerState::default()
    });
}

/// What is known of a pod whose record cannot be read.
pub(crate) fn unreadable(dir: &PodDir, why: String) -> v1::Pod {
    let (namespace, name) = dir.namespace_and_name();
    let uid = std::fs::read_to_string(dir.uid()).ok();
    let mut pod = v1::Pod::default();
    pod.metadata.name = Some(name);
    pod.metadata.namespace = Some(namespace);
    pod.metadata.uid = uid;
    pod.status = Some(v1::PodStatus {
        phase: Some("Unknown".into()),
        reason: Some("RecordUnreadable".into()),
        message: Some(why),
        ..v1::PodStatus::default()
    });
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_runs_in_a_pod_whose_supervisor_has_died() {
        let text = r#"{"metadata":{"name":"web"},"status":{"phase":"Running",
            "conditions":[{"type":"Ready","status":"True"},{"type":"PodScheduled","status":"True"}],
            "initContainerStatuses":[{"name":"i","image":"i","imageID":"","ready":true,"restartCount":0,
                "state":{"terminated":{"exitCode":0,"reason":"Completed"}}}],
            "containerStatuses":[{"name":"c","image":"i","imageID":"","ready":true,"started":true,
                "restartCount":2,"containerID":"minipod://1",
                "state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}]}}"#;
        let mut pod: v1::Pod = serde_json::from_str(text).unwrap();
        mark(&mut pod, "no room");
        let status = pod.status.unwrap();
        assert_eq!(status.phase.as_deref(), Some("Failed"));
        assert!(status.message.unwrap().ends_with("killed with it: no room"));
        let container = &status.container_statuses.unwrap()[0];
        assert_eq!((container.ready, container.started), (false, Some(false)));
        let end = container.state.as_ref().unwrap().terminated.as_ref().unwrap();
        assert_eq!((end.exit_code, end.reason.as_deref()), (137, Some("ContainerStatusUnknown")));
        assert!(end.started_at.is_some() && end.finished_at.is_none());
        let init = &status.init_container_statuses.unwrap()[0];
        assert_eq!(init.state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 0);
        let conditions = status.conditions.unwrap();
        let told: Vec<&str> = conditions.iter().map(|one| one.status.as_str()).collect();
        assert_eq!(told, ["False", "True"]);
    }
}
