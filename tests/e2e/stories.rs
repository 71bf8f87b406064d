//! What a new user sees who follows the book: a second terminal with `get pods -w`, a third one
//! with `get events -w`, and `describe` in between. Columns, words and order are kubectl's.

use std::time::Instant;

use e2e_tests::node::{PATIENCE, Watch};
use e2e_tests::transcript::matches;
use e2e_tests::{Node, fixtures};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_user_who_watches_a_failing_probe_sees_the_container_restart",
        a_user_who_watches_a_failing_probe_sees_the_container_restart,
    ),
    (
        "a_user_who_watches_a_failing_init_container_sees_it_back_off_and_succeed",
        a_user_who_watches_a_failing_init_container_sees_it_back_off_and_succeed,
    ),
    (
        "a_user_who_watches_a_sidecar_sees_it_start_first_and_stop_last",
        a_user_who_watches_a_sidecar_sees_it_start_first_and_stop_last,
    ),
    (
        "a_user_who_deletes_a_pod_sees_its_hooks_and_its_end",
        a_user_who_deletes_a_pod_sees_its_hooks_and_its_end,
    ),
];

/// The terminals of the story, each with what appears on it.
struct Terminals<'a> {
    node: &'a Node,
    pods: Watch,
    events: Watch,
}

impl<'a> Terminals<'a> {
    fn open(node: &'a Node) -> Self {
        let events = Watch::start(node.command(&["get", "events", "-w"]));
        Self { node, pods: node.watch_pods(), events }
    }

    /// On the terminal with the pods these rows appear next, whatever the ages are.
    fn pods_show(&mut self, rows: &str) {
        show(&mut self.pods, rows);
    }

    /// On the terminal with the events these rows appear next.
    fn events_show(&mut self, rows: &str) {
        show(&mut self.events, rows);
    }

    /// `describe` shows these lines, among others; `…` stands for any.
    fn describe_shows(&self, name: &str, lines: &str) {
        let text = self.node.run(&["describe", "pod", name]).succeeds().stdout;
        let printed: Vec<&str> = text.lines().collect();
        let shown: Vec<&str> = lines.lines().map(str::trim).collect();
        assert!(matches(&shown, &printed), "shown:\n{lines}\n\nprinted:\n{text}");
    }

    /// `describe` shows each of these lines somewhere: what happened within the same second is in
    /// the order in which it happened first.
    fn description_has(&self, name: &str, lines: &str) {
        let text = self.node.run(&["describe", "pod", name]).succeeds().stdout;
        for line in lines.lines().map(str::trim) {
            let is_there = text.lines().any(|printed| matches(&[line], &[printed]));
            assert!(is_there, "{line}\nnot in\n{text}");
        }
    }
}

fn show(watch: &mut Watch, rows: &str) {
    let deadline = Instant::now() + PATIENCE;
    for row in rows.lines().map(str::trim) {
        let line = watch.line(deadline).unwrap_or_else(|| panic!("there is no row {row}"));
        assert!(matches(&[row], &[&line]), "shown:   {row}\nprinted: {line}");
    }
}

fn example(name: &str) -> String {
    fixtures::example(name).display().to_string()
}

/// `get pods -w` of a container that is killed for its probe.
const UNWELL: &str = "\
NAME READY STATUS RESTARTS AGE
liveness 0/1 Pending 0 0s
liveness 0/1 ContainerCreating 0 0s
liveness 1/1 Running 0 0s
liveness 0/1 Completed 0 4s
liveness 1/1 Running 1 (0s ago) 4s";

/// `get events -w` of the same.
const UNWELL_EVENTS: &str = "\
LAST SEEN TYPE REASON OBJECT MESSAGE
0s Normal Scheduled pod/liveness Successfully assigned default/liveness to …
0s Normal Pulled pod/liveness Container image \"busybox:1.36\" already present on machine
0s Normal Created pod/liveness Created container main
0s Normal Started pod/liveness Started container main
0s Warning Unhealthy pod/liveness Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory
0s Warning Unhealthy pod/liveness Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory
0s Normal Killing pod/liveness Container main failed liveness probe, will be restarted
0s Normal Pulled pod/liveness Container image \"busybox:1.36\" already present on machine
0s Normal Created pod/liveness Created container main
0s Normal Started pod/liveness Started container main";

