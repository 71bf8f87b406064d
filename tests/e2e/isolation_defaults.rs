//! What a container gets when the manifest says nothing about it, and what it gets as a privileged
//! one, line by line, for every process of a pod.

use std::fs;
use std::path::Path;

use e2e_tests::Node;
use serde_json::{Value, json};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    ("every_process_of_a_pod_has_the_same_defaults", every_process_of_a_pod_has_the_same_defaults),
    ("what_is_mounted_is_mounted_as_by_a_runtime", what_is_mounted_is_mounted_as_by_a_runtime),
    ("a_privileged_container_sees_the_machine", a_privileged_container_sees_the_machine),
    (
        "every_process_of_a_privileged_pod_has_every_power",
        every_process_of_a_privileged_pod_has_every_power,
    ),
    (
        "capabilities_are_the_same_for_every_process_of_a_container",
        capabilities_are_the_same_for_every_process_of_a_container,
    ),
    ("a_device_in_a_volume_cannot_be_opened", a_device_in_a_volume_cannot_be_opened),
    (
        "a_read_only_root_leaves_memory_and_volumes_writable",
        a_read_only_root_leaves_memory_and_volumes_writable,
    ),
];

/// Runs a probe pod to its end and returns what each container printed, by its name.
pub(crate) fn run(node: &Node, name: &str, spec: &str) -> Value {
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n{spec}"
    );
    let _ = node.apply(&manifest).succeeds();
    let pod = node.wait_for_end(name);
    let mut seen = json!({});
    for kind in ["initContainers", "containers"] {
        for container in pod["spec"][kind].as_array().into_iter().flatten() {
            let container = container["name"].as_str().unwrap_or_default();
            let logs = node.run(&["logs", name, "-c", container]).succeeds();
            seen[container] = serde_json::from_str(&logs.stdout).unwrap_or(Value::Null);
        }
    }
    node.delete_leaves_nothing(name, &[]);
    seen
}

fn host_namespace(name: &str) -> String {
    let link = fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
    link.display().to_string()
}

fn host_bounding_set() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("this process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    line.unwrap_or_default().trim().to_owned()
}

/// An init container, a main container, its restart and a command in it: each prints what it sees.
const FOUR: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: four}
spec:
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 0
  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - {name: init, image: 'minipod/probe:1.0'SECURITY}
  containers:
  - name: main
    image: minipod/probe:1.0
    command: [sh, -c, '/probe; test -e /shared/again && exec sleep 1000; touch /shared/again; exit 1']
    volumeMounts: [{name: shared, mountPath: /shared}]
";

