//! What a container and a pod may use of the machine, read back from inside and from their cgroups.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e_tests::Node;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    ("a_container_gets_the_limits_it_asked_for", a_container_gets_the_limits_it_asked_for),
    (
        "each_class_of_service_has_its_share_its_limits_and_its_score",
        each_class_of_service_has_its_share_its_limits_and_its_score,
    ),
    (
        "a_pods_own_limits_hold_for_all_its_containers",
        a_pods_own_limits_hold_for_all_its_containers,
    ),
    (
        "memory_that_runs_out_ends_the_container_as_oomkilled",
        memory_that_runs_out_ends_the_container_as_oomkilled,
    ),
    ("a_device_can_be_made_and_not_opened", a_device_can_be_made_and_not_opened),
    (
        "a_pod_that_writes_more_than_its_storage_limit_is_evicted",
        a_pod_that_writes_more_than_its_storage_limit_is_evicted,
    ),
    (
        "what_a_container_can_write_outside_of_its_root_has_an_end",
        what_a_container_can_write_outside_of_its_root_has_an_end,
    ),
];

/// Prints memory, quota and period, pids and the share of the processor, whatever the version.
const READ_LIMITS: &str = "cd /sys/fs/cgroup; if [ -e memory.max ]; \
    then cat memory.max cpu.max pids.max cpu.weight; \
    else cat memory/memory.limit_in_bytes; \
    echo $(cat cpu*/cpu.cfs_quota_us) $(cat cpu*/cpu.cfs_period_us); \
    cat pids/pids.max cpu*/cpu.shares; fi";

/// MP-43.
fn a_container_gets_the_limits_it_asked_for() {
    let node = Node::new("limits", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: limits}
spec:
  containers:
  - name: c
    image: busybox:1.36
    command: [sleep, '1000']
    resources:
      requests: {cpu: 250m}
      limits: {cpu: 500m, memory: 64Mi}
";
    let _ = node.apply(manifest).succeeds();
    let _ = node.wait_for_status("limits", &["Running"]);
    let exec =
        |command: &str| node.run(&["exec", "limits", "--", "sh", "-c", command]).succeeds().stdout;
    let limits = exec(READ_LIMITS);
    let lines: Vec<&str> = limits.lines().collect();
    assert_eq!(lines[..3], ["67108864", "50000 100000", "4096"], "{limits}");
    // cpu.shares on v1, the cpu.weight that goes with it on v2.
    assert!(["256", "35"].contains(&lines[3]), "{limits}");
    // What a Java virtual machine looks for; without one of them it sees no limit on version 1.
    let shown = exec(
        "cd /sys/fs/cgroup; for i in memory cpu cpuacct cpuset pids; do \
        test -e memory.max || test -e $i/cgroup.procs || echo no $i; done",
    );
    assert_eq!(shown, "");
    // The first process and a visitor are both in the cgroup that they see as the top one.
    for process in ["1", "self"] {
        let groups = exec(&format!("cat /proc/{process}/cgroup"));
        let limited = |line: &&str| line.starts_with("0::") || line.contains(":memory:");
        let line = groups.lines().rfind(limited).unwrap_or_default();
        let memory = groups.lines().find(|line| line.contains(":memory:")).unwrap_or(line);
        assert!(memory.ends_with(":/"), "{groups}");
    }
    let score: i32 = exec("cat /proc/1/oom_score_adj").trim().parse().unwrap_or_default();
    assert!((3..1000).contains(&score), "a burstable pod has {score}");
    node.delete_leaves_nothing("limits", &["--force"]);
}

/// A file of a pod's own cgroups by its name on cgroup v1 or its name on v2.
fn of_pod(node: &Node, name: &str, files: [&str; 2]) -> String {
    let pod = node.pod(name);
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    below(Path::new("/sys/fs/cgroup"), uid, &mut found);
    let read = |path: &PathBuf| {
        let texts = files.iter().filter_map(|file| fs::read_to_string(path.join(file)).ok());
        texts.map(|text| text.trim().to_owned()).next()
    };
    found.iter().find_map(read).unwrap_or_else(|| panic!("{files:?} in {found:?}"))
}

