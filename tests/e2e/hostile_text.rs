//! What a container, an image or a manifest says never acts on the terminal of whoever reads it.

use std::process::{Command, Stdio};

use e2e_tests::{Node, fixtures};
use serde_json::Value;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "no_view_shows_anything_that_a_terminal_would_obey",
        no_view_shows_anything_that_a_terminal_would_obey,
    ),
    (
        "a_template_is_exact_in_a_pipe_and_harmless_on_a_terminal",
        a_template_is_exact_in_a_pipe_and_harmless_on_a_terminal,
    ),
];

/// Clears the screen, sets a title, overwrites the line, rings, begins a sequence in one character,
/// turns the text round.
const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;t\u{7}b\rc\u{8}\u{9b}31m\u{202e}d\u{2066}\u{7f}";

/// The same in a double-quoted string of YAML.
const QUOTED: &str = r#""a\e[2J\e]0;t\ab\rc\b\x9b31m\u202ed\u2066\x7f""#;

/// The same for printf(1) in the container.
const PRINTED: &str = r"a\033[2J\033]0;t\007b\rc\010\302\23331m\342\200\256d\342\201\246\177";

fn manifest() -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: texts, annotations: {{note: {QUOTED}}}}}\n\
         data: {{one: {QUOTED}, several: \"first\\n\\e[2Jsecond\\n\"}}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {{name: loud, annotations: {{note: {QUOTED}}}}}\n\
         spec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    image: busybox:1.36\n    \
         env: [{{name: TEXT, value: {QUOTED}}}]\n    \
         terminationMessagePolicy: FallbackToLogsOnError\n    \
         command: [sh, -c, \"printf '%s\\n' \\\"$TEXT\\\"; exit 3\"]\n"
    )
}

fn is_obeyed(one: char) -> bool {
    let is_bidirectional = matches!(one, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (one.is_control() && one != '\n' && one != '\t') || is_bidirectional
}

fn is_harmless(what: &str, text: &str) {
    assert!(!text.chars().any(is_obeyed), "{what}: {text:?}");
}

fn no_view_shows_anything_that_a_terminal_would_obey() {
    let node = Node::new("loud", &["busybox"]);
    let file = node.file("loud.yaml", &manifest()).display().to_string();
    let run = node.run(&["run", &file]).ends_with(1);
    assert!(run.stdout.contains("\u{1b}[2J"), "logs stay as they are: {:?}", run.stdout);
    is_harmless("run", &run.stderr);
    assert!(run.stderr.contains("^[[2J^[]0;t^Gb\\rc^H\\u009b31m\\u202ed"), "{}", run.stderr);
    for words in [
        "get pods -o wide",
        "get pods --show-labels",
        "get pod loud -o yaml",
        "get pod loud -o json",
        "get pod loud -o jsonpath-as-json={.metadata.annotations}",
        "get pod,cm -o custom-columns=NOTE:.metadata.annotations.note",
        "get cm texts -o yaml",
        "get cm texts -o json",
        "get events -o wide",
        "get events -o yaml",
        "describe pod loud",
        "describe cm texts",
        "events",
        "annotate pod loud --list",
        "wait --for=condition=Ready pod/loud",
        "get pod a\u{1b}[2J\u{202e}",
        "get a\u{1b}[2J\u{202e}",
        "a\u{1b}[2J\u{202e}",
        "get pods --a\u{9b}b",
        "logs loud -c a\u{9b}b",
        "cp loud:/none\u{1b}[2J /tmp/none",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let outcome = node.run(&words);
        is_harmless(&format!("{words:?}"), &outcome.stdout);
        is_harmless(&format!("{words:?}"), &outcome.stderr);
    }
    // What is read back means the same.
    let json = node.run(&["get", "cm", "texts", "-o", "json"]).succeeds().stdout;
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["data"]["one"], HOSTILE);
    let yaml = node.run(&["get", "cm", "texts", "-o", "yaml"]).succeeds().stdout;
    let yaml = node.file("again.yaml", &yaml).display().to_string();
    let again = ["create", "-f", &yaml, "--dry-run=client", "-o", "json"];
    let again: Value = serde_json::from_str(&node.run(&again).succeeds().stdout).expect("JSON");
    assert_eq!(again["data"], json["data"]);
    let logs = node.run(&["logs", "loud"]).succeeds().stdout;
    assert_eq!(logs, format!("{HOSTILE}\n"), "logs stay as they are");
    node.delete_leaves_nothing("loud", &[]);
}

fn a_template_is_exact_in_a_pipe_and_harmless_on_a_terminal() {
    let node = Node::new("template", &["busybox"]);
    let text = manifest();
    let _ = node.apply(text.split("---").next().unwrap_or_default()).succeeds();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: still}\n\
               spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, \
               image: 'busybox:1.36', command: [sleep, '1000']}]}\n";
    let _ = node.apply(pod).succeeds();
    node.wait_for_status("still", &["Running"]);
    let words = ["get", "cm", "texts", "-o", "jsonpath={.data.one}"];
    assert_eq!(node.run(&words).succeeds().stdout, HOSTILE);
    let exec = ["exec", "still", "--", "printf", PRINTED];
    assert_eq!(node.run(&exec).succeeds().stdout, HOSTILE);
    let shown = on_terminal(&node, "get cm texts -o jsonpath={.data.one}");
    assert_eq!(shown, "a^[[2J^[]0;t^Gb\\rc^H\\u009b31m\\u202ed\\u2066^?");
    node.delete_leaves_nothing("still", &["--now"]);
}

/// What the command writes to a terminal.
fn on_terminal(node: &Node, words: &str) -> String {
    let line = format!("{} {words}", fixtures::program().display());
    let mut script: Command =
        node.with_places(std::path::Path::new("script"), &["-qec", &line, "/dev/null"]);
    let output = script.stdin(Stdio::null()).output().expect("script(1) is there");
    String::from_utf8(output.stdout).expect("it is text")
}
