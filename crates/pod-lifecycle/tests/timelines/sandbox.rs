//! The sandbox: made before everything else, again when it is lost, never for nothing.

use insta::assert_snapshot;
use pod_lifecycle::Fact;

use crate::simulator::{Run, Tell, machine_of, seconds};
use crate::{MAIN, TWO_INITS, TWO_MAINS, pod};

#[test]
fn a_lost_sandbox_is_made_again_and_the_pod_begins_with_its_first_init_container() {
    let timeline = pod("Always", &format!("{TWO_INITS}{MAIN}"))
        .script("a", &[Run::Exits { after: 1, code: 0 }])
        .script("b", &[Run::Exits { after: 1, code: 0 }])
        .at(5, Fact::SandboxGone)
        .tell(Tell::Events)
        .run_until(20);
    assert_snapshot!(timeline, @r#"
    0s   Scheduled: Successfully assigned default/web to 
    0s     Pending 0 ready
    0s start a#0
    0s   Pulled: Container image "i:1" already present on machine
    0s   Created: Created container a
    0s   Started: Started container a
    1s start b#0
    1s   Pulled: Container image "i:1" already present on machine
    1s   Created: Created container b
    1s   Started: Started container b
    2s start web#0
    2s   Pulled: Container image "i:1" already present on machine
    2s   Created: Created container web
    2s   Started: Started container web
    2s     Running 1 ready
    5s   SandboxChanged: Pod sandbox changed, it will be killed and re-created.
    5s     Pending 0 ready
    5s start a#1
    5s   Pulled: Container image "i:1" already present on machine
    5s   Created: Created container a
    5s   Started: Started container a
    6s start b#1
    6s   Pulled: Container image "i:1" already present on machine
    6s   Created: Created container b
    6s   Started: Started container b
    7s     Running 0 ready
    7s start web#1
    7s   Pulled: Container image "i:1" already present on machine
    7s   Created: Created container web
    7s   Started: Started container web
    7s     Running 1 ready
    "#);
}

#[test]
fn a_pod_that_restarts_nothing_fails_with_its_sandbox() {
    let timeline = pod("Never", MAIN).at(5, Fact::SandboxGone).tell(Tell::States).run_until(20);
    assert_snapshot!(timeline, @r"
    0s   web ContainerCreating
    0s     Pending 0 ready
    0s start web#0
    0s   web running #0
    0s     Running 1 ready
    5s   web Error 137
    5s     Failed 0 ready
    5s finished
    ");
    let timeline = pod("Never", &format!("{TWO_INITS}{MAIN}"))
        .at(5, Fact::SandboxGone)
        .tell(Tell::States)
        .run_until(20);
    assert_snapshot!(timeline, @r"
    0s   a PodInitializing
    0s   b PodInitializing
    0s   web PodInitializing
    0s     Pending 0 ready
    0s start a#0
    0s   a running #0
    5s   a Error 137
    5s     Failed 0 ready
    5s finished
    ");
}

#[test]
fn what_succeeded_under_on_failure_stays_ended_in_a_new_sandbox() {
    let timeline = pod("OnFailure", TWO_MAINS)
        .script("web", &[Run::Exits { after: 1, code: 0 }])
        .script("log", &[Run::UntilAsked])
        .at(5, Fact::SandboxGone)
        .run_until(20);
    assert_snapshot!(timeline, @r"
    0s     Pending 0 ready
    0s start web#0
    0s     Pending 1 ready
    0s start log#0
    0s     Running 2 ready
    1s     Running 1 ready
    5s     Running 0 ready
    5s start log#1
    5s     Running 1 ready
    ");
}

/// Kubernetes' conformance case 320.
#[test]
fn no_second_sandbox_is_made_when_all_containers_are_done() {
    let timeline = pod("OnFailure", &format!("{TWO_INITS}{MAIN}"))
        .script("a", &[Run::Exits { after: 0, code: 0 }])
        .script("b", &[Run::Exits { after: 0, code: 0 }])
        .script("web", &[Run::Exits { after: 0, code: 0 }])
        .tell(Tell::Events)
        .run_until(20);
    assert_snapshot!(timeline, @r#"
    0s   Scheduled: Successfully assigned default/web to 
    0s     Pending 0 ready
    0s start a#0
    0s   Pulled: Container image "i:1" already present on machine
    0s   Created: Created container a
    0s   Started: Started container a
    0s start b#0
    0s   Pulled: Container image "i:1" already present on machine
    0s   Created: Created container b
    0s   Started: Started container b
    0s start web#0
    0s   Pulled: Container image "i:1" already present on machine
    0s   Created: Created container web
    0s   Started: Started container web
    0s     Running 1 ready
    0s     Running 0 ready
    0s     Succeeded 0 ready
    0s finished
    "#);
}

#[test]
fn a_sandbox_that_cannot_be_made_is_tried_again_after_ten_seconds() {
    let mut machine = machine_of("Always", MAIN);
    assert_eq!(machine.advance(seconds(0)).len(), 1);
    machine.observe(Fact::SandboxFailed { message: "no bridge".into() }, seconds(1));
    assert!(machine.advance(seconds(1)).is_empty());
    assert_eq!(machine.next_deadline(), Some(seconds(11)));
    assert_eq!(machine.advance(seconds(11)).len(), 1);
    let told: Vec<String> = machine.take_events().into_iter().map(|one| one.message).collect();
    assert_eq!(told[1], "Failed to create pod sandbox: no bridge");
}

#[test]
fn a_volume_that_is_missing_keeps_even_the_first_init_container_from_starting() {
    let mut machine = machine_of("Always", &format!("{TWO_INITS}{MAIN}"));
    let mut now = seconds(0);
    let mut tries = Vec::new();
    for _ in 0..12 {
        assert_eq!(machine.advance(now).len(), 1);
        tries.push(now.elapsed().as_secs());
        let failures = vec![("config".to_owned(), "configmap \"c\" not found".to_owned())];
        machine.observe(Fact::VolumesFailed { failures }, now);
        now = machine.next_deadline().unwrap();
    }
    assert_eq!(tries, [0, 0, 1, 3, 7, 15, 31, 63, 127, 249, 371, 493]);
    let status = machine.status();
    assert_eq!(status.phase, pod_model::PodPhase::Pending);
    let told: Vec<String> = machine.take_events().into_iter().map(|one| one.message).collect();
    let text = "MountVolume.SetUp failed for volume \"config\" : configmap \"c\" not found";
    assert_eq!(told[1], text);
}
