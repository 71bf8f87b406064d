//! Odd machines and odd callers: what of them reaches a pod, and what does not.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e_tests::Node;

use crate::Test;
use crate::supervisor::supervisor;

pub(crate) const TESTS: &[Test] = &[
    (
        "the_limits_of_the_caller_are_not_those_of_the_containers",
        the_limits_of_the_caller_are_not_those_of_the_containers,
    ),
    (
        "the_secrets_of_the_caller_are_in_no_environment_of_the_pods",
        the_secrets_of_the_caller_are_in_no_environment_of_the_pods,
    ),
    ("too_few_open_files_are_refused_at_once", too_few_open_files_are_refused_at_once),
    (
        "data_on_overlayfs_is_named_by_doctor_and_in_the_pod",
        data_on_overlayfs_is_named_by_doctor_and_in_the_pod,
    ),
    (
        "a_read_only_proc_sys_is_refused_with_the_way_out",
        a_read_only_proc_sys_is_refused_with_the_way_out,
    ),
    (
        "a_container_that_may_mount_finds_nothing_of_the_machine_under_its_root",
        a_container_that_may_mount_finds_nothing_of_the_machine_under_its_root,
    ),
    ("doctor_tries_and_leaves_nothing", doctor_tries_and_leaves_nothing),
];

/// Those of a machine whose kernel lacks its firewall, or a part of it that pods need.
pub(crate) const WITHOUT_FIREWALL: &[Test] = &[(
    "without_the_kernels_firewall_a_pod_is_refused_at_once_and_leaves_nothing",
    without_the_kernels_firewall_a_pod_is_refused_at_once_and_leaves_nothing,
)];

/// Those that let system calls fail.
pub(crate) const FAILING: &[Test] = &[(
    "what_only_spares_a_pod_capabilities_is_done_without_and_told",
    what_only_spares_a_pod_capabilities_is_done_without_and_told,
)];

const SLEEPS: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: odd}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
";

/// A node's command, run by another program.
fn by(node: &Node, program: &str, words: &[&str], arguments: &[&str]) -> Command {
    let mut command = node.with_places(Path::new(program), words);
    command.arg(e2e_tests::fixtures::program()).args(arguments);
    command
}

fn the_limits_of_the_caller_are_not_those_of_the_containers() {
    let node = Node::new("odd-limits", &["busybox"]);
    let path = node.file("pod.yaml", SLEEPS).display().to_string();
    // Soft limits, which every process may raise again.
    let odd = [
        "--nofile=80:",
        "--fsize=4096:",
        "--stack=1048576:",
        "--memlock=4096:",
        "--as=4294967296:",
        "--",
    ];
    let applied = by(&node, "prlimit", &odd, &["apply", "-f", &path]).output();
    assert!(applied.is_ok_and(|output| output.status.success()), "it is created");
    let _ = node.wait_for_status("odd", &["Running"]);
    let limits = |words: &[&str]| node.run(words).succeeds().stdout;
    let main = limits(&["exec", "odd", "--", "cat", "/proc/1/limits"]);
    let entered = limits(&["exec", "odd", "--", "cat", "/proc/self/limits"]);
    for (name, soft) in [
        ("Max open files", "1024"),
        ("Max file size", "unlimited"),
        ("Max stack size", "8388608"),
        ("Max locked memory", "8388608"),
        ("Max address space", "unlimited"),
        ("Max core file size", "0"),
    ] {
        for table in [&main, &entered] {
            let line = table.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            assert_eq!(line.split_whitespace().next(), Some(soft), "{name}\n{table}");
        }
    }
    node.delete_leaves_nothing("odd", &["--now"]);
}

