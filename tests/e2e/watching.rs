//! Logs, exec, describe, and what views say when the supervisor is gone.

use std::process::{Command, Stdio};
use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    ("both_outputs_of_a_container_are_in_its_log", both_outputs_of_a_container_are_in_its_log),
    (
        "a_command_runs_in_a_container_and_passes_its_code_on",
        a_command_runs_in_a_container_and_passes_its_code_on,
    ),
    (
        "a_shell_on_a_terminal_ends_with_its_container",
        a_shell_on_a_terminal_ends_with_its_container,
    ),
    (
        "a_dead_supervisor_is_told_and_deletion_still_leaves_nothing",
        a_dead_supervisor_is_told_and_deletion_still_leaves_nothing,
    ),
    ("logs_are_followed_until_the_pod_has_ended", logs_are_followed_until_the_pod_has_ended),
];

fn pod(name: &str, command: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  \
         terminationGracePeriodSeconds: 1\n  containers:\n  - name: main\n    image: busybox:1.36\n    \
         command: [sh, -c, {command:?}]\n"
    )
}

fn both_outputs_of_a_container_are_in_its_log() {
    let node = Node::new("logs", &["busybox"]);
    let path = node.file("pod.yaml", &pod("both", "echo out; echo err >&2; printf last"));
    let outcome = node.run(&["run", &path.display().to_string()]).succeeds();
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[main] err", "[main] last", "[main] out"]);
    let logs = node.run(&["logs", "both", "--tail", "1", "--timestamps"]).succeeds();
    assert_eq!(logs.stdout.lines().count(), 1);
    assert_eq!(logs.stdout.chars().nth(10), Some('T'), "{}", logs.stdout);
    node.delete_leaves_nothing("both", &[]);
}

fn a_command_runs_in_a_container_and_passes_its_code_on() {
    let node = Node::new("exec", &["busybox"]);
    let _ = node.apply(&pod("exec", "sleep 1000")).succeeds();
    node.wait_for_status("exec", &["Running"]);
    let inside = node.run(&["exec", "exec", "--", "sh", "-c", "hostname; echo e >&2; exit 7"]);
    let inside = inside.ends_with(7);
    assert_eq!(
        (inside.stdout.as_str(), inside.stderr.as_str()),
        ("exec\n", "e\ncommand terminated with exit code 7\n")
    );
    let missing = node.run(&["exec", "exec", "--", "nothing-of-that-name"]).ends_with(127);
    assert!(missing.stderr.contains("executable file not found in $PATH"), "{}", missing.stderr);
    let _ = node.run(&["exec", "exec", "--", "/etc/passwd"]).ends_with(126);
    let wrong = node.run(&["exec", "exec", "-c", "mian", "--", "true"]).ends_with(5);
    assert!(wrong.stderr.contains("did you mean main?"), "{}", wrong.stderr);
    node.delete_leaves_nothing("exec", &["--now"]);
}

/// `script` gives the program a terminal, as a user has one.
fn on_a_terminal(node: &Node, words: &str) -> Command {
    let program = e2e_tests::fixtures::program().display().to_string();
    let mut command = node.command(&[]);
    let mut script = Command::new("script");
    script.args(["-qec", &format!("stty rows 33 cols 111; {program} {words}"), "/dev/null"]);
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            script.env(name, value);
        }
    }
    command.stdin(Stdio::null());
    script
}

fn a_shell_on_a_terminal_ends_with_its_container() {
    let node = Node::new("tty", &["busybox"]);
    let _ =
        node.apply(&pod("tty", "trap 'exit 0' TERM; while true; do sleep 0.1; done")).succeeds();
    node.wait_for_status("tty", &["Running"]);
    let size = on_a_terminal(&node, "exec -it tty -- stty size").stdin(Stdio::null()).output();
    let size = String::from_utf8_lossy(&size.expect("script can be started").stdout).into_owned();
    assert!(size.contains("33 111"), "{size:?}");
    let code = on_a_terminal(&node, "exec -it tty -- sh -c 'exit 9'").status();
    assert_eq!(code.expect("script can be started").code(), Some(9));
    let mut shell = on_a_terminal(&node, "exec -t tty -- sh -c 'echo ready; sleep 1000'");
    shell.stdin(Stdio::null());
    let mut shell = Watch::start(shell);
    let deadline = Instant::now() + PATIENCE;
    assert!(shell.line(deadline).is_some_and(|line| line.contains("ready")));
    node.delete_leaves_nothing("tty", &[]);
    let ended = shell.child().wait().expect("the shell has ended");
    assert_eq!(ended.code(), Some(137), "killed with its container");
}

fn a_dead_supervisor_is_told_and_deletion_still_leaves_nothing() {
    let node = Node::new("dead", &["busybox"]);
    let _ = node.apply(&pod("dead", "sleep 1000")).succeeds();
    node.wait_for_status("dead", &["Running"]);
    let [state, ..] = node.directories();
    let status = Command::new("pkill")
        .args(["-9", "-f", &format!("supervise {}", state.display())])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "there is a supervisor to kill");
    node.wait_for_status("dead", &["Unknown"]);
    node.delete_leaves_nothing("dead", &[]);
}

fn logs_are_followed_until_the_pod_has_ended() {
    let node = Node::new("follow", &["busybox"]);
    let _ = node.apply(&pod("follow", "echo one; sleep 1; echo two")).succeeds();
    let logs = node.run(&["logs", "-f", "follow"]).succeeds();
    assert_eq!(logs.stdout, "one\ntwo\n");
    node.delete_leaves_nothing("follow", &[]);
}
