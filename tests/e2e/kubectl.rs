//! The real kubectl, unmodified, on the pods of this machine.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use e2e_tests::node::{Outcome, PATIENCE, Watch};
use e2e_tests::{Node, fixtures};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    ("the_chapters_commands_are_kubectls", the_chapters_commands_are_kubectls),
    (
        "kubectl_creates_changes_shows_and_deletes_as_in_a_cluster",
        kubectl_creates_changes_shows_and_deletes_as_in_a_cluster,
    ),
    (
        "kubectl_runs_commands_with_their_input_output_and_exit_codes",
        kubectl_runs_commands_with_their_input_output_and_exit_codes,
    ),
    (
        "ports_of_a_pod_are_forwarded_by_kubectl_in_both_of_its_ways",
        ports_of_a_pod_are_forwarded_by_kubectl_in_both_of_its_ways,
    ),
    (
        "kubectl_has_a_terminal_in_a_running_init_container",
        kubectl_has_a_terminal_in_a_running_init_container,
    ),
    ("what_one_side_does_the_other_sees_at_once", what_one_side_does_the_other_sees_at_once),
    ("a_server_that_is_killed_takes_nothing_along", a_server_that_is_killed_takes_nothing_along),
    ("only_who_has_the_token_learns_anything", only_who_has_the_token_learns_anything),
    (
        "a_command_beside_the_server_ends_it_and_gives_its_exit_code",
        a_command_beside_the_server_ends_it_and_gives_its_exit_code,
    ),
];

const IMAGES: [&str; 4] = ["init-demo", "network-connectivity-checker", "kubia", "kubia-ssl-proxy"];

const PAUSED: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: 'busybox:1.36', command: [sh, -c, 'echo hi; sleep 1000']}
";

/// A node with a server, and kubectl that knows of it.
struct Kube {
    server: Watch,
    kubeconfig: PathBuf,
    node: Node,
}

impl Kube {
    fn new(name: &str, images: &[&str]) -> Self {
        let node = Node::new(name, images);
        let (server, kubeconfig) = serve(&node);
        Self { server, kubeconfig, node }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.node.with_places(&fixtures::kubectl(), arguments);
        let [state, ..] = self.node.directories();
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", state.with_file_name("home"));
        command
    }

    fn kubectl(&self, arguments: &[&str]) -> Outcome {
        self.command(arguments).output().expect("kubectl can be started").into()
    }

    /// kubectl with something to read.
    fn kubectl_with(&self, input: &str, arguments: &[&str]) -> Outcome {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl can be started");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("kubectl reads it");
        drop(stdin);
        child.wait_with_output().expect("kubectl ends").into()
    }

    fn says(&self, arguments: &[&str], wanted: &str) {
        assert_eq!(self.kubectl(arguments).succeeds().stdout, wanted, "{arguments:?}");
    }
}

/// Starts a server, and waits until it says how it is reached.
fn serve(node: &Node) -> (Watch, PathBuf) {
    let mut server = Watch::start(node.command(&["serve"]));
    let line = server.line(Instant::now() + PATIENCE).expect("the server says where it is");
    let path = line.strip_prefix("export KUBECONFIG=").expect("a line to be pasted");
    (server, PathBuf::from(path))
}

/// The next lines of a watch, until one that has these words.
fn until(watch: &mut Watch, last: &str) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut lines = Vec::new();
    while let Some(line) = watch.line(deadline) {
        lines.push(line);
        if lines.last().is_some_and(|line| line.contains(last)) {
            return lines;
        }
    }
    panic!("no {last:?} in {lines:#?}");
}

