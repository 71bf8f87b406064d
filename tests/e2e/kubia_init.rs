//! The chapter's own pod: two init containers, a Node.js server, an Envoy in front of it.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e_tests::node::PATIENCE;
use e2e_tests::{Node, fixtures};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "the_chapters_pod_starts_as_the_chapter_tells_it",
        the_chapters_pod_starts_as_the_chapter_tells_it,
    ),
    (
        "offline_the_second_init_container_crash_loops_and_the_mains_never_start",
        offline_the_second_init_container_crash_loops_and_the_mains_never_start,
    ),
    ("offline_a_pod_that_is_never_restarted_fails", offline_a_pod_that_is_never_restarted_fails),
];

const IMAGES: [&str; 4] = ["init-demo", "network-connectivity-checker", "kubia", "kubia-ssl-proxy"];

fn example() -> String {
    fixtures::example("kubia-init.yaml").display().to_string()
}

fn the_chapters_pod_starts_as_the_chapter_tells_it() {
    let node = Node::new("kubia", &IMAGES);
    let mut watch = node.watch_pods();
    let started = Instant::now();
    let outcome = node.run(&["apply", "-f", &example()]).succeeds();
    assert_eq!(outcome.stdout, "pod/kubia-init created\n");
    let mut seen: Vec<String> = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while let Some(line) = watch.line(deadline) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        if cells.first() == Some(&"kubia-init") {
            let status = format!("{} {}", cells[1], cells[2]);
            if seen.last() != Some(&status) {
                seen.push(status);
            }
        }
        if line.contains("2/2") {
            break;
        }
    }
    // Listing 5.11.
    let wanted =
        ["0/2 Pending", "0/2 Init:0/2", "0/2 Init:1/2", "0/2 PodInitializing", "2/2 Running"];
    let shown = seen.iter().map(String::as_str);
    let without_halves: Vec<&str> = shown.filter(|status| !status.starts_with("1/2")).collect();
    assert_eq!(without_halves, wanted);
    assert!(started.elapsed() >= Duration::from_secs(5), "init-demo runs five seconds");
    // Listing 5.10, with all images present.
    let mut expected = vec![("Scheduled".to_owned(), String::new())];
    for (container, image) in [
        ("init-demo", "luksa/init-demo:1.0"),
        ("network-check", "luksa/network-connectivity-checker:1.0"),
        ("kubia", "luksa/kubia:1.0"),
        ("envoy", "luksa/kubia-ssl-proxy:1.0"),
    ] {
        let pulled = format!("Container image \"{image}\" already present on machine");
        expected.push(("Pulled".into(), pulled));
        expected.push(("Created".into(), format!("Created container {container}")));
        expected.push(("Started".into(), format!("Started container {container}")));
    }
    let mut events = node.events();
    assert!(events[0].1.starts_with("Successfully assigned default/kubia-init to "));
    events[0].1.clear();
    assert_eq!(events, expected);
    // Listing 5.12, after the init container is gone.
    let logs = node.run(&["logs", "kubia-init", "-c", "network-check"]).succeeds();
    assert_eq!(
        logs.stdout,
        "Checking network connectivity to 1.1.1.1 ...\nHost appears to be reachable\n"
    );
    answers_over_https(&node);
    mains_start_after_inits_and_together(&node);
    one_init_container_at_a_time_and_no_main_before(&node);
    node.delete_leaves_nothing("kubia-init", &[]);
}

