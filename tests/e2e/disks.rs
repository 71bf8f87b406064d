//! Disks that fail under the image store: strace(1) lets system calls fail as they would.

use std::path::{Path, PathBuf};

use e2e_tests::layouts::LayoutRegistry;
use e2e_tests::{Node, Outcome};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_disk_that_cannot_write_ends_the_pull_and_leaves_nothing",
        a_disk_that_cannot_write_ends_the_pull_and_leaves_nothing,
    ),
    ("a_blob_that_cannot_be_read_is_fetched_again", a_blob_that_cannot_be_read_is_fetched_again),
];

/// `minipod pull busybox:1.36` with system calls that fail with EIO.
fn pull_with(node: &Node, failing: &[&str]) -> Outcome {
    let program = e2e_tests::fixtures::program().display().to_string();
    let tracing = ["-f", "-qq", "-o", "/dev/null"];
    let words = [&tracing, failing, &[&program, "pull", "--quiet", "busybox:1.36"]].concat();
    node.with_places(Path::new("strace"), &words).output().expect("strace can be started").into()
}

fn store(node: &Node) -> PathBuf {
    node.directories()[1].join("images")
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

///
fn a_disk_that_cannot_write_ends_the_pull_and_leaves_nothing() {
    let mut node = Node::new("disk", &[]);
    let registry = LayoutRegistry::start(&node.lab, "busybox");
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    // Directories and times of the layer, and each file of the store that gets its name.
    let renames = (1..=8).map(|number| ("rename", number));
    for (call, number) in
        [("mkdirat", 1), ("utimensat", 1), ("symlink", 1)].into_iter().chain(renames)
    {
        let _ = std::fs::remove_dir_all(store(&node)); // there after the first
        let inject = format!("inject={call}:error=EIO:when={number}");
        let failed = pull_with(&node, &["-e", &format!("trace={call}"), "-e", &inject]);
        let told = format!("{inject}: {}", failed.stderr);
        assert_eq!(failed.code, 1, "{told}");
        assert!(failed.stderr.starts_with("error: "), "{told}");
        assert!(failed.stderr.contains("Input/output error"), "{told}");
        let _ = node.run(&["images"]).succeeds();
        let _ = node.run(&["pull", "--quiet", "busybox:1.36"]).succeeds();
        assert_eq!(names_in(&store(&node).join("tmp")), [] as [String; 0], "{told}");
        assert_eq!(names_in(&store(&node).join("layers")).len(), 1, "{told}");
        // Whoever saves compares all digests.
        let saved = node.directories()[1].join("saved.tar").display().to_string();
        let _ = node.run(&["save", "-o", &saved, "busybox:1.36"]).succeeds();
    }
}

///
fn a_blob_that_cannot_be_read_is_fetched_again() {
    let mut node = Node::new("blob", &[]);
    let registry = LayoutRegistry::start(&node.lab, "busybox");
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    let _ = node.run(&["pull", "--quiet", "busybox:1.36"]).succeeds();
    // As after a restart of the machine: the layer is to be unpacked from its blob again.
    for directory in ["images", "layers"] {
        let _ = std::fs::remove_dir_all(store(&node).join(directory));
        std::fs::create_dir(store(&node).join(directory)).expect("it was removed");
    }
    let blob = store(&node).join("blobs/sha256").join(registry.layer()).display().to_string();
    let fetched = |registry: &LayoutRegistry| {
        registry.asked().iter().filter(|asked| *asked == "GET layer").count()
    };
    assert_eq!(fetched(&registry), 1);
    let inject = ["-P", &blob, "-e", "trace=read", "-e", "inject=read:error=EIO"];
    let pulled = pull_with(&node, &inject).succeeds();
    assert_eq!(pulled.stderr, "");
    assert_eq!(fetched(&registry), 2);
    let saved = node.directories()[1].join("saved.tar").display().to_string();
    let _ = node.run(&["save", "-o", &saved, "busybox:1.36"]).succeeds();
}
