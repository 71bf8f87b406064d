//! What a user sees: states, phase and conditions with their times.

use insta::assert_snapshot;
use pod_lifecycle::Fact;
use pod_model::PodStatus;

use crate::simulator::Run;
use crate::{MAIN, TWO_INITS, TWO_MAINS, delete, pod, sidecars};

fn conditions(status: &PodStatus) -> String {
    let lines = status.conditions.iter().map(|one| {
        let reason = one.reason.as_deref().unwrap_or("-");
        let message = one.message.as_deref().unwrap_or("-");
        let since = one.since.elapsed().as_secs();
        format!("{} {} since {since}s {reason}: {message}", one.kind, one.is_true)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn conditions_tell_what_is_missing_while_init_containers_run() {
    let inits = sidecars(&["p"]) + "  - {name: b, image: 'i:1'}\n";
    let status = pod("Always", &format!("{inits}{TWO_MAINS}")).status_at(5);
    assert_snapshot!(conditions(&status), @r"
    PodReadyToStartContainers true since 0s -: -
    Initialized false since 0s ContainersNotInitialized: containers with incomplete status: [b]
    Ready false since 0s ContainersNotReady: containers with unready status: [web log]
    ContainersReady false since 0s ContainersNotReady: containers with unready status: [web log]
    PodScheduled true since 0s -: -
    ");
}

#[test]
fn conditions_of_a_running_pod_are_true_since_they_became_so() {
    let status = pod("Always", &format!("{TWO_INITS}{MAIN}"))
        .script("a", &[Run::Exits { after: 2, code: 0 }])
        .script("b", &[Run::Exits { after: 2, code: 0 }])
        .status_at(9);
    assert_snapshot!(conditions(&status), @r"
    PodReadyToStartContainers true since 0s -: -
    Initialized true since 4s -: -
    Ready true since 4s -: -
    ContainersReady true since 4s -: -
    PodScheduled true since 0s -: -
    ");
}

#[test]
fn conditions_of_a_crashing_pod_name_the_container() {
    let status =
        pod("Always", TWO_MAINS).script("web", &[Run::Exits { after: 1, code: 1 }]).status_at(5);
    assert_snapshot!(conditions(&status), @r"
    PodReadyToStartContainers true since 0s -: -
    Initialized true since 0s -: -
    Ready false since 2s ContainersNotReady: containers with unready status: [web]
    ContainersReady false since 2s ContainersNotReady: containers with unready status: [web]
    PodScheduled true since 0s -: -
    ");
}

#[test]
fn conditions_of_a_pod_that_succeeded_say_that_it_is_completed() {
    let status = pod("Never", MAIN).script("web", &[Run::Exits { after: 3, code: 0 }]).status_at(9);
    assert_snapshot!(conditions(&status), @r"
    PodReadyToStartContainers false since 3s -: -
    Initialized true since 0s PodCompleted: -
    Ready false since 3s PodCompleted: -
    ContainersReady false since 3s PodCompleted: -
    PodScheduled true since 0s -: -
    ");
}

#[test]
fn conditions_of_a_pod_that_failed_say_so() {
    let status = pod("Never", MAIN).script("web", &[Run::Exits { after: 3, code: 1 }]).status_at(9);
    assert_snapshot!(conditions(&status), @r"
    PodReadyToStartContainers false since 3s -: -
    Initialized true since 0s -: -
    Ready false since 3s PodFailed: -
    ContainersReady false since 3s PodFailed: -
    PodScheduled true since 0s -: -
    ");
}

#[test]
fn readiness_gates_keep_the_pod_from_being_ready() {
    let gated = format!(
        "  readinessGates: [{{conditionType: example.com/a}}, {{conditionType: example.com/b}}]\n{MAIN}"
    );
    let set = |kind: &str, is_true| Fact::ConditionSet { kind: kind.to_owned(), is_true };
    let status = pod("Always", &gated).at(2, set("example.com/b", false)).status_at(9);
    assert_snapshot!(conditions(&status), @r#"
    PodReadyToStartContainers true since 0s -: -
    Initialized true since 0s -: -
    Ready false since 0s ReadinessGatesNotReady: corresponding condition of pod readiness gate "example.com/a" does not exist., the status of pod readiness gate "example.com/b" is not "True", but False
    ContainersReady true since 0s -: -
    PodScheduled true since 0s -: -
    example.com/b false since 2s -: -
    "#);
    let status = pod("Always", &gated)
        .at(2, set("example.com/a", true))
        .at(3, set("example.com/b", true))
        .status_at(9);
    let ready = status.conditions.iter().find(|one| one.kind == "Ready").unwrap();
    assert_eq!((ready.is_true, ready.since.elapsed().as_secs()), (true, 3));
}

#[test]
fn a_pod_whose_every_container_waits_for_a_restart_is_running() {
    let status =
        pod("Always", MAIN).script("web", &[Run::Exits { after: 0, code: 1 }]).status_at(5);
    assert_eq!(status.phase, pod_model::PodPhase::Running);
}

#[test]
fn the_state_before_is_kept_as_the_last_state() {
    let status = pod("Always", MAIN)
        .script("web", &[Run::Exits { after: 2, code: 7 }, Run::UntilAsked])
        .status_at(9);
    let web = &status.containers[0];
    let last = web.last_state.as_ref().unwrap();
    assert_eq!((last.exit_code, last.reason.as_str()), (7, "Error"));
    assert_eq!(last.started.unwrap().elapsed().as_secs(), 0);
    assert_eq!(last.finished.elapsed().as_secs(), 2);
    assert_eq!((last.container_id.as_str(), web.container_id.as_str()), ("id0", "id1"));
    assert_eq!(web.restart_count, 1);
}

#[test]
fn main_containers_are_listed_by_name_and_init_containers_as_written() {
    let inits = "  initContainers: [{name: z, image: 'i:1'}, {name: a, image: 'i:1'}]\n";
    let status = pod("Always", &format!("{inits}{TWO_MAINS}")).status_at(0);
    let names = status.init_containers.iter().chain(&status.containers);
    assert_eq!(names.map(|one| one.name.as_str()).collect::<Vec<_>>(), ["z", "a", "log", "web"]);
}

#[test]
fn containers_wait_with_pod_initializing_when_there_is_any_init_container() {
    let reasons = |rest: &str| {
        let status = pod("Always", rest).status_at(0);
        format!("{:?}", status.containers[0].state)
    };
    assert!(reasons(&format!("{TWO_INITS}{MAIN}")).contains("PodInitializing"));
    let status = pod("Always", MAIN).image("web", &[None]).at(0, delete(None)).status_at(9);
    assert!(format!("{:?}", status.containers[0].state).contains("ContainerCreating"));
}
