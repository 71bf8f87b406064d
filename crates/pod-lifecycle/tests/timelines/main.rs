//! Lives of pods in virtual time, one line per thing that is done.

mod simulator;

use std::time::Duration;

use insta::assert_snapshot;
use pod_lifecycle::Fact;
use simulator::{Run, Simulator};

fn pod(policy: &str, rest: &str) -> Simulator {
    Simulator::new(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  restartPolicy: {policy}\n{rest}"
    ))
}

const MAIN: &str = "  containers: [{name: web, image: i:1}]\n";
const TWO_INITS: &str = "  initContainers: [{name: a, image: i:1}, {name: b, image: i:1}]\n  \
    containers: [{name: web, image: i:1}, {name: log, image: i:1}]\n";

fn delete(grace: Option<u64>) -> Fact {
    Fact::DeleteRequested { grace: grace.map(Duration::from_secs) }
}

#[test]
fn init_containers_run_one_by_one_and_mains_start_together_after_them() {
    let timeline = pod("Always", TWO_INITS)
        .script("a", &[Run::Exits { after: 5, code: 0 }])
        .script("b", &[Run::Exits { after: 1, code: 0 }])
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start a#0
    5s start b#0
    6s start web#0
    6s     Pending 1 ready
    6s start log#0
    6s     Running 2 ready
    ");
}

#[test]
fn a_failed_init_container_fails_the_pod_when_the_policy_is_never() {
    let timeline =
        pod("Never", TWO_INITS).script("a", &[Run::Exits { after: 1, code: 3 }]).run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start a#0
    1s     Failed 0 ready
    1s finished
    ");
}

#[test]
fn a_failing_init_container_is_retried_alone_and_keeps_the_pod_pending() {
    let timeline = pod("OnFailure", TWO_INITS)
        .script("a", &[Run::Exits { after: 1, code: 0 }])
        .script(
            "b",
            &[
                Run::Exits { after: 0, code: 1 },
                Run::Exits { after: 0, code: 1 },
                Run::Exits { after: 0, code: 0 },
            ],
        )
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start a#0
     1s start b#0
     1s start b#1
    11s start b#2
    11s start web#0
    11s     Pending 1 ready
    11s start log#0
    11s     Running 2 ready
    ");
}

#[test]
fn a_crashing_container_backs_off_and_doubles() {
    let timeline =
        pod("Always", MAIN).script("web", &[Run::Exits { after: 0, code: 1 }]).run_until(80);
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
    30s start web#3
    30s     Running 1 ready
    30s     Running 0 ready
    70s start web#4
    70s     Running 1 ready
    70s     Running 0 ready
    ");
}

#[test]
fn a_sidecar_starts_before_and_stops_after_the_mains_and_does_not_keep_the_pod_alive() {
    let sidecars = "  initContainers:\n  - {name: p, image: i:1, restartPolicy: Always}\n  \
        - {name: q, image: i:1, restartPolicy: Always}\n";
    let timeline = pod("Never", &format!("{sidecars}{MAIN}"))
        .script("web", &[Run::Exits { after: 3, code: 0 }])
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start p#0
    0s start q#0
    0s start web#0
    0s     Running 1 ready
    3s terminate q
    3s     Running 0 ready
    3s terminate p
    3s     Succeeded 0 ready
    3s finished
    ");
}

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
fn a_pre_stop_hook_spends_the_grace_period() {
    let hooked = "  terminationGracePeriodSeconds: 10\n  containers:\n  - name: web\n    image: i:1\n    \
        lifecycle: {preStop: {exec: {command: [x]}}}\n";
    let timeline = pod("Always", hooked)
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

#[test]
fn a_liveness_probe_that_fails_three_times_restarts_the_container() {
    let probed = "  terminationGracePeriodSeconds: 1\n  containers:\n  - name: web\n    image: i:1\n    \
        livenessProbe: {exec: {command: [x]}, periodSeconds: 5}\n";
    let timeline =
        pod("Always", probed).probes("web", &[true, false, false, false, true]).run_until(40);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 1 ready
    15s terminate web
    15s     Running 0 ready
    15s start web#1
    15s     Running 1 ready
    ");
}

#[test]
fn readiness_follows_its_probe() {
    let probed = "  containers:\n  - name: web\n    image: i:1\n    \
        readinessProbe: {exec: {command: [x]}, periodSeconds: 5, failureThreshold: 2}\n";
    let timeline =
        pod("Always", probed).probes("web", &[false, true, false, false, true]).run_until(25);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 0 ready
     5s     Running 1 ready
    15s     Running 0 ready
    20s     Running 1 ready
    ");
}

#[test]
fn a_pod_that_is_active_too_long_fails() {
    let timeline = pod("Always", &format!("  activeDeadlineSeconds: 7\n{MAIN}")).run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Running 1 ready
    7s terminate web
    7s     Running 0 ready
    7s     Failed 0 ready
    7s finished
    ");
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
