//! Bad input: one clear message with its place, and nothing done.

use std::os::unix::process::CommandExt;

use e2e_tests::Node;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_bad_manifest_is_refused_with_every_problem_and_its_place",
        a_bad_manifest_is_refused_with_every_problem_and_its_place,
    ),
    ("without_root_minipod_says_what_to_do", without_root_minipod_says_what_to_do),
    ("a_wrong_name_gets_a_near_match", a_wrong_name_gets_a_near_match),
    ("what_is_there_already_is_not_created_again", what_is_there_already_is_not_created_again),
    (
        "whoever_names_something_wrongly_is_told_in_kubectls_words",
        whoever_names_something_wrongly_is_told_in_kubectls_words,
    ),
];

/// The containers of a pod and what follows them, and what is told about it.
const PROBLEMS: &[(&str, &[&str])] = &[
    (
        "  - name: a\n    imagee: x\n",
        &[":7:5: error: unknown field", "did you mean \"image\"?", "image: Required value"],
    ),
    (
        "  - {name: a, image: x}\n  - {name: a, image: y}\n",
        &[":7:12: error: spec.containers[1].name: Duplicate value: \"a\""],
    ),
    ("  - {name: 1, image: x}\n", &[":6:12: error: spec.containers[0].name must be a string"]),
    ("\t- {name: a}\n", &[":6:1: error: a tab character"]),
    (
        "  - {name: a, image: x}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: two}\n",
        &[":8:1: error: spec: Required value"],
    ),
    ("  - {name: a, image: x}\n  restartPolicy: Alway\n", &["did you mean \"Always\"?"]),
    ("  - {name: a}\n", &[":6:5: error: spec.containers[0].image: Required value"]),
    (
        "  - {name: a, image: x, env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIp}}}]}\n",
        &["field label not supported: status.podIp", "did you mean \"status.podIP\"?"],
    ),
    (
        "  - {name: a, image: x, securityContext: {capabilities: {drop: [CAP_CHWON]}}}\n",
        &[
            ":6:65: error: spec.containers[0].securityContext.capabilities.drop[0]: Invalid value: \"CAP_CHWON\"",
            "did you mean \"CHOWN\"?",
        ],
    ),
    (
        "  - {name: a, image: x, comand: [sh]}\n  restartPolice: Never\n",
        &["unknown field", "did you mean \"command\"?", "did you mean \"restartPolicy\"?"],
    ),
    ("  - {name: a, image: x, env: [{name: A, value: yes}]}\n", &["env[0].value must be a string"]),
    ("  - {name: a, image: x, env: [{name: A, value: 1e3}]}\n", &["env[0].value must be a string"]),
    ("  - {name: a, image: x, ports: [{containerPort: \"8080\"}]}\n", &["containerPort must be"]),
    (
        "  - {name: a, image: x, lifecycle: {stopSignal: SIGFOO}}\n",
        &["Unsupported value: \"SIGFOO\""],
    ),
    (
        "  - {name: a, imagee: x}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\n",
        &["a, imagee", ":9:7: warning: Deployment \"b\" is left out", "error: 2 problems"],
    ),
];

/// MP-08 to MP-11 and MP-30.
fn a_bad_manifest_is_refused_with_every_problem_and_its_place() {
    let node = Node::new("bad", &[]);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec:\n  containers:\n";
    for (containers, places) in PROBLEMS {
        let path = node.file("bad.yaml", &format!("{pod}{containers}"));
        let outcome = node.run(&["apply", "-f", &path.display().to_string()]).ends_with(3);
        for place in *places {
            assert!(outcome.stderr.contains(place), "{place}\nnot in\n{}", outcome.stderr);
        }
        let pods = node.run(&["get", "pods", "-A"]).succeeds();
        assert_eq!(pods.stdout, "", "nothing was created");
    }
    let misplaced = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad, restartPolicy: Never}\n\
                     spec: {containers: [{name: a, image: x}]}\n";
    let outcome = node.apply(misplaced).ends_with(3);
    assert!(outcome.stderr.contains(":3:23: error: unknown field"), "{}", outcome.stderr);
    let [state, data, logs] = node.directories();
    for directory in [state.join("pods"), state.join("leases"), data.join("pods"), logs] {
        let left = std::fs::read_dir(&directory).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{}", directory.display());
    }
    node.nothing_is_left("no-pod");
}

