//! `run --fail-fast`: what ends it, and what it waits for.

use std::process::Stdio;
use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};
use e2e_tests::registry::{ADDRESS, Registry};
use serde_json::Value;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "an_image_that_a_registry_does_not_have_ends_a_run_that_fails_fast",
        an_image_that_a_registry_does_not_have_ends_a_run_that_fails_fast,
    ),
    (
        "a_registry_that_comes_later_does_not_end_a_run_that_fails_fast",
        a_registry_that_comes_later_does_not_end_a_run_that_fails_fast,
    ),
];

/// A pod of one container.
fn pod(name: &str, image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  \
         containers: [{{name: main, image: '{image}', command: [echo, done]}}]\n"
    )
}

/// A node whose Docker Hub is where the registry of the tests listens, if it does.
fn node(name: &str) -> Node {
    let node = Node::new(name, &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.02");
    let settings = format!(
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{ADDRESS}\"\ninsecure = true\n"
    );
    let path = node.file("registries.conf", &settings).display().to_string();
    node.with("CONTAINERS_REGISTRIES_CONF", &path)
}

/// The events of failed pulls: what they await, how often they have come.
fn failed_pulls(node: &Node) -> Vec<(Option<String>, i64)> {
    let outcome = node.run(&["get", "events", "-o", "json"]).succeeds();
    let list: Value = serde_json::from_str(&outcome.stdout).expect("the events are JSON");
    let events = list["items"].as_array().cloned().unwrap_or_default();
    let is_failed_pull = |event: &&Value| {
        event["message"].as_str().is_some_and(|text| text.starts_with("Failed to pull image"))
    };
    let told = |event: &Value| {
        let action = event["action"].as_str().map(ToOwned::to_owned);
        (action, event["count"].as_i64().unwrap_or_default())
    };
    events.iter().filter(is_failed_pull).map(told).collect()
}

fn an_image_that_a_registry_does_not_have_ends_a_run_that_fails_fast() {
    let node = node("refused");
    let registry = Registry::start(&node.lab, &[]);
    let absent = pod("absent", "absent:1");
    let shown = pod("shown", "busybox:1.36")
        + "  volumes: [{name: files, image: {reference: 'absent:1'}}]\n";
    let shown = shown.replace("done]}", "done], volumeMounts: [{name: files, mountPath: /files}]}");
    for (name, manifest) in [("absent", absent), ("shown", shown)] {
        let path = node.file("refused.yaml", &manifest).display().to_string();
        let run = node.run(&["run", &path]).ends_with(1);
        assert!(run.stderr.contains("it cannot be started: container main: "), "{}", run.stderr);
        assert!(run.stderr.contains("404"), "{}", run.stderr);
        let _ = node.run(&["get", "pod", name]).ends_with(5);
    }
    let path = node.file("kept.yaml", &pod("kept", "absent:1")).display().to_string();
    let _ = node.run(&["run", "--until=ready", &path]).ends_with(1);
    let failed = failed_pulls(&node);
    let counted: i64 = failed.iter().map(|(_, count)| count).sum();
    assert!(counted >= 2, "{failed:?}");
    assert!(failed.iter().all(|(action, _)| action.as_deref() == Some("AwaitChange")));
    node.delete_leaves_nothing("kept", &["--now"]);
    drop(registry);
}

fn a_registry_that_comes_later_does_not_end_a_run_that_fails_fast() {
    let node = node("later");
    let later = pod("later", "minipod/later:1");
    let path = node.file("later.yaml", &later).display().to_string();
    let mut command = node.command(&["run", "--fail-fast", &path]);
    command.stderr(Stdio::null());
    let mut run = Watch::start(command);
    // A watch shows an event again whenever its count grows.
    let mut events = Watch::start(node.command(&["get", "events", "-w"]));
    let deadline = Instant::now() + PATIENCE;
    let mut failures = 0;
    while failures < 3 {
        let line = events.line(deadline).expect("the pull fails again and again");
        failures += usize::from(line.contains("Failed to pull image"));
    }
    drop(events);
    assert!(failed_pulls(&node).iter().all(|(action, _)| action.is_none()));
    let registry = Registry::start(&node.lab, &[("busybox", "minipod/later:1")]);
    assert_eq!(run.line(Instant::now() + PATIENCE).as_deref(), Some("[main] done"));
    assert!(run.child().wait().expect("it ends").success());
    node.delete_leaves_nothing("later", &[]);
    drop(registry);
}
