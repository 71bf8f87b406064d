//! How far a mount reaches: what is mounted below it, here and there.

use std::fs;
use std::path::{Path, PathBuf};

use e2e_tests::Node;

use crate::Test;
use crate::volumes::{output, pod};

pub(crate) const TESTS: &[Test] = &[
    ("read_only_reaches_as_far_as_it_says", read_only_reaches_as_far_as_it_says),
    (
        "mounts_of_a_container_spread_when_both_sides_agree",
        mounts_of_a_container_spread_when_both_sides_agree,
    ),
    (
        "mounts_of_the_machine_reach_who_asks_for_them",
        mounts_of_the_machine_reach_who_asks_for_them,
    ),
];

fn read_only_reaches_as_far_as_it_says() {
    let node = Node::new("readonly", &["busybox"]);
    let host = node.directory("host");
    fs::create_dir(host.join("below")).expect("a file of the test");
    let mounted = Mounted::memory(&host.join("below"));
    let volumes = format!("  - {{name: host, hostPath: {{path: {}}}}}\n", host.display());
    let mounts = "    - {name: host, mountPath: /plain, readOnly: true}
    - {name: host, mountPath: /deep, readOnly: true, recursiveReadOnly: Enabled}\n";
    let script = "for path in /plain /plain/below /deep /deep/below; do
touch $path/x 2>/dev/null && echo $path written || echo $path refused
done";
    let lines = output(&node, "readonly", &pod("readonly", &volumes, mounts, script));
    let expected = "/plain refused\n/plain/below written\n/deep refused\n/deep/below refused";
    assert_eq!(lines.join("\n"), expected);
    drop(mounted);
}

fn mounts_of_a_container_spread_when_both_sides_agree() {
    let node = Node::new("spread", &["busybox"]);
    let host = node.directory("host");
    let shared = Mounted::memory(&host).spreading("--make-shared");
    fs::create_dir(host.join("below")).expect("a directory of the test");
    let volumes = format!("  - {{name: host, hostPath: {{path: {}}}}}\n", host.display());
    let mounts = "    - {name: host, mountPath: /host, mountPropagation: Bidirectional}
    securityContext: {privileged: true}\n";
    let script = "mount -t tmpfs none /host/below && echo x > /host/below/file";
    let lines = output(&node, "spread", &pod("spread", &volumes, mounts, script));
    assert!(lines.is_empty(), "{lines:?}");
    let below = Mounted(host.join("below"));
    assert!(host.join("below/file").exists(), "the host sees what the container mounted");
    drop((below, shared));
    let _private = Mounted::memory(&host).spreading("--make-private");
    let manifest = pod("alone", &volumes, mounts, "true");
    let _ = node.apply(&manifest).succeeds();
    node.wait_for_status("alone", &["CreateContainerError"]);
    let text = "but it is not a shared mount";
    assert!(node.events().iter().any(|(_, message)| message.contains(text)));
    node.delete_leaves_nothing("alone", &["--now"]);
}

/// What the host mounts later is seen by a container that asked for it; what that one mounts is not
/// seen by the host.
fn mounts_of_the_machine_reach_who_asks_for_them() {
    let node = Node::new("reach", &["busybox"]);
    let host = node.directory("host");
    let shared = Mounted::memory(&host).spreading("--make-shared");
    for name in ["later", "own"] {
        fs::create_dir(host.join(name)).expect("a directory of the test");
    }
    let volumes = format!("  - {{name: host, hostPath: {{path: {}}}}}\n", host.display());
    let mounts = "    - {name: host, mountPath: /host, mountPropagation: HostToContainer}
    - {name: host, mountPath: /private, mountPropagation: None}
    securityContext: {privileged: true}\n";
    let script = "mount -t tmpfs none /host/own && touch /host/own/file
touch /host/ready
until [ -e /host/later/file ]; do sleep 0.1; done
[ -e /private/later/file ] && echo private sees it; [ -e /host/own/file ] && echo seen";
    let manifest = pod("reach", &volumes, mounts, script);
    let _ = node.apply(&manifest).succeeds();
    node.wait_for_status("reach", &["Running"]);
    node.wait_until("reach", |_| host.join("ready").exists());
    let later = Mounted::memory(&host.join("later"));
    fs::write(host.join("later/file"), "").expect("a file of the test");
    node.wait_for_phase("reach", "Succeeded");
    assert_eq!(node.run(&["logs", "reach"]).succeeds().stdout, "seen\n");
    assert!(!host.join("own/file").exists(), "the host does not see what the container mounted");
    node.delete_leaves_nothing("reach", &[]);
    drop((later, shared));
}

/// Memory mounted at a directory of the host.
struct Mounted(PathBuf);

impl Mounted {
    fn memory(path: &Path) -> Self {
        mount(&["-t", "tmpfs", "tmpfs"], path);
        Self(path.to_owned())
    }

    /// Says how mounts below it spread.
    fn spreading(self, how: &str) -> Self {
        mount(&[how], &self.0);
        self
    }
}

fn mount(arguments: &[&str], path: &Path) {
    let done = std::process::Command::new("mount").args(arguments).arg(path).status();
    assert!(done.is_ok_and(|status| status.success()), "mount {arguments:?}");
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status(); // the directory stays then
    }
}
