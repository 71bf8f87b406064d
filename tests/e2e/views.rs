//! What pods look like from outside: tables, documents, descriptions, waiting, usage.

use std::path::Path;
use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    ("get_answers_in_every_form", get_answers_in_every_form),
    (
        "a_watch_shows_each_change_until_the_pod_is_gone",
        a_watch_shows_each_change_until_the_pod_is_gone,
    ),
    (
        "wait_tells_when_a_condition_is_met_or_never_will_be",
        wait_tells_when_a_condition_is_met_or_never_will_be,
    ),
    (
        "on_a_terminal_names_are_coloured_and_events_dimmed",
        on_a_terminal_names_are_coloured_and_events_dimmed,
    ),
    ("a_shell_is_offered_the_names_that_exist", a_shell_is_offered_the_names_that_exist),
];

const WEB: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app: web, tier: front}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: first, image: 'busybox:1.36', command: ['true']}
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'while true; do :; done']
    ports: [{name: http, containerPort: 8080}]
    env: [{name: GREETING, value: hello}]
  - {name: side, image: 'busybox:1.36', command: [sleep, '1000']}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: '1', b: '2'}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {k: v}
";

fn get_answers_in_every_form() {
    let node = Node::new("get", &["busybox"]);
    let _ = node.apply(WEB).succeeds();
    node.wait_for_status("web", &["Running"]);
    let ip = node.pod("web")["status"]["podIP"].as_str().unwrap_or_default().to_owned();
    for (words, answer) in [
        ("po -o name", "pod/web\n"),
        ("pod/web -o jsonpath={.status.podIP}", ip.as_str()),
        ("pods -o jsonpath={range..items[*].spec.containers[*]}{.name},{end}", "main,side,"),
        ("pods -l app=web,tier!=back -o name", "pod/web\n"),
        ("pods -l app@in@(db,web) -o name", "pod/web\n"),
        ("pods --field-selector status.phase=Running -o name", "pod/web\n"),
        ("pods --field-selector status.phase!=Running -o name", ""),
        (
            "pods -o custom-columns=N:.metadata.name,I:.spec.containers[*].name --no-headers",
            "web   main,side\n",
        ),
        ("cm,secret -o name", "configmap/settings\nsecret/keys\n"),
        ("secret/keys configmap/settings -o name", "secret/keys\nconfigmap/settings\n"),
    ] {
        let words = words.replace("range..", "range@.");
        let words: Vec<String> = words.split(' ').map(|word| word.replace('@', " ")).collect();
        let all: Vec<&str> = ["get"].into_iter().chain(words.iter().map(String::as_str)).collect();
        assert_eq!(node.run(&all).succeeds().stdout, answer, "{words:?}");
    }
    shows_tables(&node);
    describes_and_measures(&node);
    node.delete_leaves_nothing("web", &["--now"]);
}

fn shows_tables(node: &Node) {
    let get = |words: &str| {
        let words: Vec<&str> = ["get"].into_iter().chain(words.split(' ')).collect();
        node.run(&words)
    };
    let wide =
        get("pods -A -o wide --show-labels -L tier --sort-by .metadata.name").succeeds().stdout;
    let lines: Vec<Vec<&str>> =
        wide.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0].join(" "),
        "NAMESPACE NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES TIER LABELS"
    );
    assert_eq!(lines[1][..5], ["default", "web", "2/2", "Running", "0"]);
    assert_eq!(lines[1][lines[1].len() - 2..], ["front", "app=web,tier=front"]);
    let events =
        get("events --field-selector reason=Scheduled --types normal --for pod/web -o wide")
            .succeeds()
            .stdout;
    assert_eq!(events.lines().count(), 2, "{events}");
    assert!(events.contains("pod/web") && events.contains("default-scheduler"), "{events}");
    let newer = node.run(&["events", "--for", "pod/web", "--types=Normal"]).succeeds().stdout;
    assert!(newer.lines().any(|line| line.ends_with("Started container main")), "{newer}");
    assert!(newer.contains("Pod/web"), "{newer}");
    let missing = get("pods web wbe").ends_with(5);
    assert!(missing.stdout.contains("web "), "what is there is shown");
    assert!(
        missing.stderr.starts_with(
            "Error from server (NotFound): pods \"wbe\" not found\n  try: did you mean web?"
        ),
        "{}",
        missing.stderr
    );
    let refused = get("pods -o go-template={{.x}}").ends_with(2);
    assert!(refused.stderr.contains("no Go templates"), "{}", refused.stderr);
    let nothing = get("pods -n elsewhere").succeeds();
    assert_eq!(nothing.stderr, "No resources found in elsewhere namespace.\n");
}