/// The directories of that name.
fn below(directory: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name() == name {
            found.push(entry.path());
        } else {
            below(&entry.path(), name, found);
        }
    }
}

const SHARES: [&str; 2] = ["cpu.shares", "cpu.weight"];
const MEMORY: [&str; 2] = ["memory.limit_in_bytes", "memory.max"];
const QUOTA: [&str; 2] = ["cpu.cfs_quota_us", "cpu.max"];

/// The score of a process of a Guaranteed pod, which only a process with `CAP_SYS_RESOURCE` can set.
fn lowest_score() -> String {
    let script = "echo -997 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj";
    let shell = Command::new("sh").args(["-c", script]).stderr(Stdio::null()).output();
    String::from_utf8_lossy(&shell.expect("there is a shell").stdout).trim().to_owned()
}

/// What a shell in the container prints.
fn in_container(node: &Node, name: &str, container: &str, command: &str) -> String {
    node.run(&["exec", name, "-c", container, "--", "sh", "-c", command]).succeeds().stdout
}

fn each_class_of_service_has_its_share_its_limits_and_its_score() {
    let node = Node::new("classes", &["busybox"]);
    let total = rustix::system::sysinfo();
    let quarter = total.totalram * u64::from(total.mem_unit) / 4;
    let asked = format!("{{requests: {{cpu: 250m, memory: {quarter}}}}}");
    let limited = "{limits: {cpu: 500m, memory: 64Mi}}";
    let lowest = lowest_score();
    // Of one of two containers: memory, quota with its period, processes, shares or weight; of the
    // pod: shares or weight.
    for (class, resources, container, shares, of_pod_shares, scores) in [
        (
            "Guaranteed",
            limited,
            ["67108864", "50000 100000"],
            ["512", "59"],
            ["1024", "100"],
            [lowest.as_str(), lowest.as_str()],
        ),
        ("Burstable", &asked, ["", ""], ["256", "35"], ["512", "59"], ["750", "751"]),
        ("BestEffort", "{}", ["", ""], ["2", "1"], ["2", "1"], ["1000", "1000"]),
    ] {
        let name = class.to_lowercase();
        let one = format!("image: busybox:1.36, command: [sleep, '1000'], resources: {resources}");
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  \
             - {{name: c, {one}}}\n  - {{name: d, {one}}}\n"
        );
        let _ = node.apply(&manifest).succeeds();
        node.wait_for_status(&name, &["Running"]);
        assert_eq!(node.pod(&name)["status"]["qosClass"], class);
        let exec = |command: &str| in_container(&node, &name, "c", command);
        let limits = exec(READ_LIMITS);
        let lines: Vec<&str> = limits.lines().collect();
        if container[0].is_empty() {
            assert!(lines[0] == "max" || lines[0].len() > 18, "no limit of memory: {limits}");
            assert!(["max 100000", "-1 100000"].contains(&lines[1]), "no quota: {limits}");
        } else {
            assert_eq!(lines[..2], container, "{class}");
        }
        assert!(shares.contains(&lines[3]), "{class}: {limits}");
        assert!(of_pod_shares.contains(&of_pod(&node, &name, SHARES).as_str()), "{class}");
        if class == "Guaranteed" {
            assert_eq!(of_pod(&node, &name, MEMORY), "134217728");
            assert!(["100000", "100000 100000"].contains(&of_pod(&node, &name, QUOTA).as_str()));
        }
        for process in ["1", "self"] {
            let score = exec(&format!("cat /proc/{process}/oom_score_adj"));
            assert!(scores.contains(&score.trim()), "{class}: {process} has {score}");
        }
        node.delete_leaves_nothing(&name, &["--force"]);
    }
}