fn the_chapters_commands_are_kubectls() {
    let kube = Kube::new("chapter", &IMAGES);
    let mut pods = Watch::start(kube.command(&["get", "pods", "-w"]));
    let mut events = Watch::start(kube.command(&["get", "events", "-w"]));
    let manifest = fixtures::example("kubia-init.yaml").display().to_string();
    kube.says(&["apply", "-f", &manifest], "pod/kubia-init created\n");
    // Listing 5.11.
    let mut seen: Vec<String> = Vec::new();
    for line in until(&mut pods, "2/2") {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let shown = format!("{} {} {} {}", cells[0], cells[1], cells[2], cells[3]);
        if seen.last() != Some(&shown) && !shown.contains(" 1/2 ") {
            seen.push(shown);
        }
    }
    assert_eq!(
        seen,
        [
            "NAME READY STATUS RESTARTS",
            "kubia-init 0/2 Pending 0",
            "kubia-init 0/2 Init:0/2 0",
            "kubia-init 0/2 Init:1/2 0",
            "kubia-init 0/2 PodInitializing 0",
            "kubia-init 2/2 Running 0",
        ]
    );
    events_come_as_in_listing_5_10(&until(&mut events, "Started container envoy").join("\n"));
    // Listing 5.12.
    kube.says(
        &["logs", "kubia-init", "-c", "network-check"],
        "Checking network connectivity to 1.1.1.1 ...\nHost appears to be reachable\n",
    );
    let again = kube.kubectl(&["apply", "-f", &manifest]).succeeds();
    assert_eq!(again.stdout, "pod/kubia-init unchanged\n");
    let described = kube.kubectl(&["describe", "pod", "kubia-init"]).succeeds().stdout;
    assert!(described.contains("Started container envoy"), "{described}");
    kube.says(
        &["delete", "pod", "kubia-init"],
        "pod \"kubia-init\" deleted from default namespace\n",
    );
    let left = kube.kubectl(&["get", "pods"]).succeeds();
    assert_eq!(left.stderr, "No resources found in default namespace.\n");
}

/// With all images present.
fn events_come_as_in_listing_5_10(told: &str) {
    let order = [
        "Successfully assigned default/kubia-init to ",
        "Created container init-demo",
        "Started container init-demo",
        "Created container network-check",
        "Started container network-check",
        "Created container kubia",
        "Started container kubia",
        "Created container envoy",
        "Started container envoy",
    ];
    let places = order.map(|text| told.find(text).unwrap_or_else(|| panic!("{text}: {told}")));
    assert!(places.is_sorted(), "{told}");
}

