//! How `run` ends: when a pod counts as ready, what interrupts, time limits and killed clients
//! leave, and what it takes along.

use std::process::Stdio;
use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_pod_that_is_ready_for_a_moment_only_is_no_success",
        a_pod_that_is_ready_for_a_moment_only_is_no_success,
    ),
    (
        "an_interrupted_run_until_ready_ends_with_130_when_the_pod_is_gone",
        an_interrupted_run_until_ready_ends_with_130_when_the_pod_is_gone,
    ),
    (
        "of_pods_that_want_one_host_port_the_first_in_the_manifest_has_it",
        of_pods_that_want_one_host_port_the_first_in_the_manifest_has_it,
    ),
    (
        "a_run_whose_time_is_over_gives_the_containers_their_grace",
        a_run_whose_time_is_over_gives_the_containers_their_grace,
    ),
    (
        "removal_and_time_limit_hold_when_the_client_is_killed",
        removal_and_time_limit_hold_when_the_client_is_killed,
    ),
    (
        "a_container_that_can_never_start_ends_a_run_that_fails_fast",
        a_container_that_can_never_start_ends_a_run_that_fails_fast,
    ),
    (
        "a_run_takes_its_objects_along_and_the_place_of_a_pod_of_its_name",
        a_run_takes_its_objects_along_and_the_place_of_a_pod_of_its_name,
    ),
];

/// A pod of one container that runs this script.
fn pod(name: &str, policy: &str, script: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: {policy}\n  \
         terminationGracePeriodSeconds: 20\n  containers:\n  - name: main\n    image: busybox:1.36\n    \
         command: [sh, -c, '{script}']\n"
    )
}

/// Goes on until it is asked to end, and says so.
const POLITE: &str = "trap \"echo bye; exit 0\" TERM; echo up; while true; do sleep 0.1; done";

fn a_pod_that_is_ready_for_a_moment_only_is_no_success() {
    let node = Node::new("moment", &["busybox"]);
    let short = node.file("short.yaml", &pod("short", "Never", "exit 1")).display().to_string();
    let _ = node.run(&["run", "--rm", "--until=ready", &short]).ends_with(1);
    let again = pod("again", "Always", "sleep 0.4; exit 1");
    let again = node.file("again.yaml", &again).display().to_string();
    let run = node.run(&["run", "--until=ready", "--timeout=8s", &again]).ends_with(124);
    assert!(run.stderr.contains("is not ready any more"), "{}", run.stderr);
    let long = node.file("long.yaml", &pod("long", "Always", POLITE)).display().to_string();
    let started = Instant::now();
    let _ = node.run(&["run", "--until=ready", "--ready-for=3s", &long]).succeeds();
    assert!(started.elapsed().as_secs() >= 3, "it was looked at for so long");
    node.delete_leaves_nothing("long", &["--now"]);
}

