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
];

fn a_bad_manifest_is_refused_with_every_problem_and_its_place() {
    let node = Node::new("bad", &[]);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec:\n  containers:\n";
    for (containers, places) in [
        (
            "  - name: a\n    imagee: x\n",
            &[":7:5: error: unknown field", "did you mean \"image\"?", "image: Required value"][..],
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
            "  - {name: a, image: x}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\n",
            &[":9:7: error: kind Deployment is not supported", "spec.template"],
        ),
    ] {
        let path = node.file("bad.yaml", &format!("{pod}{containers}"));
        let outcome = node.run(&["apply", "-f", &path.display().to_string()]).ends_with(3);
        for place in places {
            assert!(outcome.stderr.contains(place), "{place}\nnot in\n{}", outcome.stderr);
        }
        let pods = node.run(&["get", "pods"]).succeeds();
        assert_eq!(pods.stdout, "", "nothing was created");
    }
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
    std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("it reads its input");
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
