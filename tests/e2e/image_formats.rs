//! Archives and images as they are found in the world.

use std::fs;
use std::process::Command;

use e2e_tests::image::{self, Layer};
use e2e_tests::{Node, fixtures};
use serde_json::json;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "archives_are_loaded_as_other_tools_compress_them",
        archives_are_loaded_as_other_tools_compress_them,
    ),
    (
        "an_image_is_deleted_when_nothing_has_its_id_any_more",
        an_image_is_deleted_when_nothing_has_its_id_any_more,
    ),
    (
        "a_directory_where_a_file_is_mounted_has_a_sentence",
        a_directory_where_a_file_is_mounted_has_a_sentence,
    ),
    ("a_program_that_cannot_be_run_says_why", a_program_that_cannot_be_run_says_why),
];

fn succeeds(program: &mut Command) {
    let output = program.output().expect("the program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// podman#472.
fn archives_are_loaded_as_other_tools_compress_them() {
    let node = Node::new("formats", &[]);
    let layout = fixtures::layout("busybox").display().to_string();
    let archive = node.directory("archives").join("image.tar");
    let path = archive.display().to_string();
    succeeds(Command::new("tar").args(["-C", &layout, "-cf", &path, "."]));
    for (program, ending) in [("xz", "xz"), ("bzip2", "bz2"), ("gzip", "gz")] {
        succeeds(Command::new(program).args(["-k", "-1", &path]));
        let compressed = format!("{path}.{ending}");
        let loaded = node.run(&["load", "-i", &compressed]).succeeds().stdout;
        assert_eq!(loaded, "Loaded image: docker.io/library/busybox:1.36\n", "{program}");
        let bytes = fs::read(&compressed).expect("it was just written");
        fs::write(&compressed, &bytes[..bytes.len() / 2]).expect("it is ours");
        let told = node.run(&["load", "-i", &compressed]).ends_with(1).stderr;
        assert!(told.contains("the archive is truncated"), "{program}: {told}");
    }
}

/// Another manifest may have the same configuration, which is what an id is made of.
fn an_image_is_deleted_when_nothing_has_its_id_any_more() {
    let node = Node::new("twice", &["busybox"]);
    let path = node.directory("archives").join("docker.tar").display().to_string();
    let name = "busybox:1.36";
    let _ = node.run(&["save", "--format", "docker-archive", "-o", &path, name]).succeeds();
    let bytes = fs::read(&path).expect("it was just written");
    let renamed = rename(&bytes, "library/busybox:1.36", "library/another:1.36");
    fs::write(&path, renamed).expect("it is ours");
    let _ = node.run(&["load", "-i", &path]).succeeds();
    let ids = node.run(&["images", "-q", "--no-trunc"]).succeeds().stdout;
    let ids: Vec<&str> = ids.lines().collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "two images with one id: {ids:?}");
    let told = node.run(&["rmi", "another:1.36"]).succeeds().stdout;
    assert_eq!(told, "Untagged: docker.io/library/another:1.36\n");
    let told = node.run(&["rmi", name]).succeeds().stdout;
    assert!(told.contains("\nDeleted: sha256:"), "{told}");
}

/// The archive with another name of the same length in it.
fn rename(archive: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut archive = archive.to_vec();
    let at = archive.windows(from.len()).position(|part| part == from.as_bytes());
    let at = at.expect("the archive has the name");
    archive[at..at + to.len()].copy_from_slice(to.as_bytes());
    archive
}

fn pod(name: &str, image: &str, command: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  \
         - {{name: main, image: '{image}', command: {command}}}\n"
    )
}

/// The events of a pod that does not start.
fn told(node: &Node, name: &str, manifest: &str, status: &[&str]) -> String {
    let _ = node.apply(manifest).succeeds();
    let _ = node.wait_for_status(name, status);
    let events: Vec<String> = node.events().into_iter().map(|(_, text)| text).collect();
    node.delete_leaves_nothing(name, &["--now"]);
    events.join("\n")
}

fn a_directory_where_a_file_is_mounted_has_a_sentence() {
    let node = Node::new("mounted", &[]);
    for (name, path) in [("resolv", "etc/resolv.conf"), ("hostname", "etc/hostname")] {
        let image = format!("odd/{name}:1");
        node.load(&image, Layer::default().directory(path), &json!({}));
        let manifest = pod(name, &image, "['true']");
        let told = told(&node, name, &manifest, &["CreateContainerError"]);
        assert!(
            told.contains(&format!("/{path}, a file, over what is there: is a directory")),
            "{told}"
        );
    }
}

fn a_program_that_cannot_be_run_says_why() {
    let node = Node::new("unrunnable", &[]);
    let layer = Layer::default()
        .file("crlf", b"#!/bin/sh\r\necho hello\r\n", 0o755)
        .file("bash", b"#!/no/bash\necho hello\n", 0o755)
        .file("text", b"echo hello\n", 0o755);
    let layout = node.directory("image");
    image::write(&layout, "odd/programs:1", layer, &json!({}));
    let _ = node.run(&["load", "-q", "-i", &layout.display().to_string()]).succeeds();
    for (name, why) in [
        ("crlf", "its first line asks for the interpreter \"/bin/sh\" and ends with CRLF"),
        ("bash", "its interpreter \"/no/bash\" does not exist"),
        ("text", "exec format error: it is no program, and does not begin with #!"),
    ] {
        let manifest = pod(name, "odd/programs:1", &format!("[/{name}]"));
        let told = told(&node, name, &manifest, &["StartError", "RunContainerError"]);
        assert!(told.contains(why), "{name}: {told}");
    }
}
