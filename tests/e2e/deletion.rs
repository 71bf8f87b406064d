//! However a pod ends, nothing of it is left.

use std::process::Stdio;

use e2e_tests::Node;
use e2e_tests::node::Watch;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "ctrl_c_deletes_the_pod_and_a_second_one_kills_it",
        ctrl_c_deletes_the_pod_and_a_second_one_kills_it,
    ),
    (
        "ctrl_c_lets_every_container_say_its_last_line",
        ctrl_c_lets_every_container_say_its_last_line,
    ),
    (
        "ctrl_c_kills_a_pod_whose_deletion_is_waited_for",
        ctrl_c_kills_a_pod_whose_deletion_is_waited_for,
    ),
    (
        "a_run_of_which_one_pod_exists_already_leaves_none_of_the_others",
        a_run_of_which_one_pod_exists_already_leaves_none_of_the_others,
    ),
    (
        "a_run_that_nobody_listens_to_any_more_deletes_its_pod",
        a_run_that_nobody_listens_to_any_more_deletes_its_pod,
    ),
    ("a_pod_can_be_deleted_at_every_stage", a_pod_can_be_deleted_at_every_stage),
    ("a_run_that_takes_too_long_is_ended", a_run_that_takes_too_long_is_ended),
    (
        "a_pod_with_the_longest_name_lives_and_leaves_nothing",
        a_pod_with_the_longest_name_lives_and_leaves_nothing,
    ),
    (
        "three_hundred_processes_that_share_a_tenth_of_a_processor_end_when_they_are_killed",
        three_hundred_processes_that_share_a_tenth_of_a_processor_end_when_they_are_killed,
    ),
];

/// All wait for the end of the FIFO's only writer, and then burn what they get.
const CROWD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox:1.36
    resources: {limits: {cpu: 100m}}
    command:
    - sh
    - -c
    - |
      mkfifo /tmp/go
      i=0
      while [ $i -lt 300 ]; do
        (read x < /tmp/go; while :; do :; done) &
        i=$((i+1))
      done
      exec 3> /tmp/go
      exec 3>&-
      echo all
      wait
";

/// The kernel may leave processes that have used up a quota asleep for minutes; those that were
/// killed, too.
fn three_hundred_processes_that_share_a_tenth_of_a_processor_end_when_they_are_killed() {
    let node = Node::new("crowd", &["busybox"]);
    for (name, flags) in [("now", "--now"), ("forced", "--force")] {
        let _ = node.apply(&CROWD.replace("NAME", name)).succeeds();
        let mut logs = Watch::start(node.command(&["logs", "-f", name]));
        let deadline = std::time::Instant::now() + 2 * e2e_tests::node::PATIENCE;
        assert_eq!(logs.line(deadline).as_deref(), Some("all"));
        node.delete_leaves_nothing(name, &[flags, "--timeout=20s"]);
    }
}

const STUBBORN: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: stubborn}
spec:
  terminationGracePeriodSeconds: 60
  containers:
  - {name: main, image: 'busybox:1.36', command: [sh, -c, 'trap \"echo asked\" TERM; echo up; while true; do sleep 0.1; done']}
";

/// MP-44.
fn ctrl_c_deletes_the_pod_and_a_second_one_kills_it() {
    let node = Node::new("ctrlc", &["busybox"]);
    let path = node.file("stubborn.yaml", STUBBORN);
    let mut command = node.command(&["run", &path.display().to_string()]);
    command.stderr(Stdio::null());
    let mut run = Watch::start(command);
    let deadline = std::time::Instant::now() + e2e_tests::node::PATIENCE;
    assert_eq!(run.line(deadline).as_deref(), Some("[main] up"));
    let pod = node.pod("stubborn");
    run.interrupt();
    assert_eq!(run.line(deadline).as_deref(), Some("[main] asked"));
    run.interrupt();
    let ended = run.child().wait().expect("it ends");
    assert_eq!(ended.code(), Some(130));
    node.nothing_is_left(pod["metadata"]["uid"].as_str().unwrap_or_default());
}

/// MP-44.
fn ctrl_c_lets_every_container_say_its_last_line() {
    let node = Node::new("last", &["busybox"]);
    let container = |name: &str| {
        format!(
            "  - {{name: {name}, image: 'busybox:1.36', command: [sh, -c, 'trap \"seq 500; echo bye; exit 0\" TERM; \
             echo up; while true; do sleep 0.1; done']}}\n"
        )
    };
    let (one, two) = (container("one"), container("two"));
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: last}}\nspec:\n  containers:\n{one}{two}"
    );
    let path = node.file("last.yaml", &manifest);
    let mut command = node.command(&["run", &path.display().to_string()]);
    command.stderr(Stdio::null());
    let mut run = Watch::start(command);
    let deadline = std::time::Instant::now() + e2e_tests::node::PATIENCE;
    let mut up = [run.line(deadline), run.line(deadline)].map(Option::unwrap_or_default);
    up.sort();
    assert_eq!(up, ["[one] up", "[two] up"]);
    let pod = node.pod("last");
    run.interrupt();
    let mut lines = Vec::new();
    while let Some(line) = run.line(deadline) {
        lines.push(line);
    }
    for name in ["one", "two"] {
        let prefix = format!("[{name}] ");
        let said: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix(&prefix)).collect();
        assert_eq!((said.len(), said.last()), (501, Some(&"bye")), "{name}");
    }
    assert_eq!(run.child().wait().expect("it ends").code(), Some(130));
    node.nothing_is_left(pod["metadata"]["uid"].as_str().unwrap_or_default());
}