/// Two containers that fit into their own limits and not together into their pod's.
const CROWDED: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: crowded}
spec:
  restartPolicy: Never
  resources: {limits: {cpu: 500m, memory: 64Mi}}
  containers:
  - name: first
    image: minipod/probe:1.0
    command: [sh, -c, 'dd if=/dev/zero of=/dev/shm/file bs=1M count=48 && touch /dev/shm/done; sleep 1000']
  - name: second
    image: minipod/probe:1.0
    command: [sh, -c, 'until [ -e /dev/shm/done ]; do sleep 0.1; done; exec /probe eat 30']
    resources: {limits: {memory: 60Mi}, requests: {cpu: 100m}}
";

fn a_pods_own_limits_hold_for_all_its_containers() {
    let node = Node::new("crowded", &["probe"]);
    let _ = node.apply(CROWDED).succeeds();
    let pod = node.wait_until("crowded", |pod| {
        pod["status"]["containerStatuses"][1]["state"]["terminated"].is_object()
    });
    let ended = &pod["status"]["containerStatuses"][1]["state"]["terminated"];
    assert_eq!(ended["reason"], "OOMKilled", "48 and 30 MiB are more than 64: {ended}");
    assert_eq!(pod["status"]["qosClass"], "Burstable");
    let own = &pod["spec"]["resources"]["requests"];
    assert_eq!((&own["cpu"], &own["memory"]), (&"100m".into(), &"60Mi".into()));
    assert_eq!(of_pod(&node, "crowded", MEMORY), "67108864");
    assert!(["50000", "50000 100000"].contains(&of_pod(&node, "crowded", QUOTA).as_str()));
    assert!(["102", "17"].contains(&of_pod(&node, "crowded", SHARES).as_str()));
    let limits = in_container(&node, "crowded", "first", READ_LIMITS);
    let lines: Vec<&str> = limits.lines().collect();
    assert_eq!(lines[..2], ["67108864", "50000 100000"], "one without limits sees its pod's");
    node.delete_leaves_nothing("crowded", &["--force"]);
}

/// MP-43.
fn memory_that_runs_out_ends_the_container_as_oomkilled() {
    let node = Node::new("oom", &["busybox"]);
    let bomb =
        "image: busybox:1.36, command: [tail, /dev/zero], resources: {limits: {memory: 16Mi}}";
    let pod = |name: &str, spec: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n{spec}"
        )
    };
    let main = format!("  containers:\n  - {{name: c, {bomb}}}\n");
    let idle = "  containers:\n  - {name: c, image: busybox:1.36, command: [sleep, '1000']}\n";
    let init = format!("  initContainers:\n  - {{name: i, {bomb}}}\n{idle}");
    for (name, spec, list, status) in [
        ("main", main, "containerStatuses", "OOMKilled"),
        ("init", init, "initContainerStatuses", "Init:OOMKilled"),
    ] {
        let _ = node.apply(&pod(name, &spec)).succeeds();
        assert_eq!(node.wait_for_status(name, &[status, "Error", "Init:Error"]), status);
        let object = node.wait_for_phase(name, "Failed");
        let ended = &object["status"][list][0]["state"]["terminated"];
        assert_eq!((&ended["reason"], &ended["exitCode"]), (&"OOMKilled".into(), &137.into()));
        node.delete_leaves_nothing(name, &["--force"]);
    }
}

fn a_device_can_be_made_and_not_opened() {
    let node = Node::new("device", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: device}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: busybox:1.36
    command:
    - sh
    - -c
    - mknod /null c 1 3 && echo into-null > /null && mknod /disk b 8 0 && cat /disk 2>&1; true
";
    let path = node.file("device.yaml", manifest);
    let outcome = node.run(&["run", "--rm", &path.display().to_string()]).succeeds();
    let expected = "[c] cat: can't open '/disk': Operation not permitted\n";
    assert_eq!(outcome.stdout, expected, "{}", outcome.stderr);
}

