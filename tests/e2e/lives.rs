//! Whole lives of pods as users see them. Every rule of them is a timeline of the core; these show
//! that the machine carries them out.

use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::image::Layer;
use e2e_tests::node::PATIENCE;
use serde_json::{Value, json};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "init_containers_run_in_order_and_their_logs_are_kept",
        init_containers_run_in_order_and_their_logs_are_kept,
    ),
    (
        "exit_codes_and_policies_decide_what_restarts_and_how_the_pod_ends",
        exit_codes_and_policies_decide_what_restarts_and_how_the_pod_ends,
    ),
    (
        "what_crashes_or_cannot_start_waits_longer_each_time_and_says_why",
        what_crashes_or_cannot_start_waits_longer_each_time_and_says_why,
    ),
    (
        "hooks_signals_and_last_words_come_in_their_order",
        hooks_signals_and_last_words_come_in_their_order,
    ),
    (
        "a_crashing_container_waits_twice_as_long_each_time",
        a_crashing_container_waits_twice_as_long_each_time,
    ),
    (
        "the_signal_of_the_manifest_or_of_the_image_stops_a_container",
        the_signal_of_the_manifest_or_of_the_image_stops_a_container,
    ),
    (
        "a_rule_restarts_all_containers_and_keeps_their_volumes",
        a_rule_restarts_all_containers_and_keeps_their_volumes,
    ),
];

/// A pod of that name and policy from the busybox image; `rest` is the rest of its specification.
fn pod(name: &str, policy: &str, rest: &str) -> String {
    let rest = rest.replace("$I", "image: 'busybox:1.36'");
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         restartPolicy: {policy}\n  terminationGracePeriodSeconds: 1\n{rest}"
    )
}

/// The state of a container.
fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let status = &pod["status"];
    let lists = [&status["initContainerStatuses"], &status["containerStatuses"]];
    let mut all = lists.into_iter().filter_map(Value::as_array).flatten();
    all.find(|one| one["name"] == name).unwrap_or(&Value::Null)
}

/// The statuses that a pod went through, each once in a row, until the last of those wanted.
fn statuses_until(node: &Node, name: &str, last: &str) -> Vec<String> {
    let mut watch = node.watch_pods();
    let (mut seen, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while let Some(line) = watch.line(deadline) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        if cells.first() == Some(&name) && seen.last().map(String::as_str) != cells.get(2).copied()
        {
            seen.push(cells[2].to_owned());
        }
        if seen.last().is_some_and(|status| status == last) {
            return seen;
        }
    }
    panic!("{name} did not become {last}: {seen:?}")
}

/// MP-01 and MP-02.
fn init_containers_run_in_order_and_their_logs_are_kept() {
    let node = Node::new("order", &["busybox"]);
    let manifest = pod(
        "order",
        "Never",
        "  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - {name: i1, $I, command: [sh, -c, 'echo one; echo one >> /s/log; sleep 0.5'], volumeMounts: [{name: shared, mountPath: /s}]}
  - {name: i2, $I, command: [sh, -c, 'echo two; echo two >> /s/log; sleep 0.5'], volumeMounts: [{name: shared, mountPath: /s}]}
  containers:
  - {name: main, $I, command: [sh, -c, 'cat /s/log; sleep 0.5'], volumeMounts: [{name: shared, mountPath: /s}]}
",
    );
    let watched = std::thread::scope(|scope| {
        let watching = scope.spawn(|| statuses_until(&node, "order", "Completed"));
        let path = node.file("order.yaml", &manifest);
        let outcome = node.run(&["run", &path.display().to_string()]).succeeds();
        let expected = "[i1] one\n[i2] two\n[main] one\n[main] two\n";
        assert_eq!(outcome.stdout, expected);
        watching.join().expect("the statuses are seen")
    });
    let wanted = ["Init:0/2", "Init:1/2", "PodInitializing", "Running", "Completed"];
    let mut rest = watched.iter();
    for status in wanted {
        assert!(rest.any(|seen| seen == status), "{status} in {watched:?}");
    }
    let logs = node.run(&["logs", "order", "-c", "i1"]).succeeds();
    assert_eq!(logs.stdout, "one\n");
    let described = node.run(&["describe", "pod", "order"]).succeeds().stdout;
    assert_eq!(described.matches("Reason:       Completed").count(), 3, "{described}");
    node.delete_leaves_nothing("order", &[]);
}

