//! What a manifest says, and where manifests come from; the rules themselves are tables of the
//! crate that reads them.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use e2e_tests::image::Layer;
use e2e_tests::{Node, Outcome};
use serde_json::{Value, json};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_process_finds_the_command_and_the_environment_that_the_manifest_gives_it",
        a_process_finds_the_command_and_the_environment_that_the_manifest_gives_it,
    ),
    (
        "commands_and_arguments_of_image_and_manifest_combine_as_in_kubernetes",
        commands_and_arguments_of_image_and_manifest_combine_as_in_kubernetes,
    ),
    (
        "a_container_whose_configuration_is_missing_waits_until_it_is_there",
        a_container_whose_configuration_is_missing_waits_until_it_is_there,
    ),
    (
        "a_pod_runs_although_its_manifest_has_objects_of_other_kinds",
        a_pod_runs_although_its_manifest_has_objects_of_other_kinds,
    ),
    (
        "config_maps_and_secrets_come_from_files_and_literals_too",
        config_maps_and_secrets_come_from_files_and_literals_too,
    ),
    (
        "manifests_come_from_directories_lists_and_standard_input",
        manifests_come_from_directories_lists_and_standard_input,
    ),
    (
        "a_pod_without_a_name_gets_one_when_it_is_created",
        a_pod_without_a_name_gets_one_when_it_is_created,
    ),
];

const ENVIRONMENT: &str = "\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {A: from-map, B: from-map}}
- {apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {B: from-secret, C: $(A)}}
---
apiVersion: v1
kind: Pod
metadata:
  name: env
  labels: {app: kubia}
