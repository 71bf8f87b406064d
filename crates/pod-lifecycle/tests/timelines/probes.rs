//! Probes: when they run and what follows. How they are carried out is tested elsewhere.

use insta::assert_snapshot;
use pod_lifecycle::{ProbeKind, ProbeOutcome};

use crate::simulator::{Run, Tell};
use crate::{delete, main_with, pod};

fn unknown() -> ProbeOutcome {
    ProbeOutcome::Unknown("no such container".into())
}

fn failure() -> ProbeOutcome {
    ProbeOutcome::Failure("not well".into())
}

/// Kubernetes' conformance cases 14, 15, 118 and 120.
#[test]
fn a_liveness_probe_that_fails_three_times_restarts_the_container() {
    let timeline =
        pod("Always", &main_with("livenessProbe: {exec: {command: [x]}, periodSeconds: 5}"))
            .probes("web", &[true, false, false, false, true])
            .tell(Tell::Events)
            .run_until(40);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Running 1 ready
    10s   !Unhealthy: Liveness probe failed: not well
    15s   !Unhealthy: Liveness probe failed: not well
    20s terminate web
    20s   !Unhealthy: Liveness probe failed: not well
    20s   Killing: Container web failed liveness probe, will be restarted
    20s     Running 0 ready
    20s start web#1
    20s   Pulled: Container image "i:1" already present on machine
    20s   Created: Created container web
    20s   Started: Started container web
    20s     Running 1 ready
    "#);
}

