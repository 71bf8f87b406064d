//! What a container may use of the machine, read back from inside it.

use e2e_tests::Node;

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    ("a_container_gets_the_limits_it_asked_for", a_container_gets_the_limits_it_asked_for),
    (
        "memory_that_runs_out_ends_the_container_as_oomkilled",
        memory_that_runs_out_ends_the_container_as_oomkilled,
    ),
    ("a_device_can_be_made_and_not_opened", a_device_can_be_made_and_not_opened),
    (
        "a_pod_that_writes_more_than_its_storage_limit_is_evicted",
        a_pod_that_writes_more_than_its_storage_limit_is_evicted,
    ),
];

/// Prints memory, quota and period, pids and the share of the processor, whatever the version.
const READ_LIMITS: &str = "cd /sys/fs/cgroup; if [ -e memory.max ]; \
    then cat memory.max cpu.max pids.max cpu.weight; \
    else cat memory/memory.limit_in_bytes; \
    echo $(cat cpu*/cpu.cfs_quota_us) $(cat cpu*/cpu.cfs_period_us); \
    cat pids/pids.max cpu*/cpu.shares; fi";

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
        let object = node.pod(name);
        let ended = &object["status"][list][0]["state"]["terminated"];
        assert_eq!((&ended["reason"], &ended["exitCode"]), (&"OOMKilled".into(), &137.into()));
        assert_eq!(object["status"]["phase"], "Failed");
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

fn a_pod_that_writes_more_than_its_storage_limit_is_evicted() {
    let node = Node::new("evicted", &["busybox"]).with("MINIPOD_BACKOFF_SCALE", "0.02");
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: evicted}
spec:
  volumes: [{name: scratch, emptyDir: {sizeLimit: 1Mi}}]
  containers:
  - name: c
    image: busybox:1.36
    command: [sh, -c, 'dd if=/dev/zero of=/scratch/file bs=1M count=3; sleep 1000']
    volumeMounts: [{name: scratch, mountPath: /scratch}]
";
    let _ = node.apply(manifest).succeeds();
    // As kubectl shows it: what became of the container hides the pod's own reason.
    let _ = node.wait_for_status("evicted", &["Error", "Evicted"]);
    let status = &node.pod("evicted")["status"];
    let message = "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\". ";
    assert_eq!((&status["phase"], &status["reason"]), (&"Failed".into(), &"Evicted".into()));
    assert_eq!(status["message"], message);
    assert!(node.events().contains(&("Evicted".into(), message.into())));
    node.delete_leaves_nothing("evicted", &[]);
}
