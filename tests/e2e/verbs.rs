//! What a user of kubectl types from habit.

use e2e_tests::{Node, Outcome};
use serde_json::Value;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "objects_are_found_by_the_manifests_that_describe_them",
        objects_are_found_by_the_manifests_that_describe_them,
    ),
    ("every_kind_of_object_is_described", every_kind_of_object_is_described),
    (
        "a_dry_run_tells_what_would_be_done_and_does_nothing",
        a_dry_run_tells_what_would_be_done_and_does_nothing,
    ),
    ("what_was_made_is_printed_as_it_is_stored", what_was_made_is_printed_as_it_is_stored),
    (
        "labels_and_annotations_change_while_the_pod_runs",
        labels_and_annotations_change_while_the_pod_runs,
    ),
    ("minipod_tells_what_it_knows", minipod_tells_what_it_knows),
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

fn a_dry_run_tells_what_would_be_done_and_does_nothing() {
    let node = Node::new("dry", &["busybox"]);
    let file = node.file("all.yaml", ALL).display().to_string();
    let said = |line: &str| run(&node, &line.replace("FILE", &file)).succeeds().stdout;
    let objects = ["pod/web", "configmap/settings", "secret/keys", "persistentvolumeclaim/c"];
    let told = |how: &str| objects.map(|name| format!("{name} {how}\n")).concat();
    assert_eq!(said("apply -f FILE --dry-run=client"), told("created (dry run)"));
    assert_eq!(said("create -f FILE --dry-run=server"), told("created (server dry run)"));
    assert_eq!(said("create -f FILE --dry-run -o name"), told("").replace(' ', ""));
    let list = said("apply -f FILE --dry-run=client -o json");
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list["items"][0]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
    for kind in ["pods", "cm,secret,pvc"] {
        assert_eq!(said(&format!("get {kind} -o name")), "", "nothing was created");
    }
    // What comes out can be applied; what is there is looked at, but for create --dry-run=client.
    let map = said("create cm settings --from-literal=a=1 --dry-run=client -o yaml");
    assert_eq!(
        map,
        "apiVersion: v1\ndata:\n  a: \"1\"\nkind: ConfigMap\nmetadata:\n  name: settings\n"
    );
    let _ = node.apply(ALL).succeeds();
    assert_eq!(node.apply(&map).succeeds().stdout, "configmap/settings unchanged\n");
    assert_eq!(said("create -f FILE --dry-run=client"), told("created (dry run)"));
    assert_eq!(said("apply -f FILE --dry-run=client"), told("unchanged (dry run)"));
    let there = run(&node, "create cm settings --dry-run=server").ends_with(1).stderr;
    assert!(there.contains("configmaps \"settings\" already exists\n"), "{there}");
    let changed = |old: &str, new: &str| {
        let path = node.file("changed.yaml", &ALL.replace(old, new)).display().to_string();
        node.run(&["apply", "-f", &path, "--dry-run=server"])
    };
    let labelled = changed("{app: web}", "{app: db}").succeeds().stdout;
    assert!(labelled.starts_with("pod/web configured (server dry run)\n"), "{labelled}");
    assert_eq!(node.pod("web")["metadata"]["labels"]["app"], "web");
    let forbidden = changed("'1000'", "'2000'").ends_with(1).stderr;
    assert!(forbidden.starts_with("The Pod \"web\" is invalid: spec: Forbidden: "), "{forbidden}");
    let deleted = said("delete pod web --dry-run=client");
    assert_eq!(deleted, "pod \"web\" deleted (dry run) from default namespace\n");
    let deleted = said("delete -f FILE --dry-run=server");
    assert_eq!(deleted.matches("deleted (server dry run) from default").count(), 4, "{deleted}");
    let _ = run(&node, "delete pod wbe --dry-run=client").ends_with(5);
    assert_eq!(said("get pods -o name"), "pod/web\n");
    node.delete_leaves_nothing("web", &["--now"]);
}

