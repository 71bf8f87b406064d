//! Rules of a pod's life, seen from outside; the rest of them are timelines of the core.

use e2e_tests::Node;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "an_init_container_that_waits_for_a_port_delays_the_mains",
        an_init_container_that_waits_for_a_port_delays_the_mains,
    ),
    (
        "a_sidecar_runs_beside_the_mains_and_stops_after_them",
        a_sidecar_runs_beside_the_mains_and_stops_after_them,
    ),
    (
        "a_failing_liveness_probe_restarts_the_container",
        a_failing_liveness_probe_restarts_the_container,
    ),
    (
        "an_init_container_that_fails_twice_lets_the_pod_start_the_third_time",
        an_init_container_that_fails_twice_lets_the_pod_start_the_third_time,
    ),
];

fn an_init_container_that_waits_for_a_port_delays_the_mains() {
    let node = Node::new("port", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: port}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - name: wait
    image: busybox:1.36
    command: [sh, -c, \"until cat /proc/net/tcp /proc/net/tcp6 | grep -q :1B58; do sleep 0.1; done\"]
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("port", &["Init:0/1"]);
    let pod = node.pod("port");
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"],
        "PodInitializing"
    );
    let runs = "jsonpath={.status.initContainerStatuses[0].state.running}";
    let _ = node.run(&["wait", "--for", runs, "pod/port"]).succeeds();
    // Another process of the pod opens the port; with the container's end, it ends too.
    let opened =
        node.run(&["exec", "port", "-c", "wait", "--", "timeout", "20", "nc", "-l", "-p", "7000"]);
    let _ = opened.ends_with(137);
    node.wait_for_status("port", &["Running"]);
    node.delete_leaves_nothing("port", &["--now"]);
}

fn a_sidecar_runs_beside_the_mains_and_stops_after_them() {
    let node = Node::new("sidecar", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: sidecar}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 5
  initContainers:
  - name: proxy
    image: busybox:1.36
    restartPolicy: Always
    command: [sh, -c, \"trap 'echo proxy ends; exit 0' TERM; echo proxy; while true; do sleep 0.1; done\"]
  containers:
  - {name: main, image: 'busybox:1.36', command: [sh, -c, 'sleep 1; echo main ends']}
";
    let path = node.file("sidecar.yaml", manifest);
    let outcome = node.run(&["run", &path.display().to_string()]).succeeds();
    assert_eq!(outcome.stdout, "[proxy] proxy\n[main] main ends\n[proxy] proxy ends\n");
    node.delete_leaves_nothing("sidecar", &[]);
}

fn a_failing_liveness_probe_restarts_the_container() {
    let node = Node::new("liveness", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: liveness}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox:1.36
    command: [sleep, '1000']
    livenessProbe: {exec: {command: [cat, /healthy]}, periodSeconds: 1, failureThreshold: 1}
";
    let _ = node.apply(manifest).succeeds();
    let mut watch = node.watch_pods();
    let deadline = std::time::Instant::now() + e2e_tests::node::PATIENCE;
    while let Some(line) = watch.line(deadline) {
        if line.split_whitespace().nth(3) == Some("1") {
            break;
        }
    }
    let events = node.events();
    let killing = "Container main failed liveness probe, will be restarted";
    assert!(events.iter().any(|(_, message)| message == killing), "{events:#?}");
    assert!(events.iter().any(|(reason, _)| reason == "Unhealthy"), "{events:#?}");
    node.delete_leaves_nothing("liveness", &["--now"]);
}

/// MP-04.
fn an_init_container_that_fails_twice_lets_the_pod_start_the_third_time() {
    let node = Node::new("flaky", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.01");
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: flaky}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: tries, emptyDir: {}}]
  initContainers:
  - name: flaky
    image: busybox:1.36
    command: [sh, -c, 'echo x >> /tries/count; [ $(wc -l < /tries/count) -ge 3 ]']
    volumeMounts: [{name: tries, mountPath: /tries}]
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("flaky", &["Running"]);
    let init = node.pod("flaky")["status"]["initContainerStatuses"][0].clone();
    assert_eq!(init["restartCount"], 2);
    assert_eq!(init["state"]["terminated"]["exitCode"], 0);
    let backs_off = |event: &(String, String)| {
        event.1.starts_with("Back-off restarting failed container flaky in pod flaky_default(")
    };
    assert!(node.events().iter().any(backs_off), "{:#?}", node.events());
    node.delete_leaves_nothing("flaky", &["--now"]);
}
