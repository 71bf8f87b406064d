//! What is minipod's own on the machine belongs to root alone, and what the machine has once for all
//! is not one container's to use up.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use e2e_tests::Node;
use e2e_tests::node::{PATIENCE, Watch};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "nothing_of_minipods_is_for_other_users_whatever_the_umask",
        nothing_of_minipods_is_for_other_users_whatever_the_umask,
    ),
    (
        "directories_that_others_could_read_are_closed_by_any_command",
        directories_that_others_could_read_are_closed_by_any_command,
    ),
    (
        "a_directory_that_somebody_else_could_write_is_refused",
        a_directory_that_somebody_else_could_write_is_refused,
    ),
    ("an_ordinary_user_makes_no_directories", an_ordinary_user_makes_no_directories),
    (
        "a_local_user_can_neither_run_a_volumes_files_nor_hold_a_lock",
        a_local_user_can_neither_run_a_volumes_files_nor_hold_a_lock,
    ),
    (
        "everything_follows_without_an_inotify_instance",
        everything_follows_without_an_inotify_instance,
    ),
    (
        "a_container_that_takes_every_terminal_takes_its_own_only",
        a_container_that_takes_every_terminal_takes_its_own_only,
    ),
    (
        "without_a_device_filter_no_device_can_be_opened",
        without_a_device_filter_no_device_can_be_opened,
    ),
    (
        "a_container_may_be_named_as_a_file_of_its_cgroup",
        a_container_may_be_named_as_a_file_of_its_cgroup,
    ),
];

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).map_or(0, |found| found.mode() & 0o7777)
}

/// A pod with a Secret, a value in its manifest, and a setuid file in a volume and in its root.
const POD: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {password: hidden}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  volumes: [{name: scratch, emptyDir: {}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'cp /bin/busybox /scratch/id; cp /bin/busybox /id; chmod 4755 /scratch/id /id; echo ready; sleep 1000']
    env: [{name: PASSWORD, value: hidden-too}]
    volumeMounts: [{name: scratch, mountPath: /scratch}]
";

/// Runs minipod with a umask that gives everything to everybody.
fn run_openly(node: &Node, arguments: &[&str]) {
    let program = e2e_tests::fixtures::program().display().to_string();
    let script = format!("umask 0; exec {program} {}", arguments.join(" "));
    let outcome = node.with_places(Path::new("sh"), &["-c", &script]).output().expect("sh runs");
    let told = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{arguments:?}: {told}");
}

/// Every file and directory below that others may open, as far as they could get to it.
fn open_to_others(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if mode_of(directory).trailing_zeros() >= 6 {
        return found;
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(open_to_others(&path));
        } else if mode_of(&path) & 0o077 != 0 {
            found.push(path);
        }
    }
    found.push(directory.to_owned());
    found
}

/// A program of another user's, as somebody without any rights runs it.
fn as_nobody(program: &Path, arguments: &[&str]) -> std::io::Result<std::process::Output> {
    Command::new(program).args(arguments).uid(65534).gid(65534).output()
}

/// The first volume or layer of the pod that holds a file of that name.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).find_map(|path| {
        let is_it = path.file_name().is_some_and(|last| last == name);
        if is_it { Some(path) } else { path.is_dir().then(|| find(&path, name)).flatten() }
    })
}

fn nothing_of_minipods_is_for_other_users_whatever_the_umask() {
    // Each kind of first command makes the directories.
    let node = Node::new("umask", &[]);
    let secret = node.file("secret.yaml", POD.split("---").next().unwrap_or_default());
    run_openly(&node, &["apply", "-f", &secret.display().to_string()]);
    for root in node.directories() {
        assert_eq!(mode_of(&root), 0o700, "{}", root.display());
    }
    let node = Node::new("umask-pod", &[]);
    let layout = e2e_tests::fixtures::layout("busybox").display().to_string();
    run_openly(&node, &["load", "--quiet", "-i", &layout]);
    for root in node.directories() {
        assert_eq!(mode_of(&root), 0o700, "{}", root.display());
    }
    let pod = node.file("pod.yaml", POD);
    run_openly(&node, &["apply", "-f", &pod.display().to_string()]);
    node.wait_until("writer", |pod| pod["status"]["phase"] == "Running");
    let [state, data, logs] = node.directories();
    let directory = state.join("pods/default_writer");
    for name in ["pod.json", "settings.json", "supervisor.lock", "events.jsonl"] {
        assert_eq!(mode_of(&directory.join(name)) & 0o177, 0, "{name}");
    }
    assert_eq!(mode_of(&state.join("journal")) & 0o177, 0);
    assert_eq!(mode_of(&data.join("objects/secrets/default_key.json")), 0o600);
    for root in [state, data, logs] {
        assert_eq!(open_to_others(&root), [] as [PathBuf; 0]);
    }
    node.delete_leaves_nothing("writer", &["--now"]);
}