fn the_secrets_of_the_caller_are_in_no_environment_of_the_pods() {
    let secret = "value-that-nobody-else-may-see";
    let node = Node::new("odd-secrets", &["busybox"])
        .with("CI_JOB_TOKEN", secret)
        .with("https_proxy", "http://proxy.invalid:3128");
    let _ = node.apply(SLEEPS).succeeds();
    let _ = node.wait_for_status("odd", &["Running"]);
    let supervisor = supervisor(&node, "odd");
    let environment = |pid: &str| fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let own = String::from_utf8_lossy(&environment(&supervisor.to_string())).into_owned();
    assert!(own.contains("https_proxy=http://proxy.invalid:3128\0"), "{own}");
    let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"))
        .expect("the supervisor runs");
    let mut family: Vec<String> = children.split_whitespace().map(str::to_owned).collect();
    assert!(family.len() >= 2, "the pause process and the container: {children}");
    family.push(supervisor.to_string());
    for pid in family {
        let text = String::from_utf8_lossy(&environment(&pid)).into_owned();
        assert!(!text.contains(secret), "{pid}: {text}");
    }
    node.delete_leaves_nothing("odd", &["--now"]);
}

fn too_few_open_files_are_refused_at_once() {
    let node = Node::new("odd-files", &["busybox"]);
    let path = node.file("pod.yaml", SLEEPS).display().to_string();
    let run = by(&node, "prlimit", &["--nofile=16", "--"], &["run", &path]).output();
    let run = run.expect("it can be started");
    let text = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{text}");
    assert!(text.contains("a pod needs 64 open files, and the limit is 16"), "{text}");
    let _ = node.run(&["get", "pod", "odd"]).ends_with(5);
}

/// As in a container that was given capabilities one by one (`docker run --cap-add`): what keeps
/// others from talking a pod into addresses cannot be set.
fn a_read_only_proc_sys_is_refused_with_the_way_out() {
    let node = Node::new("odd-sysctls", &["busybox"]);
    let read_only = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys \
                     && exec \"$@\"";
    let words = ["--mount", "sh", "-c", read_only, "sh"];
    let doctor = by(&node, "unshare", &words, &["doctor"]).output().expect("it can be started");
    let text = String::from_utf8_lossy(&doctor.stdout);
    let line_of = |name: &str| text.lines().find(|line| line.contains(name)).unwrap_or_default();
    let sysctls = line_of("pod sysctls  ");
    assert!(sysctls.starts_with("limited") && sysctls.contains("may ping (NET_RAW)"), "{text}");
    assert!(line_of("pod network  ").starts_with("MISSING"), "{text}");
    let path = node.file("pod.yaml", SLEEPS).display().to_string();
    let applied = by(&node, "unshare", &words, &["apply", "-f", &path]).output();
    assert!(applied.is_ok_and(|output| output.status.success()), "it is created");
    node.wait_for_event("FailedCreatePodSandBox", "remount,rw /proc/sys");
    node.delete_leaves_nothing("odd", &["--now"]);
}

fn what_only_spares_a_pod_capabilities_is_done_without_and_told() {
    let node = Node::new("odd-spared", &["busybox"]);
    let settings = ["ip_unprivileged_port_start", "ping_group_range"];
    let [ports, ping] = settings.map(|name| format!("/proc/sys/net/ipv4/{name}"));
    let failing = ["-f", "-qq", "-o", "/dev/null", "-P", &ports, "-P", &ping];
    let words = [&failing[..], &["-e", "inject=openat:error=EROFS", "--"]].concat();
    let path = node.file("pod.yaml", SLEEPS).display().to_string();
    let mut traced = by(&node, "strace", &words, &["apply", "-f", &path])
        .spawn()
        .expect("strace can be started");
    let both = "cannot set sysctl net.ipv4.ip_unprivileged_port_start and \
                net.ipv4.ping_group_range: read-only file system";
    node.wait_for_event("SysctlUnavailable", both);
    let _ = node.wait_for_status("odd", &["Running"]);
    let events = node.events();
    let told = events.iter().filter(|(reason, _)| reason == "SysctlUnavailable").count();
    assert_eq!(told, 1, "{events:?}");
    node.delete_leaves_nothing("odd", &["--now"]);
    let _ = traced.wait();
}

/// A mounted overlay, unmounted when the test ends however it ends.
struct OnOverlay(std::path::PathBuf);