/// A pod of two containers, of which the first writes 3 MiB to a path.
fn writing(name: &str, size_limit: &str, storage: [&str; 2], path: &str) -> String {
    let container = |name: &str, storage: &str, command: &str| {
        format!(
            "  - name: {name}\n    image: busybox:1.36\n    command: [sh, -c, '{command}']\n    \
             resources: {{{storage}}}\n    volumeMounts: [{{name: scratch, mountPath: /scratch}}]\n"
        )
    };
    let write = format!("dd if=/dev/zero of={path} bs=1M count=3; exec sleep 1000");
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         volumes: [{{name: scratch, emptyDir: {{{size_limit}}}}}]\n  containers:\n{}{}",
        container("c", storage[0], &write),
        container("d", storage[1], "exec sleep 1000")
    )
}

fn a_pod_that_writes_more_than_its_storage_limit_is_evicted() {
    let node = Node::new("evicted", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.02");
    let (small, large) = ("limits: {ephemeral-storage: 1Mi}", "limits: {ephemeral-storage: 10Mi}");
    for (name, size_limit, storage, path, message) in [
        (
            "volume",
            "sizeLimit: 1Mi",
            ["", ""],
            "/scratch/file",
            "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\". ",
        ),
        (
            "container",
            "",
            [small, large],
            "/file",
            "Container c exceeded its local ephemeral storage limit \"1Mi\". ",
        ),
        (
            "words",
            "",
            [small, large],
            "/dev/termination-log",
            "Container c exceeded its local ephemeral storage limit \"1Mi\". ",
        ),
        (
            "pod",
            "",
            [small, small],
            "/scratch/file",
            "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ",
        ),
    ] {
        let _ = node.apply(&writing(name, size_limit, storage, path)).succeeds();
        let pod = node.wait_for_phase(name, "Failed");
        // As kubectl shows it: what became of the containers hides the pod's own reason.
        assert_eq!(node.wait_for_status(name, &["Error", "Evicted", "Completed"]), "Error");
        let status = &pod["status"];
        assert_eq!((&status["phase"], &status["reason"]), (&"Failed".into(), &"Evicted".into()));
        assert_eq!(status["message"], message);
        for container in status["containerStatuses"].as_array().into_iter().flatten() {
            assert_eq!(container["state"]["terminated"]["exitCode"], 137, "{container}");
        }
        let mut told = node.events().into_iter().filter(|(reason, _)| reason == "Evicted");
        assert_eq!(told.next_back(), Some(("Evicted".to_owned(), message.to_owned())));
        node.delete_leaves_nothing(name, &[]);
    }
}

/// Files and directories that are the kernel's or minipod's, with what fits into each in KiB.
const PLACES: [(&str, u64); 6] = [
    ("/etc/hosts", 1024),
    ("/etc/resolv.conf", 1024),
    ("/etc/hostname", 1024),
    ("/dev/file", 65536),
    ("/dev/shm/file", 65536),
    ("/memory/file", 2048),
];

fn what_a_container_can_write_outside_of_its_root_has_an_end() {
    let node = Node::new("room", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: room}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: memory, emptyDir: {medium: Memory, sizeLimit: 2Mi}}]
  containers:
  - name: c
    image: busybox:1.36
    command: [sleep, '1000']
    volumeMounts: [{name: memory, mountPath: /memory}]
";
    let _ = node.apply(manifest).succeeds();
    node.wait_for_status("room", &["Running"]);
    for (path, room) in PLACES {
        let fill = format!(
            "dd if=/dev/zero of={path} bs=64k count=2000 2>&1 | grep -c 'No space left'; \
             echo $(($(stat -c %s {path}) / 1024)); rm {path} 2>/dev/null || : > {path}"
        );
        let printed = in_container(&node, "room", "c", &fill);
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines[0], "1", "{path} is full at last: {printed}");
        let size: u64 = lines[1].parse().unwrap_or_default();
        assert!(size > 0 && size <= room + 64, "{path}: {size} KiB of {room}");
    }
    node.delete_leaves_nothing("room", &["--now"]);
}