fn describes_and_measures(node: &Node) {
    let text = node.run(&["describe", "pod/web"]).succeeds().stdout;
    let in_order = [
        "Name:             web\nNamespace:        default\n",
        "Labels:           app=web\n                  tier=front\nAnnotations:      ",
        "Status:           Running\n",
        "Init Containers:\n  first:\n    Container ID:  minipod://",
        "    State:          Terminated\n      Reason:       Completed\n      Exit Code:    0\n",
        "Containers:\n  main:\n",
        "    Port:          8080/TCP (http)\n    Host Port:     0/TCP\n    Command:\n      sh\n      -c\n",
        "    Environment:\n      GREETING:  hello\n    Mounts:      <none>\n  side:\n",
        "Conditions:\n  Type                        Status\n  PodReadyToStartContainers   True \n",
        "Volumes:                      <none>\nQoS Class:                    BestEffort\n",
        "Events:\n  Type    Reason     Age   From               Message\n  ----    ------",
        "  Normal  Started    ",
        "spec.containers{side}: Started container side\n",
    ];
    let mut rest = text.as_str();
    for part in in_order {
        let Some(at) = rest.find(part) else { panic!("{part:?} is not in its place in\n{text}") };
        rest = &rest[at + part.len()..];
    }
    let without = node.run(&["describe", "pods", "--show-events=false"]).succeeds().stdout;
    assert!(!without.contains("Events:"), "{without}");
    let top = node.run(&["top", "pod", "web", "--containers", "--sort-by=cpu"]).succeeds().stdout;
    let rows: Vec<Vec<&str>> = top.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]);
    assert_eq!(rows[1][..2], ["web", "main"], "the busy one comes first");
    let cpu: u32 = rows[1][2].trim_end_matches('m').parse().expect("a number of thousandths");
    assert!(cpu > 10, "{top}");
}

fn a_watch_shows_each_change_until_the_pod_is_gone() {
    let node = Node::new("watch", &["busybox"]);
    let words = [
        "get",
        "pods",
        "--watch-only",
        "--output-watch-events",
        "-o",
        "custom-columns=P:.status.phase",
    ];
    let mut phases = Watch::start(node.command(&words));
    let mut rows = Watch::start(node.command(&["get", "pods", "-w", "--output-watch-events"]));
    let _ = node.apply(WEB).succeeds();
    node.wait_for_status("web", &["Running"]);
    let _ = node
        .run(&["delete", "-f", &node.file("web.yaml", WEB).display().to_string(), "--now"])
        .succeeds();
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while let Some(line) = rows.line(deadline) {
        let is_last = line.starts_with("DELETED");
        let cells: Vec<&str> = line.split_whitespace().collect();
        let row = format!("{} {}", cells[0], cells[3]);
        if seen.last() != Some(&row) {
            seen.push(row);
        }
        if is_last {
            break;
        }
    }
    assert_eq!(seen.first().map(String::as_str), Some("EVENT STATUS"));
    assert_eq!(seen.get(1).map(String::as_str), Some("ADDED Pending"), "{seen:?}");
    for wanted in ["MODIFIED Init:0/1", "MODIFIED Running", "MODIFIED Terminating"] {
        assert!(seen.iter().any(|row| row == wanted), "{wanted} is not in {seen:?}");
    }
    assert!(seen.last().is_some_and(|row| row.starts_with("DELETED")), "{seen:?}");
    assert_eq!(phases.line(deadline).as_deref(), Some("P"));
    assert_eq!(phases.line(deadline).as_deref(), Some("Pending"));
}