/// MP-22.
fn a_user_who_watches_a_failing_probe_sees_the_container_restart() {
    let node = Node::new("unwell", &["busybox"]);
    let mut terminals = Terminals::open(&node);
    let _ = node.run(&["apply", "-f", &example("liveness.yaml")]).succeeds();
    terminals.pods_show(UNWELL);
    terminals.events_show(UNWELL_EVENTS);
    terminals.describe_shows(
        "liveness",
        "…
        State: Running
        Started: …
        Last State: Terminated
        Reason: Completed
        Exit Code: 0
        Started: …
        Finished: …
        Ready: True
        Restart Count: 1
        Liveness: exec [cat /tmp/healthy] delay=0s timeout=1s period=1s #success=1 #failure=2
        …
        Type Reason Age From Message
        ---- ------ ---- ---- -------
        …",
    );
    terminals.description_has(
        "liveness",
        "Normal Scheduled 4s default-scheduler Successfully assigned default/liveness to …
        Warning Unhealthy 0s (x2 over …) kubelet spec.containers{main}: Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory
        Normal Killing 0s kubelet spec.containers{main}: Container main failed liveness probe, will be restarted
        Normal Pulled 0s (x2 over …) kubelet spec.containers{main}: Container image \"busybox:1.36\" already present on machine
        Normal Created 0s (x2 over …) kubelet spec.containers{main}: Created container main
        Normal Started 0s (x2 over …) kubelet spec.containers{main}: Started container main",
    );
    node.delete_leaves_nothing("liveness", &["--now"]);
}

const FLAKY: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: flaky}
spec:
  volumes: [{name: tries, emptyDir: {}}]
  initContainers:
  - name: prepare
    image: busybox:1.36
    command: [sh, -c, 'echo x >> /tries/count; echo try $(wc -l < /tries/count); [ $(wc -l < /tries/count) -ge 3 ]']
    volumeMounts: [{name: tries, mountPath: /tries}]
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
";

/// `get pods -w` of an init container that works at the third time.
const BACKS_OFF: &str = "\
NAME READY STATUS RESTARTS AGE
flaky 0/1 Pending 0 0s
flaky 0/1 Init:0/1 0 0s
flaky 0/1 Init:Error 0 0s
flaky 0/1 Init:0/1 1 (0s ago) 0s
flaky 0/1 Init:Error 1 (0s ago) 0s
flaky 0/1 Init:CrashLoopBackOff 1 (0s ago) 0s
flaky 0/1 Init:0/1 2 (1s ago) 1s
flaky 0/1 PodInitializing 0 1s
flaky 1/1 Running 0 1s";

/// `get events -w` of the same.
const BACKS_OFF_EVENTS: &str = "\
LAST SEEN TYPE REASON OBJECT MESSAGE
0s Normal Scheduled pod/flaky Successfully assigned default/flaky to …
0s Normal Pulled pod/flaky Container image \"busybox:1.36\" already present on machine
0s Normal Created pod/flaky Created container prepare
0s Normal Started pod/flaky Started container prepare
0s Normal Pulled pod/flaky Container image \"busybox:1.36\" already present on machine
0s Normal Created pod/flaky Created container prepare
0s Normal Started pod/flaky Started container prepare
0s Warning BackOff pod/flaky Back-off restarting failed container prepare in pod flaky_default(…)
0s Normal Pulled pod/flaky Container image \"busybox:1.36\" already present on machine
0s Normal Created pod/flaky Created container prepare
0s Normal Started pod/flaky Started container prepare
0s Normal Pulled pod/flaky Container image \"busybox:1.36\" already present on machine
0s Normal Created pod/flaky Created container main
0s Normal Started pod/flaky Started container main";

