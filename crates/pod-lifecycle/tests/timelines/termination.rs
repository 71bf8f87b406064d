//! How pods end: deleted, too old, evicted, or because their work is done.

use insta::assert_snapshot;
use pod_lifecycle::Fact;

use crate::simulator::{Run, Tell};
use crate::{MAIN, TWO_MAINS, delete, pod, sidecars};

/// Kubernetes' conformance case 28.
#[test]
fn deletion_asks_first_and_kills_when_the_grace_is_over() {
    let timeline = pod("Always", MAIN)
        .script("web", &[Run::UntilKilled])
        .at(5, delete(Some(10)))
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 1 ready
     5s terminate web
    15s kill web
    15s     Running 0 ready
    15s     Failed 0 ready
    15s finished
    ");
}

#[test]
fn all_main_containers_are_asked_at_the_same_time() {
    let timeline = pod("Always", TWO_MAINS)
        .script("web", &[Run::Stops { takes: 3, code: 0 }])
        .script("log", &[Run::Stops { takes: 5, code: 143 }])
        .at(5, delete(None))
        .tell(Tell::States)
        .tell(Tell::Events)
        .run_until(60);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s   log ContainerCreating
     0s   web ContainerCreating
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s   web running #0
     0s     Pending 1 ready
     0s start log#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container log
     0s   Started: Started container log
     0s   log running #0
     0s     Running 2 ready
     5s terminate web
     5s terminate log
     5s   Killing: Stopping container web
     5s   Killing: Stopping container log
     8s   web Completed 0
     8s     Running 1 ready
    10s   log Error 143
    10s     Running 0 ready
    10s     Failed 0 ready
    10s finished
    "#);
}