/// What each of the four printed; the pod is left running.
fn four(node: &Node, security: &str) -> [(&'static str, Value); 4] {
    let of_main = if security.is_empty() { "" } else { "    securityContext: " };
    let of_init = if security.is_empty() { "" } else { ", securityContext: " };
    let manifest = FOUR.replace("SECURITY", &format!("{of_init}{security}"));
    let _ = node.apply(&format!("{manifest}{of_main}{security}\n")).succeeds();
    node.wait_until("four", |pod| {
        let status = &pod["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && status["state"]["running"].is_object()
    });
    let seen = |arguments: &[&str]| -> Value {
        let outcome = node.run(arguments).succeeds();
        let line = outcome.stdout.lines().next().unwrap_or_default().to_owned();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{arguments:?}: {line}"))
    };
    node.wait_until("four", |_| !node.run(&["logs", "four"]).stdout.is_empty());
    [
        ("init", seen(&["logs", "four", "-c", "init"])),
        ("first", seen(&["logs", "four", "-p"])),
        ("restarted", seen(&["logs", "four"])),
        ("exec", seen(&["exec", "four", "--", "/probe"])),
    ]
}

fn every_process_of_a_pod_has_the_same_defaults() {
    let node = Node::new("four", &["probe"])
        .with("CANARY", "of the host")
        .with("MINIPOD_BACKOFF_SCALE", "0.001");
    let all = four(&node, "");
    for (who, seen) in &all {
        check_defaults(who, seen);
    }
    let namespace = |at: usize, name: &str| all[at].1["namespaces"][name].clone();
    for name in ["net", "ipc", "uts"] {
        for at in 0..4 {
            assert_eq!(namespace(at, name), namespace(0, name), "{name} is the pod's");
            assert_ne!(namespace(at, name), host_namespace(name), "{name} is not the host's");
        }
    }
    for name in ["mnt", "pid", "cgroup"] {
        assert_eq!(namespace(2, name), namespace(3, name), "{name} of a command");
        assert_ne!(namespace(2, name), host_namespace(name), "{name} is not the host's");
    }
    node.delete_leaves_nothing("four", &[]);
}

fn check_defaults(who: &str, seen: &Value) {
    let status = |name: &str| seen["status"][name].as_str().unwrap_or_default().to_owned();
    for (name, value) in [
        ("CapBnd", "00000000a80425fb"),
        ("CapPrm", "00000000a80425fb"),
        ("CapEff", "00000000a80425fb"),
        ("CapInh", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("Seccomp", "2"),
        ("Seccomp_filters", "1"),
        ("NoNewPrivs", "0"),
        ("SigBlk", "0000000000000000"),
        ("Umask", "0022"),
        ("Uid", "0\t0\t0\t0"),
        ("Gid", "0\t0\t0\t0"),
        ("Groups", "0"),
    ] {
        assert_eq!(status(name), value, "{who}: {name}");
    }
    // The Rust runtime of the probe ignores SIGPIPE, and nothing else.
    assert_eq!(status("SigIgn"), "0000000000001000", "{who}");
    for (name, value) in [
        ("stdin", json!("null")),
        ("cwd", json!("/")),
        ("hostname", json!("four")),
        ("oom_score_adj", json!("1000")),
        ("uid_map", json!(["0", "0", "4294967295"])),
    ] {
        if name != "stdin" || who != "exec" {
            assert_eq!(seen[name], value, "{who}: {name}");
        }
    }
    assert_eq!(seen["env"]["HOSTNAME"], "four", "{who}");
    assert_eq!(seen["env"]["HOME"], "/root", "{who}");
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(seen["env"]["PATH"], path, "{who}");
    let names: Vec<&String> = seen["env"].as_object().expect("an environment").keys().collect();
    assert!(
        names
            .iter()
            .all(|name| ["HOME", "HOSTNAME", "PATH", "PWD", "SHLVL"].contains(&name.as_str())),
        "{who}: {names:?}"
    );
    let descriptors: Vec<&String> =
        seen["descriptors"].as_object().expect("descriptors").keys().collect();
    assert_eq!(descriptors, ["0", "1", "2", "3"], "{who}: the fourth is the directory it reads");
    let limits = seen["limits"].to_string();
    for limit in ["Max open files            1024 ", "Max core file size        0 "] {
        assert!(limits.contains(limit), "{who}: {limit}: {limits}");
    }
    check_kernel_files(who, seen);
}

fn check_kernel_files(who: &str, seen: &Value) {
    for (path, kind) in seen["masked"].as_object().expect("masked paths") {
        let kind = kind.as_str().unwrap_or_default();
        assert!(["absent", "char 1:3", "empty"].contains(&kind), "{who}: {path} is {kind}");
    }
    let writable = seen["writable"].as_object().expect("paths");
    for (path, result) in writable {
        let is_kernels = path.starts_with("/proc") || path.starts_with("/sys");
        let wanted: &[&str] = if is_kernels { &["30", "2"] } else { &["yes"] };
        let result = result.as_str().unwrap_or_default();
        assert!(wanted.contains(&result), "{who}: writing to {path}: {result}");
    }
    let devices = json!({
        "fd": "link", "full": "char 1:7 666", "mqueue": "other", "null": "char 1:3 666",
        "ptmx": "link", "pts": "other", "random": "char 1:8 666", "shm": "other",
        "stderr": "link", "stdin": "link", "stdout": "link", "termination-log": "other",
        "tty": "char 5:0 666", "urandom": "char 1:9 666", "zero": "char 1:5 666",
    });
    assert_eq!(seen["dev"], devices, "{who}");
    let start = seen["sysctls"]["net/ipv4/ip_unprivileged_port_start"].clone();
    assert_eq!(
        (start, &seen["sysctls"]["net/ipv4/ping_group_range"]),
        (json!("0"), &json!("0\t2147483647"))
    );
}

/// Each mount that every container has: its place, type, and options of the mount and the file
/// system.
const MOUNTS: [(&str, &str, &str, &str); 7] = [
    ("/", "overlay", "rw", "rw"),
    ("/proc", "proc", "rw,nosuid,nodev,noexec", "rw"),
    ("/sys", "sysfs", "ro,nosuid,nodev,noexec", ""),
    ("/dev", "tmpfs", "rw,nosuid", "size=65536k,mode=755"),
    ("/dev/pts", "devpts", "rw,nosuid,noexec", "gid=5,mode=620,ptmxmode=666"),
    ("/dev/shm", "tmpfs", "rw,nosuid,nodev,noexec", "size=65536k"),
    ("/dev/mqueue", "mqueue", "rw,nosuid,nodev,noexec", ""),
];

/// The same of the cgroups: version 2 itself, or a directory for the hierarchies of version 1.
fn cgroups() -> (&'static str, &'static str, &'static str, &'static str) {
    let has_version_2_alone = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let (kind, of_file_system) =
        if has_version_2_alone { ("cgroup2", "") } else { ("tmpfs", "mode=755") };
    ("/sys/fs/cgroup", kind, "ro,nosuid,nodev,noexec", of_file_system)
}

fn what_is_mounted_is_mounted_as_by_a_runtime() {
    let node = Node::new("mounts", &["probe"]);
    let container = "{name: NAME, image: 'minipod/probe:1.0'";
    let spec = format!(
        "  containers:\n  - {}}}\n  - {}, securityContext: {{privileged: true}}}}\n",
        container.replace("NAME", "normal"),
        container.replace("NAME", "privileged")
    );
    let seen = run(&node, "mounts", &spec);
    for name in ["normal", "privileged"] {
        let mounts = seen[name]["mounts"].as_array().cloned().unwrap_or_default();
        for mount in &mounts {
            assert_eq!(mount["propagation"], json!([]), "nothing spreads: {mount}");
        }
        for (target, kind, options, of_file_system) in MOUNTS.into_iter().chain([cgroups()]) {
            let mut found = mounts.iter().filter(|mount| mount["target"] == target);
            let (Some(found), None) = (found.next(), found.next()) else {
                panic!("{name} has no {target}, or more than one: {mounts:#?}");
            };
            let is_ours = target.starts_with("/sys") && name == "privileged";
            let options = if is_ours { options.replace("ro,", "rw,") } else { options.into() };
            assert_eq!(found["type"], kind, "{name}: {target}");
            let has = |field: &str, wanted: &str| {
                let words: Vec<&str> =
                    found[field].as_str().unwrap_or_default().split(',').collect();
                wanted.split(',').filter(|word| !word.is_empty()).all(|word| words.contains(&word))
            };
            assert!(has("options", &options), "{name}: {found}");
            assert!(has("super", of_file_system), "{name}: {found}");
        }
        let is_read_only = |target: &str| {
            mounts.iter().any(|mount| {
                let options = mount["options"].as_str().unwrap_or_default();
                mount["target"] == target && options.starts_with("ro,")
            })
        };
        let paths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
        for path in paths.into_iter().filter(|path| Path::new(path).exists()) {
            assert_eq!(is_read_only(path), name == "normal", "{name}: {path}");
        }
    }
}

fn every_process_of_a_privileged_pod_has_every_power() {
    let node = Node::new("fourpriv", &["probe"]).with("MINIPOD_BACKOFF_SCALE", "0.001");
    let all = host_bounding_set();
    for (who, seen) in four(&node, "{privileged: true}") {
        for (field, value) in [
            ("CapBnd", all.as_str()),
            ("CapPrm", &all),
            ("CapEff", &all),
            ("CapInh", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("Seccomp", "0"),
            ("NoNewPrivs", "0"),
            ("Umask", "0022"),
            ("Uid", "0\t0\t0\t0"),
        ] {
            assert_eq!(seen["status"][field], value, "{who}: {field}");
        }
        let masked = seen["masked"].as_object().expect("masked paths");
        assert!(masked.values().all(|kind| kind != "char 1:3"), "{who}: {masked:?}");
        assert_eq!(seen["writable"]["/proc/sys/kernel/hostname"], "yes", "{who}");
        for (device, _) in host_devices() {
            assert!(seen["dev"].get(&device).is_some(), "{who}: /dev/{device}");
        }
        for own in ["mnt", "pid", "net", "ipc", "uts"] {
            assert_ne!(seen["namespaces"][own], host_namespace(own), "{who}: {own}");
        }
    }
    node.delete_leaves_nothing("four", &[]);
}

const NO_SET: &str = "0000000000000000";
const DEFAULT_SET: &str = "00000000a80425fb";

/// Containers by their security contexts: what is bounding, and what they hold.
const CAPABILITIES: [(&str, &str, &str, &str); 5] = [
    ("user", "runAsUser: 1000", DEFAULT_SET, NO_SET),
    ("nothing", "capabilities: {drop: [ALL]}", NO_SET, NO_SET),
    (
        "bind",
        "capabilities: {drop: [all], add: [CAP_NET_BIND_SERVICE]}",
        "0000000000000400",
        "0000000000000400",
    ),
    ("less", "capabilities: {drop: [chown, KILL]}", "00000000a80425da", "00000000a80425da"),
    ("given", "runAsUser: 1000, capabilities: {add: [NET_ADMIN]}", "00000000a80435fb", NO_SET),
];

fn capabilities_are_the_same_for_every_process_of_a_container() {
    let node = Node::new("caps", &["probe"]);
    let container = |(name, security, ..): &(&str, &str, &str, &str), command: &str| {
        format!(
            "  - {{name: {name}, image: 'minipod/probe:1.0', command: [{command}], \
             securityContext: {{{security}}}}}\n"
        )
    };
    let mains: String = CAPABILITIES.iter().map(|row| container(row, "sleep, '1000'")).collect();
    let inits: String = CAPABILITIES
        .iter()
        .map(|row| container(row, "/probe").replacen("name: ", "name: init-", 1))
        .collect();
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: caps}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  initContainers:\n{inits}  containers:\n{mains}"
    );
    let _ = node.apply(&manifest).succeeds();
    node.wait_for_status("caps", &["Running"]);
    for (name, _, bounding, held) in CAPABILITIES {
        let init = format!("init-{name}");
        for words in
            [&["logs", "caps", "-c", &init][..], &["exec", "caps", "-c", name, "--", "/probe"]]
        {
            let printed = node.run(words).succeeds().stdout;
            let seen: Value = serde_json::from_str(&printed).expect("JSON");
            for (field, value) in [
                ("CapBnd", bounding),
                ("CapPrm", held),
                ("CapEff", held),
                ("CapInh", NO_SET),
                ("CapAmb", NO_SET),
            ] {
                assert_eq!(seen["status"][field], value, "{words:?}: {field}");
            }
        }
    }
    let chown = ["exec", "caps", "-c", "nothing", "--", "chown", "1000", "/tmp"];
    let refused = node.run(&chown);
    assert!(refused.stderr.contains("Operation not permitted"), "{}", refused.stderr);
    node.delete_leaves_nothing("caps", &["--now"]);
}

fn a_device_in_a_volume_cannot_be_opened() {
    let node = Node::new("device", &["busybox"]);
    let host = node.directory("host");
    for (name, kind, major, minor) in [
        ("disk", rustix::fs::FileType::BlockDevice, 8, 0),
        ("memory", rustix::fs::FileType::CharacterDevice, 1, 1),
        ("null", rustix::fs::FileType::CharacterDevice, 1, 3),
    ] {
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        let number = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(rustix::fs::CWD, host.join(name), kind, mode, number)
            .expect("a device of the test");
    }
    let one = |name: &str| {
        format!(
            "  - name: {name}\n    image: busybox:1.36\n    command: [sh, -c, 'cd /host; for one in \
             disk memory null; do head -c 0 $one 2>&1 && echo $one is open; done; true']\n    \
             volumeMounts: [{{name: host, mountPath: /host}}]\n"
        )
    };
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: device}}\nspec:\n  restartPolicy: Never\n  \
         volumes: [{{name: host, hostPath: {{path: {}}}}}]\n  initContainers:\n{}  containers:\n{}",
        host.display(),
        one("init"),
        one("main")
    );
    let _ = node.apply(&manifest).succeeds();
    node.wait_for_phase("device", "Succeeded");
    for container in ["init", "main"] {
        let printed = node.run(&["logs", "device", "-c", container]).succeeds().stdout;
        let refused = |name: &str| printed.contains(&format!("{name}: Operation not permitted"));
        assert!(refused("disk") && refused("memory"), "{container}: {printed}");
        assert!(printed.ends_with("null is open\n"), "{container}: {printed}");
    }
    node.delete_leaves_nothing("device", &[]);
}

