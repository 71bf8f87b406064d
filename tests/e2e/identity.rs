//! Who a container's processes are: users, groups, and user namespaces of a pod's own.

use std::fs;
use std::os::unix::fs::MetadataExt;

use e2e_tests::Node;
use e2e_tests::image::Layer;
use serde_json::{Value, json};

use crate::Test;
use crate::isolation_defaults::run;

pub(crate) const TESTS: &[Test] = &[
    (
        "users_and_groups_are_those_of_manifest_and_image",
        users_and_groups_are_those_of_manifest_and_image,
    ),
    ("each_start_of_a_container_is_as_its_user", each_start_of_a_container_is_as_its_user),
    (
        "a_container_that_must_not_be_root_is_not_started_as_root",
        a_container_that_must_not_be_root_is_not_started_as_root,
    ),
];

/// Those with users of the pod's own.
pub(crate) const OWN_USERS: &[Test] = &[(
    "a_pod_with_users_of_its_own_is_nobody_outside",
    a_pod_with_users_of_its_own_is_nobody_outside,
)];

const WITH_OWN_USERS: &str = "  hostUsers: false
  securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: '0'}]}
  volumes:
  - {name: disk, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory}}
  - {name: keys, secret: {secretName: keys}}
  - {name: host, hostPath: {path: HOST}}
  - {name: files, image: {reference: 'minipod/secret-init:1.0'}}
  initContainers:
  - name: write
    image: minipod/probe:1.0
    command:
    - sh
    - -c
    - |
      set -e
      echo x > /disk/file; echo x > /memory/file; echo x > /host/file; echo x > /etc/new
      chown 1000:1000 /disk/file /etc/passwd
      test \"$(cat /keys/token)\" = secret
      cat /files/secret-token > /dev/null
      echo done > /dev/stdout
      stat -c '[\"%U\"]' /etc/group
    volumeMounts:
    - {name: disk, mountPath: /disk}
    - {name: memory, mountPath: /memory}
    - {name: keys, mountPath: /keys}
    - {name: host, mountPath: /host}
    - {name: files, mountPath: /files}
  containers:
  - {name: root, image: 'minipod/probe:1.0'}
  - {name: user, image: 'minipod/probe:1.0', securityContext: {runAsUser: 1000, procMount: Unmasked}}
  - {name: admin, image: 'minipod/probe:1.0', command: [/verdicts], securityContext: {privileged: true}}
";

