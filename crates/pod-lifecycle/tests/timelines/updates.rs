//! Changes of a pod that exists.

use std::time::Duration;

use insta::assert_snapshot;
use pod_lifecycle::{Fact, ImageFailure, Update};
use pod_model::ContainerName;

use crate::simulator::{Run, Tell};
use crate::{MAIN, TWO_INITS, TWO_MAINS, delete, main_with, pod, sidecars};

fn new_image(container: &str) -> Fact {
    let name = ContainerName::parse(container).expect("a name");
    Fact::Updated(Update { images: vec![(name, "i:2".into())], ..Update::default() })
}

/// Kubernetes' conformance cases 6 to 8.
#[test]
fn a_new_image_restarts_just_that_container_whatever_the_policy() {
    insta::allow_duplicates! {
        for policy in ["Always", "OnFailure", "Never"] {
            let timeline =
                pod(policy, TWO_MAINS).at(5, new_image("web")).tell(Tell::Events).run_until(20);
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
            5s terminate web
            5s   Killing: Container web definition changed, will be restarted
            5s     Running 1 ready
            5s start web#1
            5s   Pulled: Container image "i:2" already present on machine
            5s   Created: Created container web
            5s   Started: Started container web
            5s     Running 2 ready
            "#);
        }
    }
}