fn kubectl_creates_changes_shows_and_deletes_as_in_a_cluster() {
    let kube = Kube::new("verbs", &["busybox"]);
    let manifest = kube.node.file("web.yaml", &PAUSED.replace("NAME", "web"));
    let manifest = manifest.display().to_string();
    kube.says(&["create", "-f", &manifest], "pod/web created\n");
    let exists = kube.kubectl(&["create", "-f", &manifest]).ends_with(1).stderr;
    assert!(exists.ends_with("pods \"web\" already exists\n"), "{exists}");
    assert!(exists.starts_with("Error from server (AlreadyExists): "), "{exists}");
    kube.says(
        &["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"],
        "pod/web condition met\n",
    );
    kube.says(&["get", "pods", "-o", "name"], "pod/web\n");
    let own = kube.node.run(&["get", "pods", "-o", "wide"]).succeeds().stdout;
    let theirs = kube.kubectl(&["get", "pods", "-o", "wide"]).succeeds().stdout;
    let without_age = |text: &str| {
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.map(|row| [&row[..4], &row[5..]].concat().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(without_age(&theirs), without_age(&own));
    kube.says(&["label", "pod", "web", "tier=front"], "pod/web labeled\n");
    kube.says(&["get", "pods", "-l", "tier=front", "-o", "name"], "pod/web\n");
    kube.says(&["get", "pods", "-l", "tier=back", "-o", "name"], "");
    kube.says(
        &["get", "pods", "--field-selector", "status.phase=Running", "-o", "name"],
        "pod/web\n",
    );
    kube.says(&["annotate", "pod", "web", "owner=me"], "pod/web annotated\n");
    let path = "jsonpath={.metadata.annotations.owner}";
    kube.says(&["get", "pod", "web", "-o", path], "me");
    kube.says(
        &["patch", "pod", "web", "-p", r#"{"metadata":{"labels":{"tier":null}}}"#],
        "pod/web patched\n",
    );
    let forbidden = r#"{"spec":{"containers":[{"name":"main","command":["true"]}]}}"#;
    let refused = kube.kubectl(&["patch", "pod", "web", "-p", forbidden]).ends_with(1).stderr;
    assert!(refused.starts_with("The Pod \"web\" is invalid: spec: Forbidden: "), "{refused}");
    let stale = kube.kubectl(&["get", "pod", "web", "-o", "yaml"]).succeeds().stdout;
    kube.says(&["label", "pod", "web", "x=y"], "pod/web labeled\n");
    let conflict = kube.kubectl_with(&stale, &["replace", "-f", "-"]).ends_with(1).stderr;
    assert!(conflict.contains("the object has been modified"), "{conflict}");
    objects_besides_pods(&kube);
    let missing = kube.kubectl(&["get", "pod", "none"]).ends_with(1).stderr;
    assert_eq!(missing, "Error from server (NotFound): pods \"none\" not found\n");
    let wrong = "apiVersion: v1\nkind: Pod\nmetadata: {name: w}\nspec: {containers: [{name: c, imagee: i}]}\n";
    let wrong = kube.kubectl_with(wrong, &["apply", "-f", "-"]).ends_with(1).stderr;
    assert!(wrong.contains("unknown field \"spec.containers[0].imagee\""), "{wrong}");
    kube.says(&["delete", "pod", "web", "--now"], "pod \"web\" deleted from default namespace\n");
}

fn objects_besides_pods(kube: &Kube) {
    kube.says(
        &["create", "configmap", "settings", "--from-literal=a=b"],
        "configmap/settings created\n",
    );
    kube.says(&["get", "configmap", "settings", "-o", "jsonpath={.data.a}"], "b");
    kube.says(
        &["create", "secret", "generic", "key", "--from-literal=password=x y"],
        "secret/key created\n",
    );
    let secret = kube.node.run(&["get", "secret", "key", "-o", "jsonpath={.data.password}"]);
    assert_eq!(secret.succeeds().stdout, "eCB5");
    kube.says(&["get", "namespaces", "-o", "name"], "namespace/default\n");
    let nodes = kube.kubectl(&["get", "nodes", "--no-headers"]).succeeds().stdout;
    assert!(nodes.contains(" Ready "), "{nodes}");
    kube.says(
        &["delete", "configmap", "settings"],
        "configmap \"settings\" deleted from default namespace\n",
    );
    let unknown = kube.kubectl(&["get", "deployments"]).ends_with(1).stderr;
    assert_eq!(unknown, "error: the server doesn't have a resource type \"deployments\"\n");
}

fn kubectl_runs_commands_with_their_input_output_and_exit_codes() {
    let kube = Kube::new("kexec", &["busybox"]);
    let _ = kube.node.apply(&PAUSED.replace("NAME", "web")).succeeds();
    kube.node.wait_for_status("web", &["Running"]);
    let run = ["exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 3"];
    let outcome = kube.kubectl(&run).ends_with(3);
    assert_eq!(outcome.stdout, "out\n");
    assert_eq!(outcome.stderr, "err\ncommand terminated with exit code 3\n");
    let text = "line\n".repeat(100_000);
    let copied = kube.kubectl_with(&text, &["exec", "-i", "web", "--", "cat"]).succeeds();
    assert!(copied.stdout == text, "{} bytes of {}", copied.stdout.len(), text.len());
    let absent = kube.kubectl(&["exec", "web", "--", "nosuch"]).ends_with(1).stderr;
    assert!(absent.contains("nosuch"), "{absent}");
    let other = kube.kubectl(&["exec", "web", "-c", "none", "--", "true"]).ends_with(1).stderr;
    assert!(other.contains("container none is not valid for pod web"), "{other}");
    kube.says(&["logs", "web"], "hi\n");
    kube.says(&["logs", "web", "--tail=0"], "");
    // A command whose client goes away ends.
    let mut watch =
        Watch::start(kube.command(&["exec", "web", "--", "sh", "-c", "echo up; sleep 999"]));
    until(&mut watch, "up");
    drop(watch);
    let deadline = Instant::now() + PATIENCE;
    let runs = |kube: &Kube| {
        let processes = kube.node.run(&["exec", "web", "--", "ps"]).succeeds().stdout;
        processes.contains("sleep 999")
    };
    while runs(&kube) {
        assert!(Instant::now() < deadline, "the command goes on without its client");
    }
}

/// Over a WebSocket, and over SPDY as older clients do it.
fn ports_of_a_pod_are_forwarded_by_kubectl_in_both_of_its_ways() {
    let kube = Kube::new("kport", &["busybox"]);
    let serving = "sh, -c, 'while true; do echo from-the-pod | nc -l -p 8080; done'";
    let manifest = PAUSED.replace("NAME", "web").replace("sh, -c, 'echo hi; sleep 1000'", serving);
    let _ = kube.node.apply(&manifest).succeeds();
    kube.node.wait_for_status("web", &["Running"]);
    for (variable, port) in [("true", "18080"), ("false", "18081")] {
        let mut command = kube.command(&["port-forward", "web", &format!("{port}:8080")]);
        command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", variable);
        let mut forward = Watch::start(command);
        until(&mut forward, "Forwarding from 127.0.0.1");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut client =
                kube.node.with_places(Path::new("busybox"), &["nc", "127.0.0.1", port]);
            let outcome: Outcome = client.output().expect("nc runs").into();
            if outcome.stdout == "from-the-pod\n" {
                break; // between two connections nobody listens for a moment
            }
            assert!(Instant::now() < deadline, "{}", outcome.stderr);
            forward = Watch::start({
                let mut again = kube.command(&["port-forward", "web", &format!("{port}:8080")]);
                again.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", variable);
                again
            });
            until(&mut forward, "Forwarding from 127.0.0.1");
        }
    }
    let mut spdy =
        kube.command(&["exec", "-i", "web", "--", "sh", "-c", "cat; echo err >&2; exit 4"]);
    spdy.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false");
    spdy.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spdy.spawn().expect("kubectl can be started");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"over SPDY\n").expect("kubectl reads it");
    drop(stdin);
    let outcome: Outcome = child.wait_with_output().expect("kubectl ends").into();
    let outcome = outcome.ends_with(4);
    assert_eq!(outcome.stdout, "over SPDY\n");
    assert!(outcome.stderr.starts_with("err\n"), "{}", outcome.stderr);
}

fn kubectl_has_a_terminal_in_a_running_init_container() {
    let kube = Kube::new("kterm", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: slow}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: init-demo, image: 'busybox:1.36', command: [sh, -c, 'sleep 1000']}
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
";
    let _ = kube.node.apply(manifest).succeeds();
    kube.node.wait_for_status("slow", &["Init:0/1"]);
    kube.node.wait_until("slow", |pod| {
        pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object()
    });
    let kubectl = fixtures::kubectl().display().to_string();
    let line = format!("stty rows 33 cols 101; {kubectl} exec -it slow -c init-demo -- sh");
    let mut script = kube.node.with_places(Path::new("script"), &["-qec", &line, "/dev/null"]);
    let [state, ..] = kube.node.directories();
    script.env("KUBECONFIG", &kube.kubeconfig).env("HOME", state.with_file_name("home"));
    script.stdin(Stdio::piped());
    let mut shell = Watch::start(script);
    let mut stdin = shell.child().stdin.take().expect("a pipe");
    stdin.write_all(b"stty size; test -t 1 && echo a-terminal; exit 7\n").expect("it reads");
    let shown = until(&mut shell, "command terminated with exit code 7").join("\n");
    assert!(shown.contains("33 101"), "{shown}");
    assert!(shown.contains("\na-terminal"), "{shown}");
}