fn ctrl_c_kills_a_pod_whose_deletion_is_waited_for() {
    let node = Node::new("rmc", &["busybox"]);
    let path = node.file("stubborn.yaml", STUBBORN).display().to_string();
    let mut command = node.command(&["run", "--rm", "--until=ready", &path]);
    command.stderr(Stdio::null());
    let mut run = Watch::start(command);
    let deadline = std::time::Instant::now() + e2e_tests::node::PATIENCE;
    let mut line = run.line(deadline);
    while line.as_deref() != Some("[main] asked") {
        assert!(line.is_some(), "the pod is not asked to end");
        line = run.line(deadline);
    }
    run.interrupt();
    let ended = run.child().wait().expect("it ends");
    assert_eq!(ended.code(), Some(130));
    let _ = node.run(&["get", "pod", "stubborn"]).ends_with(5);
}

fn a_run_of_which_one_pod_exists_already_leaves_none_of_the_others() {
    let node = Node::new("exists", &["busybox"]);
    let _ = node.apply(STUBBORN).succeeds();
    let both = format!("{}---\n{STUBBORN}", STUBBORN.replace("stubborn", "another"));
    let path = node.file("both.yaml", &both).display().to_string();
    let outcome = node.run(&["run", "-d", &path]).ends_with(1);
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("pods \"stubborn\" already exists"), "{}", outcome.stderr);
    let _ = node.run(&["get", "pod", "another"]).ends_with(5);
    node.delete_leaves_nothing("stubborn", &["--force"]);
}

/// As in `run --rm … | head -1`, and when the terminal is closed.
fn a_run_that_nobody_listens_to_any_more_deletes_its_pod() {
    let node = Node::new("alone", &["busybox"]);
    let chatty = STUBBORN
        .replace("trap", "trap \"exit 0\" TERM; while true; do echo up; sleep 0.1; done; trap");
    let path = node.file("chatty.yaml", &chatty).display().to_string();
    let mut command = node.command(&["run", "--rm", &path]);
    let mut run =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it can be started");
    let mut byte = [0];
    let mut stdout = run.stdout.take().expect("its output is a pipe");
    std::io::Read::read_exact(&mut stdout, &mut byte).expect("the container says something");
    drop(stdout);
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
    let _ = node.run(&["wait", "--for=delete", "pod/stubborn"]).succeeds();
    let mut command = node.command(&["run", &path]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    node.wait_for_status("stubborn", &["Running"]);
    node.wait_for_log("stubborn", "main", "up");
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it runs");
    assert_eq!(run.wait().expect("it ends").code(), Some(130));
    let _ = node.run(&["get", "pod", "stubborn"]).ends_with(5);
}

fn a_pod_can_be_deleted_at_every_stage() {
    let node = Node::new("stages", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: stages}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: init, image: 'busybox:1.36', command: [sleep, '1000']}
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
";
    let _ = node.apply(manifest).succeeds();
    node.delete_leaves_nothing("stages", &["--force"]); // whatever stage it is in
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("stages", &["Init:0/1"]);
    node.delete_leaves_nothing("stages", &["--now"]);
    let _ = node.apply(&manifest.replace(
        "1.36', command: [sleep, '1000']}\n  con",
        "none', imagePullPolicy: Never}\n  con",
    ));
    node.wait_for_status("stages", &["Init:ErrImageNeverPull"]);
    node.delete_leaves_nothing("stages", &[]);
    let _ = node.run(&["delete", "pod", "stages"]).ends_with(5);
}

fn a_run_that_takes_too_long_is_ended() {
    let node = Node::new("timeout", &["busybox"]);
    let brief = STUBBORN.replace("Seconds: 60", "Seconds: 2");
    let path = node.file("stubborn.yaml", &brief);
    let outcome = node.run(&["run", "--timeout", "1s", &path.display().to_string()]);
    let outcome = outcome.ends_with(124);
    assert!(outcome.stderr.contains("the time is over"), "{}", outcome.stderr);
    let _ = node.run(&["get", "pod", "stubborn"]).ends_with(5);
}

fn a_pod_with_the_longest_name_lives_and_leaves_nothing() {
    let node = Node::new("longest", &["busybox"]);
    let name = "n".repeat(253);
    let _ = node.apply(&STUBBORN.replace("name: stubborn", &format!("name: {name}"))).succeeds();
    node.wait_for_log(&name, "main", "up");
    assert!(node.run(&["describe", "pod", &name]).succeeds().stdout.contains(&name));
    node.delete_leaves_nothing(&name, &["--force"]);
}