spec:
  restartPolicy: Never
  volumes:
  - {name: written, emptyDir: {}}
  initContainers:
  - name: writer
    image: busybox:1.36
    command: [sh, -c, \"printf \\\"# later\\\\nKEY='a b'\\\\n\\\" > /written/f.env\"]
    volumeMounts: [{name: written, mountPath: /written}]
  containers:
  - name: probe
    image: minipod/probe:1.0
    resources: {limits: {memory: 100Mi}, requests: {cpu: 250m}}
    envFrom:
    - configMapRef: {name: m}
    - secretRef: {name: s}
    - {prefix: P_, configMapRef: {name: m}}
    - configMapRef: {name: none, optional: true}
    env:
    - {name: A, value: own}
    - {name: LATER, value: '$(A) $$(A) ${A} $(Z)'}
    - {name: NONE, valueFrom: {secretKeyRef: {name: s, key: none, optional: true}}}
    - {name: FILE, valueFrom: {fileKeyRef: {volumeName: written, path: f.env, key: KEY}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: UID_OF_POD, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
    - {name: LABEL, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: HOST_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    args: [json]
  - name: words
    image: minipod/probe:1.0
    env: [{name: B, value: b}]
    command: [/bin/echo, 'of-$(B)']
    args: [$(B), $$(B), '${B}', $(Z)]
  - name: plain
    image: minipod/probe:1.0
";

/// MP-12, MP-15, MP-16 and MP-18.
fn a_process_finds_the_command_and_the_environment_that_the_manifest_gives_it() {
    let node = Node::new("env", &["busybox", "probe"]);
    let node = node.with("SECRET_CANARY", "leaked");
    let outcome = with_input(&node, &["run", "-"], ENVIRONMENT).succeeds();
    let said = |container: &str| -> String {
        let prefix = format!("[{container}] ");
        let lines = outcome.stdout.lines().filter_map(|line| line.strip_prefix(&prefix));
        lines.map(str::to_owned).next().unwrap_or_else(|| panic!("{}", outcome.stdout))
    };
    assert_eq!(said("words"), "of-b b $(B) ${B} $(Z)");
    let plain: Value = serde_json::from_str(&said("plain")).expect("JSON");
    assert_eq!(plain["argv"], serde_json::json!(["/probe"]));
    let seen: Value = serde_json::from_str(&said("probe")).expect("JSON");
    assert_eq!(seen["argv"], serde_json::json!(["/probe", "json"]));
    let pod = node.pod("env");
    let of_pod = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    for (name, value) in [
        ("A", "own"),
        ("B", "from-secret"),
        ("C", "$(A)"),
        ("P_A", "from-map"),
        ("P_B", "from-map"),
        ("LATER", "own $(A) ${A} $(Z)"),
        ("FILE", "a b"),
        ("POD", "env"),
        ("NAMESPACE", "default"),
        ("UID_OF_POD", of_pod("/metadata/uid")),
        ("LABEL", "kubia"),
        ("NODE", of_pod("/spec/nodeName")),
        ("POD_IP", of_pod("/status/podIP")),
        ("HOST_IP", of_pod("/status/hostIP")),
        ("CPU", "250"),
        ("MEMORY", "100"),
        ("HOSTNAME", "env"),
        ("HOME", "/root"),
    ] {
        assert_eq!(seen["env"][name], value, "{name}");
    }
    let names: Vec<&String> =
        seen["env"].as_object().into_iter().flatten().map(|one| one.0).collect();
    for name in names {
        let is_foreign = ["SECRET", "MINIPOD", "CARGO", "KUBERNETES", "NONE", "SUDO", "TERM"];
        assert!(!is_foreign.iter().any(|start| name.starts_with(start)), "{name} leaked");
    }
    node.delete_leaves_nothing("env", &[]);
}

/// Tells how it was started.
const TELL: &str = "#!/bin/sh\ntr '\\0' ' ' < /proc/1/cmdline\necho\n";

/// MP-14.
fn commands_and_arguments_of_image_and_manifest_combine_as_in_kubernetes() {
    let node = Node::new("matrix", &["busybox"]);
    let layer = Layer::default().file("tell", TELL.as_bytes(), 0o755);
    let config = json!({"Entrypoint": ["/bin/sh", "/tell", "entry"], "Cmd": ["cmd"]});
    node.load("tell:1", layer, &config);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: matrix}
spec:
  restartPolicy: Never
  containers:
  - {name: none, image: 'tell:1'}
  - {name: args, image: 'tell:1', args: [one, 'two words']}
  - {name: command, image: 'tell:1', command: [/bin/sh, /tell, own]}
  - {name: both, image: 'tell:1', command: [/bin/sh, /tell, own], args: [one]}
";
    let outcome = with_input(&node, &["run", "-"], manifest).succeeds();
    for (container, started) in [
        ("none", "entry cmd"),
        ("args", "entry one two words"),
        ("command", "own"),
        ("both", "own one"),
    ] {
        let line = format!("[{container}] /bin/sh /tell {started} ");
        assert!(outcome.stdout.lines().any(|one| one == line), "{line}\n{}", outcome.stdout);
    }
    node.delete_leaves_nothing("matrix", &[]);
}

/// MP-17.
fn a_container_whose_configuration_is_missing_waits_until_it_is_there() {
    let node = Node::new("wait", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.1");
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: wait}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'test \"$A\" = there']
    env: [{name: A, valueFrom: {configMapKeyRef: {name: late, key: a}}}]
";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("wait", &["CreateContainerConfigError"]);
    let waiting = &node.pod("wait")["status"]["containerStatuses"][0]["state"]["waiting"];
    assert_eq!(waiting["message"], "configmap \"late\" not found");
    assert!(
        node.events().contains(&("Failed".into(), "Error: configmap \"late\" not found".into()))
    );
    let path = node.file("early.yaml", &manifest.replace("name: wait", "name: early"));
    let path = path.display().to_string();
    let early = node.run(&["run", "--timeout", "1s", &path]).ends_with(124);
    assert!(early.stderr.contains("Error: configmap \"late\" not found"), "{}", early.stderr);
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late}\ndata: {a: there}\n";
    let _ = node.apply(&map.replace("a: there", "b: there")).succeeds();
    node.wait_for_event("Failed", "Error: couldn't find key a in ConfigMap default/late");
    let outcome = node.apply(map).succeeds();
    assert_eq!(outcome.stdout, "configmap/late configured\n");
    node.wait_for_status("wait", &["Completed"]);
    assert_eq!(node.pod("wait")["status"]["containerStatuses"][0]["restartCount"], 0);
    node.delete_leaves_nothing("wait", &[]);
}

fn a_pod_runs_although_its_manifest_has_objects_of_other_kinds() {
    let node = Node::new("kinds", &["busybox"]);
    let of = |version: &str, kind: &str| {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: other}}\n---\n")
    };
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {restartPolicy: Never, containers: [{name: a, image: 'busybox:1.36', command: [echo, ran]}]}\n";
    let others = of("v1", "Namespace") + &of("v1", "Service") + &of("apps/v1", "Deployment");
    let path = node.file("web.yaml", &(others.clone() + pod)).display().to_string();
    let outcome = node.run(&["run", "--rm", "-f", &path]).succeeds();
    assert_eq!(outcome.stdout, "[a] ran\n");
    for (line, kind) in [(2, "Namespace"), (6, "Service"), (10, "Deployment")] {
        let warning = format!("web.yaml:{line}:7: warning: {kind} \"other\" is left out: ");
        assert!(outcome.stderr.contains(&warning), "{warning}\nnot in\n{}", outcome.stderr);
    }
    let gone = node.run(&["delete", "-f", &path]).ends_with(5);
    assert!(gone.stderr.contains("pods \"web\" not found"), "{}", gone.stderr);
    // What a cluster would make pods of is not left out when nothing else would run.
    let outcome = node.apply(&(others + map)).ends_with(3);
    let error = "manifest.yaml:10:7: error: kind Deployment is not supported";
    assert!(outcome.stderr.contains(error), "{}", outcome.stderr);
    let outcome = node.apply(&(of("v1", "Namespace") + map)).succeeds();
    assert_eq!(outcome.stdout, "configmap/m created\n");
    // Nothing at all is no success.
    let outcome = node.apply(&of("v1", "Service")).ends_with(3);
    assert!(outcome.stderr.contains("error: 1 problem in the manifest"), "{}", outcome.stderr);
}