fn what_one_side_does_the_other_sees_at_once() {
    let kube = Kube::new("sides", &["busybox"]);
    let manifest = kube.node.file("web.yaml", &PAUSED.replace("NAME", "web"));
    let mut own = kube.node.watch_pods();
    kube.says(&["apply", "-f", &manifest.display().to_string()], "pod/web created\n");
    until(&mut own, "1/1");
    let mut theirs = Watch::start(kube.command(&["get", "configmaps", "-w", "--no-headers"]));
    let create = ["create", "configmap", "both", "--from-literal=a=1"];
    let _ = kube.node.run(&create).succeeds();
    until(&mut theirs, "both");
    let mut wait =
        Watch::start(kube.command(&["wait", "--for=delete", "pod/web", "--timeout=60s"]));
    let _ = kube.node.run(&["delete", "pod", "web", "--now"]).succeeds();
    until(&mut wait, "pod/web condition met");
}

fn a_server_that_is_killed_takes_nothing_along() {
    let mut kube = Kube::new("killed", &["busybox"]);
    let manifest = kube.node.file("web.yaml", &PAUSED.replace("NAME", "web"));
    kube.says(&["apply", "-f", &manifest.display().to_string()], "pod/web created\n");
    kube.node.wait_for_status("web", &["Running"]);
    let before = kube.node.pod("web");
    kube.server.child().kill().expect("it can be killed");
    kube.server.child().wait().expect("it has been");
    (kube.server, kube.kubeconfig) = serve(&kube.node);
    kube.says(&["get", "pods", "-o", "name"], "pod/web\n");
    let uid = "jsonpath={.metadata.uid} {.status.containerStatuses[0].restartCount}";
    let wanted = format!("{} 0", before["metadata"]["uid"].as_str().expect("a uid"));
    kube.says(&["get", "pod", "web", "-o", uid], &wanted);
}