fn a_privileged_container_sees_the_machine() {
    let node = Node::new("privileged", &["probe"]);
    let spec = "  containers:
  - {name: root, image: 'minipod/probe:1.0', securityContext: {privileged: true}}
  - {name: user, image: 'minipod/probe:1.0', securityContext: {privileged: true, runAsUser: 1000}}
";
    let seen = run(&node, "privileged", spec);
    let all = host_bounding_set();
    let none = "0000000000000000";
    for (name, held) in [("root", all.as_str()), ("user", none)] {
        let status = &seen[name]["status"];
        assert_eq!(status["CapBnd"], all.as_str(), "{name}");
        assert_eq!((&status["CapEff"], &status["CapPrm"]), (&json!(held), &json!(held)), "{name}");
        assert_eq!((&status["CapInh"], &status["CapAmb"]), (&json!(none), &json!(none)), "{name}");
        assert_eq!((&status["Seccomp"], &status["NoNewPrivs"]), (&json!("0"), &json!("0")));
        for own in ["mnt", "pid", "net", "ipc", "uts"] {
            assert_ne!(seen[name]["namespaces"][own], host_namespace(own), "{name}: {own}");
        }
        assert_eq!(seen[name]["uid_map"], json!(["0", "0", "4294967295"]));
        let masked = seen[name]["masked"].as_object().expect("masked paths");
        assert!(masked.values().all(|kind| kind != "char 1:3"), "{masked:?}");
        for (device, _) in host_devices() {
            assert!(seen[name]["dev"].get(&device).is_some(), "{name}: /dev/{device}");
        }
    }
    assert_eq!(seen["root"]["writable"]["/proc/sys/kernel/hostname"], "yes");
    assert_ne!(seen["root"]["writable"]["/proc/sysrq-trigger"], "30");
}

