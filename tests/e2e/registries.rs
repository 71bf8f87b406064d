//! What is said of registries that do not give an image.

use e2e_tests::Node;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    ("a_pull_that_fails_says_its_cause_once", a_pull_that_fails_says_its_cause_once),
    (
        "an_image_that_is_here_is_named_when_its_pull_fails",
        an_image_that_is_here_is_named_when_its_pull_fails,
    ),
];

/// A node whose Docker Hub is where nobody listens.
fn offline(name: &str, images: &[&str]) -> Node {
    let node = Node::new(name, images);
    let settings = "[[registry]]\nprefix = \"docker.io\"\nlocation = \"127.0.0.1:9\"\n";
    let path = node.file("registries.conf", settings).display().to_string();
    node.with("CONTAINERS_REGISTRIES_CONF", &path)
}

fn a_pull_that_fails_says_its_cause_once() {
    let node = offline("offline", &[]);
    let told = node.run(&["pull", "busybox:1.36"]).ends_with(1).stderr;
    let begin = "error: cannot pull docker.io/library/busybox:1.36\n  \
                 because: cannot reach 127.0.0.1:9\n  because: Connection refused\n  try: ";
    assert!(told.starts_with(begin), "{told}");
    for noise in ["os error", "error sending request", "tcp connect error", "client error"] {
        assert!(!told.contains(noise), "{told}");
    }
}

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: here}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: 'busybox:1.36', imagePullPolicy: Always, command: [sleep, '1000']}
";

fn an_image_that_is_here_is_named_when_its_pull_fails() {
    let node = offline("here", &["busybox"]);
    let told = node.run(&["pull", "busybox:1.36"]).ends_with(1).stderr;
    assert!(told.contains("busybox:1.36 is here already"), "{told}");
    assert!(told.contains("imagePullPolicy: IfNotPresent"), "{told}");
    let _ = node.apply(POD).succeeds();
    let _ =
        node.wait_for_status("here", &["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"]);
    let events = node.events();
    let text = "the image is here already and imagePullPolicy: IfNotPresent uses it";
    assert!(events.iter().any(|(_, message)| message.contains(text)), "{events:?}");
    node.delete_leaves_nothing("here", &["--now"]);
}
