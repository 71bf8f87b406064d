//! What containers wrote, in every form in which it can be asked for.

use std::fs;
use std::path::Path;
use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "logs_show_what_is_asked_for_of_which_container",
        logs_show_what_is_asked_for_of_which_container,
    ),
    (
        "logs_are_the_containers_bytes_whatever_they_are",
        logs_are_the_containers_bytes_whatever_they_are,
    ),
    ("a_flood_of_output_is_kept_within_bounds", a_flood_of_output_is_kept_within_bounds),
    (
        "a_full_disk_stops_neither_container_nor_supervisor",
        a_full_disk_stops_neither_container_nor_supervisor,
    ),
];

const TALK: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: talk, labels: {app: talk}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: init, image: 'busybox:1.36', command: [sh, -c, 'echo from init']}
  containers:
  - {name: steady, image: 'busybox:1.36', command: [sh, -c, 'echo one; echo two >&2; echo three; sleep 1000']}
  - {name: again, image: 'busybox:1.36', command: [sh, -c, 'date +%s; sleep 0.2; exit 1']}
---
apiVersion: v1
kind: Pod
metadata: {name: mute}
spec:
  restartPolicy: Never
  containers: [{name: none, image: 'nothing:1', imagePullPolicy: Never}]
";

/// What is asked for in vain, the exit code, and what is told.
const REFUSALS: &[(&[&str], i32, &str)] = &[
    (
        &["talk", "-c", "init", "-p"],
        1,
        "error: previous terminated container \"init\" in pod \"talk\" not found",
    ),
    (
        &["mute"],
        1,
        "error: container \"none\" in pod \"mute\" is waiting to start: ErrImageNeverPull",
    ),
    (
        &["talk", "-c", "x"],
        5,
        "error: container x is not valid for pod talk out of: steady, again, init (init)",
    ),
    (
        &["tlak"],
        5,
        "error: error from server (NotFound): pods \"tlak\" not found in namespace \"default\"",
    ),
    (
        &["talk", "--all-containers", "-c", "init"],
        2,
        "error: --all-containers=true should not be specified with container name init",
    ),
    (
        &["talk", "--since=1s", "--since-time=2100-01-01T00:00:00Z"],
        2,
        "error: at most one of `sinceTime` or `sinceSeconds` may be specified",
    ),
    (
        &["talk", "-f", "--all-containers", "--max-log-requests=2"],
        2,
        "error: you are attempting to follow 3 log streams, but maximum allowed concurrency is 2, use --max-log-requests to increase the limit",
    ),
];

fn refusals_are_told(node: &Node) {
    for (words, code, told) in REFUSALS {
        let words: Vec<&str> = ["logs"].into_iter().chain(words.iter().copied()).collect();
        let outcome = node.run(&words).ends_with(*code);
        let is_told = outcome.stderr.lines().any(|line| line == *told);
        assert!(is_told, "{told}\nnot in\n{}", outcome.stderr);
    }
}

fn logs_show_what_is_asked_for_of_which_container() {
    let node = Node::new("logsof", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.01");
    let _ = node.apply(TALK).succeeds();
    node.wait_for_status("talk", &["CrashLoopBackOff"]);
    let logs = |words: &[&str]| {
        let words: Vec<&str> = ["logs"].into_iter().chain(words.iter().copied()).collect();
        node.run(&words)
    };
    let defaulted = logs(&["talk"]).succeeds();
    assert_eq!(
        defaulted.stderr,
        "Defaulted container \"steady\" out of: steady, again, init (init)\n"
    );
    let mut lines: Vec<&str> = defaulted.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "three", "two"]);
    assert_eq!(logs(&["pod/talk", "init"]).succeeds().stdout, "from init\n");
    assert_eq!(logs(&["talk", "-c", "steady", "--tail=0"]).succeeds().stdout, "");
    assert_eq!(logs(&["talk", "-c", "init", "--limit-bytes=6"]).succeeds().stdout, "from i");
    assert_eq!(
        logs(&["talk", "-c", "init", "--since-time=2100-01-01T00:00:00Z"]).succeeds().stdout,
        ""
    );
    let dated = logs(&["talk", "-c", "init", "--timestamps"]).succeeds().stdout;
    assert_eq!(
        (dated.len(), dated.as_bytes()[29]),
        ("2006-01-02T15:04:05.000000000Z from init\n".len(), b'Z')
    );
    let all =
        logs(&["-l", "app=talk", "--all-containers", "--prefix", "--tail=1"]).succeeds().stdout;
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "[pod/talk/init] from init"), "{all}");
    let previous = logs(&["talk", "-c", "again", "-p"]).succeeds().stdout;
    assert!(previous.trim().parse::<u64>().is_ok(), "{previous}");
    refusals_are_told(&node);
    let waited = logs(&["mute", "-f", "--pod-running-timeout=1s"]).ends_with(1);
    assert!(waited.stderr.contains("is waiting to start: ErrImageNeverPull"), "{}", waited.stderr);
    let _ = node.run(&["delete", "pod", "mute"]).succeeds();
    node.delete_leaves_nothing("talk", &["--now"]);
}

