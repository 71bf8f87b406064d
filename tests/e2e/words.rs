//! What is told to somebody who types what another program would take, or what is not there.

use std::process::Stdio;

use e2e_tests::Node;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "what_other_programs_would_take_gets_what_to_type_here",
        what_other_programs_would_take_gets_what_to_type_here,
    ),
    ("a_manifest_of_what_is_absent_is_not_found", a_manifest_of_what_is_absent_is_not_found),
    ("a_dash_is_standard_input_whatever_is_there", a_dash_is_standard_input_whatever_is_there),
    ("messages_have_words_and_no_error_numbers", messages_have_words_and_no_error_numbers),
];

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {restartPolicy: Never, \
                   containers: [{name: main, image: 'busybox:1.36', command: ['true']}]}\n";

fn what_other_programs_would_take_gets_what_to_type_here() {
    let node = Node::new("words", &[]);
    for (words, told) in [
        ("pod rm web", "  try: minipod delete pod NAME\n"),
        ("generate systemd web", "ExecStart=minipod run FILE"),
        ("kube down web.yaml", "  try: minipod delete -f FILE\n"),
        ("system prune", "minipod image prune"),
        ("create deployment web --image=a", "a manifest of kind Pod"),
        ("get crd", "minipod api-resources"),
        ("get", "You must specify the type of resource"),
        ("apply -k .", "kubectl kustomize DIR | minipod apply -f -"),
        ("network create a", "minipod get pods -o wide"),
        ("frobnicate run", "Usage: minipod [OPTIONS] <COMMAND>"),
    ] {
        let outcome = node.run(&words.split(' ').collect::<Vec<_>>()).ends_with(2);
        assert!(outcome.stderr.contains(told), "{words}: {}", outcome.stderr);
    }
    for words in ["lod", "get foo", "zebra"] {
        let outcome = node.run(&words.split(' ').collect::<Vec<_>>()).ends_with(2);
        let guesses = ["similar", "did you mean"].iter().any(|one| outcome.stderr.contains(one));
        assert!(!guesses, "{words}: {}", outcome.stderr);
    }
    let directory = node.directory("overlay");
    std::fs::write(directory.join("kustomization.yaml"), "resources: []\n").expect("a file");
    let outcome = node.run(&["apply", "-f", &directory.display().to_string()]).ends_with(2);
    assert!(outcome.stderr.contains("| minipod apply -f -"), "{}", outcome.stderr);
}

fn a_manifest_of_what_is_absent_is_not_found() {
    let node = Node::new("absent", &[]);
    let path = node.file("web.yaml", POD).display().to_string();
    let outcome = node.run(&["delete", "-f", &path]).ends_with(5);
    let told = "Error from server (NotFound): pods \"web\" not found\n";
    assert!(outcome.stderr.starts_with(told), "{}", outcome.stderr);
    let _ = node.run(&["delete", "-f", &path, "--dry-run=client"]).ends_with(5);
    let outcome = node.run(&["delete", "-f", &path, "--ignore-not-found"]).succeeds();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

fn a_dash_is_standard_input_whatever_is_there() {
    let node = Node::new("dash", &["busybox"]);
    let place = node.directory("place");
    std::fs::create_dir(place.join("-")).expect("a directory of that name");
    std::fs::write(place.join("-/other.yaml"), POD.replace("web", "other")).expect("a file");
    let _ = node.apply(POD).succeeds();
    node.wait_for_end("web");
    let manifest = std::fs::File::open(node.file("web.yaml", POD)).expect("it is there");
    let mut delete = node.command(&["delete", "-f", "-", "--force"]);
    let delete = delete.current_dir(&place).stdin(Stdio::from(manifest)).output().expect("it ends");
    let told = String::from_utf8_lossy(&delete.stdout);
    assert!(told.starts_with("pod \"web\" force deleted"), "{told}");
    let warned = String::from_utf8_lossy(&delete.stderr);
    assert!(!warned.contains("cluster"), "{warned}");
    for words in [["cp", "web:/etc/passwd", "-"], ["cp", "-", "web:/tmp/a"]] {
        let mut copy = node.command(&words);
        let copy = copy.current_dir(&place).output().expect("it ends");
        assert_eq!(copy.status.code(), Some(2));
        let told = String::from_utf8_lossy(&copy.stderr).into_owned();
        assert!(told.contains("a file of that name is ./-"), "{told}");
    }
    assert!(std::fs::read_dir(place.join("-")).is_ok_and(|all| all.count() == 1));
}

fn messages_have_words_and_no_error_numbers() {
    let node = Node::new("numbers", &["busybox"]);
    let _ = node.apply(POD).succeeds();
    node.wait_for_end("web");
    let outcome = node.run(&["ns", "web"]).ends_with(1);
    let told = "error: pod \"web\" has ended (Succeeded) and has no processes any more\n";
    assert_eq!(outcome.stderr, told);
    let directory = node.directory("empty").display().to_string();
    for words in [
        vec!["apply", "-f", "/proc/self/mem"],
        vec!["get", "pods", "-o", "jsonpath-file=/nowhere"],
        vec!["get", "pods", "-o", &format!("jsonpath-file={directory}")],
        vec!["exec", "web", "--", "true"],
        vec!["port-forward", "web", "80"],
        vec!["cp", "/proc/self/mem", "web:/tmp"],
        vec!["load", "-i", "/nowhere"],
        vec!["load", "-i", "/proc/self/mem"],
        vec!["save", "-o", "/nowhere/a", "busybox:1.36"],
        vec!["create", "cm", "a", "--from-file=/nowhere"],
        vec!["man", "--dir", "/proc/nowhere"],
        vec!["get", "pods", "--state-dir", "/proc/self/mem"],
    ] {
        let outcome = node.run(&words);
        assert!(!outcome.stderr.contains("os error"), "{words:?}: {}", outcome.stderr);
    }
    node.delete_leaves_nothing("web", &[]);
}
