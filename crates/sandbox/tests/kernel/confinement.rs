//! What a container can see and do.

use std::fs;
use std::os::unix::fs::symlink;

use sandbox::capabilities;
use sandbox::{MountOptions, MountPlan, MountSource};

use crate::Test;
use crate::room::Room;

pub(crate) const TESTS: &[Test] = &[
    ("a_program_gets_its_three_streams_and_nothing_else", three_streams_and_nothing_else),
    ("nothing_is_left_open_by_a_start", nothing_is_left_open_by_a_start),
    ("system_calls_that_would_lead_out_are_refused", system_calls_are_refused),
    ("a_process_has_the_capabilities_of_its_plan", the_capabilities_of_the_plan),
    ("what_is_masked_is_empty_and_what_is_protected_cannot_be_written", masked_and_protected),
    ("a_link_in_an_image_leads_no_mount_out_of_the_container", hostile_mount_targets),
    ("a_link_in_an_image_instead_of_a_standard_directory_is_no_way_out", hostile_standard_mounts),
];

fn three_streams_and_nothing_else() {
    let secret = tempfile::tempfile().unwrap();
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap(); // it would be inherited
    let room = Room::new();
    // The shell's own list: 0, 1, 2, and the directory that it reads.
    let ended = room.shell("cd /proc/self/fd && echo *");
    assert_eq!(ended.output, "0 1 2 3\n");
}

fn nothing_is_left_open_by_a_start() {
    let room = Room::new();
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    assert_eq!(room.shell("true").code, 0);
    let before = open();
    for _ in 0..3 {
        assert_eq!(room.shell("true").code, 0);
    }
    assert_eq!(open(), before);
}

fn system_calls_are_refused() {
    let room = Room::new();
    for command in ["unshare -U true", "unshare -m true", "mount -t tmpfs none /bin"] {
        let ended = room.shell(command);
        assert_ne!(ended.code, 0, "{command}");
        let text = ended.output.to_lowercase();
        let is_refused = text.contains("not permitted") || text.contains("permission denied");
        assert!(is_refused, "{command}: {text}");
    }
    let ended = room.shell("grep Seccomp: /proc/self/status");
    assert_eq!(ended.output, "Seccomp:\t2\n");
}

fn the_capabilities_of_the_plan() {
    let room = Room::new();
    let mut plan = room.plan("grep -E 'Cap(Prm|Eff|Bnd|Amb|Inh)|NoNewPrivs' /proc/self/status");
    let all = ["ALL".to_owned()];
    let bounding = capabilities::bounding(&["NET_BIND_SERVICE".into()], &all).unwrap();
    plan.process.capabilities = capabilities::sets(bounding, 0);
    plan.process.no_new_privileges = true;
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000400\nCapEff:\t0000000000000400\n\
        CapBnd:\t0000000000000400\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";
    assert_eq!(room.run(&plan).output, expected);
}

fn masked_and_protected() {
    let room = Room::new();
    let look = "for one in keys timer_list interrupts kcore; do \
        [ ! -e /proc/$one ] || cat /proc/$one; done; [ ! -d /sys/firmware ] || ls /sys/firmware";
    let ended = room.shell(look);
    assert_eq!(ended.output, "");
    for file in ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/x", "/sys/fs/cgroup/x"] {
        if file == "/proc/sysrq-trigger" && !fs::exists(file).unwrap() {
            continue; // a kernel without CONFIG_MAGIC_SYSRQ
        }
        let ended = room.shell(&format!("echo x > {file}"));
        assert!(ended.output.contains("Read-only file system"), "{file}: {ended:?}");
    }
}

fn hostile_mount_targets() {
    let room = Room::new();
    let outside = room.path("outside");
    fs::create_dir_all(outside.join("inner")).unwrap();
    fs::create_dir(room.path("volume")).unwrap();
    fs::write(room.path("volume/file"), "of the volume").unwrap();
    let up = "../".repeat(30);
    symlink(format!("{up}{}", outside.display()), room.path("layer/relative")).unwrap();
    symlink(&outside, room.path("layer/absolute")).unwrap();
    symlink("/proc/1/root", room.path("layer/magic")).unwrap();
    for target in ["/relative/inner", "/absolute/new", "/magic/inner", "/../../inner"] {
        let mut plan = room.plan(&format!("cat {target}/file"));
        plan.mounts = vec![MountPlan {
            source: MountSource::Bind {
                path: room.path("volume"),
                kind: sandbox::PathKind::Any,
                sub_path: None,
            },
            target: target.to_owned(),
            options: MountOptions::default(),
        }];
        let (mut starting, _output) = room.begin(&plan, sandbox::Placement::default());
        // Either it is refused, or it is inside the container; outside nothing has changed.
        let _ = crate::room::outcome(&mut starting);
        drop(starting);
        let names: Vec<_> = fs::read_dir(&outside).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "{target}: {names:?}");
        assert_eq!(fs::read_dir(outside.join("inner")).unwrap().count(), 0, "{target}");
    }
}

fn hostile_standard_mounts() {
    let room = Room::new();
    let outside = room.path("outside");
    fs::create_dir(&outside).unwrap();
    for name in ["dev", "proc", "sys"] {
        symlink(&outside, room.path("layer").join(name)).unwrap();
    }
    let (mut starting, _output) = room.begin(&room.plan("true"), sandbox::Placement::default());
    let _ = crate::room::outcome(&mut starting);
    drop(starting);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing is made outside");
}