/// Kubernetes' conformance cases 48 to 50 and 92.
#[test]
fn a_new_image_of_a_sidecar_restarts_just_the_sidecar() {
    insta::allow_duplicates! {
        for policy in ["Never", "OnFailure", "Always"] {
            let timeline = pod(policy, &format!("{}{MAIN}", sidecars(&["p", "q"])))
                .at(5, new_image("p"))
                .tell(Tell::Events)
                .run_until(20);
            assert_snapshot!(timeline, @r#"
            0s   Scheduled: Successfully assigned default/web to 
            0s     Pending 0 ready
            0s start p#0
            0s   Pulled: Container image "i:1" already present on machine
            0s   Created: Created container p
            0s   Started: Started container p
            0s start q#0
            0s   Pulled: Container image "i:1" already present on machine
            0s   Created: Created container q
            0s   Started: Started container q
            0s start web#0
            0s   Pulled: Container image "i:1" already present on machine
            0s   Created: Created container web
            0s   Started: Started container web
            0s     Running 1 ready
            5s terminate p
            5s   Killing: Init container p definition changed
            5s start p#1
            5s   Pulled: Container image "i:2" already present on machine
            5s   Created: Created container p
            5s   Started: Started container p
            "#);
        }
    }
}

/// Kubernetes' conformance case 34.
#[test]
fn a_new_image_of_an_init_container_that_has_run_changes_nothing() {
    let timeline = pod("Always", &format!("{TWO_INITS}{MAIN}"))
        .script("a", &[Run::Exits { after: 0, code: 0 }])
        .script("b", &[Run::Exits { after: 0, code: 0 }])
        .at(5, new_image("a"))
        .run_until(20);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start a#0
    0s start b#0
    0s start web#0
    0s     Running 1 ready
    ");
}

/// Kubernetes' conformance cases 12 and 13.
#[test]
fn a_container_that_its_probe_restarts_starts_from_the_new_image() {
    let probe = "startupProbe: {exec: {command: [x]}, failureThreshold: 1, periodSeconds: 2}";
    let timeline = pod("Always", &main_with(probe))
        .script("web", &[Run::Stops { takes: 4, code: 0 }])
        .probes("web", &[false])
        .at(3, new_image("web"))
        .tell(Tell::Events)
        .run_until(14);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s     Pending 0 ready
     0s start web#0
     0s   Pulled: Container image "i:1" already present on machine
     0s   Created: Created container web
     0s   Started: Started container web
     0s     Running 0 ready
     2s terminate web
     2s   !Unhealthy: Startup probe failed: not well
     2s   Killing: Container web failed startup probe, will be restarted
     6s start web#1
     6s   Pulled: Container image "i:2" already present on machine
     6s   Created: Created container web
     6s   Started: Started container web
     8s terminate web
     8s   !Unhealthy: Startup probe failed: not well
     8s   Killing: Container web failed startup probe, will be restarted
    12s start web#2
    12s   Pulled: Container image "i:2" already present on machine
    12s   Created: Created container web
    12s   Started: Started container web
    "#);
}

#[test]
fn a_new_image_ends_the_back_off_of_a_container_that_waits() {
    let crash = Run::Exits { after: 0, code: 1 };
    let timeline = pod("Always", MAIN)
        .script("web", &[crash, crash, crash, Run::UntilAsked])
        .at(15, new_image("web"))
        .run_until(20);
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
    15s start web#3
    15s     Running 1 ready
    ");
    let timeline = pod("Always", MAIN)
        .image("web", &[Some(ImageFailure::Pull), None])
        .at(5, new_image("web"))
        .run_until(20);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    5s start web#0
    5s     Running 1 ready
    ");
}

#[test]
fn an_image_that_changes_while_the_former_one_is_looked_for_is_looked_for_instead() {
    let mut machine = crate::simulator::machine_of("Always", MAIN);
    let now = crate::simulator::seconds(0);
    machine.advance(now);
    machine.observe(Fact::SandboxReady { ips: Vec::new() }, now);
    assert_eq!(machine.advance(now).len(), 1);
    machine.observe(new_image("web"), now);
    assert!(machine.advance(now).is_empty());
    let name = ContainerName::parse("web").unwrap();
    let answer = Fact::ImageReady { name: name.clone(), image_id: "old".into(), pulled: None };
    machine.observe(answer, now);
    let actions = machine.advance(now);
    assert_eq!(actions, [pod_lifecycle::Action::EnsureImage { name }]);
}

/// Kubernetes' conformance cases 16 to 18 and 36.
#[test]
fn a_new_image_starts_nothing_in_a_pod_that_is_being_deleted() {
    insta::allow_duplicates! {
        for policy in ["Always", "OnFailure", "Never"] {
            let timeline = pod(policy, MAIN)
                .script("web", &[Run::Stops { takes: 5, code: 0 }])
                .at(5, delete(Some(120)))
                .at(7, new_image("web"))
                .run_until(60);
            assert_snapshot!(timeline, @r"
             0s     Pending 0 ready
             0s start web#0
             0s     Running 1 ready
             5s terminate web
            10s     Running 0 ready
            10s     Succeeded 0 ready
            10s finished
            ");
        }
    }
}

#[test]
fn an_active_deadline_can_be_set_later() {
    let update = Update { active_deadline: Some(Duration::from_secs(8)), ..Update::default() };
    let timeline = pod("Always", MAIN).at(5, Fact::Updated(update)).run_until(20);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Running 1 ready
    8s terminate web
    8s     Running 0 ready
    8s     Failed 0 ready
    8s finished
    ");
}

/// A pod with scheduling gates is nobody's until the last of them goes; deleting it needs nothing.
#[test]
fn a_pod_with_scheduling_gates_waits_until_they_are_removed() {
    let gated = |is_gated: bool| Fact::Updated(Update { is_gated, ..Update::default() });
    let gates = format!(
        "  schedulingGates: [{{name: example.com/a}}]\n  activeDeadlineSeconds: 30\n{MAIN}"
    );
    let timeline = pod("Always", &gates)
        .at(5, gated(true))
        .at(100, gated(false))
        .tell(Tell::Events)
        .run_until(110);
    assert_snapshot!(timeline, @r#"
      0s     Pending 0 ready
    100s   Scheduled: Successfully assigned default/web to 
    100s start web#0
    100s   Pulled: Container image "i:1" already present on machine
    100s   Created: Created container web
    100s   Started: Started container web
    100s     Running 1 ready
    "#);
    let timeline = pod("Always", &gates).at(7, delete(None)).tell(Tell::Events).run_until(20);
    assert!(!timeline.contains("Scheduled") && !timeline.contains("start"), "{timeline}");
}