fn config_maps_and_secrets_come_from_files_and_literals_too() {
    let node = Node::new("create", &[]);
    let directory = node.directory("files");
    fs::write(directory.join("app.conf"), "level=debug\n").expect("a file");
    fs::write(directory.join("logo.png"), b"\x89PNG\xff").expect("a file");
    let environment = node.file("vars.env", "# two\n\nA=1\n  B=x=y\n").display().to_string();
    let files = directory.display().to_string();
    let outcome = node.run(&[
        "create",
        "configmap",
        "settings",
        "--from-literal=greeting=hello, world",
        &format!("--from-file={files}"),
        &format!("--from-file=again={files}/app.conf"),
        &format!("--from-env-file={environment}"),
    ]);
    assert_eq!(outcome.succeeds().stdout, "configmap/settings created\n");
    let data = |kind: &str, name: &str| -> Value {
        let text = node.run(&["get", kind, name, "-o", "json"]).succeeds().stdout;
        serde_json::from_str(&text).expect("the object is JSON")
    };
    let map = data("configmap", "settings");
    assert_eq!(
        map["data"],
        serde_json::json!({"A": "1", "B": "x=y", "again": "level=debug\n", "app.conf": "level=debug\n", "greeting": "hello, world"})
    );
    assert_eq!(map["binaryData"], serde_json::json!({"logo.png": "iVBOR/8="}));
    let exists = node.run(&["create", "cm", "settings"]).ends_with(1);
    assert!(exists.stderr.contains("\"settings\" already exists"), "{}", exists.stderr);
    secrets_are_created(&node, &data);
    what_cannot_be_created_is_told(&node);
    // What would be created is a manifest.
    let dry =
        ["create", "configmap", "dry", "--from-literal=a=b", "--dry-run=client", "-o", "yaml"];
    let manifest = node.run(&dry).succeeds().stdout;
    let _ = node.run(&["get", "configmap", "dry"]).ends_with(5);
    assert_eq!(
        with_input(&node, &["apply", "-f", "-"], &manifest).succeeds().stdout,
        "configmap/dry created\n"
    );
}