fn directories_that_others_could_read_are_closed_by_any_command() {
    for command in [["get", "pods"].as_slice(), &["images"], &["get", "configmaps"]] {
        let node = Node::new("closed", &[]);
        for root in node.directories() {
            fs::create_dir(&root).expect("it can be made");
            fs::set_permissions(&root, Permissions::from_mode(0o755)).expect("it can be opened");
        }
        let _ = node.run(command).succeeds();
        for root in node.directories() {
            assert_eq!(mode_of(&root), 0o700, "{command:?}: {}", root.display());
        }
    }
}

fn a_directory_that_somebody_else_could_write_is_refused() {
    let node = Node::new("unsafe", &[]);
    let options = ["--state-dir", "--data-dir", "--log-dir"];
    for (at, option) in options.into_iter().enumerate() {
        let root = &node.directories()[at];
        let refused = |wanted: &str| {
            for command in [["get", "pods"].as_slice(), &["images"], &["delete", "pod", "x"]] {
                let outcome = node.run(command).ends_with(4);
                let told = &outcome.stderr;
                let is_told = told.contains(wanted) && told.contains(&format!("try: {option}"));
                assert!(is_told, "{command:?}: {told}");
            }
        };
        let _ = fs::create_dir(root);
        fs::set_permissions(root, Permissions::from_mode(0o777)).expect("root may");
        refused("others may write it (its mode is 0777)");
        let doctor = node.run(&["doctor"]);
        assert!(doctor.stdout.contains("others may write it"), "{}", doctor.stdout);
        fs::set_permissions(root, Permissions::from_mode(0o700)).expect("root may");
        chown(root, Some(65534), None).expect("root may");
        refused("it belongs to user 65534");
        chown(root, Some(0), None).expect("root may");
    }
    let _ = node.run(&["get", "pods"]).succeeds();
}

fn an_ordinary_user_makes_no_directories() {
    let node = Node::new("ordinary", &[]);
    // Where everybody could make some.
    let place = tempfile::TempDir::new().expect("a directory");
    fs::set_permissions(place.path(), Permissions::from_mode(0o777)).expect("root may");
    let program = place.path().join("minipod");
    fs::copy(e2e_tests::fixtures::program(), &program).expect("the program can be copied");
    let option = |name: &str| place.path().join(name).display().to_string();
    let (state, data, logs) = (option("state"), option("data"), option("logs"));
    let roots = ["--state-dir", &state, "--data-dir", &data, "--log-dir", &logs];
    for command in [["images"].as_slice(), &["get", "pods"], &["get", "pods", "-w"], &["events"]] {
        let outcome = as_nobody(&program, &[command, &roots].concat()).expect("it runs");
        let told = String::from_utf8_lossy(&outcome.stderr);
        assert_eq!(outcome.status.code(), Some(4), "{command:?}: {told}");
        assert!(
            told.contains("minipod needs root") && told.contains("try: sudo minipod"),
            "{told}"
        );
    }
    let left: Vec<_> = fs::read_dir(place.path()).expect("it is there").flatten().collect();
    assert_eq!(left.len(), 1, "only the program: {left:?}");
    drop(node);
}

fn a_local_user_can_neither_run_a_volumes_files_nor_hold_a_lock() {
    let node = Node::new("local", &["busybox"]);
    // The test's own directory is root's alone, too, which would hide what this is about.
    let top = node.directories()[0].parent().expect("it has one").to_owned();
    fs::set_permissions(&top, Permissions::from_mode(0o755)).expect("root may");
    let _ = node.apply(POD).succeeds();
    let [state, data, logs] = node.directories();
    node.wait_for_log("writer", "main", "ready");
    let volume = find(&data.join("pods"), "scratch").expect("the volume").join("id");
    assert_eq!(mode_of(&volume), 0o4755, "a volume's files have the modes of the container");
    let upper = find(&data.join("pods"), "upper").expect("a writable layer").join("id");
    assert_eq!(mode_of(&upper), 0o4755);
    for program in [&volume, &upper] {
        let error = as_nobody(program, &["id", "-u"]).expect_err("nobody may run it");
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{}", program.display());
    }
    let lock = state.join("pods/default_writer/supervisor.lock").display().to_string();
    let held = as_nobody(Path::new("/usr/bin/flock"), &["-s", &lock, "true"]).expect("it runs");
    assert!(!held.status.success(), "the lock can be held by anybody");
    for root in [&state, &data, &logs] {
        let path = root.display().to_string();
        let listed = as_nobody(Path::new("/bin/ls"), &[&path]).expect("it runs");
        assert!(!listed.status.success(), "{path}");
    }
    node.delete_leaves_nothing("writer", &["--now"]);
}