fn answers_over_https(node: &Node) {
    let pod = node.pod("kubia-init");
    let ip = pod["status"]["podIP"].as_str().unwrap_or_default();
    let url = format!("https://{ip}:8443/");
    let mut curl = node.lab.command(Path::new("curl"));
    curl.args(["-sk", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", &url]);
    let answer = curl.output().expect("curl can be started");
    let text = String::from_utf8_lossy(&answer.stdout);
    assert!(text.starts_with("Kubia version 1.0 running on kubia-init."), "{text}");
}

fn mains_start_after_inits_and_together(node: &Node) {
    let pod = node.pod("kubia-init");
    let inits = pod["status"]["initContainerStatuses"].as_array().cloned().unwrap_or_default();
    let mains = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
    assert_eq!((inits.len(), mains.len()), (2, 2));
    for init in &inits {
        let end = &init["state"]["terminated"];
        assert_eq!(
            (end["exitCode"].as_i64(), end["reason"].as_str()),
            (Some(0), Some("Completed"))
        );
    }
    let date = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let first_end = date(&inits[0]["state"]["terminated"]["finishedAt"]);
    let second_start = date(&inits[1]["state"]["terminated"]["startedAt"]);
    let second_end = date(&inits[1]["state"]["terminated"]["finishedAt"]);
    assert!(first_end <= second_start, "one init container at a time");
    let starts: Vec<String> =
        mains.iter().map(|main| date(&main["state"]["running"]["startedAt"])).collect();
    assert!(starts.iter().all(|start| *start >= second_end), "{starts:?} after {second_end}");
    let second = |date: &String| {
        let time: Vec<u32> = date[11..19].split(':').filter_map(|part| part.parse().ok()).collect();
        time[0] * 3600 + time[1] * 60 + time[2]
    };
    let apart = second(&starts[0]).abs_diff(second(&starts[1]));
    let apart = apart.min(24 * 3600 - apart);
    assert!(apart <= 1, "together, perhaps on both sides of a full second: {starts:?}");
}

/// Every version of the pod that was ever published keeps the order.
fn one_init_container_at_a_time_and_no_main_before(node: &Node) {
    let [state, ..] = node.directories();
    let text = std::fs::read_to_string(state.join("journal")).expect("the pod's versions");
    let lines = text.lines().filter(|line| line.contains(r#""kind":"Pod""#));
    let lines = lines.map(|line| serde_json::from_str(line).expect("a change"));
    let versions: Vec<serde_json::Value> =
        lines.map(|change: serde_json::Value| change["object"].clone()).collect();
    let count = |pod: &serde_json::Value, list: &str, state: &str| {
        let list = pod["status"][list].as_array().cloned().unwrap_or_default();
        list.iter().filter(|one| one["state"].get(state).is_some()).count()
    };
    // A main container does not even exist: it waits, and has no number.
    let exists = |one: &serde_json::Value| {
        !one["containerID"].is_null() || one["state"]["waiting"].is_null()
    };
    let has_succeeded = |one: &serde_json::Value| one["state"]["terminated"]["exitCode"] == 0;
    let mut most = 0;
    for pod in &versions {
        let list = |list: &str| pod["status"][list].as_array().cloned().unwrap_or_default();
        if list("containerStatuses").iter().any(exists) {
            let done = list("initContainerStatuses").into_iter().filter(has_succeeded).count();
            assert_eq!(done, 2, "a main container before both init containers: {pod}");
        }
        let inits = count(pod, "initContainerStatuses", "running");
        assert!(inits <= 1, "one init container at a time: {pod}");
        most = most.max(inits);
    }
    assert_eq!(most, 1, "the init containers were seen");
}

/// MP-05.
fn offline_the_second_init_container_crash_loops_and_the_mains_never_start() {
    let node = Node::new("offline", &IMAGES).with("MINIPOD_BACKOFF_SCALE", "0.05");
    node.lab.go_offline();
    let _ = node.run(&["apply", "-f", &example()]).succeeds();
    node.wait_for_status("kubia-init", &["Init:Error"]);
    node.wait_for_status("kubia-init", &["Init:CrashLoopBackOff"]);
    let description = node.run(&["describe", "pod", "kubia-init"]).succeeds().stdout;
    assert!(description.contains("Back-off restarting failed container network-check"));
    assert!(description.contains("Exit Code:    1"), "{description}");
    let pod = node.pod("kubia-init");
    let mains = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
    for main in mains {
        assert_eq!(main["state"]["waiting"]["reason"], "PodInitializing");
    }
    node.delete_leaves_nothing("kubia-init", &[]);
}

/// MP-03.
fn offline_a_pod_that_is_never_restarted_fails() {
    let node = Node::new("never", &IMAGES);
    node.lab.go_offline();
    let manifest = std::fs::read_to_string(fixtures::example("kubia-init.yaml"))
        .expect("the example is there")
        .replace("spec:\n", "spec:\n  restartPolicy: Never\n")
        .replace("init-demo:1.0\n", "init-demo:1.0\n    args: [\"1\"]\n");
    let path = node.file("never.yaml", &manifest);
    let outcome = node.run(&["run", &path.display().to_string()]).ends_with(1);
    assert!(outcome.stdout.contains("[network-check] Host appears to be unreachable\n"));
    assert!(outcome.stderr.contains("error: pod \"kubia-init\" failed"), "{}", outcome.stderr);
    assert_eq!(node.pod("kubia-init")["status"]["phase"], "Failed");
    node.delete_leaves_nothing("kubia-init", &[]);
}