fn secrets_are_created(node: &Node, data: &dyn Fn(&str, &str) -> Value) {
    let generic = ["create", "secret", "generic", "token", "--from-literal=token=s3cret"];
    assert_eq!(node.run(&generic).succeeds().stdout, "secret/token created\n");
    assert_eq!(data("secret", "token")["data"]["token"], "czNjcmV0");
    let words = ["--docker-server=r.example", "--docker-username=me", "--docker-password=s3cret"];
    let registry = [&["create", "secret", "docker-registry", "pull"], &words[..]].concat();
    let _ = node.run(&registry).succeeds();
    let pull = data("secret", "pull");
    assert_eq!(pull["type"], "kubernetes.io/dockerconfigjson");
    assert!(pull["data"][".dockerconfigjson"].is_string());
}

fn what_cannot_be_created_is_told(node: &Node) {
    for (words, code, told) in [
        (&["create", "configmap", "x", "--from-literal=a"][..], 2, "expected key=value"),
        (
            &["create", "configmap", "x", "--from-literal=a=1", "--from-literal=a=2"],
            2,
            "another key",
        ),
        (&["create", "configmap", "X"], 3, "lowercase RFC 1123 subdomain"),
        (&["create", "configmap", "x", "--from-literal=a b=1"], 3, "a valid config key"),
        (&["create", "configmap", "x", "--from-file=/nowhere"], 1, "No such file"),
        (&["create"], 2, "--filename"),
    ] {
        let outcome = node.run(words).ends_with(code);
        assert!(outcome.stderr.contains(told), "{words:?}: {}", outcome.stderr);
    }
}

fn manifests_come_from_directories_lists_and_standard_input() {
    let node = Node::new("from", &[]);
    let map = |name: &str, more: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n{more}\n")
    };
    let directory = node.directory("many");
    fs::create_dir_all(directory.join("below")).expect("a directory");
    for (file, text) in [
        ("a.yaml", map("a", "data: {x: '1'}\n---\n\u{23}nothing")),
        ("b.json", "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMapList\",\n\t\"items\": [{\"metadata\": {\"name\": \"b\"}}]}".into()),
        ("c.txt", "no manifest".into()),
        ("below/d.yml", map("d", "immutable: true\ndata: {x: '1'}")),
    ] {
        fs::write(directory.join(file), text).expect("a file");
    }
    let many = directory.display().to_string();
    let outcome = node.run(&["apply", "-f", &many]).succeeds();
    assert_eq!(outcome.stdout, "configmap/a created\nconfigmap/b created\n");
    let outcome = node.run(&["apply", "-f", &many, "-o", "name"]).succeeds();
    assert_eq!(outcome.stdout, "configmap/a\nconfigmap/b\n");
    let outcome = node.run(&["apply", "-R", "-f", &many]).succeeds();
    let lines = ["configmap/a unchanged", "configmap/b unchanged", "configmap/d created", ""];
    assert_eq!(outcome.stdout, lines.join("\n"));
    // What is immutable stays as it is, and other objects are as they were.
    let outcome =
        with_input(&node, &["apply", "-f", "-"], &map("d", "immutable: true\ndata: {x: '2'}"));
    let outcome = outcome.ends_with(1);
    assert!(
        outcome.stderr.contains("field is immutable when `immutable` is set"),
        "{}",
        outcome.stderr
    );
    // A broken document in any file, and nothing is stored.
    let broken = node.file("broken.yaml", &format!("{}---\nkind: Pod\n", map("e", "")));
    let broken = broken.display().to_string();
    let outcome = node.run(&["apply", "-f", &many, "-f", &broken]).ends_with(3);
    assert!(
        outcome.stderr.contains("broken.yaml:6:1: error: apiVersion not set"),
        "{}",
        outcome.stderr
    );
    let maps = node.run(&["get", "configmaps", "-o", "name"]).succeeds().stdout;
    assert_eq!(maps, "configmap/a\nconfigmap/b\nconfigmap/d\n");
    a_claim_is_bound_at_once(&node);
    wrong_paths_are_told_with_the_way_out(&node);
}

