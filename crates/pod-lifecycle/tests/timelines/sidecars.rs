//! Sidecars: gates, restarts, and their end.

use insta::assert_snapshot;
use pod_lifecycle::{ImageFailure, ProbeKind, ProbeOutcome};

use crate::simulator::{Run, Tell};
use crate::{MAIN, delete, pod, sidecars};

/// Kubernetes' conformance cases 46, 47 and 76.
#[test]
fn sidecars_start_before_the_mains_and_stop_after_them_in_reverse_order() {
    let timeline = pod("Never", &format!("{}{MAIN}", sidecars(&["p", "q", "r"])))
        .script("p", &[Run::Stops { takes: 5, code: 0 }])
        .script("q", &[Run::Stops { takes: 5, code: 0 }])
        .script("r", &[Run::Stops { takes: 5, code: 0 }])
        .script("web", &[Run::Exits { after: 5, code: 0 }])
        .tell(Tell::States)
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s   p PodInitializing
     0s   q PodInitializing
     0s   r PodInitializing
     0s   web PodInitializing
     0s     Pending 0 ready
     0s start p#0
     0s   p running #0
     0s start q#0
     0s   q running #0
     0s start r#0
     0s   r running #0
     0s start web#0
     0s   web running #0
     0s     Running 1 ready
     5s terminate r
     5s   web Completed 0
     5s     Running 0 ready
    10s terminate q
    10s   r Completed 0
    15s terminate p
    15s   q Completed 0
    20s   p Completed 0
    20s     Succeeded 0 ready
    20s finished
    ");
}

/// Kubernetes' conformance case 42.
#[test]
fn init_containers_and_sidecars_take_turns_as_they_are_written() {
    let inits = "  initContainers:\n  - {name: a, image: 'i:1'}\n  \
        - {name: p, image: 'i:1', restartPolicy: Always}\n  - {name: b, image: 'i:1'}\n  \
        - {name: q, image: 'i:1', restartPolicy: Always}\n  - {name: c, image: 'i:1'}\n";
    let second = [Run::Exits { after: 1, code: 0 }];
    let timeline = pod("Never", &format!("{inits}{MAIN}"))
        .script("a", &second)
        .script("b", &second)
        .script("c", &second)
        .script("web", &second)
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start a#0
    1s start p#0
    1s start b#0
    2s start q#0
    2s start c#0
    3s start web#0
    3s     Running 1 ready
    4s terminate q
    4s     Running 0 ready
    4s terminate p
    4s     Succeeded 0 ready
    4s finished
    ");
}