fn what_was_made_is_printed_as_it_is_stored() {
    let node = Node::new("made", &["busybox"]);
    let file = node.file("all.yaml", ALL).display().to_string();
    let made = run(&node, &format!("create -f {file} -o json")).succeeds().stdout;
    let made: Value = serde_json::from_str(&made).expect("JSON");
    assert_eq!(made["kind"], "List");
    for item in made["items"].as_array().expect("a list") {
        assert!(item["metadata"]["uid"].is_string(), "{item}");
    }
    let phase = run(&node, "create cm two --from-literal=a=1 -o jsonpath={.metadata.namespace}");
    assert_eq!(phase.succeeds().stdout, "default");
    let refused = run(&node, &format!("apply -f {file} -o wide")).ends_with(2).stderr;
    assert!(refused.starts_with("error: unable to match a printer"), "{refused}");
    node.delete_leaves_nothing("web", &["--now"]);
}

fn labels_and_annotations_change_while_the_pod_runs() {
    let node = Node::new("label", &["busybox"]);
    let _ = node.apply(ALL).succeeds();
    node.wait_for_status("web", &["Running"]);
    for (line, told) in [
        ("label pod web tier=front", "pod/web labeled\n"),
        ("label pod/web tier-", "pod/web unlabeled\n"),
        ("label pods --all app=db --overwrite", "pod/web labeled\n"),
        ("label pods -l app=db none-", "pod/web not labeled\n"),
        ("label pod web new=1 --dry-run=server", "pod/web labeled (server dry run)\n"),
        ("label pod web --list", "app=db\n"),
        ("annotate pod web owner=the~cook", "pod/web annotated\n"),
        ("annotate cm/settings secret/keys a=b -o name", "configmap/settings\nsecret/keys\n"),
        ("get cm settings -o jsonpath={.metadata.annotations}", "{\"a\":\"b\"}"),
        (
            "get pods -l app=db --no-headers -o custom-columns=A:.metadata.annotations.owner",
            "the cook\n",
        ),
    ] {
        assert_eq!(run(&node, line).succeeds().stdout, told, "{line}");
    }
    for (line, code, told) in [
        ("label pod web app=x", 1, "'app' already has a value (db), and --overwrite is false\n"),
        ("label pod web", 2, "at least one label update is required\n"),
        ("annotate a=b", 2, "one or more resources must be specified as <resource> <name> or "),
        ("label pods a=b", 2, "resource(s) were provided, but no name was specified\n"),
        ("label pod web a=b!", 2, "invalid label value: \"a=b!\": a valid label must be "),
    ] {
        let outcome = run(&node, line).ends_with(code);
        assert!(outcome.stderr.starts_with(&format!("error: {told}")), "{}", outcome.stderr);
    }
    let _ = run(&node, "label pod wbe a=b").ends_with(5);
    assert_eq!(node.pod("web")["status"]["containerStatuses"][0]["restartCount"], 0);
    node.delete_leaves_nothing("web", &["--now"]);
}

fn minipod_tells_what_it_knows() {
    let node = Node::new("knows", &[]);
    let kinds = run(&node, "api-resources --no-headers").succeeds().stdout;
    assert!(kinds.contains("\npods                     po    v1    true   Pod\n"), "{kinds}");
    let version = run(&node, "version --client -o json").succeeds().stdout;
    let version: Value = serde_json::from_str(&version).expect("JSON");
    assert!(version["clientVersion"]["gitVersion"].as_str().is_some_and(|v| v.starts_with('v')));
    let fields = run(&node, "explain pod.spec.containers").succeeds().stdout;
    assert!(
        fields.starts_with("KIND:       Pod\nVERSION:    v1\n\nFIELD: containers <[]Container>\n")
    );
    assert!(fields.contains("  livenessProbe\t<Probe>\n"), "{fields}");
    for (line, hint) in [
        ("explain pod.spec.contaners", "did you mean containers?"),
        ("rollout restart deploy/web", "minipod runs single pods"),
        ("scale --replicas=3 deploy/web", "minipod runs single pods"),
        ("expose pod web --port=80", "minipod port-forward POD PORT"),
        ("run web --image=nginx", "minipod run FILE"),
        ("edit pod web", "minipod apply -f FILE"),
    ] {
        let outcome = run(&node, line).ends_with(2);
        assert!(outcome.stderr.contains(hint), "{}", outcome.stderr);
    }
}
