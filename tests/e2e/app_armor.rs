//! Containers under AppArmor, on machines whose kernel enforces it.

use e2e_tests::Node;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "app_armor_keeps_a_container_from_the_machines_processes_and_kernel_files",
        app_armor_keeps_a_container_from_the_machines_processes_and_kernel_files,
    ),
    (
        "an_app_armor_profile_that_is_not_loaded_holds_the_container_up",
        an_app_armor_profile_that_is_not_loaded_holds_the_container_up,
    ),
];

fn pod(name: &str, command: &str, context: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  hostPID: true\n  restartPolicy: Never\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    image: minipod/probe:1.0\n    \
         command: [sh, -c, {command:?}]\n    securityContext: {{{context}}}\n"
    )
}

/// Each line: what was tried, and whether it worked.
const ATTACKS: &str = "try() { what=$1; shift; if \"$@\" 2>/dev/null >/dev/null; then echo $what yes; else echo $what no; fi; }; \
    cat /proc/self/attr/current; \
    try environment cat /proc/1/environ; try signal kill -0 1; try own sh -c 'sleep 10 & kill $!'; \
    mkdir /tmp/sys; try mount mount -t tmpfs none /tmp/sys; \
    try self sh -c 'echo 1000 >/proc/self/oom_score_adj'; \
    try memory sh -c 'cat /sys/kernel/mm/transparent_hugepage/enabled >/sys/kernel/mm/transparent_hugepage/enabled'";

fn app_armor_keeps_a_container_from_the_machines_processes_and_kernel_files() {
    let node = Node::new("armor", &["probe"]);
    let more = "capabilities: {add: [SYS_PTRACE, SYS_ADMIN]}";
    let _ = node.apply(&pod("armor", ATTACKS, more)).succeeds();
    node.wait_for_end("armor");
    let found = node.run(&["logs", "armor"]).succeeds().stdout;
    let expected = "minipod-default (enforce)\nenvironment no\nsignal no\nown yes\nmount no\nself yes\nmemory no\n";
    assert_eq!(found, expected);
    let unconfined = format!("{more}, appArmorProfile: {{type: Unconfined}}");
    let _ = node.apply(&pod("free", ATTACKS, &unconfined)).succeeds();
    node.wait_for_end("free");
    let found = node.run(&["logs", "free"]).succeeds().stdout;
    assert!(found.starts_with("unconfined\nenvironment yes\nsignal yes\n"), "{found}");
    // A command is confined as its container is.
    let _ = node.apply(&pod("stays", "sleep 1000", "")).succeeds();
    node.wait_for_status("stays", &["Running"]);
    let entered = node.run(&["exec", "stays", "--", "cat", "/proc/self/attr/current"]).succeeds();
    assert_eq!(entered.stdout, "minipod-default (enforce)\n");
    node.delete_leaves_nothing("stays", &["--now"]);
}

fn an_app_armor_profile_that_is_not_loaded_holds_the_container_up() {
    let node = Node::new("noarmor", &["probe"]);
    let missing = "appArmorProfile: {type: Localhost, localhostProfile: nobody-has-this}";
    let _ = node.apply(&pod("noarmor", "true", missing)).succeeds();
    node.wait_for_status("noarmor", &["CreateContainerError"]);
    let described = node.run(&["describe", "pod", "noarmor"]).succeeds().stdout;
    assert!(
        described.contains("the AppArmor profile \"nobody-has-this\" is not loaded"),
        "{described}"
    );
}