fn a_pod_with_users_of_its_own_is_nobody_outside() {
    let node = Node::new("users", &["probe", "secret-init"]);
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {token: secret}\n";
    let _ = node.apply(secret).succeeds();
    let host = node.directory("host");
    let spec = WITH_OWN_USERS.replace("HOST", &host.display().to_string());
    let seen = run(&node, "users", &spec);
    for name in ["root", "user"] {
        let map = &seen[name]["uid_map"];
        assert_eq!((&map[0], &map[2]), (&json!("0"), &json!("65536")), "{name}");
        assert_eq!(map[1], "65536", "{name}: the first range is free");
        assert_ne!(seen[name]["namespaces"]["user"], host_users(), "{name}");
        assert_eq!(seen[name]["sysctls"]["net/ipv4/ping_group_range"], "0\t65535");
        assert_eq!(seen[name]["sysctls"]["net/ipv4/tcp_syncookies"], "0");
    }
    let status = |name: &str, field: &str| seen[name]["status"][field].clone();
    assert_eq!(status("root", "Uid"), "0\t0\t0\t0");
    assert_eq!(status("root", "CapEff"), "00000000a80425fb");
    assert_eq!(status("user", "Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(status("user", "Groups"), "50 1000");
    let writable = &seen["root"]["writable"];
    for path in
        ["/new", "/tmp/new", "/dev/new", "/dev/shm/new", "/etc/hosts", "/dev/termination-log"]
    {
        assert_eq!(writable[path], "yes", "{path}");
    }
    assert_eq!(writable["/proc/sysrq-trigger"], seen["user"]["writable"]["/proc/sysrq-trigger"]);
    let is_shown = |name: &str| seen[name]["masked"]["/proc/keys"] != "char 1:3";
    assert_eq!((is_shown("root"), is_shown("user")), (false, true), "procMount: Unmasked");
    // Privileged means every capability over what is the pod's, and none over the machine.
    assert_eq!(seen["admin"]["mount"], 2, "it may mount: {}", seen["admin"]);
    for call in ["swapon", "reboot", "settimeofday", "open_memory", "mknod_disk"] {
        assert_eq!(seen["admin"][call], 1, "{call}: {}", seen["admin"]);
    }
    let owner = fs::metadata(host.join("file")).expect("the container's file");
    assert_eq!((owner.uid(), owner.gid()), (0, 0), "ids are mapped both ways");
    let leases = node.directories()[0].join("ids");
    assert_eq!(fs::read_dir(leases).expect("the leases").count(), 0, "the range is given back");
}

fn host_users() -> String {
    let link = fs::read_link("/proc/self/ns/user").expect("a namespace");
    link.display().to_string()
}

/// MP-42.
fn users_and_groups_are_those_of_manifest_and_image() {
    let node = Node::new("groups", &["probe"]);
    let rows = [
        ("nothing", "", "0", "0", "0"),
        ("user", "runAsUser: 1000", "1000", "1000", "50 1000 2000 3000"),
        ("unknown", "runAsUser: 4000", "4000", "0", "0 2000 3000"),
        ("group", "runAsUser: 1000, runAsGroup: 77", "1000", "77", "50 77 2000 3000"),
    ];
    let container = |(name, security, ..): &(&str, &str, &str, &str, &str)| {
        format!(
            "  - {{name: {name}, image: 'minipod/probe:1.0', securityContext: {{{security}}}}}\n"
        )
    };
    let pod = |policy: &str| {
        let containers: String = rows.iter().map(container).collect::<Vec<_>>().concat();
        format!(
            "  securityContext: {{fsGroup: 2000, supplementalGroups: [3000]{policy}}}\n  \
             containers:\n{containers}"
        )
    };
    let groups = |seen: &Value, name: &str| -> Vec<String> {
        let text = seen[name]["status"]["Groups"].as_str().unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let seen = run(&node, "merge", &pod(""));
    for (name, _, uid, gid, all) in rows {
        let status = &seen[name]["status"];
        assert_eq!(status["Uid"], format!("{uid}\t{uid}\t{uid}\t{uid}"), "{name}");
        assert_eq!(status["Gid"], format!("{gid}\t{gid}\t{gid}\t{gid}"), "{name}");
        let all = if name == "nothing" { "0 2000 3000" } else { all };
        assert_eq!(groups(&seen, name).join(" "), all, "{name}");
    }
    let strict = run(&node, "strict", &pod(", supplementalGroupsPolicy: Strict"));
    assert_eq!(groups(&strict, "user").join(" "), "1000 2000 3000");
}

/// MP-42.
fn a_container_that_must_not_be_root_is_not_started_as_root() {
    let node = Node::new("nonroot", &["probe"]);
    for (name, security, why) in [
        ("image", "runAsNonRoot: true", "container has runAsNonRoot and image will run as root"),
        (
            "zero",
            "runAsNonRoot: true, runAsUser: 0",
            "container's runAsUser breaks non-root policy",
        ),
    ] {
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - \
             {{name: main, image: 'minipod/probe:1.0', securityContext: {{{security}}}}}\n"
        );
        let _ = node.apply(&manifest).succeeds();
        node.wait_for_status(name, &["CreateContainerConfigError"]);
        let uid = node.pod(name)["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let text = format!("Error: {why} (pod: \"{name}_default({uid})\", container: main)");
        let events = node.events();
        assert!(events.contains(&("Failed".to_owned(), text.clone())), "{text}\n{events:#?}");
        node.delete_leaves_nothing(name, &["--now"]);
    }
    let spec = "  securityContext: {runAsNonRoot: true, runAsUser: 0}
  containers: [{name: main, image: 'minipod/probe:1.0', securityContext: {runAsUser: 1000}}]\n";
    let seen = run(&node, "other", spec);
    assert_eq!(seen["main"]["status"]["Uid"], "1000\t1000\t1000\t1000");
}

fn each_start_of_a_container_is_as_its_user() {
    let node = Node::new("again", &[]).with("MINIPOD_BACKOFF_SCALE", "0.001");
    node.load("user/numbered:1", Layer::default(), &json!({"User": "1234:50"}));
    let container = |name: &str| {
        format!(
            "  - {{name: {name}, image: 'user/numbered:1', command: [sh, -c, 'id -u; id -g; [ -e \
             /shared/{name} ] && exit 0; touch /shared/{name}; exit 1'], \
             volumeMounts: [{{name: shared, mountPath: /shared}}]}}\n"
        )
    };
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: again}}\nspec:\n  restartPolicy: OnFailure\n  \
         securityContext: {{runAsNonRoot: true, fsGroup: 50}}\n  \
         volumes: [{{name: shared, emptyDir: {{}}}}]\n  initContainers:\n{}  containers:\n{}",
        container("init"),
        container("main")
    );
    let _ = node.apply(&manifest).succeeds();
    let pod = node.wait_for_phase("again", "Succeeded");
    for (list, name) in [("initContainerStatuses", "init"), ("containerStatuses", "main")] {
        assert_eq!(pod["status"][list][0]["restartCount"], 1, "{name}");
        for words in [&["logs", "again", "-c", name][..], &["logs", "again", "-c", name, "-p"]] {
            assert_eq!(node.run(words).succeeds().stdout, "1234\n50\n", "{words:?}");
        }
    }
    node.delete_leaves_nothing("again", &[]);
}
