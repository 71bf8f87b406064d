//! Pods under a service manager such as systemd.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use e2e_tests::Node;
use rustix::process::{Pid, Signal, kill_process};

use crate::Test;
use crate::supervisor::supervisor;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_pod_whose_every_process_is_told_to_end_stops_in_order",
        a_pod_whose_every_process_is_told_to_end_stops_in_order,
    ),
    (
        "a_service_manager_hears_of_the_pod_and_stops_it_with_success",
        a_service_manager_hears_of_the_pod_and_stops_it_with_success,
    ),
];

/// It ends by itself some time after it was asked to, and says so.
const SLOW: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: slow}
spec:
  terminationGracePeriodSeconds: 60
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'trap \"sleep 1; echo ended in order; exit 0\" TERM; echo ready; while true; do sleep 0.1; done']
";

fn terminate(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::TERM).expect("it runs");
}

/// The supervisor's children that are minipod's own and not containers.
fn helpers(supervisor: u32) -> Vec<u32> {
    let path = format!("/proc/{supervisor}/task/{supervisor}/children");
    let children = fs::read_to_string(path).expect("the supervisor runs");
    let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter(|pid| name(pid).starts_with("minipod:")).collect()
}

/// As `KillMode=control-group` does (systemd.kill(5)): whoever is in the unit.
fn a_pod_whose_every_process_is_told_to_end_stops_in_order() {
    let node = Node::new("service", &["busybox"]);
    let path = node.file("pod.yaml", SLOW).display().to_string();
    let mut command = node.command(&["run", &path]);
    let run = command.stdout(std::process::Stdio::piped()).spawn().expect("it can be started");
    let _ = node.wait_for_status("slow", &["Running"]);
    node.wait_for_log("slow", "main", "ready");
    let supervisor = supervisor(&node, "slow");
    let helpers = helpers(supervisor);
    assert!(!helpers.is_empty(), "the pause process");
    helpers.into_iter().for_each(terminate);
    terminate(supervisor);
    terminate(run.id());
    let output = run.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(143));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("ended in order"), "{text}");
    let _ = node.run(&["get", "pod", "slow"]).ends_with(5);
}

fn a_service_manager_hears_of_the_pod_and_stops_it_with_success() {
    let node = Node::new("notify", &["busybox"]);
    let path = node.file("pod.yaml", SLOW).display().to_string();
    let address = node.directory("manager").join("notify");
    let socket = UnixDatagram::bind(&address).expect("the manager's socket");
    socket.set_read_timeout(Some(Duration::from_mins(1))).expect("a deadline");
    let heard = || {
        let mut text = [0; 64];
        let length = socket.recv(&mut text).expect("it is told");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut command = node.command(&["run", &path]);
    let mut run = command.env("NOTIFY_SOCKET", &address).spawn().expect("it can be started");
    assert_eq!(heard(), "READY=1");
    node.wait_for_log("slow", "main", "ready");
    terminate(run.id());
    assert_eq!(heard(), "STOPPING=1");
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
    let _ = node.run(&["get", "pod", "slow"]).ends_with(5);
}
