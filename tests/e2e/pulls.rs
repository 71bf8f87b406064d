//! When a registry is asked, and what is kept of what it gave.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use e2e_tests::layouts::LayoutRegistry;
use e2e_tests::node::PATIENCE;
use e2e_tests::{Node, fixtures};

use crate::Test;
use crate::supervisor::{signal, supervisor};

pub(crate) const TESTS: &[Test] = &[
    ("an_image_that_is_here_costs_no_request", an_image_that_is_here_costs_no_request),
    ("an_image_that_a_volume_shows_is_pulled_once", an_image_that_a_volume_shows_is_pulled_once),
    (
        "cleaning_up_takes_nothing_from_a_pod_that_waits_or_runs",
        cleaning_up_takes_nothing_from_a_pod_that_waits_or_runs,
    ),
    (
        "how_far_a_pull_is_shows_on_a_terminal_and_nowhere_else",
        how_far_a_pull_is_shows_on_a_terminal_and_nowhere_else,
    ),
];

const POLICIES: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: content}
spec:
  restartPolicy: Never
  initContainers:
  - {name: one, image: 'busybox:1.36', command: ['true']}
  - {name: two, image: 'busybox:1.36', imagePullPolicy: IfNotPresent, command: ['true']}
  containers:
  - name: three
    image: busybox:1.36
    imagePullPolicy: Never
    command: ['true']
    volumeMounts: [{name: files, mountPath: /files}]
  - {name: four, image: 'docker.io/library/busybox:1.36', command: ['true']}
  volumes: [{name: files, image: {reference: 'busybox:1.36', pullPolicy: IfNotPresent}}]
";

fn an_image_that_is_here_costs_no_request() {
    let mut node = Node::new("asked", &["busybox"]);
    let registry = LayoutRegistry::start(&node.lab, "busybox");
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    let path = node.file("content.yaml", POLICIES).display().to_string();
    let _ = node.run(&["run", &path, "--rm"]).succeeds();
    assert_eq!(registry.asked(), [] as [String; 0]);

    let _ = node.run(&["pull", "busybox:1.36"]).succeeds();
    assert_eq!(registry.asked(), ["HEAD manifests"], "the tag has not moved");

    let always = POLICIES.replace("IfNotPresent, command", "Always, command");
    assert_eq!(always.matches("Always").count(), 1);
    let path = node.file("always.yaml", &always).display().to_string();
    let _ = node.run(&["run", &path, "--rm"]).succeeds();
    assert_eq!(registry.asked(), ["HEAD manifests"; 2], "one container wants it");
}

const SHOWN: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  restartPolicy: Never
  volumes: [{name: files, image: {reference: 'minipod/secret-init:1.0'}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [cat, /files/secret-token]
    volumeMounts: [{name: files, mountPath: /files}]
";

fn an_image_that_a_volume_shows_is_pulled_once() {
    let mut node = Node::new("shown", &["busybox"]);
    let registry = LayoutRegistry::start(&node.lab, "secret-init");
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    for (name, is_pulled) in [("first", true), ("second", false)] {
        let before = registry.asked().len();
        let _ = node.apply(&SHOWN.replace("NAME", name)).succeeds();
        node.wait_for_phase(name, "Succeeded");
        let printed = node.run(&["logs", name]).succeeds().stdout;
        assert_eq!(printed, "token-that-only-the-init-image-has\n");
        let asked = registry.asked();
        assert_eq!(asked.len() > before, is_pulled, "{name}: {asked:?}");
        let begins = "Successfully pulled image \"minipod/secret-init:1.0\"";
        let told = node.events().into_iter().filter(|(_, text)| text.starts_with(begins)).count();
        assert_eq!(told, usize::from(is_pulled), "{name}");
        node.delete_leaves_nothing(name, &[]);
    }
}

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: used}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: 'busybox:1.36', command: [sleep, '1000']}]
";

fn cleaning_up_takes_nothing_from_a_pod_that_waits_or_runs() {
    for image in ["busybox:1.36", "tools:1.36"] {
        nothing_is_taken_from_a_pod_with(image);
    }
}