/// Kubernetes' conformance cases 292 to 294.
#[test]
fn a_deleted_pod_has_succeeded_when_every_main_container_ended_with_zero() {
    insta::allow_duplicates! {
        for policy in ["Always", "OnFailure", "Never"] {
            let timeline = pod(policy, MAIN).at(5, delete(None)).run_until(60);
            assert_snapshot!(timeline, @r"
            0s     Pending 0 ready
            0s start web#0
            0s     Running 1 ready
            5s terminate web
            5s     Running 0 ready
            5s     Succeeded 0 ready
            5s finished
            ");
        }
    }
}

#[test]
fn a_forced_deletion_kills_at_once() {
    let timeline =
        pod("Always", MAIN).script("web", &[Run::UntilKilled]).at(5, delete(Some(0))).run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Running 1 ready
    5s kill web
    5s     Running 0 ready
    5s     Failed 0 ready
    5s finished
    ");
}

/// Kubernetes' conformance case 322.
#[test]
fn a_negative_grace_counts_as_one_second_and_two_are_given() {
    let timeline = pod("Always", &format!("  terminationGracePeriodSeconds: -1\n{MAIN}"))
        .script("web", &[Run::UntilKilled])
        .at(5, delete(None))
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Running 1 ready
    5s terminate web
    7s kill web
    7s     Running 0 ready
    7s     Failed 0 ready
    7s finished
    ");
}

#[test]
fn between_asking_and_killing_there_are_two_seconds_at_least() {
    let timeline =
        pod("Always", MAIN).script("web", &[Run::UntilKilled]).at(5, delete(Some(1))).run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Running 1 ready
    5s terminate web
    7s kill web
    7s     Running 0 ready
    7s     Failed 0 ready
    7s finished
    ");
}

#[test]
fn a_later_request_can_shorten_the_grace_but_not_lengthen_it() {
    let timeline = pod("Always", MAIN)
        .script("web", &[Run::UntilKilled])
        .at(5, delete(Some(30)))
        .at(6, delete(Some(60)))
        .at(7, delete(Some(4)))
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 1 ready
     5s terminate web
    11s kill web
    11s     Running 0 ready
    11s     Failed 0 ready
    11s finished
    ");
}

#[test]
fn a_second_request_without_grace_kills_what_the_first_one_asked() {
    let timeline = pod("Always", &format!("{}{MAIN}", sidecars(&["p"])))
        .script("web", &[Run::UntilKilled])
        .at(5, delete(None))
        .at(7, delete(Some(0)))
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start p#0
    0s start web#0
    0s     Running 1 ready
    5s terminate web
    7s kill p
    7s kill web
    7s     Running 0 ready
    7s     Failed 0 ready
    7s finished
    ");
}

/// Kubernetes' conformance case 316, as far as the object goes.
#[test]
fn a_deleted_pod_tells_when_it_was_asked_and_how_long_it_may_take() {
    let status =
        pod("Always", MAIN).script("web", &[Run::UntilKilled]).at(5, delete(Some(20))).status_at(6);
    let deletion = status.deletion.unwrap();
    assert_eq!((deletion.requested.elapsed().as_secs(), deletion.grace.as_secs()), (5, 20));
}

#[test]
fn deletion_before_anything_exists_finishes_at_once() {
    let timeline = pod("Always", MAIN).at(0, delete(None)).run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s     Failed 0 ready
    0s finished
    ");
}

/// Kubernetes' conformance case 82.
#[test]
fn deletion_during_initialization_waits_for_nothing_that_never_started() {
    let inits = "  initContainers:\n  - {name: a, image: 'i:1'}\n  \
        - {name: p, image: 'i:1', restartPolicy: Always}\n  \
        - {name: q, image: 'i:1', restartPolicy: Always}\n";
    let timeline = pod("Always", &format!("{inits}{MAIN}"))
        .script("a", &[Run::UntilKilled])
        .at(5, delete(Some(3)))
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start a#0
    5s terminate a
    8s kill a
    8s     Failed 0 ready
    8s finished
    ");
}

/// Kubernetes' conformance case 288.
#[test]
fn a_pod_deleted_while_it_is_pending_has_failed() {
    let timeline = pod("Always", MAIN)
        .image("web", &[Some(pod_lifecycle::ImageFailure::Pull)])
        .at(5, delete(None))
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    5s     Failed 0 ready
    5s finished
    ");
}

#[test]
fn a_container_that_fails_while_its_pod_stops_is_not_restarted() {
    let timeline = pod("Always", TWO_MAINS)
        .script("web", &[Run::UntilKilled])
        .script("log", &[Run::Exits { after: 7, code: 1 }])
        .at(5, delete(Some(10)))
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Pending 1 ready
     0s start log#0
     0s     Running 2 ready
     5s terminate web
     5s terminate log
     7s     Running 1 ready
    15s kill web
    15s     Running 0 ready
    15s     Failed 0 ready
    15s finished
    ");
}

#[test]
fn a_pod_that_is_active_too_long_fails_with_the_reason_when_nothing_runs_any_more() {
    let (timeline, status) = pod("Always", &format!("  activeDeadlineSeconds: 7\n{TWO_MAINS}"))
        .script("web", &[Run::Stops { takes: 3, code: 0 }])
        .tell(Tell::Events)
        .live_until(60);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Pending 1 ready
     0s start log#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container log
     0s   Started: Started container log
     0s     Running 2 ready
     7s terminate web
     7s terminate log
     7s   DeadlineExceeded: Pod was active on the node longer than the specified deadline
     7s   Killing: Stopping container web
     7s   Killing: Stopping container log
     7s     Running 1 ready
    10s     Running 0 ready
    10s     Failed 0 ready
    10s finished
    "#);
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    let text = "Pod was active on the node longer than the specified deadline";
    assert_eq!(status.message.as_deref(), Some(text));
    let before = pod("Always", &format!("  activeDeadlineSeconds: 7\n{MAIN}"))
        .script("web", &[Run::UntilKilled])
        .status_at(8);
    assert_eq!(before.reason, None);
}

#[test]
fn a_pod_that_was_too_old_has_failed_even_when_it_is_deleted_then() {
    let (timeline, status) = pod("Always", &format!("  activeDeadlineSeconds: 7\n{MAIN}"))
        .script("web", &[Run::Stops { takes: 5, code: 0 }])
        .at(8, delete(None))
        .live_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 1 ready
     7s terminate web
    12s     Running 0 ready
    12s     Failed 0 ready
    12s finished
    ");
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
}

#[test]
fn an_evicted_pod_is_killed_and_has_failed() {
    let message = "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ".to_owned();
    let (timeline, status) =
        pod("Always", MAIN).at(5, Fact::Evicted { message }).tell(Tell::Events).live_until(60);
    assert_snapshot!(timeline, @r#"
    0s   Scheduled: Successfully assigned default/web to 
    0s     Pending 0 ready
    0s start web#0
    0s   Pulled: Container image "i:1" already present on machine
    0s   Created: Created container web
    0s   Started: Started container web
    0s     Running 1 ready
    5s kill web
    5s   !Evicted: Usage of EmptyDir volume "v" exceeds the limit "1Mi". 
    5s   Killing: Stopping container web
    5s     Running 0 ready
    5s     Failed 0 ready
    5s finished
    "#);
    assert_eq!(status.reason.as_deref(), Some("Evicted"));
}
