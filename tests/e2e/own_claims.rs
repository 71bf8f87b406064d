//! Claims that are made for a pod: generic `ephemeral` volumes.

use e2e_tests::Node;
use serde_json::{Value, json};

use crate::Test;
use crate::supervisor::{kill, supervisor};

pub(crate) const TESTS: &[Test] = &[
    (
        "a_claim_is_made_for_a_pod_shared_by_its_containers_and_gone_with_it",
        a_claim_is_made_for_a_pod_shared_by_its_containers_and_gone_with_it,
    ),
    (
        "a_claim_made_for_a_pod_goes_with_it_however_that_ends",
        a_claim_made_for_a_pod_goes_with_it_however_that_ends,
    ),
    (
        "a_pod_takes_over_no_claim_that_was_not_made_for_it",
        a_pod_takes_over_no_claim_that_was_not_made_for_it,
    ),
];

/// A pod one container of which writes what the other one waits for.
const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: own}
spec:
  terminationGracePeriodSeconds: 0
  volumes:
  - name: files
    ephemeral:
      volumeClaimTemplate:
        metadata: {labels: {app: own}, annotations: {note: kept}}
        spec:
          accessModes: [ReadWriteOnce]
          resources: {requests: {storage: 1Mi}}
  containers:
  - name: writer
    image: busybox:1.36
    command: [sh, -c, 'ls -A /files; echo written >/files/text; sleep 1000']
    volumeMounts: [{name: files, mountPath: /files}]
  - name: reader
    image: busybox:1.36
    command: [sh, -c, 'until cat /shown/text; do sleep 0.1; done 2>/dev/null; sleep 1000']
    volumeMounts: [{name: files, mountPath: /shown}]
";

const FOREIGN: &str = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: own-files}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Mi}}
";

fn claim(node: &Node) -> Value {
    let outcome = node.run(&["get", "pvc", "own-files", "-o", "json"]).succeeds();
    serde_json::from_str(&outcome.stdout).expect("the claim is JSON")
}

fn no_claim_is_left(node: &Node) {
    let _ = node.run(&["get", "pvc", "own-files"]).ends_with(5);
    let claims = node.directories()[1].join("claims");
    assert_eq!(std::fs::read_dir(claims).expect("there were some").count(), 0);
}

fn a_claim_is_made_for_a_pod_shared_by_its_containers_and_gone_with_it() {
    let node = Node::new("own-claim", &["busybox"]);
    // The second pod finds nothing of the first one.
    for _ in 0..2 {
        let _ = node.apply(POD).succeeds();
        node.wait_for_phase("own", "Running");
        node.wait_for_log("own", "reader", "written");
        assert_eq!(node.run(&["logs", "own", "-c", "writer"]).succeeds().stdout, "");
        let (claim, pod) = (claim(&node), node.pod("own"));
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "own", "controller": true,
            "blockOwnerDeletion": true, "uid": pod["metadata"]["uid"]}]);
        assert_eq!(claim["metadata"]["ownerReferences"], owner);
        assert_eq!(claim["metadata"]["labels"], json!({"app": "own"}));
        assert_eq!(claim["metadata"]["annotations"]["note"], "kept");
        assert_eq!(claim["status"]["phase"], "Bound");
        let used = node.run(&["describe", "pvc", "own-files"]).succeeds().stdout;
        assert!(used.lines().any(|line| line.starts_with("Used By:") && line.ends_with(" own")));
        let described = node.run(&["describe", "pod", "own"]).succeeds().stdout;
        assert!(described.contains("EphemeralVolume (an inline spec"), "{described}");
        // Who applies a claim of the name does not take it away from the pod.
        let _ = node.apply(FOREIGN).succeeds();
        assert_eq!(self::claim(&node)["metadata"]["ownerReferences"], owner);
        node.delete_leaves_nothing("own", &[]);
        no_claim_is_left(&node);
    }
}

fn a_claim_made_for_a_pod_goes_with_it_however_that_ends() {
    let node = Node::new("own-ends", &["busybox"]);
    for (words, dies) in
        [(["--now"].as_slice(), true), (["--force", "--grace-period=0"].as_slice(), false)]
    {
        let _ = node.apply(POD).succeeds();
        node.wait_for_log("own", "reader", "written");
        let _ = claim(&node);
        if dies {
            kill(supervisor(&node, "own"));
        }
        node.delete_leaves_nothing("own", words);
        no_claim_is_left(&node);
    }
    let never = POD
        .replace("sleep 1000", "exit 0")
        .replace("spec:\n  term", "spec:\n  restartPolicy: Never\n  term");
    let path = node.file("ends.yaml", &never).display().to_string();
    let _ = node.run(&["run", "--rm", &path]).succeeds();
    no_claim_is_left(&node);
}

/// KEP-1698: "the pod must own the PVC".
fn a_pod_takes_over_no_claim_that_was_not_made_for_it() {
    let node = Node::new("own-not", &["busybox"]);
    let _ = node.apply(FOREIGN).succeeds();
    let _ = node.apply(POD).succeeds();
    let text = "PVC default/own-files was not created for pod default/own (pod is not owner)";
    node.wait_for_event("FailedMount", text);
    assert!(claim(&node)["metadata"]["ownerReferences"].is_null());
    // It stays when the pod goes.
    let _ = node.run(&["delete", "pod", "own", "--now"]).succeeds();
    let _ = claim(&node);
    let _ = node.apply(POD).succeeds();
    node.wait_for_event("FailedMount", text);
    // The pod waits until the name is free.
    let _ = node.run(&["delete", "pvc", "own-files", "--wait=false"]).succeeds();
    let _ = node.run(&["delete", "pod", "own", "--now"]).succeeds();
    let _ = node.run(&["get", "pvc", "own-files"]).ends_with(5);
    let _ = node.apply(POD).succeeds();
    node.wait_for_log("own", "reader", "written");
    node.delete_leaves_nothing("own", &["--now"]);
    no_claim_is_left(&node);
}
