//! What a container has to show before others start, or before it counts as ready.

use std::thread;
use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};
use serde_json::Value;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_sidecar_opens_the_way_when_its_startup_probe_succeeds",
        a_sidecar_opens_the_way_when_its_startup_probe_succeeds,
    ),
    (
        "liveness_is_not_asked_before_the_container_has_started",
        liveness_is_not_asked_before_the_container_has_started,
    ),
    ("a_probe_waits_for_its_initial_delay", a_probe_waits_for_its_initial_delay),
    (
        "readiness_comes_and_goes_with_its_conditions_and_restarts_nothing",
        readiness_comes_and_goes_with_its_conditions_and_restarts_nothing,
    ),
];

/// The lines of `get pods -w`, up to the one with these cells at its beginning.
fn rows_until(watch: &mut Watch, wanted: &str) -> Vec<String> {
    let (mut seen, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while let Some(line) = watch.line(deadline) {
        let cells: Vec<&str> = line.split_whitespace().take(3).collect();
        let row = cells.join(" ");
        if seen.last() != Some(&row) {
            seen.push(row);
        }
        if seen.last().is_some_and(|row| row == wanted) {
            return seen;
        }
    }
    panic!("no row {wanted}: {seen:#?}");
}

fn condition<'a>(pod: &'a Value, kind: &str) -> &'a Value {
    let all = pod["status"]["conditions"].as_array();
    all.into_iter().flatten().find(|one| one["type"] == kind).unwrap_or(&Value::Null)
}

/// A proxy that serves when the file `/open` appears, an init container and a main container that
/// need it.
const GATE: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: gate}
spec:
  restartPolicy: Never
  initContainers:
  - name: proxy
    image: busybox:1.36
    restartPolicy: Always
    command:
    - sh
    - -c
    - |
      trap 'kill %1; echo proxy ends; exit 0' TERM
      until test -e /open; do sleep 0.1; done
      mkdir /www; echo well > /www/x; httpd -f -p 7000 -h /www & wait
    startupProbe: {httpGet: {path: /x, port: 7000}, periodSeconds: 1, failureThreshold: 60}
  - {name: ask, image: 'busybox:1.36', command: [wget, -q, -O, '-', 'http://127.0.0.1:7000/x']}
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'wget -q -O - http://127.0.0.1:7000/x; until test -e /end; do sleep 0.1; done']
";

/// MP-06.
fn a_sidecar_opens_the_way_when_its_startup_probe_succeeds() {
    let node = Node::new("gate", &["busybox"]);
    let mut watch = node.watch_pods();
    let _ = node.apply(GATE).succeeds();
    let refused = "Startup probe failed: Get \"http://";
    node.wait_for_event("Unhealthy", refused);
    let pod = node.pod("gate");
    let [proxy, ask] = [0, 1].map(|at| pod["status"]["initContainerStatuses"][at].clone());
    assert!(proxy["state"]["running"].is_object(), "{proxy}");
    assert_eq!((&proxy["started"], &proxy["ready"]), (&false.into(), &false.into()));
    assert_eq!(ask["state"]["waiting"]["reason"], "PodInitializing");
    let early = node.run(&["logs", "gate", "-c", "ask"]).ends_with(1);
    let waits = "container \"ask\" in pod \"gate\" is waiting to start: PodInitializing\n";
    let told = format!("error: {waits}");
    assert!(early.stderr.starts_with(&told), "{}", early.stderr);
    let _ = node.run(&["exec", "gate", "-c", "proxy", "--", "touch", "/open"]).succeeds();
    let rows = rows_until(&mut watch, "gate 2/2 Running");
    let mut seen = rows.iter();
    for row in ["gate 0/2 Pending", "gate 0/2 Init:0/2", "gate 1/2 Init:1/2"] {
        assert!(seen.any(|one| one == row), "{row} in {rows:#?}");
    }
    let _ = node.run(&["exec", "gate", "-c", "main", "--", "touch", "/end"]).succeeds();
    node.wait_for_phase("gate", "Succeeded");
    for (container, said) in [("ask", "well\n"), ("main", "well\n"), ("proxy", "proxy ends\n")] {
        assert_eq!(node.run(&["logs", "gate", "-c", container]).succeeds().stdout, said);
    }
    let stopping = ("Killing".to_owned(), "Stopping container proxy".to_owned());
    assert_eq!(node.events().last(), Some(&stopping), "after the main container");
    node.delete_leaves_nothing("gate", &[]);
}

const STARTING: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: starting}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox:1.36
    command: [sleep, '1000']
    startupProbe: {exec: {command: [test, -e, /started]}, periodSeconds: 1, failureThreshold: 60}
    livenessProbe: {exec: {command: [sh, -c, 'touch /asked; test -e /started']}, periodSeconds: 1, failureThreshold: 1}
";

