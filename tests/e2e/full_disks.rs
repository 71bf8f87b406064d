//! Pods that write more than the machine has room for.

use e2e_tests::{Node, SmallDisk};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_pod_without_limits_has_those_of_the_machine",
        a_pod_without_limits_has_those_of_the_machine,
    ),
    (
        "who_fills_the_disk_is_evicted_and_nobody_else",
        who_fills_the_disk_is_evicted_and_nobody_else,
    ),
];

/// A pod that writes that many MiB to a file.
fn writer(name: &str, mebibytes: u32, file: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'dd if=/dev/zero of={file} bs=1M count={mebibytes} 2>/dev/null; echo written; sleep 1000']
"
    )
}

/// The message of a pod that is evicted.
fn message_of_eviction(node: &Node, name: &str) -> String {
    let pod = node.wait_until(name, |pod| pod["status"]["reason"] == "Evicted");
    assert_eq!(pod["status"]["phase"], "Failed");
    pod["status"]["message"].as_str().unwrap_or_default().to_owned()
}

fn a_pod_without_limits_has_those_of_the_machine() {
    let node = Node::new("maxdisk", &["busybox"])
        .with("MINIPOD_BACKOFF_SCALE", "0.01")
        .with("MINIPOD_MAX_POD_DISK", "4Mi");
    for (name, file) in [("root", "/big"), ("words", "/dev/termination-log")] {
        let _ = node.apply(&writer(name, 8, file)).succeeds();
        let message = message_of_eviction(&node, name);
        assert!(message.contains("exceeds the limit of --max-pod-disk, 4Mi"), "{message}");
        node.wait_for_event("Evicted", "--max-pod-disk, 4Mi");
    }
    let doctor = node.run(&["doctor"]).stdout;
    assert!(doctor.contains("a pod that has written more than 4Mi is evicted"), "{doctor}");
    let wrong = node.run(&["get", "pods", "--max-pod-disk", "much"]).ends_with(2);
    assert!(wrong.stderr.contains("neither a quantity like 10Gi"), "{}", wrong.stderr);
    let _ = node.run(&["delete", "pods", "--all", "--now"]).succeeds();
}

/// A kubelet's `nodefs.available<10%`.
fn who_fills_the_disk_is_evicted_and_nobody_else() {
    let node = Node::new("fulldisk", &[]);
    let _disk = SmallDisk::mount(&node.directories()[1], "100m");
    let layout = e2e_tests::fixtures::layout("busybox").display().to_string();
    let _ = node.run(&["load", "--quiet", "-i", &layout]).succeeds();
    let _ = node.apply(&writer("small", 1, "/little")).succeeds();
    node.wait_for_log("small", "main", "written");
    let _ = node.apply(&writer("big", 200, "/much")).succeeds();
    let message = message_of_eviction(&node, "big");
    assert!(message.starts_with("The node was low on resource: ephemeral-storage. "), "{message}");
    assert!(message.contains("Container main was using"), "{message}");
    assert_eq!(node.pod("small")["status"]["phase"], "Running");
    let _ = node.run(&["delete", "pods", "--all", "--now"]).succeeds();
}