/// Minipod on a machine where root has no inotify instance left, with all that it starts.
fn without_inotify(node: &Node, arguments: &[&str]) -> Command {
    let program = e2e_tests::fixtures::program().display().to_string();
    let tracing = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=inotify_init1"];
    let failing = ["-e", "inject=inotify_init1:error=EMFILE", &program];
    node.with_places(Path::new("strace"), &[&tracing, failing.as_slice(), arguments].concat())
}

/// inotify(7): `max_user_instances` is for all processes of a user, and a container's are root's.
fn everything_follows_without_an_inotify_instance() {
    const FOLLOWER: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: follower}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  volumes: [{name: map, configMap: {name: map}}]
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'until grep -q two /map/key; do sleep 0.1; done; echo changed; sleep 1000']
    volumeMounts: [{name: map, mountPath: /map}]
";
    let node = Node::new("inotify", &["busybox"]);
    let map = |value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map}}\ndata: {{key: {value}}}\n"
        )
    };
    let _ = node.apply(&map("one")).succeeds();
    let mut views = Watch::start(without_inotify(&node, &["get", "pods", "-w", "--no-headers"]));
    let manifest = node.file("follower.yaml", FOLLOWER).display().to_string();
    // It ends with the supervisor, which it traces, too.
    let mut supervised =
        without_inotify(&node, &["apply", "-f", &manifest]).spawn().expect("strace can be started");
    let deadline = Instant::now() + PATIENCE;
    let follows = |views: &mut Watch, wanted: &str| {
        let seen = std::iter::from_fn(|| views.line(deadline)).find(|line| line.contains(wanted));
        assert!(seen.is_some(), "get -w does not show {wanted}");
    };
    follows(&mut views, "Running");
    let words = ["wait", "pod/follower", "--for=condition=Ready", "--timeout=60s"];
    let waited = without_inotify(&node, &words).output().expect("strace can be started");
    assert!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stderr));
    let mut logs = Watch::start(without_inotify(&node, &["logs", "-f", "follower"]));
    let _ = node.apply(&map("two")).succeeds();
    assert_eq!(logs.line(deadline).as_deref(), Some("changed"));
    node.wait_for_event("InotifyExhausted", "fs.inotify.max_user_instances");
    let doctor = without_inotify(&node, &["doctor"]).output().expect("strace can be started");
    let findings = String::from_utf8_lossy(&doctor.stdout);
    assert!(findings.contains("inotify instances in use"), "{findings}");
    node.delete_leaves_nothing("follower", &["--now"]);
    drop((views, logs));
    let _ = supervised.wait();
}

/// pty(7): `kernel.pty.max` is for the whole machine.
fn a_container_that_takes_every_terminal_takes_its_own_only() {
    const TAKER: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'COMMAND']
";
    const TAKE: &str = r#"
      for n in $(seq 300); do
        sh -c "trap \"echo full >>/marks\" EXIT; exec 3<>/dev/ptmx; echo ok >>/marks; exec sleep 1000" 2>/dev/null &
      done; touch /marks;
      until [ $(wc -l </marks) = 300 ]; do sleep 0.1; done; echo $(grep -c ok /marks); sleep 1000"#;
    let node = Node::new("ptys", &["busybox"]);
    let pod = |name: &str, command: &str| TAKER.replace("NAME", name).replace("COMMAND", command);
    let _ = node.apply(&pod("taker", TAKE)).succeeds();
    let _ = node.apply(&pod("other", "sleep 1000")).succeeds();
    node.wait_for_log("taker", "main", "256");
    let program = e2e_tests::fixtures::program().display().to_string();
    let on_a_terminal = |name: &str| {
        let words = format!("{program} exec -it {name} -- true");
        let mut script = node.with_places(Path::new("script"), &["-qec", &words, "/dev/null"]);
        let output = script.output().expect("script can be started");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).replace("\r\n", " "))
    };
    let (is_done, told) = on_a_terminal("taker");
    assert!(!is_done);
    let sentence = "all 256 of the container are in use, or all of the machine (kernel.pty.max)";
    assert!(told.contains(sentence), "{told}");
    let _ = node.run(&["exec", "taker", "--", "true"]).succeeds();
    node.wait_for_phase("other", "Running");
    let (is_done, told) = on_a_terminal("other");
    assert!(is_done, "{told}");
    let _ = node.run(&["delete", "pods", "--all", "--now"]).succeeds();
}

