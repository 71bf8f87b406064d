//! Claims end as Kubernetes ends them: with their files, and not under a pod.

use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};

use crate::Test;
use crate::supervisor::{kill, supervisor};

pub(crate) const TESTS: &[Test] = &[
    ("a_new_claim_of_a_deleted_ones_name_is_empty", a_new_claim_of_a_deleted_ones_name_is_empty),
    (
        "a_claim_in_use_is_terminating_until_its_last_pod_is_gone",
        a_claim_in_use_is_terminating_until_its_last_pod_is_gone,
    ),
    (
        "a_claim_that_was_not_waited_for_goes_with_its_pod",
        a_claim_that_was_not_waited_for_goes_with_its_pod,
    ),
];

const CLAIM: &str = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: files}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Mi}}
";

fn pod(name: &str, command: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  volumes: [{{name: files, persistentVolumeClaim: {{claimName: files}}}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, '{command}']
    volumeMounts: [{{name: files, mountPath: /files}}]
"
    )
}

fn a_new_claim_of_a_deleted_ones_name_is_empty() {
    let node = Node::new("reclaim", &["busybox"]);
    for round in ["first", "second"] {
        let _ = node.apply(CLAIM).succeeds();
        let _ = node.apply(&pod(round, "ls -A /files; echo old >/files/old")).succeeds();
        let _ = node.wait_for_end(round);
        assert_eq!(node.run(&["logs", round]).succeeds().stdout, "", "{round}");
        node.delete_leaves_nothing(round, &[]);
        let deleted = node.run(&["delete", "pvc", "files"]).succeeds();
        assert!(deleted.stdout.contains("persistentvolumeclaim \"files\" deleted"));
        let _ = node.run(&["get", "pvc", "files"]).ends_with(5);
    }
    let claims = std::fs::read_dir(node.directories()[1].join("claims")).expect("there were some");
    assert_eq!(claims.count(), 0);
}

/// kubernetes.io/pvc-protection.
fn a_claim_in_use_is_terminating_until_its_last_pod_is_gone() {
    let node = Node::new("protection", &["busybox"]);
    let _ = node.apply(CLAIM).succeeds();
    let described = node.run(&["describe", "pvc", "files"]).succeeds().stdout;
    assert!(described.contains("[kubernetes.io/pvc-protection]"), "{described}");
    let _ = node.apply(&pod("user", "echo kept >/files/kept; sleep 1000")).succeeds();
    node.wait_for_phase("user", "Running");
    let late = node.run(&["delete", "pvc", "files", "--timeout=10ms"]).ends_with(124);
    let text = "timed out waiting for the condition on persistentvolumeclaims/files";
    assert!(late.stderr.contains(text), "{}", late.stderr);
    let listed = node.run(&["get", "pvc", "files", "--no-headers"]).succeeds().stdout;
    assert!(listed.contains("Terminating"), "{listed}");
    // Neither does it come back, nor may another pod begin to use it.
    let _ = node.apply(CLAIM).succeeds();
    let listed = node.run(&["get", "pvc", "files", "--no-headers"]).succeeds().stdout;
    assert!(listed.contains("Terminating"), "{listed}");
    let _ = node.apply(&pod("late", "true")).succeeds();
    node.wait_for_event("FailedMount", "error processing PVC default/files: PVC is being deleted");
    let _ = node.run(&["delete", "pod", "late", "--now"]).succeeds();
    let _ = node.run(&["exec", "user", "--", "cat", "/files/kept"]).succeeds();
    let mut deletion = Watch::start(node.command(&["delete", "pvc", "files"]));
    let line = deletion.line(Instant::now() + PATIENCE).unwrap_or_default();
    assert!(line.contains("deleted"), "{line}");
    assert!(deletion.child().try_wait().expect("it can be asked").is_none(), "it waits");
    node.delete_leaves_nothing("user", &["--now"]);
    assert!(deletion.child().wait().expect("it ends").success());
    let _ = node.run(&["get", "pvc", "files"]).ends_with(5);
}

fn a_claim_that_was_not_waited_for_goes_with_its_pod() {
    let node = Node::new("unwaited", &["busybox"]);
    for dies in [false, true] {
        let _ = node.apply(CLAIM).succeeds();
        let _ = node.apply(&pod("user", "sleep 1000")).succeeds();
        node.wait_for_phase("user", "Running");
        let _ = node.run(&["delete", "pvc", "files", "--wait=false"]).succeeds();
        let _ = node.run(&["get", "pvc", "files"]).succeeds();
        if dies {
            kill(supervisor(&node, "user"));
        }
        node.delete_leaves_nothing("user", &["--now"]);
        let _ = node.run(&["get", "pvc", "files"]).ends_with(5);
        let claims = std::fs::read_dir(node.directories()[1].join("claims"));
        assert_eq!(claims.expect("there were some").count(), 0);
    }
}
