//! What a user of kubectl types from habit.

use e2e_tests::{Node, Outcome};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "objects_are_found_by_the_manifests_that_describe_them",
        objects_are_found_by_the_manifests_that_describe_them,
    ),
    ("every_kind_of_object_is_described", every_kind_of_object_is_described),
];

const ALL: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: '1'}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {k: hidden}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

/// Runs the words of a line; `~` is a blank in a word.
fn run(node: &Node, line: &str) -> Outcome {
    let words: Vec<String> = line.split(' ').map(|word| word.replace('~', " ")).collect();
    node.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn objects_are_found_by_the_manifests_that_describe_them() {
    let node = Node::new("files", &["busybox"]);
    let directory = node.directory("manifests");
    std::fs::create_dir(directory.join("below")).expect("a directory of the test");
    std::fs::write(directory.join("below/all.yaml"), ALL).expect("a file of the test");
    let file = directory.join("below/all.yaml").display().to_string();
    let directory = directory.display();
    let missing = run(&node, &format!("get -f {file}")).ends_with(5);
    assert!(missing.stderr.contains("pods \"web\" not found\n"), "{}", missing.stderr);
    let _ = run(&node, &format!("apply -R -f {directory}")).succeeds();
    let names = "pod/web\nconfigmap/settings\nsecret/keys\npersistentvolumeclaim/c\n";
    for line in [format!("get -f {file} -o name"), format!("get -R -f {directory} -o name")] {
        assert_eq!(run(&node, &line).succeeds().stdout, names);
    }
    // Several kinds are told apart, one kind only when that is wanted.
    let tables = run(&node, &format!("get -f {file}")).succeeds().stdout;
    assert!(tables.starts_with("NAME      READY   STATUS"), "{tables}");
    assert!(tables.contains("\npod/web ") && tables.contains("\n\nNAME "), "{tables}");
    let bare = run(&node, "get pods --no-headers").succeeds().stdout;
    assert!(bare.starts_with("web "), "{bare}");
    let kinds = run(&node, "get pods --no-headers --show-kind").succeeds().stdout;
    assert!(kinds.starts_with("pod/web "), "{kinds}");
    let both = run(&node, &format!("get pods -f {file}")).ends_with(2).stderr;
    let text = "error: when paths, URLs, or stdin is provided as resource input, you may not \
                specify resource arguments as well\n";
    assert_eq!(both, text);
    let ready = format!("wait --for=condition=Ready -f {file}");
    assert_eq!(run(&node, &ready).succeeds().stdout, "pod/web condition met\n");
    let pages = run(&node, &format!("describe -f {file}")).succeeds().stdout;
    for name in ["web", "settings", "keys", "c"] {
        let has_name = |line: &str| line.split_whitespace().eq(["Name:", name]);
        assert!(pages.lines().any(has_name), "{name} is not in {pages}");
    }
    let pod = node.pod("web");
    let deleted = run(&node, &format!("delete -R -f {directory}")).succeeds().stdout;
    assert!(deleted.starts_with("pod \"web\" deleted from default namespace\nconfigmap "));
    node.nothing_is_left(pod["metadata"]["uid"].as_str().unwrap_or_default());
}

fn every_kind_of_object_is_described() {
    let node = Node::new("describe", &["busybox"]);
    let _ = node.apply(ALL).succeeds();
    let map = run(&node, "describe configmap settings").succeeds().stdout;
    assert_eq!(
        map,
        "Name:         settings\nNamespace:    default\nLabels:       <none>\nAnnotations:  <none>\n\n\
         Data\n====\na:\n----\n1\n\n\nBinaryData\n====\n\nEvents:  <none>\n"
    );
    let secret = run(&node, "describe secrets").succeeds().stdout;
    assert!(secret.ends_with("\nType:  Opaque\n\nData\n====\nk:  6 bytes\n"), "{secret}");
    let claim = run(&node, "describe pvc/c").succeeds().stdout;
    assert!(claim.contains("Access Modes:  RWO\n") && claim.contains("Used By:       web\n"));
    // Without an object of that name, those are shown whose names begin with it.
    let begins = run(&node, "describe cm sett").succeeds().stdout;
    assert_eq!(begins, map);
    // What is there is shown although something else is not.
    let half = run(&node, "describe cm settings none").ends_with(5);
    assert_eq!(half.stdout, map);
    let text = "Error from server (NotFound): configmaps \"none\" not found\n";
    assert!(half.stderr.starts_with(text), "{}", half.stderr);
    let labelled = run(&node, "describe pods -l app=web").succeeds().stdout;
    assert!(labelled.contains("Labels:           app=web\n"), "{labelled}");
    let nothing = run(&node, "describe pods -l app=db").succeeds();
    assert_eq!(nothing.stderr, "No resources found in default namespace.\n");
    node.delete_leaves_nothing("web", &["--now"]);
}