/// Kubernetes' conformance cases 54 to 59.
#[test]
fn a_sidecar_restarts_whatever_its_code_and_whatever_the_policy() {
    let inits = sidecars(&["p"]) + "  - {name: b, image: 'i:1'}\n";
    insta::allow_duplicates! {
        for code in [0, 1] {
            let timeline = pod("Never", &format!("{inits}{MAIN}"))
                .script("p", &[Run::Exits { after: 5, code }])
                .script("b", &[Run::Exits { after: 8, code: 0 }])
                .script("web", &[Run::Exits { after: 30, code: 0 }])
                .run_until(60);
            assert_snapshot!(timeline, @r"
             0s     Pending 0 ready
             0s start p#0
             0s start b#0
             5s start p#1
             8s start web#0
             8s     Running 1 ready
            20s start p#2
            38s     Running 0 ready
            38s     Succeeded 0 ready
            38s finished
            ");
        }
    }
}

/// Kubernetes' conformance case 66.
#[test]
fn the_restart_of_a_main_container_leaves_the_sidecar_alone() {
    let timeline = pod("Always", &format!("{}{MAIN}", sidecars(&["p"])))
        .script("web", &[Run::Exits { after: 1, code: 0 }])
        .run_until(20);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start p#0
     0s start web#0
     0s     Running 1 ready
     1s     Running 0 ready
     1s start web#1
     1s     Running 1 ready
     2s     Running 0 ready
    12s start web#2
    12s     Running 1 ready
    13s     Running 0 ready
    ");
}

#[test]
fn a_startup_probe_and_a_hook_of_a_sidecar_hold_up_what_follows() {
    let inits = "  initContainers:\n  - name: p\n    image: 'i:1'\n    restartPolicy: Always\n    \
        lifecycle: {postStart: {exec: {command: [x]}}}\n    \
        startupProbe: {exec: {command: [x]}, periodSeconds: 5}\n";
    let timeline = pod("Always", &format!("{inits}{MAIN}"))
        .hook("p", 12)
        .probes("p", &[false, true])
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start p#0
     0s PostStart p
    17s start web#0
    17s     Running 1 ready
    ");
}

#[test]
fn readiness_and_liveness_of_a_sidecar_hold_up_nothing() {
    let inits = "  initContainers:\n  - name: p\n    image: 'i:1'\n    restartPolicy: Always\n    \
        readinessProbe: {exec: {command: [x]}}\n    livenessProbe: {exec: {command: [x]}}\n";
    let status = pod("Always", &format!("{inits}{MAIN}")).probes("p", &[false]).status_at(5);
    assert!(status.containers[0].ready && !status.init_containers[0].ready);
    let ready = status.conditions.iter().find(|one| one.kind == "ContainersReady").unwrap();
    assert_eq!(ready.message.as_deref(), Some("containers with unready status: [p]"));
}

/// Kubernetes' conformance case 72. It does not wait for the main containers then.
#[test]
fn a_sidecar_whose_liveness_probe_fails_is_stopped_at_once_and_restarted() {
    let inits = "  initContainers:\n  - name: p\n    image: 'i:1'\n    restartPolicy: Always\n    \
        lifecycle: {preStop: {exec: {command: [x]}}}\n    \
        livenessProbe: {exec: {command: [x]}, failureThreshold: 1}\n";
    let timeline = pod("Never", &format!("{inits}{MAIN}"))
        .probes("p", &[true, false, true])
        .tell(Tell::Events)
        .run_until(25);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start p#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container p
     0s   Started: Started container p
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Running 1 ready
    20s PreStop p
    20s   !Unhealthy: Liveness probe failed: not well
    20s   Killing: Init container p failed liveness probe
    20s terminate p
    20s start p#1
    20s   Pulled: Container image "i:1" already present on machine
    20s   Created: Created container p
    20s   Started: Started container p
    "#);
}

/// Kubernetes' conformance case 90.
#[test]
fn a_sidecar_that_recovers_opens_its_gate() {
    let inits = "  initContainers:\n  - name: p\n    image: 'i:1'\n    restartPolicy: Always\n    \
        startupProbe: {exec: {command: [x]}, periodSeconds: 1, failureThreshold: 60}\n";
    let timeline = pod("Never", &format!("{inits}{MAIN}"))
        .script("p", &[Run::Exits { after: 0, code: 1 }, Run::UntilAsked])
        .run_until(15);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start p#0
    0s start p#1
    0s start web#0
    0s     Running 1 ready
    ");
}

/// Kubernetes' conformance cases 68 to 70, without the new image.
#[test]
fn a_sidecar_whose_startup_probe_fails_keeps_the_pod_pending() {
    let inits = "  initContainers:\n  - {name: p, image: 'i:1', restartPolicy: Always}\n  \
        - name: q\n    image: 'i:1'\n    restartPolicy: Always\n    \
        startupProbe: {exec: {command: [x]}, periodSeconds: 1, failureThreshold: 2}\n";
    let timeline = pod("Never", &format!("{inits}{MAIN}")).probes("q", &[false]).run_until(20);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start p#0
     0s start q#0
     2s terminate q
     2s start q#1
     4s terminate q
     4s start q#2
     6s terminate q
    16s start q#3
    18s terminate q
    ");
}

#[test]
fn a_sidecar_without_an_image_holds_up_what_follows() {
    let timeline = pod("Always", &format!("{}{MAIN}", sidecars(&["p", "q"])))
        .image("p", &[Some(ImageFailure::Pull), None])
        .run_until(15);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
    10s start p#0
    10s start q#0
    10s start web#0
    10s     Running 1 ready
    ");
}

/// Kubernetes' conformance case 84.
#[test]
fn the_code_of_a_sidecar_never_decides_the_phase() {
    let timeline = pod("Always", &format!("{}{MAIN}", sidecars(&["p", "q", "r"])))
        .script("q", &[Run::Stops { takes: 1, code: 1 }])
        .at(5, delete(None))
        .tell(Tell::States)
        .run_until(60);
    assert_snapshot!(timeline, @r"
    0s   p PodInitializing
    0s   q PodInitializing
    0s   r PodInitializing
    0s   web PodInitializing
    0s     Pending 0 ready
    0s start p#0
    0s   p running #0
    0s start q#0
    0s   q running #0
    0s start r#0
    0s   r running #0
    0s start web#0
    0s   web running #0
    0s     Running 1 ready
    5s terminate web
    5s terminate r
    5s   web Completed 0
    5s     Running 0 ready
    5s terminate q
    5s   r Completed 0
    6s terminate p
    6s   q Error 1
    6s   p Completed 0
    6s     Succeeded 0 ready
    6s finished
    ");
}

/// Kubernetes' conformance case 86.
#[test]
fn sidecars_that_wait_past_the_grace_get_two_seconds_together() {
    let timeline = pod("Never", &format!("{}{MAIN}", sidecars(&["p", "q", "r"])))
        .script("web", &[Run::Stops { takes: 20, code: 0 }])
        .script("p", &[Run::Stops { takes: 20, code: 0 }])
        .script("q", &[Run::Stops { takes: 1, code: 0 }])
        .script("r", &[Run::Stops { takes: 20, code: 0 }])
        .at(10, delete(Some(5)))
        .tell(Tell::States)
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s   p PodInitializing
     0s   q PodInitializing
     0s   r PodInitializing
     0s   web PodInitializing
     0s     Pending 0 ready
     0s start p#0
     0s   p running #0
     0s start q#0
     0s   q running #0
     0s start r#0
     0s   r running #0
     0s start web#0
     0s   web running #0
     0s     Running 1 ready
    10s terminate web
    15s terminate p
    15s terminate q
    15s terminate r
    15s kill web
    15s   web Error 137
    15s     Running 0 ready
    16s   q Completed 0
    17s kill p
    17s kill r
    17s   p Error 137
    17s   r Error 137
    17s     Failed 0 ready
    17s finished
    ");
}

/// Kubernetes' conformance case 80.
#[test]
fn sidecars_whose_hooks_do_not_end_are_stopped_together() {
    let sidecar = |name: &str| {
        format!(
            "  - {{name: {name}, image: 'i:1', restartPolicy: Always, lifecycle: {{preStop: {{exec: {{command: [x]}}}}}}}}\n"
        )
    };
    let inits = format!("  initContainers:\n{}{}", sidecar("p"), sidecar("q"));
    let timeline = pod("Never", &format!("{inits}{MAIN}"))
        .script("p", &[Run::UntilKilled])
        .script("q", &[Run::UntilKilled])
        .hook("p", 1000)
        .hook("q", 1000)
        .at(10, delete(None))
        .run_until(100);
    assert_snapshot!(timeline, @r"
     0s     Pending 0 ready
     0s start p#0
     0s start q#0
     0s start web#0
     0s     Running 1 ready
    10s PreStop p
    10s PreStop q
    10s terminate web
    10s     Running 0 ready
    40s terminate p
    40s terminate q
    42s kill p
    42s kill q
    42s     Succeeded 0 ready
    42s finished
    ");
}

#[test]
fn the_readiness_of_a_sidecar_counts_until_it_ends() {
    let inits = "  initContainers:\n  - name: p\n    image: 'i:1'\n    restartPolicy: Always\n    \
        readinessProbe: {exec: {command: [x]}, periodSeconds: 1}\n";
    let probed = [ProbeOutcome::Success];
    let status = pod("Always", &format!("{inits}{MAIN}"))
        .probe("p", ProbeKind::Readiness, &probed)
        .status_at(5);
    assert!(status.init_containers[0].ready && status.init_containers[0].started);
    let ready = status.conditions.iter().find(|one| one.kind == "Ready").unwrap();
    assert!(ready.is_true);
}
