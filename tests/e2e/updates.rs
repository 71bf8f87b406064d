//! `apply` of a manifest that has changed: what Kubernetes lets one change, and what not.

use e2e_tests::Node;
use serde_json::Value;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[(
    "apply_changes_what_may_be_changed_and_refuses_the_rest",
    apply_changes_what_may_be_changed_and_refuses_the_rest,
)];

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  initContainers:
  - {name: side, image: 'busybox:1.36', restartPolicy: Always, command: [sleep, '1000']}
  containers:
  - {name: one, image: 'busybox:1.36', command: [sleep, '1000']}
  - {name: two, image: 'busybox:1.36', command: [sleep, '1000']}
";

/// How often each container has been restarted, and whether it is ready.
fn restarts(pod: &Value) -> Vec<(u64, bool)> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let all = lists.iter().filter_map(|list| pod["status"][list].as_array().cloned());
    let all = all.flatten();
    all.map(|one| (one["restartCount"].as_u64().unwrap_or_default(), one["ready"] == true))
        .collect()
}

/// Waits until the containers have been restarted so often, and are ready.
fn wait_for_restarts(node: &Node, wanted: [u64; 3]) {
    node.wait_until("web", |pod| restarts(pod) == wanted.map(|count| (count, true)));
}

fn apply_changes_what_may_be_changed_and_refuses_the_rest() {
    let node = Node::new("update", &["busybox", "secret-init"]);
    let applied = |manifest: &str| node.apply(manifest).succeeds().stdout;
    assert_eq!(applied(POD), "pod/web created\n");
    node.wait_for_status("web", &["Running"]);
    assert_eq!(applied(POD), "pod/web unchanged\n");
    let labelled = POD.replace("{app: web}}", "{app: web, tier: front}, annotations: {a: b}}");
    assert_eq!(applied(&labelled), "pod/web configured\n");
    assert_eq!(node.pod("web")["metadata"]["labels"]["tier"], "front");
    assert_eq!(node.pod("web")["metadata"]["annotations"]["a"], "b");
    wait_for_restarts(&node, [0, 0, 0]);

    let other = "'docker.io/minipod/secret-init:1.0'";
    let one = labelled
        .replace("{name: one, image: 'busybox:1.36'", &format!("{{name: one, image: {other}"));
    assert_eq!(applied(&one), "pod/web configured\n");
    wait_for_restarts(&node, [0, 1, 0]);
    let side =
        one.replace("{name: side, image: 'busybox:1.36'", &format!("{{name: side, image: {other}"));
    assert_eq!(applied(&side), "pod/web configured\n");
    wait_for_restarts(&node, [1, 1, 0]);
    let events = node.events();
    for text in [
        "Container one definition changed, will be restarted",
        "Init container side definition changed",
    ] {
        assert!(events.contains(&("Killing".into(), text.into())), "{text} in {events:#?}");
    }
    assert_eq!(applied(&side), "pod/web unchanged\n");

    let forbidden = node.apply(&side.replacen("'1000'", "'2000'", 1)).ends_with(1);
    let wanted = "The Pod \"web\" is invalid: spec: Forbidden: pod updates may not change fields other than \
        `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
        `spec.tolerations` (only additions to existing tolerations),\
        `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n  \
        - spec.initContainers[0].command: [\"sleep\",\"1000\"]\n  \
        + spec.initContainers[0].command: [\"sleep\",\"2000\"]\n";
    assert!(forbidden.stderr.contains(wanted), "{}", forbidden.stderr);
    let path = node.file("again.yaml", POD);
    let create = node.run(&["create", "-f", &path.display().to_string()]).ends_with(1);
    assert!(create.stderr.contains("pods \"web\" already exists"), "{}", create.stderr);

    let limited = side.replace(
        "  restartPolicy: Never\n",
        "  restartPolicy: Never\n  activeDeadlineSeconds: 1\n",
    );
    assert_eq!(applied(&limited), "pod/web configured\n");
    let old = node.wait_for_phase("web", "Failed");
    assert_eq!(old["status"]["reason"], "DeadlineExceeded");
    // Its supervisor has ended as well: the record stays, and can be compared but not changed.
    assert_eq!(applied(&limited), "pod/web unchanged\n");
    let ended = node.apply(&limited.replace("tier: front", "tier: back")).ends_with(1);
    assert!(ended.stderr.contains("pod \"web\" has ended (Failed)"), "{}", ended.stderr);
    node.delete_leaves_nothing("web", &[]);
}
