//! Init containers: their order, their failures, and that they run once.

use insta::assert_snapshot;

use crate::simulator::{Run, Tell};
use crate::{MAIN, TWO_INITS, TWO_MAINS, delete, pod, sidecars};

/// Kubernetes' conformance case 2.
#[test]
fn init_containers_run_one_by_one_and_mains_start_in_order_after_them() {
    let timeline = pod("Always", &format!("{TWO_INITS}{TWO_MAINS}"))
        .script("a", &[Run::Exits { after: 5, code: 0 }])
        .script("b", &[Run::Exits { after: 1, code: 0 }])
        .tell(Tell::States)
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s   a PodInitializing
    0s   b PodInitializing
    0s   log PodInitializing
    0s   web PodInitializing
    0s     Pending 0 ready
    0s start a#0
    0s   a running #0
    5s   a Completed 0
    5s start b#0
    5s   b running #0
    6s   b Completed 0
    6s start web#0
    6s   web running #0
    6s     Pending 1 ready
    6s start log#0
    6s   log running #0
    6s     Running 2 ready
    ");
}

/// Kubernetes' conformance cases 4 and 20.
#[test]
fn a_failed_init_container_fails_the_pod_when_the_policy_is_never() {
    let (timeline, status) = pod("Never", &format!("{TWO_INITS}{MAIN}"))
        .script("a", &[Run::Exits { after: 1, code: 0 }])
        .script("b", &[Run::Exits { after: 1, code: 3 }])
        .tell(Tell::States)
        .live_until(60);
    assert_snapshot!(timeline, @r"
    0s   a PodInitializing
    0s   b PodInitializing
    0s   web PodInitializing
    0s     Pending 0 ready
    0s start a#0
    0s   a running #0
    1s   a Completed 0
    1s start b#0
    1s   b running #0
    2s   b Error 3
    2s     Failed 0 ready
    2s finished
    ");
    assert_eq!(status.reason, None);
    let initialized = status.conditions.iter().find(|one| one.kind == "Initialized").unwrap();
    assert_eq!(initialized.message.as_deref(), Some("containers with incomplete status: [b]"));
}

#[test]
fn a_failing_init_container_is_retried_alone_and_keeps_the_pod_pending() {
    let failing = Run::Exits { after: 0, code: 1 };
    let timeline = pod("OnFailure", &format!("{TWO_INITS}{TWO_MAINS}"))
        .script("a", &[Run::Exits { after: 1, code: 0 }])
        .script("b", &[failing, failing, Run::Exits { after: 0, code: 0 }])
        .tell(Tell::States)
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s   a PodInitializing
     0s   b PodInitializing
     0s   log PodInitializing
     0s   web PodInitializing
     0s     Pending 0 ready
     0s start a#0
     0s   a running #0
     1s   a Completed 0
     1s start b#0
     1s   b running #0
     1s   b Error 1
     1s start b#1
     1s   b running #1
     1s   b Error 1
     1s   b CrashLoopBackOff
    11s start b#2
    11s   b running #2
    11s   b Completed 0
    11s start web#0
    11s   web running #0
    11s     Pending 1 ready
    11s start log#0
    11s   log running #0
    11s     Running 2 ready
    ");
}

#[test]
fn an_init_container_killed_for_its_memory_has_failed_even_with_code_zero() {
    let timeline = pod("Never", &format!("{TWO_INITS}{MAIN}"))
        .script("a", &[Run::OutOfMemory { after: 1, code: 0 }])
        .tell(Tell::States)
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s   a PodInitializing
    0s   b PodInitializing
    0s   web PodInitializing
    0s     Pending 0 ready
    0s start a#0
    0s   a running #0
    1s   a OOMKilled 0
    1s     Failed 0 ready
    1s finished
    ");
}

#[test]
fn a_restart_of_a_main_container_runs_no_init_container_again() {
    let timeline = pod("Always", &format!("{TWO_INITS}{MAIN}"))
        .script("a", &[Run::Exits { after: 1, code: 0 }])
        .script("b", &[Run::Exits { after: 1, code: 0 }])
        .script("web", &[Run::Exits { after: 1, code: 1 }, Run::UntilAsked])
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start a#0
    1s start b#0
    2s start web#0
    2s     Running 1 ready
    3s     Running 0 ready
    3s start web#1
    3s     Running 1 ready
    ");
}

/// Kubernetes' conformance case 60.
#[test]
fn an_init_container_that_fails_before_a_sidecar_fails_the_pod_and_the_sidecar_never_starts() {
    let inits = "  initContainers: [{name: a, image: 'i:1'}, {name: p, image: 'i:1', restartPolicy: Always}]\n";
    let timeline = pod("Never", &format!("{inits}{MAIN}"))
        .script("a", &[Run::Exits { after: 1, code: 1 }])
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start a#0
    1s     Failed 0 ready
    1s finished
    ");
}

/// Kubernetes' conformance cases 64 and 65.
#[test]
fn an_init_container_before_a_sidecar_is_retried_when_the_policy_is_not_never() {
    let inits = "  initContainers: [{name: a, image: 'i:1'}, {name: p, image: 'i:1', restartPolicy: Always}]\n";
    insta::allow_duplicates! {
        for policy in ["OnFailure", "Always"] {
            let failing = Run::Exits { after: 0, code: 1 };
            let timeline = pod(policy, &format!("{inits}{MAIN}"))
                .script("a", &[failing, failing, Run::Exits { after: 0, code: 0 }])
                .run_until(20);
            assert_snapshot!(timeline, @r"
             0s     Pending 0 ready
             0s start a#0
             0s start a#1
            10s start a#2
            10s start p#0
            10s start web#0
            10s     Running 1 ready
            ");
        }
    }
}

#[test]
fn an_init_container_that_fails_behind_a_sidecar_ends_the_sidecar_too() {
    let inits = sidecars(&["p"]) + "  - {name: b, image: 'i:1'}\n";
    let timeline = pod("Never", &format!("{inits}{MAIN}"))
        .script("b", &[Run::Exits { after: 4, code: 1 }])
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start p#0
    0s start b#0
    4s terminate p
    4s     Failed 0 ready
    4s finished
    ");
}

#[test]
fn a_pod_deleted_in_its_init_container_never_starts_another() {
    let timeline = pod("Always", &format!("{TWO_INITS}{MAIN}"))
        .script("a", &[Run::Stops { takes: 2, code: 0 }])
        .at(5, delete(None))
        .tell(Tell::Events)
        .run_until(60);
    assert_snapshot!(timeline, @r#"
    0s   Scheduled: Successfully assigned default/web to 
    0s     Pending 0 ready
    0s start a#0
    0s   Pulled: Container image "i:1" already present on machine
    0s   Created: Created container a
    0s   Started: Started container a
    5s terminate a
    5s   Killing: Stopping container a
    7s     Failed 0 ready
    7s finished
    "#);
}