fn without_root_minipod_says_what_to_do() {
    let node = Node::new("root", &[]);
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: x}]}\n";
    let path = node.file("pod.yaml", manifest);
    // A copy that everybody may run: the one under test may be below a private directory.
    let program = std::path::Path::new("/tmp").join(format!("minipod-{}", std::process::id()));
    std::fs::copy(e2e_tests::fixtures::program(), &program).expect("the program can be copied");
    let text = std::fs::read_to_string(&path).expect("the manifest is there");
    let mut command = std::process::Command::new(&program);
    command.args(["run", "-"]).uid(65534).gid(65534).stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let _ = std::io::Write::write_all(&mut stdin, text.as_bytes()); // it may have ended already
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let mut doctor = std::process::Command::new(&program);
    let doctor = doctor.arg("doctor").uid(65534).gid(65534).output().expect("it can be started");
    let findings = String::from_utf8_lossy(&doctor.stdout);
    assert_eq!(doctor.status.code(), Some(4), "{findings}");
    assert!(
        findings.contains("MISSING   root") && findings.contains("try: sudo minipod"),
        "{findings}"
    );
    std::fs::remove_file(&program).expect("the copy can be removed");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("needs root") && stderr.contains("try: sudo"), "{stderr}");
}

fn a_wrong_name_gets_a_near_match() {
    let node = Node::new("near", &["busybox"]);
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: kubia}\nspec: {restartPolicy: Never, containers: [{name: a, image: 'busybox:1.36', command: ['true']}]}\n";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("kubia", &["Completed"]);
    let outcome = node.run(&["describe", "pod", "kubai"]).ends_with(5);
    assert!(outcome.stderr.contains("did you mean kubia?"), "{}", outcome.stderr);
    node.delete_leaves_nothing("kubia", &[]);
}

const TWO: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
immutable: true
data: {a: b}
---
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: init, image: 'busybox:1.36', command: ['true']}
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
  - {name: side, image: 'busybox:1.36', command: [sleep, '1000']}
";

/// MP-13.
fn what_is_there_already_is_not_created_again() {
    let node = Node::new("again", &["busybox"]);
    let path = node.file("two.yaml", TWO).display().to_string();
    let outcome = node.run(&["run", "--until=ready", &path]).succeeds();
    assert_eq!(outcome.stdout, "", "no container said anything");
    let before = node.pod("two");
    let exists = |file: &str, kinds: &str, name: &str| {
        format!(
            "Error from server (AlreadyExists): error when creating \"{file}\": \
             {kinds} \"{name}\" already exists\n"
        )
    };
    let run = node.run(&["run", &path]).ends_with(1);
    let hint = "  try: minipod delete pod two\n";
    assert_eq!(run.stderr, exists(&path, "pods", "two") + hint);
    let create = node.run(&["create", "-f", &path]).ends_with(1);
    for told in [exists(&path, "configmaps", "settings"), exists(&path, "pods", "two")] {
        assert!(create.stderr.contains(&told), "{told}\nnot in\n{}", create.stderr);
    }
    let mut piped = node.command(&["create", "-f", "-"]);
    let text = std::fs::File::open(&path).expect("the manifest is there");
    let output = piped.stdin(text).output().expect("the program can be started");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(&exists("STDIN", "pods", "two")), "{told}");
    let apply = node.run(&["apply", "-f", &path]).succeeds();
    assert_eq!(apply.stdout, "configmap/settings unchanged\npod/two unchanged\n");
    assert_eq!(node.pod("two"), before, "nobody has touched it");
    let changed = TWO.replace("'1000'", "'2000'").replace("a: b", "a: c");
    let told = node.apply(&changed).ends_with(1).stderr;
    for begins in [
        "The Pod \"two\" is invalid: spec: Forbidden: pod updates may not change fields other than ",
        "The ConfigMap \"settings\" is invalid: data: Forbidden: field is immutable",
    ] {
        assert!(told.lines().any(|line| line.starts_with(begins)), "{begins}\nnot in\n{told}");
    }
    node.delete_leaves_nothing("two", &["--now"]);
}

