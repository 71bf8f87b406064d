//! Wherever in its work a supervisor is killed: what is told is true, everything can be removed,
//! and the name is free again at once.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e_tests::node::{PATIENCE, Watch};
use e2e_tests::{Node, fixtures};

use crate::Test;
use crate::supervisor::{kill, supervisor, uid, wait_until_lost};

pub(crate) const TESTS: &[Test] = &[
    (
        "a_supervisor_may_be_killed_at_any_moment_of_a_start",
        a_supervisor_may_be_killed_at_any_moment_of_a_start,
    ),
    (
        "a_supervisor_may_be_killed_after_each_event_of_the_chapters_pod",
        a_supervisor_may_be_killed_after_each_event_of_the_chapters_pod,
    ),
    (
        "a_supervisor_may_be_killed_at_any_moment_of_an_end",
        a_supervisor_may_be_killed_at_any_moment_of_an_end,
    ),
];

/// With strace(1): killed at a system call, and not some time after what it did.
pub(crate) const STEPS: &[Test] = &[
    (
        "a_supervisor_may_be_killed_at_each_step_of_a_start",
        a_supervisor_may_be_killed_at_each_step_of_a_start,
    ),
    ("a_deletion_may_be_killed_at_each_step", a_deletion_may_be_killed_at_each_step),
];

/// Something of everything that a start makes: volumes on disk and in memory, a file, an address, a
/// host port, containers of each kind, a probe.
const POD: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
---
apiVersion: v1
kind: Pod
metadata: {name: swept}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: disk, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory}}
  - {name: settings, configMap: {name: settings}}
  initContainers:
  - {name: init, image: 'busybox:1.36', command: ['true'], volumeMounts: [{name: disk, mountPath: /disk}]}
  - {name: side, image: 'busybox:1.36', restartPolicy: Always, command: [sleep, '1000'], volumeMounts: [{name: memory, mountPath: /memory}]}
  containers:
  - name: one
    image: busybox:1.36
    command: [sleep, '1000']
    volumeMounts: [{name: settings, mountPath: /settings}]
    ports: [{containerPort: 80, hostPort: 8098}]
    readinessProbe: {exec: {command: ['true']}, periodSeconds: 1}
  - {name: two, image: 'busybox:1.36', command: [sleep, '1000']}
";

/// Its events: scheduled, then each of four containers pulled, created and started.
const EVENTS: usize = 13;

/// When the supervisor is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// After so many events.
    Event(usize),
    /// So many milliseconds after the start, whatever has happened until then.
    Milliseconds(u64),
}

/// Waits for the moment on a watch of events that was started before.
fn wait_for(moment: Moment, watch: &mut Watch) {
    match moment {
        Moment::Event(count) => {
            let deadline = Instant::now() + PATIENCE;
            for number in 0..count {
                assert!(watch.line(deadline).is_some(), "event {number} of {count}");
            }
        }
        Moment::Milliseconds(time) => {
            let deadline = Instant::now() + Duration::from_millis(time);
            while watch.line(deadline).is_some() {}
        }
    }
}

fn events(node: &Node) -> Watch {
    Watch::start(node.command(&["get", "events", "-w", "--no-headers"]))
}

/// Kills the pod's supervisor and checks that nobody believes the pod to be well.
fn kill_and_look(node: &Node, name: &str, moment: Moment) {
    kill(supervisor(node, name));
    wait_until_lost(node, name);
    let pod = node.pod(name);
    assert_eq!(pod["status"]["phase"], "Failed", "{moment:?}");
    let lists = ["initContainerStatuses", "containerStatuses"];
    let all = lists.iter().filter_map(|list| pod["status"][*list].as_array()).flatten();
    for one in all {
        assert!(one["state"]["running"].is_null(), "{moment:?}: {one}");
    }
}

fn a_supervisor_may_be_killed_at_any_moment_of_a_start() {
    let node = Node::new("swept", &["busybox"]);
    let path = node.file("swept.yaml", POD).display().to_string();
    let events_of_it = (1..=EVENTS).map(Moment::Event);
    let moments = events_of_it.chain((0..40).step_by(8).map(Moment::Milliseconds));
    for (number, moment) in moments.enumerate() {
        let mut watch = events(&node);
        let _ = node.run(&["apply", "-f", &path]).succeeds();
        let uid = uid(&node, "swept");
        wait_for(moment, &mut watch);
        kill_and_look(&node, "swept", moment);
        let flags: &[&str] = if number % 2 == 0 { &["--force"] } else { &[] };
        let begun = Instant::now();
        let _ = node.run(&[&["delete", "pod", "swept"], flags].concat()).succeeds();
        assert!(begun.elapsed() < Duration::from_secs(4), "{moment:?}: {:?}", begun.elapsed());
        node.nothing_is_left(&uid);
        // The name, the port and the address are free.
        let again = node.run(&["run", "--until=ready", "--timeout=60s", &path]);
        assert_eq!(again.code, 0, "{moment:?}: {}", again.stderr);
        let _ = node.run(&["delete", "pod", "swept", "--force"]).succeeds();
    }
    node.nothing_is_left("no-pod");
}