fn a_claim_is_bound_at_once(node: &Node) {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {accessModes: [ReadWriteOnce], \
                 resources: {requests: {storage: 1Gi}}}\n";
    let outcome = with_input(node, &["apply", "-f", "-"], claim).succeeds();
    assert_eq!(outcome.stdout, "persistentvolumeclaim/c created\n");
    let phase = node.run(&["get", "pvc", "c", "-o", "jsonpath={.status.phase}"]).succeeds();
    assert_eq!(phase.stdout.trim(), "Bound");
}

fn wrong_paths_are_told_with_the_way_out(node: &Node) {
    let large = node.file("large.yaml", &"#".repeat((3 << 20) + 1)).display().to_string();
    for (arguments, code, text) in [
        (["validate", &large], 3, "is larger than 3 MiB"),
        (["validate", "none.yaml"], 1, "the path \"none.yaml\" does not exist"),
        (
            ["validate", "https://example.com/pod.yaml"],
            2,
            "try: curl -fsSL https://example.com/pod.yaml | minipod",
        ),
    ] {
        let outcome = node.run(&arguments).ends_with(code);
        assert!(outcome.stderr.contains(text), "{}", outcome.stderr);
    }
}

fn with_input(node: &Node, arguments: &[&str], input: &str) -> Outcome {
    let mut command = node.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn a_pod_without_a_name_gets_one_when_it_is_created() {
    let node = Node::new("generate", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {generateName: batch-}
spec:
  restartPolicy: Never
  containers: [{name: c, image: 'busybox:1.36', command: [hostname]}]
";
    let path = node.file("batch.yaml", manifest).display().to_string();
    let mut names = Vec::new();
    for _ in 0..2 {
        let created = node.run(&["create", "-f", &path]).succeeds().stdout;
        let name = created.strip_prefix("pod/").and_then(|rest| rest.strip_suffix(" created\n"));
        names.push(name.unwrap_or_else(|| panic!("{created}")).to_owned());
    }
    assert_ne!(names[0], names[1]);
    for name in &names {
        let ending = name.strip_prefix("batch-").unwrap_or_else(|| panic!("{name}"));
        let is_kubernetes = |c: char| "bcdfghjklmnpqrstvwxz2456789".contains(c);
        assert!(ending.len() == 5 && ending.chars().all(is_kubernetes), "{name}");
        let pod = node.wait_for_phase(name, "Succeeded");
        assert_eq!(pod["metadata"]["generateName"], "batch-");
        assert_eq!(node.run(&["logs", name]).succeeds().stdout.trim(), name);
        node.delete_leaves_nothing(name, &[]);
    }
    // What would not find the pod again wants a name.
    for command in ["apply", "delete"] {
        let refused = node.run(&[command, "-f", &path]).ends_with(3);
        let message =
            format!(":3:26: error: from batch-: cannot use generate name with {command}\n");
        assert!(refused.stderr.contains(&message), "{}", refused.stderr);
    }
    let ran = node.run(&["run", "--rm", &path]).succeeds();
    assert!(ran.stdout.starts_with("[c] batch-"), "{}", ran.stdout);
    assert_eq!(node.run(&["get", "pods", "-o", "name"]).succeeds().stdout, "");
}
