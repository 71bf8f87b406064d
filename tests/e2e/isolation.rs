//! What containers of a pod share, and what they do not.

use e2e_tests::Node;
use serde_json::Value;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_file_of_an_init_container_is_read_by_both_mains",
        a_file_of_an_init_container_is_read_by_both_mains,
    ),
    (
        "a_secret_of_an_init_image_is_nowhere_in_a_main_container",
        a_secret_of_an_init_image_is_nowhere_in_a_main_container,
    ),
    (
        "a_container_gets_the_defaults_of_a_container_runtime",
        a_container_gets_the_defaults_of_a_container_runtime,
    ),
    ("what_the_security_context_takes_away_is_gone", what_the_security_context_takes_away_is_gone),
    (
        "what_an_init_container_changes_in_the_network_is_there_for_the_mains",
        what_an_init_container_changes_in_the_network_is_there_for_the_mains,
    ),
    ("two_pods_reach_each_other", two_pods_reach_each_other),
];

/// MP-38.
fn a_file_of_an_init_container_is_read_by_both_mains() {
    let node = Node::new("volume", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: volume}
spec:
  restartPolicy: Never
  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - name: write
    image: busybox:1.36
    command: [sh, -c, 'echo from-init > /shared/file']
    volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
  - name: a
    image: busybox:1.36
    command: [cat, /shared/file]
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: b
    image: busybox:1.36
    command: [cat, /elsewhere/file]
    volumeMounts: [{name: shared, mountPath: /elsewhere, readOnly: true}]
";
    let path = node.file("volume.yaml", manifest);
    let outcome = node.run(&["run", "--rm", &path.display().to_string()]).succeeds();
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[a] from-init", "[b] from-init"]);
    let _ = node.run(&["get", "pod", "volume"]).ends_with(5);
}

fn a_secret_of_an_init_image_is_nowhere_in_a_main_container() {
    let node = Node::new("secret", &["secret-init", "probe"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: secret}
spec:
  restartPolicy: Never
  initContainers:
  - {name: init, image: 'minipod/secret-init:1.0', command: [sh, -c, 'cat /secret-token > /dev/null']}
  containers:
  - {name: main, image: 'minipod/probe:1.0', args: [find, token-that-only-the-init-image-has, /]}
";
    let path = node.file("secret.yaml", manifest);
    // The probe ends with 1 when it finds nothing; its own command line does not count.
    let outcome = node.run(&["run", &path.display().to_string()]).ends_with(1);
    assert_eq!(outcome.stdout, "");
    node.delete_leaves_nothing("secret", &[]);
}

/// Runs the probe in a pod of its own and returns what it sees.
fn probe(node: &Node, extra: &str) -> Value {
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: probe}}\nspec:\n  restartPolicy: Never\n  \
         containers:\n  - name: main\n    image: minipod/probe:1.0\n{extra}"
    );
    let path = node.file("probe.yaml", &manifest);
    let _ = node.run(&["run", &path.display().to_string()]).succeeds();
    let logs = node.run(&["logs", "probe"]).succeeds();
    node.delete_leaves_nothing("probe", &[]);
    serde_json::from_str(&logs.stdout).expect("the probe prints JSON")
}

fn a_container_gets_the_defaults_of_a_container_runtime() {
    let node = Node::new("defaults", &["probe"]).with("CANARY", "of the host");
    let seen = probe(&node, "");
    let status = |name: &str| seen["status"][name].as_str().unwrap_or_default().to_owned();
    for (name, value) in [
        ("CapBnd", "00000000a80425fb"),
        ("CapEff", "00000000a80425fb"),
        ("CapInh", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("Seccomp", "2"),
        ("NoNewPrivs", "0"),
        ("SigBlk", "0000000000000000"),
        ("Umask", "0022"),
    ] {
        assert_eq!(status(name), value, "{name}");
    }
    assert_eq!(seen["pid"], 1);
    assert_eq!(seen["pids"], serde_json::json!([1]));
    assert_eq!(seen["hostname"], "probe");
    assert!(seen["env"].get("CANARY").is_none(), "nothing of the host's environment");
    let descriptors: Vec<&String> =
        seen["descriptors"].as_object().expect("descriptors").keys().collect();
    // The fourth is the directory that the probe reads.
    assert_eq!(descriptors, ["0", "1", "2", "3"]);
    let devices: Vec<&String> = seen["dev"].as_object().expect("devices").keys().collect();
    assert_eq!(
        devices.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "),
        "fd full mqueue null ptmx pts random shm stderr stdin stdout termination-log tty urandom zero"
    );
    let mounts = seen["mounts"].as_array().cloned().unwrap_or_default();
    for mount in &mounts {
        assert_eq!(mount["propagation"], serde_json::json!([]), "nothing spreads: {mount}");
    }
    let has = |target: &str, word: &str| {
        mounts.iter().any(|mount| {
            let options = mount["options"].as_str().unwrap_or_default();
            mount["target"] == target && options.split(',').any(|option| option == word)
        })
    };
    for target in ["/sys", "/proc/sys", "/proc/bus", "/sys/firmware"] {
        assert!(has(target, "ro"), "{target} is read-only");
    }
}

/// MP-42.
fn what_the_security_context_takes_away_is_gone() {
    let node = Node::new("confined", &["probe"]);
    let confined = probe(
        &node,
        "    securityContext:\n      runAsUser: 1000\n      allowPrivilegeEscalation: false\n      \
         readOnlyRootFilesystem: true\n      capabilities: {drop: [ALL]}\n",
    );
    assert_eq!(confined["status"]["CapBnd"], "0000000000000000");
    assert_eq!(confined["status"]["NoNewPrivs"], "1");
    assert_eq!(confined["status"]["Uid"], "1000\t1000\t1000\t1000");
    assert_eq!(confined["status"]["Gid"], "1000\t1000\t1000\t1000");
}

fn what_an_init_container_changes_in_the_network_is_there_for_the_mains() {
    let node = Node::new("change", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: change}
spec:
  restartPolicy: Never
  initContainers:
  - name: init
    image: busybox:1.36
    command: [sh, -c, 'ip address add 192.0.2.7/32 dev lo']
    securityContext: {capabilities: {add: [NET_ADMIN]}}
  containers:
  - {name: main, image: 'busybox:1.36', command: [ping, -c, '1', -W, '1', 192.0.2.7]}
";
    let path = node.file("change.yaml", manifest);
    let _ = node.run(&["run", "--rm", &path.display().to_string()]).succeeds();
}

fn two_pods_reach_each_other() {
    let node = Node::new("two", &["busybox"]);
    let server = "\
apiVersion: v1
kind: Pod
metadata: {name: server}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
";
    let _ = node.apply(server).succeeds();
    node.wait_for_status("server", &["Running"]);
    let ip = node.pod("server")["status"]["podIP"].as_str().unwrap_or_default().to_owned();
    let client = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: client}}\nspec:\n  restartPolicy: Never\n  \
         containers:\n  - {{name: main, image: 'busybox:1.36', command: [ping, -c, '1', -W, '2', {ip}]}}\n"
    );
    let path = node.file("client.yaml", &client);
    let _ = node.run(&["run", "--rm", &path.display().to_string()]).succeeds();
    node.delete_leaves_nothing("server", &["--now"]);
}