impl OnOverlay {
    fn mount(node: &Node) -> Self {
        let memory = node.directory("memory");
        let mount = |arguments: &[&str], at: &Path| {
            let status = Command::new("mount").args(arguments).arg(at).status();
            assert!(status.is_ok_and(|status| status.success()), "{arguments:?}");
        };
        mount(&["-t", "tmpfs", "tmpfs"], &memory);
        let made = Self(memory);
        let part = |name: &str| made.0.join(name);
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(part(name)).expect("a part of the overlay");
        }
        let options = ["lower", "upper", "work"].map(|name| part(name).display().to_string());
        let options =
            format!("lowerdir={},upperdir={},workdir={}", options[0], options[1], options[2]);
        mount(&["-t", "overlay", "-o", &options, "overlay"], &part("merged"));
        made
    }
}

impl Drop for OnOverlay {
    fn drop(&mut self) {
        for place in [self.0.join("merged"), self.0.clone()] {
            let _ = Command::new("umount").arg("-l").arg(place).status(); // it may be gone
        }
    }
}

fn data_on_overlayfs_is_named_by_doctor_and_in_the_pod() {
    let node = Node::new("odd-overlay", &[]);
    let disk = OnOverlay::mount(&node);
    let data = disk.0.join("merged/data").display().to_string();
    let doctor = node.run(&["doctor", "--data-dir", &data]).ends_with(4);
    let line = doctor.stdout.lines().find(|line| line.contains("overlayfs  "));
    let line = line.unwrap_or_default();
    assert!(line.starts_with("MISSING"), "{}", doctor.stdout);
    assert!(line.contains("is on overlayfs"), "{line}");
    let layout = e2e_tests::fixtures::layout("busybox").display().to_string();
    let _ = node.run(&["load", "--quiet", "--data-dir", &data, "-i", &layout]).succeeds();
    let path = node.file("pod.yaml", SLEEPS).display().to_string();
    let _ = node.run(&["apply", "--data-dir", &data, "-f", &path]).succeeds();
    node.wait_for_event("Failed", "is on overlayfs");
    node.delete_leaves_nothing("odd", &["--now", "--data-dir", &data]);
}

/// Beside a pod that runs, too.
fn doctor_tries_and_leaves_nothing() {
    let node = Node::new("odd-doctor", &["busybox"]);
    let _ = node.apply(SLEEPS).succeeds();
    let _ = node.wait_for_status("odd", &["Running"]);
    let [_, data, _] = node.directories();
    let look = || {
        let entries = fs::read_dir(&data).expect("the data directory").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        (names, mounts.contains(".minipod-doctor"))
    };
    let before = look();
    let doctor = node.run(&["doctor"]);
    for tried in [
        "namespaces        made",
        "own root          a process has entered",
        "overlayfs         mounted and written",
        "seccomp           a process has",
        "user namespaces   made",
        "pod sysctls       set in a network namespace",
        "cgroup limits     a cgroup with limits and a device filter was made and removed",
    ] {
        let line = format!("ok        {tried}");
        assert!(doctor.stdout.contains(&line), "{line}\n{}", doctor.stdout);
    }
    assert_eq!(look(), before);
    assert_eq!(node.pod("odd")["status"]["containerStatuses"][0]["restartCount"], 0);
    node.delete_leaves_nothing("odd", &["--now"]);
}