/// Lines around the length at which they are cut, one that looks like a record, bytes that are no
/// text, and a last line without an end.
const ODD: &str = "\
for n in 16383 16384 16385 1048576; do head -c $n /dev/zero | tr '\\0' x; echo; done; \
echo '2026-01-01T00:00:00Z stderr F fake'; printf 'a\\0b\\n'; printf '\\377\\376\\n\\n'; printf last";

fn logs_are_the_containers_bytes_whatever_they_are() {
    let node = Node::new("bytes", &["busybox"]);
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: odd}}\nspec:\n  restartPolicy: Never\n  containers:\n  \
         - name: main\n    image: busybox:1.36\n    command: [sh, -c, {ODD:?}]\n"
    );
    let _ = node.apply(&manifest).succeeds();
    let follow = node.command(&["logs", "-f", "odd"]).output().expect("it can be started");
    node.wait_for_status("odd", &["Completed"]);
    let wanted = std::process::Command::new("sh").args(["-c", ODD]).output().expect("sh").stdout;
    assert!(follow.stdout == wanted, "followed: {} bytes of {}", follow.stdout.len(), wanted.len());
    let read = node.command(&["logs", "odd"]).output().expect("it can be started").stdout;
    assert!(read == wanted, "read: {} bytes of {}", read.len(), wanted.len());
    let dated = node.command(&["logs", "odd", "--timestamps"]).output().expect("it starts").stdout;
    let dates = dated.split(|byte| *byte == b'\n').filter(|line| line.get(29) == Some(&b'Z'));
    assert_eq!(dates.count(), 9, "each line has one date, whatever its length");
    node.delete_leaves_nothing("odd", &[]);
}

fn a_flood_of_output_is_kept_within_bounds() {
    let node = Node::new("flood", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: flood}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: 'busybox:1.36', command: [sh, -c, 'yes 0123456789abcdef | head -c 20000000; echo; echo done; sleep 1000']}
  - {name: endless, image: 'busybox:1.36', command: [sh, -c, 'yes | head -c 3000000; sleep 1000']}
";
    let _ = node.apply(manifest).succeeds();
    let mut follow = Watch::start(node.command(&["logs", "-f", "flood", "-c", "main", "--tail=1"]));
    // While it floods, the supervisor answers.
    node.wait_for_status("flood", &["Running"]);
    let answer = node.run(&["exec", "flood", "-c", "main", "--", "echo", "still here"]).succeeds();
    assert_eq!(answer.stdout, "still here\n");
    let deadline = Instant::now() + PATIENCE;
    while follow.line(deadline).expect("the last line comes") != "done" {}
    let uid = node.pod("flood")["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let [_, _, logs] = node.directories();
    let directory = logs.join(format!("default_flood_{uid}")).join("main");
    let sizes: Vec<u64> = fs::read_dir(directory)
        .expect("the log's directory")
        .map(|entry| entry.and_then(|entry| entry.metadata()).map_or(0, |data| data.len()))
        .collect();
    assert_eq!(sizes.len(), 5, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size < 12 << 20), "{sizes:?}");
    let end = node.run(&["logs", "flood", "-c", "main", "--tail=2"]).succeeds().stdout;
    assert!(end.ends_with("\ndone\n"), "{end}");
    node.delete_leaves_nothing("flood", &["--force"]);
}

fn a_full_disk_stops_neither_container_nor_supervisor() {
    let node = Node::new("full", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: full}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: 'busybox:1.36', command: [sh, -c, 'yes 0123456789abcdef | head -c 2999990; exit 4']}
";
    let path = node.file("full.yaml", manifest).display().to_string();
    let [_, _, logs] = node.directories();
    fs::create_dir_all(&logs).expect("a directory for logs");
    // The small disk is seen by this command and its supervisor alone.
    let script = "mount -t tmpfs -o size=256k,mode=700 none $MINIPOD_LOG_DIR && exec $0 run $1";
    let program = e2e_tests::fixtures::program().display().to_string();
    let words = ["-m", "sh", "-c", script, &program, &path];
    let output = node.with_places(Path::new("unshare"), &words).output().expect("unshare starts");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() > 1000, "{} lines", lines.len());
    assert!(lines.iter().all(|line| *line == "[main] 0123456789abcdef"), "whole lines only");
    let state = node.pod("full")["status"]["containerStatuses"][0]["state"].clone();
    assert_eq!(state["terminated"]["exitCode"], 4);
    node.delete_leaves_nothing("full", &[]);
}
