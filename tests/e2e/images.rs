//! Images from a real registry.

use e2e_tests::registry::Registry;
use e2e_tests::{Node, fixtures};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "init_images_are_pulled_and_main_images_are_already_present",
        init_images_are_pulled_and_main_images_are_already_present,
    ),
    ("an_image_that_no_registry_has_backs_off", an_image_that_no_registry_has_backs_off),
    ("images_are_pulled_listed_and_removed_by_name", images_are_pulled_listed_and_removed_by_name),
];

fn init_images_are_pulled_and_main_images_are_already_present() {
    let mut node = Node::new("pull", &["kubia", "kubia-ssl-proxy"]);
    let registry = Registry::start(
        &node.lab,
        &[
            ("init-demo", "luksa/init-demo:1.0"),
            ("network-connectivity-checker", "luksa/network-connectivity-checker:1.0"),
        ],
    );
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    let path = fixtures::example("kubia-init.yaml").display().to_string();
    let _ = node.run(&["apply", "-f", &path]).succeeds();
    node.wait_for_status("kubia-init", &["Running"]);
    let events = node.events();
    let reasons: Vec<&str> = events.iter().map(|(reason, _)| reason.as_str()).collect();
    // Listing 5.10.
    assert_eq!(
        reasons,
        [
            "Scheduled",
            "Pulling",
            "Pulled",
            "Created",
            "Started",
            "Pulling",
            "Pulled",
            "Created",
            "Started",
            "Pulled",
            "Created",
            "Started",
            "Pulled",
            "Created",
            "Started"
        ]
    );
    assert_eq!(events[1].1, "Pulling image \"luksa/init-demo:1.0\"");
    let pulled = "Successfully pulled image \"luksa/init-demo:1.0\" in ";
    assert!(events[2].1.starts_with(pulled) && events[2].1.contains("Image size: "), "{events:#?}");
    let present = "Container image \"luksa/kubia:1.0\" already present on machine";
    assert_eq!(events[9].1, present);
    node.delete_leaves_nothing("kubia-init", &[]);
}

fn an_image_that_no_registry_has_backs_off() {
    let mut node = Node::new("nopull", &[]).with("MINIPOD_BACKOFF_SCALE", "0.02");
    let registry = Registry::start(&node.lab, &[]);
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: none}\nspec: {restartPolicy: Never, containers: [{name: a, image: 'none:1'}]}\n";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("none", &["ErrImagePull", "RegistryUnavailable"]);
    node.wait_for_status("none", &["ImagePullBackOff"]);
    assert_eq!(node.pod("none")["status"]["phase"], "Pending");
    node.delete_leaves_nothing("none", &[]);
}

fn images_are_pulled_listed_and_removed_by_name() {
    let mut node = Node::new("images", &[]);
    let registry = Registry::start(&node.lab, &[("busybox", "library/busybox:1.36")]);
    node = node.with("CONTAINERS_REGISTRIES_CONF", &registry.configuration());
    let pulled = node.run(&["pull", "busybox:1.36"]).succeeds();
    let digest = pulled.stdout.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let _ = node.run(&["pull", &format!("busybox@{digest}")]).succeeds();
    let listed = node.run(&["images"]).succeeds();
    assert!(listed.stdout.contains("docker.io/library/busybox"), "{}", listed.stdout);
    let _ = node.run(&["rmi", "busybox:1.36"]).succeeds();
    let _ = node.run(&["rmi", "busybox:1.36"]).ends_with(5);
    let missing = node.run(&["pull", "busybox:1.37"]).ends_with(1);
    assert!(missing.stderr.contains("try: "), "{}", missing.stderr);
}