/// A kubelet judges the restart by the end before the kill: the first is at once, later ones are
/// held back when they come too soon after each other.
#[test]
fn restarts_for_a_failed_probe_are_held_back_by_the_end_before() {
    let probe = "livenessProbe: {exec: {command: [x]}, failureThreshold: 1, periodSeconds: 1}";
    let timeline = pod("Always", &main_with(probe)).probes("web", &[false]).run_until(45);
    let starts: Vec<&str> = timeline.lines().filter(|line| line.contains("start")).collect();
    assert_snapshot!(starts.join("\n"), @r"
     0s start web#0
     1s start web#1
     2s start web#2
    13s start web#3
    34s start web#4
    ");
}

#[test]
fn success_in_between_starts_the_count_of_failures_afresh() {
    let timeline =
        pod("Always", &main_with("livenessProbe: {exec: {command: [x]}, periodSeconds: 1}"))
            .probes("web", &[false, false, true])
            .run_until(40);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Running 1 ready
    ");
}

/// Under Never the container ends, and with it the pod; under `OnFailure` it restarts even when it
/// ends with 0.
#[test]
fn after_a_failed_probe_the_policy_decides_and_not_the_code() {
    let probe = "livenessProbe: {exec: {command: [x]}, failureThreshold: 1}";
    let timeline =
        pod("Never", &main_with(probe)).probes("web", &[false]).tell(Tell::Events).run_until(40);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Running 1 ready
    10s terminate web
    10s   !Unhealthy: Liveness probe failed: not well
    10s   Killing: Container web failed liveness probe
    10s     Running 0 ready
    10s     Succeeded 0 ready
    10s finished
    "#);
    let timeline = pod("OnFailure", &main_with(probe)).probes("web", &[false, true]).run_until(40);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 1 ready
    10s terminate web
    10s     Running 0 ready
    10s start web#1
    10s     Running 1 ready
    ");
}

/// Kubernetes' conformance case 30.
#[test]
fn a_failed_startup_probe_runs_the_pre_stop_hook_and_ends_the_container() {
    let fields = "startupProbe: {exec: {command: [x]}, failureThreshold: 1}, \
        lifecycle: {preStop: {exec: {command: [x]}}}";
    let timeline = pod("Never", &main_with(fields))
        .probes("web", &[false])
        .hook("web", 3)
        .tell(Tell::Events)
        .run_until(40);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Running 0 ready
    10s PreStop web
    10s   !Unhealthy: Startup probe failed: not well
    10s   Killing: Container web failed startup probe
    13s terminate web
    13s     Succeeded 0 ready
    13s finished
    "#);
}

/// Kubernetes' conformance cases 130 and 132.
#[test]
fn the_startup_probe_holds_back_the_others_and_readiness_is_asked_at_once_after_it() {
    let fields = "startupProbe: {exec: {command: [x]}, periodSeconds: 4, failureThreshold: 60}, \
        livenessProbe: {exec: {command: [x]}, failureThreshold: 1}, \
        readinessProbe: {exec: {command: [x]}, periodSeconds: 30}";
    let timeline = pod("Always", &main_with(fields))
        .probe("web", ProbeKind::Startup, &[failure(), failure(), failure(), ProbeOutcome::Success])
        .tell(Tell::Events)
        .run_until(60);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Running 0 ready
     4s   !Unhealthy: Startup probe failed: not well
     8s   !Unhealthy: Startup probe failed: not well
    12s     Running 1 ready
    "#);
}

/// Nobody is killed because it was asked sooner than a kubelet would have asked.
#[test]
fn before_the_first_period_a_success_counts_and_a_failure_says_nothing() {
    let fields = "startupProbe: {exec: {command: [x]}, failureThreshold: 1, periodSeconds: 4}, \
        livenessProbe: {exec: {command: [x]}, failureThreshold: 1, periodSeconds: 6}";
    let timeline = |startup: &[bool], liveness: &[ProbeOutcome]| {
        pod("Always", &main_with(fields))
            .probes("web", startup)
            .probe("web", ProbeKind::Liveness, liveness)
            .tell(Tell::Events)
            .run_until(7)
    };
    assert_snapshot!(timeline(&[false, true], &[ProbeOutcome::Success]), @r#"
    0s   Scheduled: Successfully assigned default/web to 
    0s     Pending 0 ready
    0s start web#0
    0s   Pulled: Container image "i:1" already present on machine
    0s   Created: Created container web
    0s   Started: Started container web
    0s     Running 0 ready
    4s     Running 1 ready
    "#);
    assert_snapshot!(timeline(&[true], &[failure(), ProbeOutcome::Success]), @r#"
    0s   Scheduled: Successfully assigned default/web to 
    0s     Pending 0 ready
    0s start web#0
    0s   Pulled: Container image "i:1" already present on machine
    0s   Created: Created container web
    0s   Started: Started container web
    0s     Running 0 ready
    0s     Running 1 ready
    6s terminate web
    6s   !Unhealthy: Liveness probe failed: not well
    6s   Killing: Container web failed liveness probe, will be restarted
    6s     Running 0 ready
    6s start web#1
    6s   Pulled: Container image "i:1" already present on machine
    6s   Created: Created container web
    6s   Started: Started container web
    6s     Running 1 ready
    "#);
}

#[test]
fn started_follows_the_startup_probe() {
    let fields = "startupProbe: {exec: {command: [x]}, failureThreshold: 60}";
    let probed = |outcome| {
        let status = pod("Always", &main_with(fields)).probes("web", &[outcome]).status_at(5);
        (status.containers[0].started, status.containers[0].ready)
    };
    assert_eq!(probed(false), (false, false));
    assert_eq!(probed(true), (true, true));
}

/// Kubernetes' conformance case 116.
#[test]
fn a_container_is_not_ready_before_the_initial_delay_and_never_restarts_for_readiness() {
    let fields = "readinessProbe: {exec: {command: [x]}, initialDelaySeconds: 30}";
    let timeline = pod("Always", &main_with(fields)).run_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 0 ready
    30s     Running 1 ready
    ");
}

#[test]
fn readiness_follows_its_probe_and_its_thresholds() {
    let fields = "readinessProbe: {exec: {command: [x]}, periodSeconds: 5, failureThreshold: 2, \
        successThreshold: 2}";
    let timeline = pod("Always", &main_with(fields))
        .probes("web", &[false, true, true, false, true, false, false, true, true])
        .run_until(45);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 0 ready
    10s     Running 1 ready
    30s     Running 0 ready
    40s     Running 1 ready
    ");
}

#[test]
fn a_new_start_is_not_ready_until_its_own_probe_says_so() {
    let fields = "readinessProbe: {exec: {command: [x]}, periodSeconds: 5}";
    let timeline = pod("Always", &main_with(fields))
        .script("web", &[Run::Exits { after: 12, code: 1 }, Run::UntilAsked])
        .probes("web", &[true, true, true, false, true])
        .run_until(25);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 0 ready
     0s     Running 1 ready
    12s     Running 0 ready
    12s start web#1
    17s     Running 1 ready
    ");
}

/// Kubernetes' conformance case 32.
#[test]
fn a_pod_that_is_deleted_is_asked_for_readiness_and_nothing_else() {
    let fields = "livenessProbe: {exec: {command: [x]}, periodSeconds: 1, failureThreshold: 1}, \
        readinessProbe: {exec: {command: [x]}, periodSeconds: 1, failureThreshold: 1}, \
        lifecycle: {preStop: {exec: {command: [x]}}}";
    let well = ProbeOutcome::Success;
    let timeline = pod("Never", &main_with(fields))
        .probe("web", ProbeKind::Liveness, &[well.clone(), well.clone(), failure()])
        .probe("web", ProbeKind::Readiness, &[well.clone(), well.clone(), well, failure()])
        .hook("web", 10)
        .at(1, delete(Some(100)))
        .tell(Tell::Events)
        .run_until(60);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Running 0 ready
     0s     Running 1 ready
     1s PreStop web
     1s   Killing: Stopping container web
     3s   !Unhealthy: Readiness probe failed: not well
     3s     Running 0 ready
     4s   !Unhealthy: Readiness probe failed: not well
     5s   !Unhealthy: Readiness probe failed: not well
     6s   !Unhealthy: Readiness probe failed: not well
     7s   !Unhealthy: Readiness probe failed: not well
     8s   !Unhealthy: Readiness probe failed: not well
     9s   !Unhealthy: Readiness probe failed: not well
    10s   !Unhealthy: Readiness probe failed: not well
    11s terminate web
    11s   !Unhealthy: Readiness probe failed: not well
    11s     Succeeded 0 ready
    11s finished
    "#);
}

#[test]
fn a_probe_that_cannot_be_carried_out_is_tried_three_times_and_counts_for_nothing() {
    let fields = "livenessProbe: {exec: {command: [x]}, failureThreshold: 1}";
    let timeline = pod("Always", &main_with(fields))
        .probes("web", &[true])
        .probe(
            "web",
            ProbeKind::Liveness,
            &[unknown(), unknown(), unknown(), ProbeOutcome::Success],
        )
        .tell(Tell::Events)
        .run_until(15);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Running 1 ready
    10s   !Unhealthy: Liveness probe errored and resulted in unknown state: no such container
    "#);
}

/// Kubernetes' conformance case 128, as far as the warning goes.
#[test]
fn a_probe_that_warns_has_succeeded() {
    let warning = ProbeOutcome::Warning("Probe terminated redirects, Response body: moved".into());
    let fields = "livenessProbe: {exec: {command: [x]}, failureThreshold: 1}";
    let timeline = pod("Always", &main_with(fields))
        .probe("web", ProbeKind::Liveness, &[warning])
        .tell(Tell::Events)
        .run_until(15);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Running 1 ready
    10s   !ProbeWarning: Liveness probe warning: Probe terminated redirects, Response body: moved
    "#);
}

#[test]
fn the_grace_of_a_probe_comes_before_the_pods() {
    let fields = "livenessProbe: {exec: {command: [x]}, failureThreshold: 1, \
        terminationGracePeriodSeconds: 5}";
    let timeline = pod("Always", &main_with(fields))
        .script("web", &[Run::UntilKilled])
        .probes("web", &[false, true])
        .run_until(20);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start web#0
     0s     Running 1 ready
    10s terminate web
    15s kill web
    15s     Running 0 ready
    15s start web#1
    15s     Running 1 ready
    ");
}