/// What is asked for, the exit code, and the whole of what is told.
const MISTAKES: &[(&str, i32, &str)] = &[
    (
        "get pod tow",
        5,
        "Error from server (NotFound): pods \"tow\" not found\n  try: did you mean two?\n",
    ),
    (
        "get pod two -n other",
        5,
        "Error from server (NotFound): pods \"two\" not found\n  try: -n default\n",
    ),
    (
        "get podz",
        2,
        "error: the server doesn't have a resource type \"podz\"\n  try: pods, events, configmaps, \
         secrets, persistentvolumeclaims\n",
    ),
    ("get pods two -l a=b", 2, "error: name cannot be provided when a selector is specified\n"),
    ("get pods -n other", 0, "No resources found in other namespace.\n"),
    ("get pods -A -l a=b", 0, "No resources found\n"),
    ("get pods -l a~in~b", 2, "error: unable to parse requirement: found 'b' expected: '('\n"),
    (
        "describe pod tow",
        5,
        "Error from server (NotFound): pods \"tow\" not found\n  try: did you mean two?\n",
    ),
    (
        "describe podz two",
        2,
        "error: the server doesn't have a resource type \"podz\"\n  try: pods, events, configmaps, \
         secrets, persistentvolumeclaims\n",
    ),
    (
        "delete pod tow",
        5,
        "Error from server (NotFound): pods \"tow\" not found\n  try: did you mean two?\n",
    ),
    ("delete pod tow --ignore-not-found", 0, ""),
    ("delete cm none", 5, "Error from server (NotFound): configmaps \"none\" not found\n"),
    (
        "delete pod",
        2,
        "error: resource(s) were provided, but no name was specified\n  \
         try: minipod delete pod NAME, or --all, or -l LABELS\n",
    ),
    (
        "delete pod two --force --grace-period=5",
        2,
        "error: --force and --grace-period greater than 0 cannot be specified together\n",
    ),
    (
        "logs tow",
        5,
        "error: error from server (NotFound): pods \"tow\" not found in namespace \"default\"\n  \
         try: did you mean two?\n",
    ),
    (
        "logs two -c mian",
        5,
        "error: container mian is not valid for pod two out of: main, side, init (init)\n  \
         try: did you mean main?\n",
    ),
    ("logs two", 0, "Defaulted container \"main\" out of: main, side, init (init)\n"),
    (
        "logs two -c main -p",
        1,
        "error: previous terminated container \"main\" in pod \"two\" not found\n",
    ),
    ("exec two -- true", 0, "Defaulted container \"main\" out of: main, side, init (init)\n"),
    (
        "exec tow -- true",
        5,
        "Error from server (NotFound): pods \"tow\" not found\n  try: did you mean two?\n",
    ),
    (
        "exec two -c mian -- true",
        5,
        "error: container mian is not valid for pod two out of: main, side, init (init)\n  \
         try: did you mean main?\n",
    ),
    (
        "exec two -c init -- true",
        125,
        "error: unable to upgrade connection: container not found (\"init\")\n",
    ),
    (
        "exec two -c main",
        2,
        "error: you must specify at least one command for the container\n  try: minipod exec two -- sh\n",
    ),
    (
        "exec two true",
        2,
        "error: exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\n  \
         try: minipod exec two -- true\n",
    ),
    ("exec two -c main -- sh -c exit~3", 3, "command terminated with exit code 3\n"),
];

fn whoever_names_something_wrongly_is_told_in_kubectls_words() {
    let node = Node::new("wrong", &["busybox"]);
    let _ = node.apply(TWO).succeeds();
    node.wait_for_status("two", &["Running"]);
    for (words, code, told) in MISTAKES {
        let words: Vec<String> = words.split(' ').map(|word| word.replace('~', " ")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = node.run(&words).ends_with(*code);
        assert_eq!(outcome.stderr, *told, "{words:?}");
    }
    node.delete_leaves_nothing("two", &["--now"]);
}