fn without_the_kernels_firewall_a_pod_is_refused_at_once_and_leaves_nothing() {
    let lacks = "this kernel lacks a part of nf_tables that pods need";
    let way_out = "hostNetwork: true";
    let node = Node::new("odd-firewall", &["busybox"]);
    let doctor = node.run(&["doctor"]).ends_with(4);
    let line = doctor.stdout.lines().find(|line| line.contains("pod network  "));
    let line = line.unwrap_or_default();
    assert!(line.starts_with("MISSING") && line.contains(lacks), "{}", doctor.stdout);
    assert!(doctor.stdout.contains(way_out), "{}", doctor.stdout);
    let _ = node.apply(SLEEPS).succeeds();
    node.wait_for_event("FailedCreatePodSandBox", lacks);
    node.wait_for_event("FailedCreatePodSandBox", way_out);
    assert_eq!(node.pod("odd")["status"]["phase"], "Pending");
    node.delete_leaves_nothing("odd", &[]);
    let own = SLEEPS.replace("spec:\n", "spec:\n  hostNetwork: true\n");
    let _ = node.apply(&own).succeeds();
    let _ = node.wait_for_status("odd", &["Running"]);
    node.delete_leaves_nothing("odd", &["--now"]);
}

/// The ways out of a root that is no root of a mount namespace (chroot(2), and umount(2) and setns(2)
/// where something lies under it). Where `pivot_root(2)` is refused, the container is.
const DIGGER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: digger}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: 'busybox:1.36', command: [sh, -c, 'true']}
  - name: climber
    image: busybox:1.36
    securityContext: {capabilities: {add: [SYS_CHROOT, DAC_READ_SEARCH]}}
    command:
    - sh
    - -c
    - |
      show='stat -c "%d:%i" /; echo over'
      mkdir /in
      chroot /in 2>/dev/null
      cd /; chroot ../../../../.. /bin/sh -c "$show"
      chroot /proc/1/root /bin/sh -c "$show"
  - name: digger
    image: minipod/probe:1.0
    securityContext:
      capabilities: {add: [SYS_ADMIN, SYS_CHROOT]}
      seccompProfile: {type: Unconfined}
      appArmorProfile: {type: Unconfined}
    command: [/hostile, dig, FILE]
  - name: shown
    image: minipod/probe:1.0
    securityContext: {capabilities: {add: [SYS_CHROOT]}}
    command: [/hostile, dig, FILE]
    volumeMounts: [{name: machine, mountPath: PLACE}]
  volumes:
  - {name: machine, hostPath: {path: PLACE}}
"#;

fn a_container_that_may_mount_finds_nothing_of_the_machine_under_its_root() {
    use std::os::unix::fs::MetadataExt;
    let node = Node::new("odd-digger", &["busybox", "probe"]);
    let [place, ..] = node.directories();
    let place = place.parent().expect("it is below the root").join("machine");
    fs::create_dir(&place).expect("the directory is new");
    let file = place.join("found").display().to_string();
    fs::write(&file, "").expect("a file of the machine");
    let pod = DIGGER.replace("FILE", &file).replace("PLACE", &place.display().to_string());
    let _ = node.apply(&pod).succeeds();
    let refusal = "the capability SYS_ADMIN needs pivot_root(2)";
    node.wait_until("digger", |pod| {
        let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        let has_tried = |status: &serde_json::Value| {
            let message = status["state"]["waiting"]["message"].as_str().unwrap_or_default();
            status["state"]["terminated"].is_object() || message.contains(refusal)
        };
        statuses.len() == 4 && statuses.iter().all(has_tried)
    });
    let root = fs::metadata("/").expect("the machine's root");
    let root = format!("{}:{}", root.dev(), root.ino());
    let found = format!("found {file}");
    let logs = |name: &str| node.run(&["logs", "digger", "-c", name]);
    for name in ["climber", "digger"] {
        let said = logs(name).stdout;
        assert!(!said.lines().any(|line| line == root || line == found), "{name}: {said}");
    }
    // Where the file is shown, it is found; and the ways are gone to their ends, unless that is refused.
    let shown = logs("shown").succeeds().stdout;
    assert!(shown.contains(&found) && shown.contains("way 5 is over"), "{shown}");
    let dug = logs("digger");
    assert!(dug.code != 0 || dug.stdout.contains("way 5 is over"), "{}", dug.stdout);
    let climbed = node.run(&["logs", "digger", "-c", "climber"]).succeeds().stdout;
    assert_eq!(climbed.matches("over").count(), 2, "{climbed}");
    node.delete_leaves_nothing("digger", &["--now"]);
}
