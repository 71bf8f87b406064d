use serde_json::json;

use super::*;

const NOW: &str = "2026-01-01T00:02:00Z";

/// A pod with something in every block.
fn rich() -> serde_json::Value {
    serde_json::from_str(include_str!("rich.json")).unwrap()
}

fn described(pod: serde_json::Value, events: Option<&[Event]>) -> String {
    let pod: Pod = serde_json::from_value(pod).unwrap();
    super::pod(&pod, events, NOW.parse().unwrap())
}

#[test]
fn a_rich_pod_is_described_in_every_block() {
    let event = |reason: &str, path: Option<&str>, count: i32, last: &str| -> Event {
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": {"fieldPath": path}, "type": "Normal", "reason": reason,
            "message": "told\n", "source": {"component": "kubelet"}, "count": count,
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": last
        }))
        .unwrap()
    };
    let events = [
        event("Started", Some("spec.containers{main}"), 4, "2026-01-01T00:01:00Z"),
        event("Scheduled", None, 1, "2026-01-01T00:00:00Z"),
    ];
    insta::assert_snapshot!(described(rich(), Some(&events)));
}

#[test]
fn a_bare_pod_says_none_for_what_it_does_not_have() {
    let pod = json!({
        "metadata": {"name": "bare", "namespace": "default"},
        "spec": {"containers": [{"name": "a", "image": "b"}]},
        "status": {"phase": "Pending", "qosClass": "BestEffort"}
    });
    insta::assert_snapshot!(described(pod, Some(&[])), @r#"
    Name:         bare
    Namespace:    default
    Node:         <none>
    Labels:       <none>
    Annotations:  <none>
    Status:       Pending
    IP:           
    IPs:          <none>
    Containers:
      a:
        Image:        b
        Port:         <none>
        Host Port:    <none>
        Environment:  <none>
        Mounts:       <none>
    Volumes:          <none>
    QoS Class:        BestEffort
    Node-Selectors:   <none>
    Tolerations:      <none>
    Events:           <none>
    "#);
}

#[test]
fn deletion_and_a_dead_supervisor_are_told_in_the_status() {
    let mut pod = rich();
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:30Z".into();
    pod["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    let text = described(pod, None);
    assert!(
        text.contains(
            "Status:                    Terminating (lasts 30s)\nTermination Grace Period:  30s\n"
        ),
        "{text}"
    );
    assert!(!text.contains("Events:"), "{text}");
    let mut pod = rich();
    pod["metadata"]["annotations"] = json!({"minipod.dev/supervisor": "dead"});
    let text = described(pod, None);
    assert!(text.contains("Unknown (was Running; the pod's supervisor died)"), "{text}");
}