/// MP-03, MP-07, MP-20 and MP-21.
fn exit_codes_and_policies_decide_what_restarts_and_how_the_pod_ends() {
    let node = Node::new("codes", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.01");
    let once = "test -e /s/again || { touch /s/again; exit 1; }";
    let shared = "volumeMounts: [{name: s, mountPath: /s}]";
    let volume = "  volumes: [{name: s, emptyDir: {}}]\n";
    let manifests = [
        pod("initfail", "Never", "  initContainers:
  - {name: i1, $I, command: [echo, well]}
  - {name: i2, $I, command: [sh, -c, 'echo ill; exit 5']}
  containers: [{name: main, $I, command: [sleep, '1000']}]\n"),
        pod("again", "OnFailure", &format!("{volume}  containers: [{{name: main, $I, command: [sh, -c, '{once}'], {shared}}}]\n")),
        pod("codes", "Never", "  containers: [{name: a, $I, command: [sh, -c, 'exit 3']}, {name: b, $I, command: ['true']}]\n"),
        pod("sidecar", "Never", &format!("{volume}  initContainers:
  - {{name: p, $I, restartPolicy: Always, command: [sh, -c, '{once}; touch /s/second; sleep 1000'], {shared}}}
  containers: [{{name: main, $I, command: [sh, -c, 'until test -e /s/second; do sleep 0.1; done'], {shared}}}]\n")),
    ];
    let outcome = node.apply(&manifests.concat()).succeeds();
    assert_eq!(outcome.stdout.matches(" created\n").count(), 4);
    node.wait_for_status("initfail", &["Init:Error"]);
    node.wait_for_status("codes", &["Error"]);
    let failed = node.wait_for_phase("initfail", "Failed");
    assert_eq!(container(&failed, "i2")["state"]["terminated"]["exitCode"], 5);
    let waiting = &container(&failed, "main")["state"]["waiting"];
    assert_eq!(waiting["reason"], "PodInitializing");
    for (init, said) in [("i1", "well\n"), ("i2", "ill\n")] {
        assert_eq!(node.run(&["logs", "initfail", "-c", init]).succeeds().stdout, said);
    }
    let again = node.wait_for_phase("again", "Succeeded");
    assert_eq!(container(&again, "main")["restartCount"], 1);
    let codes = node.wait_for_phase("codes", "Failed");
    let code = |name: &str| container(&codes, name)["state"]["terminated"]["exitCode"].clone();
    assert_eq!((code("a"), code("b")), (3.into(), 0.into()));
    let sidecar = node.wait_for_phase("sidecar", "Succeeded");
    assert_eq!(container(&sidecar, "p")["restartCount"], 1);
    for name in ["initfail", "again", "codes"] {
        let _ = node.run(&["delete", "pod", name]).succeeds();
    }
    node.delete_leaves_nothing("sidecar", &[]);
}

/// MP-05 and Kubernetes' conformance case 206.
fn what_crashes_or_cannot_start_waits_longer_each_time_and_says_why() {
    let node = Node::new("crash", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.02");
    let crash =
        pod("crash", "Always", "  containers: [{name: main, $I, command: [sh, -c, 'exit 1']}]\n");
    let missing = pod("missing", "Always", "  containers:
  - {name: main, $I, command: [sleep, '1000'], env: [{name: A, valueFrom: {configMapKeyRef: {name: none, key: a}}}]}
");
    let broken = pod("broken", "Always", "  containers: [{name: main, $I, command: [nowhere]}]\n");
    let _ = node.apply(&[crash, missing, broken].concat()).succeeds();
    let seen = statuses_until(&node, "crash", "CrashLoopBackOff");
    assert!(seen.iter().any(|status| status == "Error"), "{seen:?}");
    node.wait_for_status("missing", &["CreateContainerConfigError"]);
    node.wait_for_status("broken", &["RunContainerError", "CrashLoopBackOff"]);
    let last = container(&node.pod("broken"), "main")["lastState"]["terminated"].clone();
    assert_eq!((&last["exitCode"], &last["reason"]), (&128.into(), &"StartError".into()));
    let has = |reason: &str, part: &str| {
        let events = node.events();
        let found = events.iter().any(|(one, text)| one == reason && text.contains(part));
        assert!(found, "{reason} {part} in {events:#?}");
    };
    has("BackOff", "Back-off restarting failed container main in pod crash_default(");
    has("Failed", "Error: configmap \"none\" not found");
    has("Failed", "\"nowhere\": executable file not found in $PATH");
    for name in ["missing", "broken"] {
        let _ = node.run(&["delete", "pod", name]).succeeds();
    }
    node.delete_leaves_nothing("crash", &[]);
    let path = node.file(
        "init.yaml",
        &pod(
            "init",
            "Always",
            "  initContainers: [{name: i, $I, command: ['false']}]
  containers: [{name: main, $I}]\n",
        ),
    );
    let outcome = node.run(&["run", "--timeout", "2s", &path.display().to_string()]).ends_with(124);
    assert!(
        outcome.stderr.contains("Back-off restarting failed container i"),
        "{}",
        outcome.stderr
    );
    let _ = node.run(&["get", "pod", "init"]).ends_with(5);
}

/// MP-28, MP-29 and MP-31.
fn hooks_signals_and_last_words_come_in_their_order() {
    let node = Node::new("hooks", &["busybox"]);
    let told = node.file("told", "");
    let manifest = pod("hooks", "Always", "  volumes: [{name: told, hostPath: {path: $TOLD, type: File}}]
  containers:
  - name: main
    $I
    command: [sh, -c, 'trap \"echo asked >> /told; exit 0\" USR1; trap \"\" TERM; while true; do sleep 0.1; done']
    volumeMounts: [{name: told, mountPath: /told}]
    lifecycle:
      postStart: {exec: {command: [sh, -c, 'sleep 0.5; echo started >> /told']}}
      preStop: {exec: {command: [sh, -c, 'echo stopping >> /told']}}
      stopSignal: SIGUSR1
  - {name: next, $I, command: [sh, -c, 'echo next >> /told; sleep 1000'], volumeMounts: [{name: told, mountPath: /told}]}
")
    .replace("$TOLD", &told.display().to_string())
    .replace("spec:\n", "spec:\n  os: {name: linux}\n");
    let _ = node.apply(&manifest).succeeds();
    node.wait_for_status("hooks", &["Running"]);
    let begun = Instant::now();
    node.delete_leaves_nothing("hooks", &[]);
    // `next` ignores the signal: its second of grace, and the two that everybody gets.
    assert!(begun.elapsed().as_secs_f32() >= 2.0, "{:?}", begun.elapsed());
    let text = std::fs::read_to_string(&told).expect("the file of the test");
    assert_eq!(text, "started\nnext\nstopping\nasked\n");
    let words = pod("words", "Never", "  containers:
  - {name: file, $I, command: [sh, -c, 'printf DONE > /dev/termination-log']}
  - {name: log, $I, terminationMessagePolicy: FallbackToLogsOnError, command: [sh, -c, 'echo last words; exit 1']}
  - {name: well, $I, terminationMessagePolicy: FallbackToLogsOnError, command: [sh, -c, 'echo nothing to say']}
");
    let failing = pod("failing", "Never", "  containers:
  - {name: main, $I, command: [sleep, '1000'], lifecycle: {postStart: {exec: {command: [sh, -c, 'echo no; exit 7']}}}}
");
    let _ = node.apply(&[words, failing].concat()).succeeds();
    let words = node.wait_for_phase("words", "Failed");
    let message = |name: &str| container(&words, name)["state"]["terminated"]["message"].clone();
    assert_eq!(message("file"), "DONE");
    assert_eq!(message("log"), "last words\n");
    assert_eq!(message("well"), Value::Null);
    let described = node.run(&["describe", "pod", "words"]).succeeds().stdout;
    assert!(described.contains("      Message:      DONE\n"), "{described}");
    node.wait_for_phase("failing", "Failed");
    let events = node.events();
    for (reason, text) in
        [("FailedPostStartHook", "PostStartHook failed"), ("Killing", "FailedPostStartHook")]
    {
        let wanted = (reason.to_owned(), text.to_owned());
        assert!(events.contains(&wanted), "{wanted:?} in {events:#?}");
    }
    let _ = node.run(&["delete", "pod", "failing"]).succeeds();
    node.delete_leaves_nothing("words", &[]);
}

/// MP-19.
fn a_crashing_container_waits_twice_as_long_each_time() {
    let node = Node::new("backoff", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.05");
    let starts = node.file("starts", "");
    let manifest = pod(
        "backoff",
        "Always",
        "  volumes: [{name: starts, hostPath: {path: $STARTS, type: File}}]
  containers:
  - name: main
    $I
    command: [sh, -c, 'cut -d \" \" -f 1 /proc/uptime >> /starts; exit 1']
    volumeMounts: [{name: starts, mountPath: /starts}]
",
    )
    .replace("$STARTS", &starts.display().to_string());
    let _ = node.apply(&manifest).succeeds();
    let crashed = node.wait_until("backoff", |pod| {
        let main = container(pod, "main");
        main["restartCount"] == 3 && main["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    });
    let uid = crashed["metadata"]["uid"].as_str().unwrap_or_default();
    let waiting = container(&crashed, "main")["state"]["waiting"]["message"].clone();
    let podfmt = format!("backoff_default({uid})");
    assert_eq!(waiting, format!("back-off 40s restarting failed container=main pod={podfmt}"));
    let event = format!("Back-off restarting failed container main in pod {podfmt}");
    assert!(node.events().contains(&("BackOff".into(), event)), "{:#?}", node.events());
    let text = std::fs::read_to_string(&starts).expect("the file of the test");
    let times: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // At once, then after a twentieth of 10 and of 20 seconds; /proc/uptime has hundredths.
    assert!(gaps[1] >= 0.49 && gaps[2] >= 0.99 && gaps[0] < gaps[2], "{gaps:?}");
    node.delete_leaves_nothing("backoff", &["--now"]);
}

/// MP-30.
fn the_signal_of_the_manifest_or_of_the_image_stops_a_container() {
    let node = Node::new("signals", &["busybox"]);
    node.load("signals:1", Layer::default(), &json!({"StopSignal": "SIGUSR2"}));
    let told = node.file("told", "");
    let container = |name: &str, more: &str| {
        let traps = format!(
            "for s in USR1 USR2 TERM; do trap \"echo {name} $s >> /told; exit 0\" $s; done; \
             touch /trapped; while true; do sleep 0.1; done"
        );
        format!(
            "  - {{name: {name}, image: 'signals:1', command: [sh, -c, '{traps}']{more}, \
             volumeMounts: [{{name: told, mountPath: /told}}]}}\n"
        )
    };
    let manifest = [
        "  os: {name: linux}\n",
        &format!("  volumes: [{{name: told, hostPath: {{path: {}}}}}]\n", told.display()),
        "  containers:\n",
        &container("image", ""),
        &container("manifest", ", lifecycle: {stopSignal: SIGUSR1}"),
    ];
    let _ = node.apply(&pod("signals", "Always", &manifest.concat())).succeeds();
    node.wait_for_status("signals", &["Running"]);
    for container in ["image", "manifest"] {
        let trapped = "until test -e /trapped; do sleep 0.1; done";
        let words =
            ["exec", "signals", "-c", container, "--", "timeout", "20", "sh", "-c", trapped];
        let _ = node.run(&words).succeeds();
    }
    node.delete_leaves_nothing("signals", &[]);
    let text = std::fs::read_to_string(&told).expect("the file of the test");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["image USR2", "manifest USR1"]);
}

/// The triggering container, its sidecar and its init container all start again.
fn a_rule_restarts_all_containers_and_keeps_their_volumes() {
    let node = Node::new("rule", &["busybox"]);
    let manifest = pod("rule", "Never", "  volumes: [{name: s, emptyDir: {}}]
  initContainers:
  - {name: i, $I, command: [sh, -c, 'echo init >> /s/log'], volumeMounts: [{name: s, mountPath: /s}]}
  containers:
  - name: main
    $I
    command: [sh, -c, 'echo main >> /s/log; test $(grep -c main /s/log) -gt 1 && exec sleep 1000; exit 42']
    volumeMounts: [{name: s, mountPath: /s}]
    restartPolicy: Never
    restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]
");
    let _ = node.apply(&manifest).succeeds();
    node.wait_until("rule", |pod| {
        let main = container(pod, "main");
        main["restartCount"] == 1 && main["ready"] == true
    });
    let log = node.run(&["exec", "rule", "--", "cat", "/s/log"]).succeeds();
    assert_eq!(log.stdout, "init\nmain\ninit\nmain\n");
    let pod = node.pod("rule");
    assert_eq!(container(&pod, "i")["restartCount"], 1);
    let last = &container(&pod, "main")["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"]),
        (&137.into(), &"RestartingAllContainers".into())
    );
    node.delete_leaves_nothing("rule", &["--now"]);
}