fn an_interrupted_run_until_ready_ends_with_130_when_the_pod_is_gone() {
    let node = Node::new("early", &["busybox"]);
    for (name, script) in
        [("well", POLITE.to_owned()), ("badly", POLITE.replace("exit 0", "sleep 1; exit 3"))]
    {
        let gated = pod(name, "Never", &script).replace(
            "    command",
            "    readinessProbe: {exec: {command: [\"false\"]}, periodSeconds: 1}\n    command",
        );
        let path = node.file("gated.yaml", &gated).display().to_string();
        let mut command = node.command(&["run", "--until=ready", &path]);
        command.stderr(Stdio::null());
        let mut run = Watch::start(command);
        let line = run.line(Instant::now() + PATIENCE);
        assert_eq!(line.as_deref(), Some("[main] up"));
        let uid = node.pod(name)["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        run.interrupt();
        assert_eq!(run.child().wait().expect("it ends").code(), Some(130), "{name}");
        node.nothing_is_left(&uid);
    }
}

fn of_pods_that_want_one_host_port_the_first_in_the_manifest_has_it() {
    let node = Node::new("port", &["busybox"]);
    let one = |name: &str| {
        pod(name, "Always", POLITE).replace(
            "    command",
            "    ports: [{containerPort: 80, hostPort: 18217}]\n    command",
        )
    };
    let all = ["third", "second", "first"].map(one).join("---\n");
    let _ = node.apply(&all).succeeds();
    node.wait_for_status("third", &["Running"]);
    for name in ["second", "first"] {
        let late = node.pod(name);
        assert!(late["status"]["podIP"].is_null(), "{late:#}");
    }
    let _ = node.run(&["delete", "pods", "--all", "--now"]).succeeds();
}

fn a_run_whose_time_is_over_gives_the_containers_their_grace() {
    let node = Node::new("grace", &["busybox"]);
    let path = node.file("polite.yaml", &pod("polite", "Always", POLITE)).display().to_string();
    let run = node.run(&["run", "--timeout=4s", &path]).ends_with(124);
    assert!(run.stdout.ends_with("[main] bye\n"), "{}", run.stdout);
    assert!(run.stderr.contains("The time is over; deleting the pod."), "{}", run.stderr);
    let _ = node.run(&["get", "pod", "polite"]).ends_with(5);
}

/// Starts `run` with these words, waits until the container is up, kills `run`, and returns the
/// pod's uid.
fn killed(node: &Node, words: &[&str]) -> String {
    let mut command = node.command(words);
    command.stderr(Stdio::null());
    let mut run = Watch::start(command);
    let line = run.line(Instant::now() + PATIENCE);
    assert_eq!(line.as_deref(), Some("[main] up"));
    let listed = node.run(&["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"]).succeeds();
    drop(run); // by SIGKILL
    listed.stdout
}

fn removal_and_time_limit_hold_when_the_client_is_killed() {
    let node = Node::new("killed", &["busybox"]);
    let waits = "echo up; until test -e /tmp/go; do sleep 0.1; done";
    let path = node.file("waits.yaml", &pod("waits", "Never", waits)).display().to_string();
    let uid = killed(&node, &["run", "--rm", &path]);
    let _ = node.run(&["exec", "waits", "--", "touch", "/tmp/go"]).succeeds();
    let _ = node.run(&["wait", "--for=delete", "pod/waits", "--timeout=60s"]).succeeds();
    node.nothing_is_left(&uid);
    let path = node.file("polite.yaml", &pod("polite", "Always", POLITE)).display().to_string();
    let uid = killed(&node, &["run", "--timeout=5s", &path]);
    let _ = node.run(&["wait", "--for=delete", "pod/polite", "--timeout=60s"]).succeeds();
    node.nothing_is_left(&uid);
    // A client that lives sees to it itself, when it has shown what there was to see.
    let path =
        node.file("ends.yaml", &pod("ends", "Never", "echo last; exit 3")).display().to_string();
    let run = node.run(&["run", "--rm", &path]).ends_with(1);
    assert_eq!(run.stdout, "[main] last\n");
    assert!(run.stderr.contains("exited with code 3"), "{}", run.stderr);
    let _ = node.run(&["get", "pod", "ends"]).ends_with(5);
}

fn a_container_that_can_never_start_ends_a_run_that_fails_fast() {
    let node = Node::new("never", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.01");
    let absent = pod("absent", "Always", POLITE)
        .replace("image: busybox:1.36", "image: nowhere:1\n    imagePullPolicy: Never");
    let unset = pod("unset", "Always", POLITE)
        .replace("    command", "    envFrom: [{configMapRef: {name: none}}]\n    command");
    for (name, manifest, reason) in
        [("absent", absent, "ErrImageNeverPull"), ("unset", unset, "CreateContainerConfigError")]
    {
        let path = node.file("never.yaml", &manifest).display().to_string();
        let run = node.run(&["run", &path]).ends_with(1);
        let told = format!("it cannot be started: container main: {reason}");
        assert!(run.stderr.contains(&told), "{}", run.stderr);
        let _ = node.run(&["get", "pod", name]).ends_with(5);
        let slow = ["run", "--fail-fast=false", "--timeout=3s", &path];
        let _ = node.run(&slow).ends_with(124);
    }
}

fn a_run_takes_its_objects_along_and_the_place_of_a_pod_of_its_name() {
    let node = Node::new("along", &["busybox"]);
    let map = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n---\n"
        )
    };
    let _ = node.apply(&map("before")).succeeds();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {a: b}\n---\n";
    let first = pod("first", "Never", "echo one");
    let second = pod("second", "Never", "echo two");
    let all = [&map("before"), &map("with"), secret, &first, "---\n", &second].map(String::from);
    let path = node.file("all.yaml", &all.concat()).display().to_string();
    let run = node.run(&["run", "--rm", &path]).succeeds();
    for name in ["first", "second"] {
        let line = format!("[{name}] Normal   Started");
        assert!(run.stderr.contains(&line), "{line}\nnot in\n{}", run.stderr);
    }
    let left = node.run(&["get", "cm,secret", "-o", "name"]).succeeds();
    assert_eq!(left.stdout, "configmap/before\n");
    let place = node.file("place.yaml", &pod("place", "Always", POLITE)).display().to_string();
    let _ = node.run(&["run", "--until=ready", &place]).succeeds();
    let before = node.pod("place")["metadata"]["uid"].clone();
    let _ = node.run(&["run", "-d", &place]).ends_with(1);
    let _ = node.run(&["run", "--replace", "--until=ready", &place]).succeeds();
    assert_ne!(node.pod("place")["metadata"]["uid"], before);
    node.delete_leaves_nothing("place", &["--now"]);
}
