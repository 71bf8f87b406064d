//! What a cgroup does to a container's processes.

use std::io::Read;
use std::time::{Duration, Instant};

use sandbox::cgroup::{Hierarchies, Limits, PodCgroup, Version};

use sandbox::{Child, Exit};

use crate::Test;
use crate::room::Room;

pub(crate) const TESTS: &[Test] = &[
    ("a_container_is_in_its_cgroup_before_its_program_runs", in_its_cgroup_from_the_start),
    ("a_fork_bomb_stops_at_the_limit", a_fork_bomb_stops_at_the_limit),
    ("a_memory_bomb_is_killed_and_counted", a_memory_bomb_is_killed_and_counted),
    ("killing_a_pod_ends_all_its_processes_and_removes_its_cgroups", killing_a_pod_ends_all),
    (
        "what_is_killed_ends_although_it_has_no_processor_time",
        what_is_killed_ends_although_it_has_no_processor_time,
    ),
    ("a_device_that_is_made_cannot_be_opened", a_device_that_is_made_cannot_be_opened),
];

/// A pod's cgroups, gone at the end of the test; nothing where this machine has none.
struct Groups(Option<PodCgroup>);

impl Groups {
    fn new(name: &str) -> Option<Self> {
        let uid = format!("kernel-test-{name}-{}", std::process::id());
        let limits = Limits { all_devices: true, ..Limits::default() };
        let made = PodCgroup::create(&Hierarchies::detect(), &uid, &limits);
        made.ok().map(|pod| Self(Some(pod)))
    }

    fn pod(&self) -> &PodCgroup {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let removed = self.0.take().map(|cgroup| cgroup.remove());
        assert!(matches!(removed, None | Some(Ok(()))), "{removed:?}");
    }
}

fn in_its_cgroup_from_the_start() {
    let room = Room::new();
    let Some(groups) = Groups::new("place") else { return };
    let group = groups.pod().container("c", &Limits::default()).unwrap();
    let plan = room.plan("cat /proc/self/cgroup");
    let text = room.start(&plan, Some(&group)).end().output;
    let lines: Vec<&str> = text.lines().filter(|line| is_used(line)).collect();
    assert!(!lines.is_empty(), "{text}");
    // The container's cgroup namespace begins where it is, so it sees itself at the top.
    assert!(lines.iter().all(|line| line.ends_with(":/")), "{text}");
}

/// Whether the line of `/proc/self/cgroup` is of a hierarchy that minipod puts containers in.
fn is_used(line: &str) -> bool {
    let controllers = line.split(':').nth(1).unwrap_or_default();
    match Hierarchies::detect().version() {
        Version::V2 => controllers.is_empty(),
        Version::V1 => ["memory", "cpu", "pids"].iter().any(|one| controllers.contains(one)),
    }
}

fn a_fork_bomb_stops_at_the_limit() {
    let room = Room::new();
    let Some(groups) = Groups::new("fork") else { return };
    let limits = Limits { pids_max: Some(20), ..Limits::default() };
    let group = groups.pod().container("c", &limits).unwrap();
    let bomb = "i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; echo never";
    let ended = room.start(&room.plan(bomb), Some(&group)).end();
    assert!(ended.output.contains("can't fork"), "{ended:?}");
    assert!(!ended.output.contains("never"), "{ended:?}");
    assert_eq!(room.shell("exit 3").code, 3, "other containers go on");
}

fn a_memory_bomb_is_killed_and_counted() {
    let room = Room::new();
    let Some(groups) = Groups::new("memory") else { return };
    let limits = Limits { memory_max: Some(16 << 20), ..Limits::default() };
    let group = groups.pod().container("c", &limits).unwrap();
    let ended = room.start(&room.plan("exec busybox tail /dev/zero"), Some(&group)).end();
    assert_eq!(ended.code, 137);
    assert!(group.oom_kills() > 0);
    assert_eq!(room.shell("exit 3").code, 3, "other containers go on");
}

fn killing_a_pod_ends_all() {
    let room = Room::new();
    let Some(groups) = Groups::new("kill") else { return };
    let group = groups.pod().container("c", &Limits::default()).unwrap();
    let running = room.start(&room.plan("sleep 1000 & sleep 1000 & sleep 1000"), Some(&group));
    groups.pod().kill().unwrap();
    assert_eq!(running.end().code, 137);
}

/// The least quota there is, and many who need some time to end.
const LEAST: Limits = Limits {
    cpu_request_milli: None,
    cpu_limit_milli: Some(1),
    memory_max: None,
    killed_together: false,
    pids_max: Some(4096),
    all_devices: true,
};

fn what_is_killed_ends_although_it_has_no_processor_time() {
    let room = Room::new();
    let Some(groups) = Groups::new("quota") else { return };
    let pod = groups.pod();
    let many =
        "i=0; while [ $i -lt 400 ]; do while :; do :; done & i=$((i+1)); done; echo ready; wait";
    let crowd = || {
        // What was killed may make no process any more until it is limited again.
        let unhurried = Limits { pids_max: Some(1000), ..Limits::default() };
        let group = pod.container("c", &unhurried).unwrap();
        let mut running = room.start(&room.plan(many), Some(&group));
        running.output.read_exact(&mut [0; 6]).unwrap();
        (running, pod.container("c", &LEAST).unwrap())
    };
    let (mut running, group) = crowd();
    group.kill();
    let _ = end_soon(&mut running.child);
    let (mut running, _) = crowd();
    pod.kill().unwrap();
    let _ = end_soon(&mut running.child);
}

/// Much sooner than its quota would let it.
fn end_soon(child: &mut Child) -> Exit {
    child.wait_until(Instant::now() + Duration::from_secs(5)).expect("it ends")
}

fn a_device_that_is_made_cannot_be_opened() {
    let room = Room::new();
    let Some(groups) = Groups::new("device") else { return };
    let group = groups.pod().container("c", &Limits::default()).unwrap();
    let plan = room.plan("mknod /disk b 8 0 && cat /disk");
    let ended = room.start(&plan, Some(&group)).end();
    assert_eq!(ended.output, "cat: can't open '/disk': Operation not permitted\n");
}