fn wait_tells_when_a_condition_is_met_or_never_will_be() {
    let node = Node::new("wait", &["busybox"]);
    let pod = |name: &str, command: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{set: all}}}}\nspec:\n  \
             restartPolicy: Never\n  terminationGracePeriodSeconds: 1\n  containers:\n  - name: main\n    \
             image: busybox:1.36\n    command: [sh, -c, {command:?}]\n"
        )
    };
    let wait = |condition: &str, words: &[&str]| {
        let condition = format!("--for={condition}");
        let words: Vec<&str> =
            ["wait", &condition].into_iter().chain(words.iter().copied()).collect();
        node.run(&words)
    };
    let _ = wait("condition=Ready", &["pod/up"]).ends_with(5);
    let created = Watch::start(node.command(&["wait", "--for=create", "pod/up", "--timeout=60s"]));
    let up = node.file("up.yaml", &pod("up", "sleep 1000")).display().to_string();
    assert_eq!(node.run(&["run", "-d", &up]).succeeds().stdout, "pod/up created\n");
    let mut created = created;
    assert_eq!(created.line(Instant::now() + PATIENCE).as_deref(), Some("pod/up condition met"));
    let met = wait("condition=Ready", &["-l", "set=all", "--timeout=60s"]).succeeds();
    assert_eq!(met.stdout, "pod/up condition met\n");
    let _ = wait("jsonpath={.status.phase}=Running", &["pod", "up"]).succeeds();
    let late =
        wait("jsonpath={.status.phase}=Succeeded", &["pod/up", "--timeout=0"]).ends_with(124);
    assert!(
        late.stderr.starts_with("error: timed out waiting for the condition on pods/up\n"),
        "{}",
        late.stderr
    );
    let _ = node.apply(&pod("down", "echo last words; sleep 1; exit 3")).succeeds();
    let never =
        wait("jsonpath={.status.phase}=Succeeded", &["pod/down", "--timeout=10m"]).ends_with(1);
    let why = "container main exited with code 3 (Error)\n  | last words\nerror: the condition on pods/down can no longer be met: it has failed\n";
    assert!(never.stderr.starts_with(why), "{}", never.stderr);
    let halves = format!(
        "{}    readinessProbe: {{exec: {{command: ['false']}}}}\n  - {{name: gone, image: 'busybox:1.36', command: ['true']}}\n",
        pod("half", "sleep 1000")
    );
    let half = node.file("half.yaml", &halves).display().to_string();
    let half = node.run(&["run", "--rm", "--until=ready", &half]).ends_with(1);
    let why = "error: pod \"half\" can no longer become ready: container gone has exited with code 0 and is not restarted\n";
    assert!(half.stderr.contains(why), "{}", half.stderr);
    let deleted = node.run(&["delete", "pods", "-l", "set=all", "--wait=false"]).succeeds();
    let told = ["down", "up"].map(|pod| format!("pod \"{pod}\" deleted from default namespace\n"));
    assert_eq!(deleted.stdout, told.concat());
    let _ = wait("delete", &["pod/up", "pod/down", "--timeout=60s"]).succeeds();
    let _ = wait("delete", &["pod/up"]).succeeds();
    let _ = node.run(&["get", "pod", "up"]).ends_with(5);
}

fn a_shell_is_offered_the_names_that_exist() {
    let node = Node::new("complete", &["busybox"]);
    let _ = node.apply(WEB).succeeds();
    let offered = |words: &[&str]| {
        let mut command = node.command(&[]);
        command.arg("--").arg("minipod").args(words).env("COMPLETE", "fish");
        let output = command.output().expect("the program can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(offered(&["logs", "web", "-c", ""]), ["first", "main", "side"]);
    assert_eq!(offered(&["get", "pods", "w"]), ["web"]);
    assert!(offered(&["describe", "pod/"]).contains(&"pod/web".to_owned()));
    for shell in ["bash", "zsh", "fish"] {
        let script = node.run(&["completion", shell]).succeeds().stdout;
        assert!(script.contains("COMPLETE"), "{script}");
    }
    let directory = node.file("x", "").with_file_name("man");
    let _ = node.run(&["man", "--dir", &directory.display().to_string()]).succeeds();
    let page = std::fs::read_to_string(directory.join("minipod-logs.1")).expect("a page");
    assert!(page.contains("Show what a container wrote"), "{page}");
    node.delete_leaves_nothing("web", &["--now"]);
}

/// MP-21.
fn on_a_terminal_names_are_coloured_and_events_dimmed() {
    let node = Node::new("colour", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: colour}
spec:
  restartPolicy: Never
  containers:
  - {name: one, image: 'busybox:1.36', command: [printf, 'no end']}
  - {name: two, image: 'busybox:1.36', command: [sh, -c, 'sleep 1; echo two; exit 9']}
";
    let path = node.file("colour.yaml", manifest).display().to_string();
    let words = format!("{} run {path}", e2e_tests::fixtures::program().display());
    let run = |variable: &str| {
        let mut command = node.with_places(Path::new("script"), &["-qec", &words, "/dev/null"]);
        let output = command.env(variable, "1").output().expect("script starts");
        let _ = node.run(&["delete", "pod", "colour"]).succeeds();
        String::from_utf8_lossy(&output.stdout).replace('\r', "")
    };
    let text = run("UNUSED");
    assert!(
        text.contains("\u{1b}[2mNormal   Started     Started container one\u{1b}[0m\n"),
        "{text:?}"
    );
    assert!(text.contains("\u{1b}[36m[one]\u{1b}[0m no end\n"), "a line of its own: {text:?}");
    assert!(text.contains("\u{1b}[33m[two]\u{1b}[0m two\n"), "{text:?}");
    let started = text.find("Started container two").expect("it is told");
    assert!(text.find("[two]").is_some_and(|said| said > started), "first the start: {text:?}");
    assert!(text.contains("container two exited with code 9 (Error)\n  | two\n"), "{text:?}");
    let plain = run("NO_COLOR");
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
}
