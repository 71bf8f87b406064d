//! Restarts: who restarts, when, and what is seen meanwhile.

use insta::assert_snapshot;
use pod_lifecycle::StartStage;

use crate::simulator::{Run, Tell};
use crate::{MAIN, TWO_MAINS, delete, pod};

/// Kubernetes' conformance cases 22 and 110.
#[test]
fn a_crashing_container_restarts_at_once_then_backs_off_and_doubles() {
    let timeline = pod("Always", MAIN)
        .script("web", &[Run::Exits { after: 0, code: 1 }])
        .tell(Tell::States)
        .run_until(80);
    assert_snapshot!(timeline, @r"
     0s   web ContainerCreating
     0s     Pending 0 ready
     0s start web#0
     0s   web running #0
     0s     Running 1 ready
     0s   web Error 1
     0s     Running 0 ready
     0s start web#1
     0s   web running #1
     0s     Running 1 ready
     0s   web Error 1
     0s     Running 0 ready
     0s   web CrashLoopBackOff
    10s start web#2
    10s   web running #2
    10s     Running 1 ready
    10s   web Error 1
    10s     Running 0 ready
    10s   web CrashLoopBackOff
    30s start web#3
    30s   web running #3
    30s     Running 1 ready
    30s   web Error 1
    30s     Running 0 ready
    30s   web CrashLoopBackOff
    70s start web#4
    70s   web running #4
    70s     Running 1 ready
    70s   web Error 1
    70s     Running 0 ready
    70s   web CrashLoopBackOff
    ");
}

#[test]
fn a_container_that_ends_well_under_always_backs_off_like_one_that_fails() {
    let timeline = pod("Always", MAIN)
        .script("web", &[Run::Exits { after: 1, code: 0 }])
        .tell(Tell::Events)
        .run_until(25);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Running 1 ready
     1s     Running 0 ready
     1s start web#1
     1s   Pulled: Container image "i:1" already present on machine
     1s   Created: Created container web
     1s   Started: Started container web
     1s     Running 1 ready
     2s     Running 0 ready
     2s   !BackOff: Back-off restarting failed container web in pod web_default()
    12s start web#2
    12s   Pulled: Container image "i:1" already present on machine
    12s   Created: Created container web
    12s   Started: Started container web
    12s     Running 1 ready
    13s     Running 0 ready
    13s   !BackOff: Back-off restarting failed container web in pod web_default()
    "#);
}

/// Kubernetes' conformance case 212.
#[test]
fn the_back_off_grows_to_five_minutes_and_no_further() {
    let timeline =
        pod("Always", MAIN).script("web", &[Run::Exits { after: 0, code: 1 }]).run_until(1300);
    let starts: Vec<&str> = timeline.lines().filter(|line| line.contains("start")).collect();
    assert_snapshot!(starts.join("\n"), @r"
      0s start web#0
      0s start web#1
     10s start web#2
     30s start web#3
     70s start web#4
    150s start web#5
    310s start web#6
    610s start web#7
    910s start web#8
    1210s start web#9
    ");
}

#[test]
fn a_container_that_ran_for_more_than_ten_minutes_restarts_at_once_again() {
    let crash = Run::Exits { after: 0, code: 1 };
    let timeline = pod("Always", MAIN)
        .script("web", &[crash, crash, Run::Exits { after: 601, code: 1 }, crash, crash])
        .run_until(640);
    let starts: Vec<&str> = timeline.lines().filter(|line| line.contains("start")).collect();
    assert_snapshot!(starts.join("\n"), @r"
      0s start web#0
      0s start web#1
     10s start web#2
    611s start web#3
    621s start web#4
    ");
}

#[test]
fn on_failure_restarts_what_failed_and_leaves_what_succeeded() {
    let timeline = pod("OnFailure", TWO_MAINS)
        .script("web", &[Run::Exits { after: 1, code: 1 }, Run::Exits { after: 5, code: 0 }])
        .script("log", &[Run::Exits { after: 1, code: 0 }])
        .tell(Tell::States)
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s   log ContainerCreating
    0s   web ContainerCreating
    0s     Pending 0 ready
    0s start web#0
    0s   web running #0
    0s     Pending 1 ready
    0s start log#0
    0s   log running #0
    0s     Running 2 ready
    1s   web Error 1
    1s     Running 1 ready
    1s   log Completed 0
    1s     Running 0 ready
    1s start web#1
    1s   web running #1
    1s     Running 1 ready
    6s   web Completed 0
    6s     Running 0 ready
    6s     Succeeded 0 ready
    6s finished
    ");
}

#[test]
fn a_pod_fails_when_one_of_its_containers_failed_for_good() {
    let timeline = pod("Never", TWO_MAINS)
        .script("web", &[Run::Exits { after: 1, code: 0 }])
        .script("log", &[Run::Exits { after: 3, code: 3 }])
        .tell(Tell::States)
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s   log ContainerCreating
    0s   web ContainerCreating
    0s     Pending 0 ready
    0s start web#0
    0s   web running #0
    0s     Pending 1 ready
    0s start log#0
    0s   log running #0
    0s     Running 2 ready
    1s   web Completed 0
    1s     Running 1 ready
    3s   log Error 3
    3s     Running 0 ready
    3s     Failed 0 ready
    3s finished
    ");
}

/// The instance counts, its end is 128 `StartError`, and it is a crash like others.
#[test]
fn a_program_that_cannot_run_alternates_between_run_container_error_and_back_off() {
    let (timeline, status) = pod("Always", MAIN)
        .script("web", &[Run::Fails(StartStage::Run)])
        .tell(Tell::States)
        .tell(Tell::Events)
        .live_until(15);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s   web ContainerCreating
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   !Failed: Error: cannot start
     0s   web RunContainerError
     0s     Running 0 ready
     0s start web#1
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   !Failed: Error: cannot start
     0s   !BackOff: Back-off restarting failed container web in pod web_default()
     0s   web CrashLoopBackOff
    10s start web#2
    10s   Pulled: Container image "i:1" already present on machine
    10s   Created: Created container web
    10s   !Failed: Error: cannot start
    10s   web RunContainerError
    10s   !BackOff: Back-off restarting failed container web in pod web_default()
    10s   web CrashLoopBackOff
    "#);
    let last = status.containers[0].last_state.clone().unwrap();
    assert_eq!((last.exit_code, last.reason.as_str(), last.started), (128, "StartError", None));
}

#[test]
fn a_program_that_cannot_run_fails_the_pod_when_the_policy_is_never() {
    let timeline = pod("Never", MAIN)
        .script("web", &[Run::Fails(StartStage::Run)])
        .tell(Tell::States)
        .run_until(15);
    assert_snapshot!(timeline, @r"
    0s   web ContainerCreating
    0s     Pending 0 ready
    0s start web#0
    0s   web StartError 128
    0s     Running 0 ready
    0s     Failed 0 ready
    0s finished
    ");
}

/// Nothing ran, so nothing counts; it is no crash loop.
#[test]
fn a_configuration_error_is_looked_at_again_every_ten_seconds_under_any_policy() {
    let broken = Run::Fails(StartStage::Config);
    insta::allow_duplicates! {
        for policy in ["Always", "Never"] {
            let timeline =
                pod(policy, MAIN).script("web", &[broken]).tell(Tell::Events).run_until(25);
            assert_snapshot!(timeline, @r#"
             0s   Scheduled: Successfully assigned default/web to 
             0s     Pending 0 ready
             0s start web#0
             0s   Pulled: Container image "i:1" already present on machine
             0s   !Failed: Error: cannot start
            10s start web#0
            10s   Pulled: Container image "i:1" already present on machine
            10s   !Failed: Error: cannot start
            20s start web#0
            20s   Pulled: Container image "i:1" already present on machine
            20s   !Failed: Error: cannot start
            "#);
        }
    }
}

#[test]
fn a_container_that_cannot_be_made_waits_with_create_container_error() {
    let timeline = pod("Always", MAIN)
        .script("web", &[Run::Fails(StartStage::Create)])
        .tell(Tell::States)
        .run_until(15);
    assert_snapshot!(timeline, @r"
     0s   web ContainerCreating
     0s     Pending 0 ready
     0s start web#0
     0s   web CreateContainerError
    10s start web#0
    ");
}

#[test]
fn what_a_container_was_killed_for_is_seen() {
    let timeline = pod("Always", MAIN)
        .script("web", &[Run::OutOfMemory { after: 1, code: 137 }, Run::UntilAsked])
        .tell(Tell::States)
        .run_until(15);
    assert_snapshot!(timeline, @r"
    0s   web ContainerCreating
    0s     Pending 0 ready
    0s start web#0
    0s   web running #0
    0s     Running 1 ready
    1s   web OOMKilled 137
    1s     Running 0 ready
    1s start web#1
    1s   web running #1
    1s     Running 1 ready
    ");
}

/// Kubernetes' conformance case 206.
#[test]
fn a_pod_that_waits_in_back_off_is_deleted_at_once() {
    let timeline = pod("Always", MAIN)
        .script("web", &[Run::Exits { after: 0, code: 1 }])
        .at(25, delete(None))
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 1 ready
     0s     Running 0 ready
     0s start web#1
     0s     Running 1 ready
     0s     Running 0 ready
    10s start web#2
    10s     Running 1 ready
    10s     Running 0 ready
    25s     Failed 0 ready
    25s finished
    ");
}