fn only_who_has_the_token_learns_anything() {
    let kube = Kube::new("token", &[]);
    let mode = std::fs::metadata(&kube.kubeconfig).expect("the kubeconfig").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let config = std::fs::read_to_string(&kube.kubeconfig).expect("the kubeconfig");
    let token = config.lines().find_map(|line| line.trim().strip_prefix("token: "));
    let wrong = config.replace(token.expect("a token"), "\"0123\"");
    let path = kube.node.file("wrong", &wrong);
    let mut command = kube.command(&["get", "pods"]);
    let outcome: Outcome = command.env("KUBECONFIG", path).output().expect("kubectl runs").into();
    let refused = outcome.ends_with(1).stderr;
    assert!(refused.contains("You must be logged in to the server"), "{refused}");
    assert!(!refused.contains("pods"), "{refused}");
}

fn a_command_beside_the_server_ends_it_and_gives_its_exit_code() {
    let node = Node::new("beside", &[]);
    let kubectl = fixtures::kubectl().display().to_string();
    let script =
        format!("{kubectl} get pods; test -e \"$KUBECONFIG\" && echo \"$KUBECONFIG\"; exit 7");
    let outcome = node.run(&["serve", "--", "sh", "-c", &script]).ends_with(7);
    assert!(outcome.stderr.contains("No resources found"), "{}", outcome.stderr);
    assert!(!Path::new(outcome.stdout.trim()).exists(), "{}", outcome.stdout);
    let absent = node.run(&["serve", "--", "/no/such/program"]).ends_with(4).stderr;
    assert!(absent.starts_with("error: cannot run /no/such/program: "), "{absent}");
}
