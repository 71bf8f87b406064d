//! What the processes of a pod see of one another, and of the process that holds the pod.

use e2e_tests::Node;
use serde_json::Value;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "the_first_process_of_a_shared_namespace_leads_nowhere",
        the_first_process_of_a_shared_namespace_leads_nowhere,
    ),
    (
        "containers_share_with_their_pod_and_with_no_other",
        containers_share_with_their_pod_and_with_no_other,
    ),
];

/// Those with users of the pod's own.
pub(crate) const OWN_USERS: &[Test] = &[(
    "it_leads_nowhere_in_a_pod_with_users_of_its_own",
    it_leads_nowhere_in_a_pod_with_users_of_its_own,
)];

const SHARED: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: shared}
spec:
  terminationGracePeriodSeconds: 0
  shareProcessNamespace: true
USERS
  containers:
  - name: debugger
    image: minipod/probe:1.0
    command: [sleep, '1000']
    securityContext: {capabilities: {add: [SYS_PTRACE]}}
  - {name: plain, image: 'minipod/probe:1.0', command: [sleep, '1000']}
";

/// A debugger may look into every process of its pod; what it finds in the first one is nothing.
fn the_first_process_of_a_shared_namespace_leads_nowhere() {
    leads_nowhere("shared", "");
}

fn it_leads_nowhere_in_a_pod_with_users_of_its_own() {
    leads_nowhere("sharedusers", "  hostUsers: false");
}

fn leads_nowhere(lab: &str, users: &str) {
    let node = Node::new(lab, &["probe"]).with("CANARY", "of the host");
    let _ = node.apply(&SHARED.replace("USERS", users)).succeeds();
    node.wait_for_status("shared", &["Running"]);
    let exec = |container: &str, command: &str| {
        let words = ["exec", "shared", "-c", container, "--", "sh", "-c", command];
        node.run(&words).stdout
    };
    let look = "cat /proc/1/comm; ls -A /proc/1/root/; ls -A /proc/1/cwd/; \
        tr -d '\\0' < /proc/1/environ; cut -d' ' -f2 /proc/1/mounts; grep -E 'Cap(Prm|Eff|Bnd)' /proc/1/status";
    let none = "0000000000000000";
    let expected = format!("minipod:pod\n/\nCapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{none}\n");
    assert_eq!(exec("debugger", look), expected, "{users}");
    let names = exec("debugger", "cat /proc/[0-9]*/comm | grep -c sleep");
    assert_eq!(names, "2\n", "the other container's process is seen");
    let refused = exec("plain", "ls /proc/1/root/ /proc/1/cwd/; cat /proc/1/environ /proc/1/fd/0");
    assert_eq!(refused, "", "without the capability even that is out of reach");
    node.delete_leaves_nothing("shared", &["--now"]);
}

/// A pod of an init container and two main containers that stay.
fn staying(name: &str) -> String {
    let stays = "image: 'minipod/probe:1.0', command: [sleep, '1000']";
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  initContainers:\n  \
         - {{name: init, image: 'minipod/probe:1.0'}}\n  containers:\n  - {{name: first, {stays}}}\n  \
         - {{name: second, {stays}}}\n"
    )
}

fn containers_share_with_their_pod_and_with_no_other() {
    let node = Node::new("siblings", &["probe"]);
    for pod in ["one", "other"] {
        let _ = node.apply(&staying(pod)).succeeds();
        node.wait_for_status(pod, &["Running"]);
    }
    let seen = |arguments: &[&str]| -> Value {
        let printed = node.run(arguments).succeeds().stdout;
        serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{arguments:?}: {printed}"))
    };
    let of = |pod: &str, container: &str| seen(&["exec", pod, "-c", container, "--", "/probe"]);
    let init = seen(&["logs", "one", "-c", "init"]);
    assert_eq!(init["pid"], 1, "a container's program is the first of its processes");
    let (first, second, other) = (of("one", "first"), of("one", "second"), of("other", "first"));
    for name in ["net", "ipc", "uts"] {
        let namespace = |seen: &Value| seen["namespaces"][name].clone();
        assert_eq!(namespace(&first), namespace(&second), "{name} is the pod's");
        assert_eq!(namespace(&first), namespace(&init), "{name} is the pod's from the beginning");
        assert_ne!(namespace(&first), namespace(&other), "{name} is of no other pod");
    }
    for name in ["mnt", "pid", "cgroup"] {
        let namespace = |seen: &Value| seen["namespaces"][name].clone();
        assert!(namespace(&first).is_string(), "{name}");
        assert_ne!(namespace(&first), namespace(&second), "{name} is the container's own");
        assert_ne!(namespace(&first), namespace(&other), "{name} is the container's own");
    }
    // What is mounted is the pod's own, or nobody's.
    let mounts = first["mounts"].to_string();
    let uid = |pod: &str| node.pod(pod)["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    assert!(mounts.contains(&uid("one")), "{mounts}");
    assert!(!mounts.contains("default_other") && !mounts.contains(&uid("other")), "{mounts}");
    let _ = node.run(&["delete", "pod", "other", "--now"]).succeeds();
    node.delete_leaves_nothing("one", &["--now"]);
}
