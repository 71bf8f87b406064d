//! Hooks: what they hold up, and what their failure means.

use insta::assert_snapshot;

use crate::simulator::{Run, Tell};
use crate::{delete, main_with, pod};

const POST_START: &str = "lifecycle: {postStart: {exec: {command: [x]}}}";
const PRE_STOP: &str = "lifecycle: {preStop: {exec: {command: [x]}}}";

#[test]
fn a_post_start_hook_holds_up_the_next_main_container_and_readiness() {
    let mains = main_with(POST_START) + "  - {name: log, image: 'i:1'}\n";
    let timeline = pod("Always", &mains).hook("web", 5).run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s PostStart web
    5s     Pending 1 ready
    5s start log#0
    5s     Running 2 ready
    ");
}

#[test]
fn while_its_post_start_hook_runs_a_container_is_still_being_created_and_no_probe_asks_it() {
    let probes = "startupProbe: {exec: {command: [x]}, periodSeconds: 2, failureThreshold: 1}, ";
    let timeline = pod("Always", &main_with(&format!("{probes}{POST_START}")))
        .hook("web", 9)
        .probes("web", &[false])
        .tell(Tell::States)
        .tell(Tell::Events)
        .run_until(8);
    assert_snapshot!(timeline, @r#"
    0s   Scheduled: Successfully assigned default/web to 
    0s   web ContainerCreating
    0s     Pending 0 ready
    0s start web#0
    0s   Pulled: Container image "i:1" already present on machine
    0s PostStart web
    0s   Created: Created container web
    0s   Started: Started container web
    "#);
}

#[test]
fn a_failed_post_start_hook_kills_the_container_and_the_ordinary_rules_restart_it() {
    let (timeline, status) = pod("Always", &main_with(POST_START))
        .failing_hook("web", 1)
        .tell(Tell::States)
        .tell(Tell::Events)
        .live_until(5);
    assert_snapshot!(timeline, @r#"
    0s   Scheduled: Successfully assigned default/web to 
    0s   web ContainerCreating
    0s     Pending 0 ready
    0s start web#0
    0s   Pulled: Container image "i:1" already present on machine
    0s PostStart web
    0s   Created: Created container web
    0s   Started: Started container web
    1s terminate web
    1s   !FailedPostStartHook: PostStartHook failed
    1s   Killing: FailedPostStartHook
    1s   web PostStartHookError
    1s     Running 0 ready
    1s start web#1
    1s   Pulled: Container image "i:1" already present on machine
    1s PostStart web
    1s   Created: Created container web
    1s   Started: Started container web
    1s   web ContainerCreating
    2s terminate web
    2s   !FailedPostStartHook: PostStartHook failed
    2s   Killing: FailedPostStartHook
    2s   web PostStartHookError
    2s   !BackOff: Back-off restarting failed container web in pod web_default()
    2s   web CrashLoopBackOff
    "#);
    assert!(status.containers[0].last_state.is_some());
}

#[test]
fn after_a_failed_post_start_hook_the_code_decides_under_on_failure() {
    let timeline = pod("OnFailure", &main_with(POST_START))
        .script("web", &[Run::Stops { takes: 0, code: 0 }])
        .failing_hook("web", 1)
        .run_until(20);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s PostStart web
    1s terminate web
    1s     Running 0 ready
    1s     Succeeded 0 ready
    1s finished
    ");
}

#[test]
fn a_failed_post_start_hook_fails_the_pod_when_the_policy_is_never() {
    let timeline = pod("Never", &main_with(POST_START))
        .script("web", &[Run::Stops { takes: 0, code: 143 }])
        .failing_hook("web", 1)
        .tell(Tell::States)
        .run_until(20);
    assert_snapshot!(timeline, @r"
    0s   web ContainerCreating
    0s     Pending 0 ready
    0s start web#0
    0s PostStart web
    1s terminate web
    1s   web Error 143
    1s     Running 0 ready
    1s     Failed 0 ready
    1s finished
    ");
}

#[test]
fn a_container_that_ends_during_its_hook_lets_the_next_one_start() {
    let mains = main_with(POST_START) + "  - {name: log, image: 'i:1'}\n";
    let timeline = pod("Never", &mains)
        .script("web", &[Run::Exits { after: 2, code: 0 }])
        .hook("web", 5)
        .run_until(3);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s PostStart web
    2s start log#0
    2s     Running 1 ready
    ");
}

#[test]
fn a_pre_stop_hook_spends_the_grace_period() {
    let timeline =
        pod("Always", &format!("  terminationGracePeriodSeconds: 10\n{}", main_with(PRE_STOP)))
            .script("web", &[Run::UntilKilled])
            .hook("web", 6)
            .at(5, delete(None))
            .run_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 1 ready
     5s PreStop web
    11s terminate web
    15s kill web
    15s     Running 0 ready
    15s     Failed 0 ready
    15s finished
    ");
}

/// Kubernetes' conformance case 88, for a main container.
#[test]
fn a_pre_stop_hook_that_outlives_the_grace_leaves_two_seconds() {
    let timeline = pod("Always", &main_with(PRE_STOP))
        .script("web", &[Run::UntilKilled])
        .hook("web", 1000)
        .at(5, delete(Some(10)))
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 1 ready
     5s PreStop web
    15s terminate web
    17s kill web
    17s     Running 0 ready
    17s     Failed 0 ready
    17s finished
    ");
}

#[test]
fn a_failed_pre_stop_hook_is_told_and_changes_nothing() {
    let timeline = pod("Always", &main_with(PRE_STOP))
        .failing_hook("web", 1)
        .at(5, delete(None))
        .tell(Tell::Events)
        .run_until(60);
    assert_snapshot!(timeline, @r#"
    0s   Scheduled: Successfully assigned default/web to 
    0s     Pending 0 ready
    0s start web#0
    0s   Pulled: Container image "i:1" already present on machine
    0s   Created: Created container web
    0s   Started: Started container web
    0s     Running 1 ready
    5s PreStop web
    5s   Killing: Stopping container web
    6s terminate web
    6s   !FailedPreStopHook: PreStopHook failed
    6s     Running 0 ready
    6s     Succeeded 0 ready
    6s finished
    "#);
}

/// Kubernetes' conformance case 176.
#[test]
fn a_container_that_has_ended_runs_no_pre_stop_hook() {
    let mains = main_with(PRE_STOP) + "  - {name: log, image: 'i:1'}\n";
    let timeline = pod("Never", &mains)
        .script("web", &[Run::Exits { after: 1, code: 0 }])
        .at(5, delete(None))
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Pending 1 ready
    0s start log#0
    0s     Running 2 ready
    1s     Running 1 ready
    5s terminate log
    5s     Running 0 ready
    5s     Succeeded 0 ready
    5s finished
    ");
}

#[test]
fn a_hook_that_would_begin_after_its_container_was_told_to_stop_is_left_out() {
    let timeline = pod("Always", &main_with(POST_START)).at(0, delete(None)).run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s     Failed 0 ready
    0s finished
    ");
}