/// The devices of this machine directly below `/dev`.
fn host_devices() -> Vec<(String, fs::FileType)> {
    use std::os::unix::fs::FileTypeExt;
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let named = entries
        .filter_map(|one| Some((one.file_name().into_string().ok()?, one.file_type().ok()?)));
    named
        .filter(|(name, kind)| {
            (kind.is_block_device() || kind.is_char_device()) && name != "console"
        })
        .collect()
}

/// MP-42.
fn a_read_only_root_leaves_memory_and_volumes_writable() {
    let node = Node::new("readonlyroot", &["probe"]);
    let spec = "  volumes: [{name: scratch, emptyDir: {}}]
  containers:
  - name: main
    image: minipod/probe:1.0
    securityContext: {readOnlyRootFilesystem: true}
    volumeMounts: [{name: scratch, mountPath: /tmp}]
  - name: full
    image: minipod/probe:1.0
    command: [sh, -c, 'dd if=/dev/zero of=/dev/shm/big bs=1M count=65 2>/dev/null; stat -c %s /dev/shm/big; rm /dev/shm/big']
";
    let seen = run(&node, "readonlyroot", spec);
    let writable = &seen["main"]["writable"];
    for path in ["/new", "/etc/hostname", "/etc/resolv.conf"] {
        assert_eq!(writable[path], "30", "{path}");
    }
    for path in ["/tmp/new", "/dev/shm/new", "/dev/termination-log", "/etc/hosts"] {
        assert_eq!(writable[path], "yes", "{path}");
    }
    assert_eq!(seen["full"], 64 << 20, "the pod's shared memory is 64 MiB");
}