/// Minipod on a machine whose kernel filters no devices: without the controller on cgroup v1, with
/// filters that the kernel refuses on v2.
fn without_device_filter(node: &Node, arguments: &[&str]) -> Command {
    let program = e2e_tests::fixtures::program().display().to_string();
    if Path::new("/sys/fs/cgroup/devices").exists() {
        let script = "umount /sys/fs/cgroup/devices && exec \"$@\"";
        let words = ["--mount", "--propagation=private", "sh", "-c", script, "sh", &program];
        return node.with_places(Path::new("unshare"), &[&words, arguments].concat());
    }
    let tracing = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=bpf"];
    let failing = ["-e", "inject=bpf:error=EPERM", &program];
    node.with_places(Path::new("strace"), &[&tracing, failing.as_slice(), arguments].concat())
}

/// Tries to make and to open devices in every way; another one may mount.
const OPENER: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: opener}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  volumes:
  - {name: host, hostPath: {path: /}}
  - {name: scratch, emptyDir: {}}
  - {name: devices, hostPath: {path: DEVICES}}
  containers:
  - name: main
    image: busybox:1.36
    command:
    - sh
    - -c
    - |
      tried() { if $2 2>/dev/null; then echo \"$1 opened\"; else echo \"$1 refused\"; fi; }
      tried mknod 'mknod /tmp/null c 1 3'
      tried root 'dd if=/dev/zero of=/null count=1'
      tried host 'dd if=/dev/zero of=/host/dev/null count=1'
      tried volume 'dd if=/dev/zero of=/devices/null count=1'
      tried own 'dd if=/dev/zero of=/dev/null count=1'
      grep CapBnd /proc/self/status
      sleep 1000
    volumeMounts:
    - {name: host, mountPath: /host, readOnly: true}
    - {name: scratch, mountPath: /tmp}
    - {name: devices, mountPath: /devices}
---
apiVersion: v1
kind: Pod
metadata: {name: mounter}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.36
    command: [sleep, '1000']
    securityContext: {capabilities: {add: [SYS_ADMIN]}}
";

/// runc fails closed here; a container that cannot make devices and mounts without any is as safe.
fn without_a_device_filter_no_device_can_be_opened() {
    let node = Node::new("nodevices", &["busybox"]);
    let devices = node.directory("devices");
    fs::create_dir_all(&devices).expect("it can be made");
    let null = devices.join("null").display().to_string();
    let made = Command::new("mknod").args([&null, "c", "1", "3"]).status();
    assert!(made.expect("mknod can be started").success());
    let manifest = OPENER.replace("DEVICES", &devices.display().to_string());
    let manifest = node.file("opener.yaml", &manifest).display().to_string();
    let mut views = node.watch_pods();
    let mut supervised = without_device_filter(&node, &["apply", "-f", &manifest])
        .spawn()
        .expect("it can be started");
    let deadline = Instant::now() + PATIENCE;
    let mut lines = std::iter::from_fn(|| views.line(deadline));
    assert!(lines.any(|line| line.contains("mounter")), "both are there");
    node.wait_until("opener", |_| node.run(&["logs", "opener"]).stdout.contains("CapBnd"));
    let said = node.run(&["logs", "opener"]).succeeds().stdout;
    let lines: Vec<&str> = said.lines().collect();
    // A file of that name is written to the root, which is no device: its place can be written.
    let expected = ["mknod refused", "root opened", "host refused", "volume refused", "own opened"];
    assert_eq!(lines[..5], expected, "{said}");
    let bounding = lines[5].rsplit(char::is_whitespace).next().unwrap_or_default();
    let bounding = u64::from_str_radix(bounding, 16).expect("a set of capabilities");
    assert_eq!(bounding & 1 << 27, 0, "MKNOD");
    node.wait_for_event("CgroupUnavailable", "has no capability MKNOD");
    node.wait_until("mounter", |pod| {
        let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
        let message = waiting["message"].as_str().unwrap_or_default();
        waiting["reason"] == "CreateContainerError"
            && message.contains("the capability SYS_ADMIN needs a device filter")
    });
    let doctor = without_device_filter(&node, &["doctor"]).output().expect("it can be started");
    let findings = String::from_utf8_lossy(&doctor.stdout);
    assert!(findings.contains("containers have no capability MKNOD"), "{findings}");
    let _ = node.run(&["delete", "pods", "--all", "--now"]).succeeds();
    let _ = supervised.wait();
}

/// cgroup v1 has a file `tasks` where the container's directory would be.
fn a_container_may_be_named_as_a_file_of_its_cgroup() {
    const NAMED: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: named}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: tasks
    image: busybox:1.36
    command: [sh, -c, 'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max; mknod /sda b 8 0; cat /sda']
";
    let node = Node::new("tasks", &["busybox"]);
    let _ = node.apply(NAMED).succeeds();
    let _ = node.wait_for_end("named");
    let said = node.run(&["logs", "named"]).succeeds().stdout;
    assert!(said.lines().any(|line| line == "4096"), "{said}");
    assert!(said.contains("cat: can't open '/sda': Operation not permitted"), "{said}");
    node.delete_leaves_nothing("named", &[]);
}