fn a_supervisor_may_be_killed_after_each_event_of_the_chapters_pod() {
    let images = ["init-demo", "network-connectivity-checker", "kubia", "kubia-ssl-proxy"];
    let node = Node::new("chapter", &images);
    let text = std::fs::read_to_string(fixtures::example("kubia-init.yaml"));
    let text = text.expect("the example is there");
    let text = text.replace("init-demo:1.0\n", "init-demo:1.0\n    args: [\"1\"]\n");
    for number in 1..=EVENTS {
        let moment = Moment::Event(number);
        let mut watch = events(&node);
        let _ = node.apply(&text).succeeds();
        let uid = uid(&node, "kubia-init");
        wait_for(moment, &mut watch);
        kill_and_look(&node, "kubia-init", moment);
        let _ = node.run(&["delete", "pod", "kubia-init"]).succeeds();
        node.nothing_is_left(&uid);
    }
}

fn a_supervisor_may_be_killed_at_any_moment_of_an_end() {
    let node = Node::new("ended", &["busybox"]);
    let path = node.file("ended.yaml", POD).display().to_string();
    for time in (0..60).step_by(4) {
        let _ = node.run(&["run", "--until=ready", "--timeout=60s", &path]).succeeds();
        let (uid, pid) = (uid(&node, "swept"), supervisor(&node, "swept"));
        let mut watch = events(&node);
        let mut first = node.command(&["delete", "pod", "swept", "--force"]);
        let first = first.stdout(Stdio::null()).stderr(Stdio::null());
        let mut first = first.spawn().expect("the program can be started");
        wait_for(Moment::Milliseconds(time), &mut watch);
        let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status(); // it may have ended
        // Both who delete find an end, whichever of them has to clean up.
        let second = node.run(&["delete", "pod", "swept", "--force"]);
        assert!([0, 5].contains(&second.code), "{time} ms: {}", second.stderr);
        assert!(first.wait().expect("it ends").success(), "{time} ms");
        node.nothing_is_left(&uid);
    }
}

/// Runs a command of minipod's until none of its processes is left, or for some seconds if all goes
/// well. The one that makes a system call for the `number`th time is killed at it.
fn kill_at(node: &Node, (call, number): (&str, usize), words: &[&str]) {
    let (trace, inject) =
        (format!("trace={call}"), format!("inject={call}:signal=KILL:when={number}"));
    let program = fixtures::program().display().to_string();
    let strace =
        ["20", "strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, &program];
    let mut command = node.with_places(Path::new("timeout"), &[&strace, words].concat());
    let _ = command.output().expect("strace can be started"); // killed like those it looks at
}

/// Each of a call with the numbers that it is made in.
fn steps(calls: &[(&'static str, std::ops::RangeInclusive<usize>)]) -> Vec<(&'static str, usize)> {
    let steps =
        calls.iter().map(|(call, numbers)| numbers.clone().map(move |number| (*call, number)));
    steps.flatten().collect()
}

fn a_supervisor_may_be_killed_at_each_step_of_a_start() {
    let node = Node::new("steps", &["busybox"]);
    let path = node.file("swept.yaml", POD).display().to_string();
    // The first of those that make directories and names are made by whoever creates the pod.
    for step in steps(&[("sendto", 1..=8), ("mkdir", 4..=9), ("rename", 4..=8)]) {
        kill_at(&node, step, &["apply", "-f", &path]);
        let uid = uid(&node, "swept");
        wait_until_lost(&node, "swept");
        let _ = node.run(&["delete", "pod", "swept"]).succeeds();
        node.nothing_is_left(&uid);
    }
    // Whoever is killed while creating a pod has created none, and keeps nobody else from it. What
    // is left of it is swept up a minute later.
    for step in steps(&[("mkdir", 1..=3), ("rename", 1..=2)]) {
        kill_at(&node, step, &["apply", "-f", &path]);
        let _ = node.run(&["get", "pod", "swept"]).ends_with(5);
    }
    let _ = node.run(&["run", "--until=ready", "--timeout=60s", &path]).succeeds();
    let _ = node.run(&["delete", "pod", "swept", "--force"]).succeeds();
}

fn a_deletion_may_be_killed_at_each_step() {
    let node = Node::new("undone", &["busybox"]);
    let path = node.file("swept.yaml", POD).display().to_string();
    for step in
        steps(&[("unlinkat", 1..=4), ("sendto", 1..=5), ("rename", 1..=1), ("rmdir", 1..=5)])
    {
        let _ = node.run(&["run", "--until=ready", "--timeout=60s", &path]).succeeds();
        let uid = uid(&node, "swept");
        kill(supervisor(&node, "swept"));
        wait_until_lost(&node, "swept");
        kill_at(&node, step, &["delete", "pod", "swept"]);
        let again = node.run(&["delete", "pod", "swept"]);
        assert_eq!(again.code, 0, "{step:?}: {}", again.stderr);
        node.nothing_is_left(&uid);
    }
}
