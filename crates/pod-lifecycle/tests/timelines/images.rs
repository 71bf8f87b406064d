//! Images that are not there, or not yet.

use insta::assert_snapshot;
use pod_lifecycle::{Fact, ImageFailure, PullReport};
use std::time::Duration;

use crate::simulator::Tell;
use crate::{MAIN, TWO_INITS, TWO_MAINS, pod};

/// Kubernetes' conformance cases 24 to 26.
#[test]
fn a_failing_pull_backs_off_and_never_fails_the_pod() {
    let timeline = pod("Never", &format!("{TWO_INITS}{MAIN}"))
        .image("a", &[Some(ImageFailure::Pull)])
        .tell(Tell::States)
        .tell(Tell::Events)
        .run_until(35);
    assert_snapshot!(timeline, @r#"
     0s   Scheduled: Successfully assigned default/web to 
     0s   a PodInitializing
     0s   b PodInitializing
     0s   web PodInitializing
     0s     Pending 0 ready
     0s   !Failed: Failed to pull image "i:1": no
     0s   !Failed: Error: ErrImagePull
     0s   a ErrImagePull
     0s   BackOff: Back-off pulling image "i:1"
     0s   !Failed: Error: ImagePullBackOff
     0s   a ImagePullBackOff
    10s   !Failed: Failed to pull image "i:1": no
    10s   !Failed: Error: ErrImagePull
    10s   a ErrImagePull
    10s   BackOff: Back-off pulling image "i:1"
    10s   !Failed: Error: ImagePullBackOff
    10s   a ImagePullBackOff
    30s   !Failed: Failed to pull image "i:1": no
    30s   !Failed: Error: ErrImagePull
    30s   a ErrImagePull
    30s   BackOff: Back-off pulling image "i:1"
    30s   !Failed: Error: ImagePullBackOff
    30s   a ImagePullBackOff
    "#);
}

#[test]
fn a_pull_that_succeeds_at_last_forgets_the_back_off() {
    let failing = Some(ImageFailure::Pull);
    let timeline = pod("Always", MAIN)
        .image("web", &[failing, failing, None])
        .tell(Tell::States)
        .run_until(60);
    assert_snapshot!(timeline, @r"
     0s   web ContainerCreating
     0s     Pending 0 ready
     0s   web ErrImagePull
     0s   web ImagePullBackOff
    10s   web ErrImagePull
    10s   web ImagePullBackOff
    30s start web#0
    30s   web running #0
    30s     Running 1 ready
    ");
}

#[test]
fn the_message_of_the_back_off_tells_the_last_error() {
    let status = pod("Always", MAIN).image("web", &[Some(ImageFailure::Pull)]).status_at(5);
    assert_snapshot!(format!("{:?}", status.containers[0].state), @r#"
    Waiting { reason: "ImagePullBackOff", message: Some("Back-off pulling image \"i:1\": ErrImagePull: no") }
    "#);
}

/// The pod is pending as long as one of its containers has never run.
#[test]
fn a_main_container_without_an_image_does_not_keep_the_next_one_from_starting() {
    let timeline = pod("Always", TWO_MAINS)
        .image("web", &[Some(ImageFailure::Pull)])
        .tell(Tell::States)
        .run_until(5);
    assert_snapshot!(timeline, @r"
    0s   log ContainerCreating
    0s   web ContainerCreating
    0s     Pending 0 ready
    0s   web ErrImagePull
    0s start log#0
    0s   log running #0
    0s     Pending 1 ready
    0s   web ImagePullBackOff
    ");
}

#[test]
fn a_registry_that_does_not_answer_has_a_reason_of_its_own() {
    let timeline = pod("Always", MAIN)
        .image("web", &[Some(ImageFailure::Registry)])
        .tell(Tell::Events)
        .run_until(5);
    assert_snapshot!(timeline, @r#"
    0s   Scheduled: Successfully assigned default/web to 
    0s     Pending 0 ready
    0s   !Failed: Failed to pull image "i:1": no
    0s   !Failed: Error: RegistryUnavailable
    0s   BackOff: Back-off pulling image "i:1"
    0s   !Failed: Error: ImagePullBackOff
    "#);
}

#[test]
fn an_image_that_may_not_be_pulled_is_looked_for_again_every_ten_seconds() {
    let timeline = pod("Always", MAIN)
        .image("web", &[Some(ImageFailure::NeverPull)])
        .tell(Tell::States)
        .tell(Tell::Events)
        .run_until(12);
    assert_snapshot!(timeline, @r"
     0s   Scheduled: Successfully assigned default/web to 
     0s   web ContainerCreating
     0s     Pending 0 ready
     0s   !ErrImageNeverPull: no
     0s   !Failed: Error: ErrImageNeverPull
     0s   web ErrImageNeverPull
    10s   !ErrImageNeverPull: no
    10s   !Failed: Error: ErrImageNeverPull
    ");
}

#[test]
fn a_name_that_is_none_waits_with_invalid_image_name() {
    let timeline = pod("Always", MAIN)
        .image("web", &[Some(ImageFailure::InvalidName)])
        .tell(Tell::States)
        .tell(Tell::Events)
        .run_until(5);
    assert_snapshot!(timeline, @r"
    0s   Scheduled: Successfully assigned default/web to 
    0s   web ContainerCreating
    0s     Pending 0 ready
    0s   !InspectFailed: no
    0s   !Failed: Error: InvalidImageName
    0s   web InvalidImageName
    ");
}

#[test]
fn a_pull_is_told_with_its_duration_and_size() {
    let name = pod_model::ContainerName::parse("web").unwrap();
    let ms = Duration::from_millis;
    let pulled = PullReport { took: ms(1_234), took_with_waiting: ms(62_500), bytes: 4_096 };
    let ready =
        Fact::ImageReady { name: name.clone(), image_id: "id".into(), pulled: Some(pulled) };
    // The simulator's own answer comes after these and is stale then.
    let mut machine = crate::simulator::machine_of("Always", MAIN);
    let now = crate::simulator::seconds(0);
    machine.advance(now);
    machine.observe(Fact::SandboxReady { ips: Vec::new() }, now);
    machine.advance(now);
    machine.observe(Fact::ImagePulling { name: name.clone() }, now);
    machine.observe(ready.clone(), now);
    let texts: Vec<String> = machine.take_events().into_iter().map(|one| one.message).collect();
    assert_eq!(
        texts[1..],
        [
            "Pulling image \"i:1\"",
            "Successfully pulled image \"i:1\" in 1.234s (1m2.5s including waiting). Image size: \
             4096 bytes."
        ]
    );
    machine.observe(ready, now);
    machine.observe(Fact::ImagePulling { name }, now);
    assert!(machine.take_events().is_empty(), "a second answer says nothing new");
}

/// Whoever waits in front of the pod need not read the words.
#[test]
fn an_image_that_the_registry_refuses_awaits_a_change() {
    let told = |failure| {
        let pod = pod("Always", MAIN).image("web", &[Some(failure)]);
        let timeline = pod.tell(Tell::Events).tell(Tell::Changes).run_until(5);
        let lines: Vec<&str> = timeline.lines().map(str::trim).collect();
        let at = lines.iter().position(|line| line.ends_with("and awaits a change"));
        at.map(|at| lines[at - 1].rsplit_once('!').map_or("", |(_, event)| event).to_owned())
    };
    let refused = told(ImageFailure::Refused);
    assert_eq!(refused.as_deref(), Some("Failed: Failed to pull image \"i:1\": no"));
    assert_eq!(told(ImageFailure::NoRegistry), refused);
    assert_eq!(told(ImageFailure::NeverPull).as_deref(), Some("ErrImageNeverPull: no"));
    assert_eq!(told(ImageFailure::InvalidName).as_deref(), Some("InspectFailed: no"));
    for passing in [ImageFailure::Pull, ImageFailure::Registry, ImageFailure::Inspect] {
        assert_eq!(told(passing), None, "{passing:?}");
    }
    // For the rest they are as those that may pass.
    for (lasting, passing) in [
        (ImageFailure::Refused, ImageFailure::Pull),
        (ImageFailure::NoRegistry, ImageFailure::Registry),
    ] {
        let timeline = |failure| {
            pod("Always", MAIN).image("web", &[Some(failure)]).tell(Tell::Events).run_until(35)
        };
        assert_eq!(timeline(lasting), timeline(passing));
    }
}