fn nothing_is_taken_from_a_pod_with(image: &str) {
    const NOTHING: &str = "Total reclaimed space: 0B\n";
    let mut node = Node::new("cleaning", &[]);
    let registry = LayoutRegistry::start(&node.lab, "busybox");
    // A short name may stand for another one, which the image then has in the store.
    let settings = std::fs::read_to_string(registry.configuration()).expect("it is there");
    let settings = settings + "[aliases]\ntools = 'docker.io/library/busybox'\n";
    let settings = node.file("registries.conf", &settings).display().to_string();
    node = node.with("CONTAINERS_REGISTRIES_CONF", &settings);
    registry.hold(true);
    let _ = node.apply(&POD.replace("busybox:1.36", image)).succeeds();
    registry.wait_until_asked("GET layer");
    // Whoever cleans up meanwhile waits, and comes before the pod's supervisor has taken the image.
    let supervisor = supervisor(&node, "used");
    signal(supervisor, "-STOP");
    let mut prune = node.command(&["image", "prune", "--all"]);
    let prune = prune.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut prune = prune.expect("the program can be started");
    let mut told = String::new();
    let stderr = prune.stderr.take().expect("it is a pipe");
    BufReader::new(stderr).read_line(&mut told).expect("it says something");
    assert_eq!(told, "Waiting for a pull under way to end.\n");
    registry.hold(false);
    let output = prune.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), NOTHING);
    signal(supervisor, "-CONT");
    node.wait_for_status("used", &["Running"]);
    let reasons: Vec<String> = node.events().into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["Scheduled", "Pulling", "Pulled", "Created", "Started"]);
    assert_eq!(registry.asked(), ["GET manifests", "GET blobs", "GET layer"]);

    let prune = || node.run(&["image", "prune", "--all"]).succeeds().stdout;
    assert_eq!(prune(), NOTHING);
    let _ = node.run(&["rmi", "busybox:1.36"]).ends_with(1);
    let untagged = node.run(&["rmi", "--force", "busybox:1.36"]).succeeds().stdout;
    assert_eq!(untagged, "Untagged: docker.io/library/busybox:1.36\n");
    assert_eq!(prune(), NOTHING, "without a name it is still used");
    let _ = node.run(&["exec", "used", "--", "busybox", "true"]).succeeds();

    node.delete_leaves_nothing("used", &[]);
    let pruned = node.run(&["image", "prune"]).succeeds().stdout;
    assert!(pruned.starts_with("Deleted Images:\ndeleted: sha256:"), "{pruned}");
    let left = node.directories()[1].join("images/layers");
    assert_eq!(std::fs::read_dir(left).expect("it is there").count(), 0);
}

/// A command on a terminal of 120 columns, and all that it has written there.
struct Screen {
    script: Child,
    pieces: Receiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    fn start(node: &Node, words: &str) -> Self {
        let program = fixtures::program().display().to_string();
        let within = format!("stty cols 120 rows 30; exec {program} {words}");
        let mut script = node.with_places(Path::new("script"), &["-qec", &within, "/dev/null"]);
        let script = script.env("TERM", "xterm").stdout(Stdio::piped()).spawn();
        let mut script = script.expect("script can be started");
        let mut stdout = script.stdout.take().expect("it is a pipe");
        let (sender, pieces) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                let _ = sender.send(buffer[..count].to_vec()); // nobody may wait any more
            }
        });
        Self { script, pieces, seen: String::new() }
    }

    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            let piece = self.pieces.recv_timeout(left);
            let piece = piece.unwrap_or_else(|_| panic!("there is no {text:?} in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&piece);
        }
    }

    /// All that was seen, when the command has succeeded.
    fn end(mut self) -> String {
        let status = self.script.wait().expect("it ends");
        while let Ok(piece) = self.pieces.recv() {
            self.seen += &String::from_utf8_lossy(&piece);
        }
        assert!(status.success(), "{:?}", self.seen);
        self.seen
    }
}

fn how_far_a_pull_is_shows_on_a_terminal_and_nowhere_else() {
    let mut node = Node::new("far", &[]);
    let registry = LayoutRegistry::start(&node.lab, "busybox");
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    let ends = POD
        .replace("[sleep, '1000']", "['true']")
        .replace("spec:", "spec:\n  restartPolicy: Never");
    let ends = node.file("ends.yaml", &ends).display().to_string();
    let layer = format!("{}  Downloading [====", &registry.layer()[..12]);
    for (words, last) in [
        ("pull busybox:1.36", "docker.io/library/busybox:1.36 sha256:"),
        (&format!("run --rm {ends}"), "Started container main"),
    ] {
        registry.hold(true);
        let mut screen = Screen::start(&node, words);
        screen.wait_for("busybox:1.36:");
        screen.wait_for(&layer);
        screen.wait_for("/1.03 MB");
        registry.hold(false);
        let seen = screen.end();
        assert!(seen.contains(last), "{seen:?}");
        let _ = node.run(&["rmi", "busybox:1.36"]).succeeds();
    }
    let quiet = node.run(&["pull", "--quiet", "busybox:1.36"]).succeeds();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let _ = node.run(&["rmi", "busybox:1.36"]).succeeds();
    let line = node.run(&["pull", "busybox:1.36"]).succeeds();
    assert_eq!((line.stdout.lines().count(), line.stderr.as_str()), (1, ""), "{}", line.stdout);
    let _ = node.run(&["rmi", "busybox:1.36"]).succeeds();
    let told = node.run(&["run", "--rm", &ends]).succeeds().stderr;
    let about = |text: &str| told.lines().filter(|line| line.contains(text)).count();
    assert_eq!((about("Pulling image"), about("Successfully pulled image")), (1, 1), "{told}");
    assert_eq!((about("Downloading"), about("\r"), about("\x1b")), (0, 0, 0), "{told}");
}