fn a_user_who_watches_a_failing_init_container_sees_it_back_off_and_succeed() {
    let node = Node::new("flaky", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.1");
    let mut terminals = Terminals::open(&node);
    let _ = node.apply(FLAKY).succeeds();
    terminals.pods_show(BACKS_OFF);
    terminals.events_show(BACKS_OFF_EVENTS);
    terminals.describe_shows(
        "flaky",
        "…
        Init Containers:
        prepare:
        …
        State: Terminated
        Reason: Completed
        Exit Code: 0
        Started: …
        Finished: …
        Last State: Terminated
        Reason: Error
        Exit Code: 1
        Started: …
        Finished: …
        Ready: True
        Restart Count: 2
        …",
    );
    terminals.description_has(
        "flaky",
        "Warning BackOff 1s kubelet spec.initContainers{prepare}: Back-off restarting failed container prepare in pod flaky_default(…)
        Normal Pulled 0s (x3 over …) kubelet spec.initContainers{prepare}: Container image \"busybox:1.36\" already present on machine",
    );
    let tries = |flags: &[&str]| {
        node.run(&[&["logs", "flaky", "-c", "prepare"], flags].concat()).succeeds().stdout
    };
    assert_eq!((tries(&[]), tries(&["-p"])), ("try 3\n".to_owned(), "try 2\n".to_owned()));
    node.delete_leaves_nothing("flaky", &["--now"]);
}

fn a_user_who_watches_a_sidecar_sees_it_start_first_and_stop_last() {
    let node = Node::new("beside", &["busybox"]);
    let mut terminals = Terminals::open(&node);
    let _ = node.run(&["apply", "-f", &example("sidecar.yaml")]).succeeds();
    terminals.pods_show(
        "NAME READY STATUS RESTARTS AGE
        sidecar 0/2 Pending 0 0s
        sidecar 0/2 Init:0/1 0 0s
        sidecar 1/2 PodInitializing 0 0s
        sidecar 2/2 Running 0 0s
        sidecar 1/2 Completed 0 3s
        sidecar 0/2 Completed 0 4s",
    );
    terminals.events_show(
        "LAST SEEN TYPE REASON OBJECT MESSAGE
        0s Normal Scheduled pod/sidecar Successfully assigned default/sidecar to …
        0s Normal Pulled pod/sidecar Container image \"busybox:1.36\" already present on machine
        0s Normal Created pod/sidecar Created container proxy
        0s Normal Started pod/sidecar Started container proxy
        0s Normal Pulled pod/sidecar Container image \"busybox:1.36\" already present on machine
        0s Normal Created pod/sidecar Created container main
        0s Normal Started pod/sidecar Started container main
        0s Normal Killing pod/sidecar Stopping container proxy",
    );
    // The row was for the containers; that the pod has ended is one step more, without a row.
    node.wait_for_phase("sidecar", "Succeeded");
    terminals.describe_shows(
        "sidecar",
        "…
        Status: Succeeded
        …
        Type Status
        PodReadyToStartContainers False
        Initialized True
        Ready False
        ContainersReady False
        PodScheduled True
        …",
    );
    node.delete_leaves_nothing("sidecar", &[]);
}

const HOOKS: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: hooks}
spec:
  terminationGracePeriodSeconds: 3
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'trap \"echo asked; exit 0\" TERM; touch /up; while true; do sleep 0.1; done']
    readinessProbe: {exec: {command: [test, -e, /up]}, periodSeconds: 1}
    lifecycle: {preStop: {exec: {command: [sh, -c, 'echo stopping > /proc/1/fd/1; sleep 1']}}}
  - name: wont
    image: busybox:1.36
    command: [sh, -c, 'trap \"echo never\" TERM; touch /up; while true; do sleep 0.1; done']
    readinessProbe: {exec: {command: [test, -e, /up]}, periodSeconds: 1}
    lifecycle: {preStop: {exec: {command: ['false']}}}
";

/// MP-29.
fn a_user_who_deletes_a_pod_sees_its_hooks_and_its_end() {
    let node = Node::new("hooks", &["busybox"]);
    let _ = node.apply(HOOKS).succeeds();
    let _ = node.run(&["wait", "--for=condition=Ready", "pod/hooks", "--timeout=60s"]).succeeds();
    let mut terminals = Terminals::open(&node);
    terminals.pods_show("NAME READY STATUS RESTARTS AGE\nhooks 2/2 Running 0 1s");
    let codes = "custom-columns=MAIN:.status.containerStatuses[0].state.terminated.exitCode,\
                 WONT:.status.containerStatuses[1].state.terminated.exitCode";
    let mut codes = Watch::start(node.command(&["get", "pods", "-w", "-o", codes]));
    let mut logs = Watch::start(node.command(&["logs", "-f", "hooks", "-c", "main"]));
    let begun = Instant::now();
    let told = node.run(&["delete", "pod", "hooks"]).succeeds().stdout;
    assert_eq!(told, "pod \"hooks\" deleted from default namespace\n");
    let seconds = begun.elapsed().as_secs_f32();
    assert!((3.0..20.0).contains(&seconds), "the grace period, and not more: {seconds}");
    terminals.pods_show(
        "hooks 2/2 Terminating 0 2s
        hooks 1/2 Terminating 0 3s
        hooks 0/2 Terminating 0 5s
        hooks 0/2 Error 0 5s",
    );
    let deadline = Instant::now() + PATIENCE;
    assert_eq!(logs.line(deadline).as_deref(), Some("stopping"));
    assert_eq!(logs.line(deadline).as_deref(), Some("asked"));
    let ends = |line: &str| line.split_whitespace().eq(["0", "137"]);
    while !ends(&codes.line(deadline).expect("the codes of both")) {}
    let deadline = Instant::now() + PATIENCE;
    let mut events = Vec::new();
    while events.len() < 3 {
        let line = terminals.events.line(deadline).expect("an event");
        let is_news = ["Killing", "FailedPreStopHook"].iter().any(|reason| line.contains(reason));
        events.extend(is_news.then_some(line));
    }
    let shown = [
        "0s Normal Killing pod/hooks Stopping container main",
        "0s Normal Killing pod/hooks Stopping container wont",
        "0s Warning FailedPreStopHook pod/hooks PreStopHook failed",
    ];
    let printed: Vec<&str> = events.iter().map(String::as_str).collect();
    assert!(matches(&shown, &printed), "{events:#?}");
    let _ = node.run(&["get", "pod", "hooks"]).ends_with(5);
}