/// MP-25.
fn liveness_is_not_asked_before_the_container_has_started() {
    let node = Node::new("starting", &["busybox"]);
    let mut watch = node.watch_pods();
    let _ = node.apply(STARTING).succeeds();
    let mut events = Watch::start(node.command(&["get", "events", "-w", "--types=Warning"]));
    let deadline = Instant::now() + PATIENCE;
    // Twice, so that liveness would have had its turn as well.
    for _ in 0..2 {
        while !events.line(deadline).expect("an event").contains("Startup probe failed") {}
    }
    let exec = |words: &[&str]| node.run(&[&["exec", "starting", "--"], words].concat());
    let _ = exec(&["test", "-e", "/asked"]).ends_with(1);
    let _ = exec(&["touch", "/started"]).succeeds();
    let rows = rows_until(&mut watch, "starting 1/1 Running");
    assert_eq!(rows[rows.len() - 2], "starting 0/1 Running", "{rows:#?}");
    let asked = "until test -e /asked; do sleep 0.1; done";
    let _ = exec(&["timeout", "20", "sh", "-c", asked]).succeeds();
    let status = node.pod("starting")["status"]["containerStatuses"][0].clone();
    assert_eq!((&status["started"], &status["restartCount"]), (&true.into(), &0.into()));
    node.delete_leaves_nothing("starting", &["--now"]);
}

const DELAYED: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: delayed}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: late
    image: busybox:1.36
    command: [sleep, '1000']
    livenessProbe: {exec: {command: [touch, /asked]}, periodSeconds: 1, initialDelaySeconds: 100}
    readinessProbe: {exec: {command: [touch, /asked]}, periodSeconds: 1, initialDelaySeconds: 100}
  - name: soon
    image: busybox:1.36
    command: [sleep, '1000']
    readinessProbe: {exec: {command: ['true']}, periodSeconds: 1, successThreshold: 3}
";

/// MP-26 and Kubernetes' conformance case 116.
fn a_probe_waits_for_its_initial_delay() {
    let node = Node::new("delayed", &["busybox"]);
    let _ = node.apply(DELAYED).succeeds();
    // Three probes of the one container, and none of the other.
    let pod =
        node.wait_until("delayed", |pod| pod["status"]["containerStatuses"][1]["ready"] == true);
    assert_eq!(pod["status"]["containerStatuses"][0]["ready"], false);
    let asked = ["exec", "delayed", "-c", "late", "--", "test", "-e", "/asked"];
    let _ = node.run(&asked).ends_with(1);
    assert_eq!(condition(&pod, "Ready")["message"], "containers with unready status: [late]");
    node.delete_leaves_nothing("delayed", &["--now"]);
}

const READY: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: ready}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox:1.36
    command: [sleep, '1000']
    readinessProbe: {exec: {command: [cat, /ready]}, periodSeconds: 1, failureThreshold: 1}
";

/// MP-27.
fn readiness_comes_and_goes_with_its_conditions_and_restarts_nothing() {
    let node = Node::new("ready", &["busybox"]);
    let mut watch = node.watch_pods();
    let _ = node.apply(READY).succeeds();
    let failed = "Readiness probe failed: cat: can't open '/ready': No such file or directory";
    node.wait_for_event("Unhealthy", failed);
    let before = node.pod("ready");
    let not_ready = condition(&before, "Ready");
    assert_eq!(
        (&not_ready["status"], &not_ready["reason"]),
        (&"False".into(), &"ContainersNotReady".into())
    );
    assert_eq!(not_ready["message"], "containers with unready status: [main]");
    assert_eq!(before["status"]["phase"], "Running");
    let exec = |words: &[&str]| node.run(&[&["exec", "ready", "--"], words].concat()).succeeds();
    let words = ["wait", "--for=condition=Ready", "pod/ready", "--timeout=60s"];
    thread::scope(|scope| {
        let waiting = scope.spawn(|| node.run(&words).succeeds());
        let _ = exec(&["touch", "/ready"]);
        assert_eq!(waiting.join().expect("it ends").stdout, "pod/ready condition met\n");
    });
    let after = node.pod("ready");
    for kind in ["Ready", "ContainersReady"] {
        let [old, new] = [&before, &after].map(|pod| condition(pod, kind));
        assert_eq!(new["status"], "True", "{kind}");
        let date = |one: &Value| one["lastTransitionTime"].as_str().map(str::to_owned);
        assert!(date(new) > date(old), "{kind}: {old} then {new}");
    }
    rows_until(&mut watch, "ready 1/1 Running");
    let _ = exec(&["rm", "/ready"]);
    rows_until(&mut watch, "ready 0/1 Running");
    let pod = node.pod("ready");
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
    assert_eq!(condition(&pod, "Initialized")["status"], "True", "that stays");
    node.delete_leaves_nothing("ready", &["--now"]);
}
