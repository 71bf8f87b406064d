//! How a start and an end are told.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sandbox::{PidSharing, Placement, PodSandbox, PodSandboxPlan, Stdio};

use crate::Test;
use crate::room::{
    Ended, PATIENCE, Room, becomes_readable, keep_mounts_here, outcome, pod_plan, spawner, wait,
};

pub(crate) const TESTS: &[Test] = &[
    ("a_program_is_process_1_and_ends_with_its_code", a_program_is_process_1),
    ("what_could_not_be_run_is_told_with_its_reason", what_could_not_be_run_is_told),
    ("a_file_that_cannot_be_run_says_why", a_file_that_cannot_be_run_says_why),
    (
        "the_search_in_path_stops_at_a_file_that_cannot_be_run",
        the_search_in_path_stops_at_a_file_that_cannot_be_run,
    ),
    ("what_could_not_be_prepared_is_told_with_its_step", what_could_not_be_prepared_is_told),
    ("a_program_waits_at_its_gate", a_program_waits_at_its_gate),
    (
        "no_command_that_fails_or_is_killed_on_its_way_holds_up_the_containers_end",
        no_command_on_its_way_holds_up_the_containers_end,
    ),
    ("a_container_dies_with_whoever_started_it", a_container_dies_with_whoever_started_it),
    (
        "a_holder_ends_at_whatever_moment_its_starter_is_killed",
        a_holder_ends_at_whatever_moment_its_starter_is_killed,
    ),
    ("a_pod_that_is_dropped_takes_its_containers_along", a_container_that_is_dropped_is_gone),
];

fn a_program_is_process_1() {
    let room = Room::new();
    let ended = room.shell("echo $$; hostname; exit 7");
    assert_eq!(ended.code, 7);
    assert!(ended.output.starts_with("1\n"), "{ended:?}");
    let killed = room.start(&room.plan("sleep 1000"), None);
    killed.child.kill().unwrap();
    assert_eq!(killed.end().code, 137);
}

fn what_could_not_be_run_is_told() {
    let room = Room::new();
    let start = |program: &str| {
        let mut plan = room.plan("");
        plan.process.argv = vec![program.to_owned()];
        let (mut starting, _output) = room.begin(&plan, Placement::default());
        outcome(&mut starting).unwrap_err()
    };
    let missing = start("no-such-program");
    assert!(missing.is_not_found(), "{missing}");
    let text = "exec: \"no-such-program\": executable file not found in $PATH";
    assert_eq!(missing.to_string(), text);
    let directory = start("/bin");
    assert!(directory.is_not_executable(), "{directory}");
}

/// A file of the image with a mode.
fn write_file(room: &Room, name: &str, content: &[u8], mode: u32) {
    let path = room.path("layer").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn a_file_that_cannot_be_run_says_why() {
    let room = Room::new();
    let rows: [(&[u8], &str); 5] = [
        (b"#!/no/bash\nexit\n", "exec: \"/x\": its interpreter \"/no/bash\" does not exist"),
        (b"#!/bin/sh\r\nexit\r\n", "ends with CRLF"),
        (b"exit\n", "exec format error: it is no program, and does not begin with #!"),
        (b"", "exec format error: the file is empty"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x16\0", "it is a program for s390x"),
    ];
    for (content, expected) in rows {
        write_file(&room, "x", content, 0o755);
        let mut plan = room.plan("");
        plan.process.argv = vec!["/x".to_owned()];
        let (mut starting, _output) = room.begin(&plan, Placement::default());
        let error = outcome(&mut starting).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.is_not_executable(), "{error}");
    }
}

fn the_search_in_path_stops_at_a_file_that_cannot_be_run() {
    let room = Room::new();
    let search = |path: &str| {
        let mut plan = room.plan("");
        plan.process.env = vec![format!("PATH={path}")];
        plan.process.argv = vec!["prog".to_owned()];
        let (mut starting, _output) = room.begin(&plan, Placement::default());
        outcome(&mut starting)
    };
    write_file(&room, "good/prog", b"#!/bin/sh\nexit 0\n", 0o755);
    write_file(&room, "unknown/prog", b"exit 0\n", 0o755);
    write_file(&room, "missing/prog", b"#!/no/bash\n", 0o755);
    write_file(&room, "forbidden/prog", b"#!/bin/sh\n", 0o644);
    fs::create_dir_all(room.path("layer/directory/prog")).unwrap();
    assert_eq!(search("/no:/directory:/forbidden:/good"), Ok(()));
    for (path, expected) in [
        ("/unknown:/good", "exec format error"),
        ("/missing:/good", "does not exist"),
        ("/forbidden:/no", "permission denied"),
        ("/no:/none", "executable file not found in $PATH"),
    ] {
        let error = search(path).unwrap_err();
        assert!(error.to_string().contains(expected), "{path}: {error}");
    }
}

fn what_could_not_be_prepared_is_told() {
    let room = Room::new();
    let mut plan = room.plan("true");
    plan.root.layers = vec![room.path("no-such-layer")];
    let (mut starting, _output) = room.begin(&plan, Placement::default());
    let error = outcome(&mut starting).unwrap_err();
    assert!(!error.is_exec());
    assert_eq!(error.to_string(), "cannot mount the root: no such file or directory");
}

fn a_program_waits_at_its_gate() {
    let room = Room::new();
    let flags = rustix::pipe::PipeFlags::CLOEXEC;
    let (reader, writer) = rustix::pipe::pipe_with(flags).unwrap();
    let placement = Placement { cgroup: None, gate: Some(reader) };
    let (mut starting, mut output) = room.begin(&room.plan("echo passed"), placement);
    assert!(starting.outcome().is_none());
    File::from(writer).write_all(b"x").unwrap();
    outcome(&mut starting).unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "passed\n");
}

/// The end of a container's first process is its end only when every process in there has been
/// reaped, so one that its starter has lost sight of would keep the container for ever.
fn no_command_on_its_way_holds_up_the_containers_end() {
    let room = Room::new();
    let running = room.start(&room.plan("sleep 1000"), None);
    let begin = |program: &str| {
        let mut plan = room.plan("").process;
        plan.argv = vec![program.to_owned(), "1000".to_owned()];
        let visitor = room.pod.start_visitor(
            &running.child,
            &plan,
            Stdio { stdin: None, stdout: None, stderr: None },
            Placement::default(),
        );
        visitor.unwrap()
    };
    let after = |moment: u32| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(5) * moment {
            std::hint::spin_loop();
        }
    };
    for moment in 0..400 {
        outcome(&mut begin("no-such-program")).unwrap_err();
        let dropped = begin("sleep");
        after(moment);
        drop(dropped);
        // Somebody else kills it, as the kernel does where memory runs out.
        let mut killed = begin("sleep");
        after(moment);
        killed.child().kill().unwrap();
        if outcome(&mut killed).is_ok() {
            let mut child = killed.into_child();
            child.kill().unwrap();
            wait(&mut child);
        }
    }
    running.child.kill().unwrap();
    ends_when_orphans_are_reaped(&running.child);
}

/// Nobody waits in a drop; a supervisor reaps what was dropped when the kernel tells of it.
fn ends_when_orphans_are_reaped(child: &sandbox::Child) {
    let deadline = Instant::now() + PATIENCE;
    sandbox::reap_orphans_until(deadline);
    assert!(becomes_readable(&child.pidfd()), "a process is left in the container");
}

/// A child takes the part of a supervisor and is killed.
fn a_container_dies_with_whoever_started_it() {
    let flags = rustix::pipe::PipeFlags::CLOEXEC;
    let (mut reader, writer) = {
        let (reader, writer) = rustix::pipe::pipe_with(flags).unwrap();
        (File::from(reader), writer)
    };
    let mut supervisor = sandbox::spawn_aside("supervisor", || {
        let room = Room::new();
        let running = room.start(&room.plan("sleep 1000 & sleep 1000"), None);
        let pids = format!("{} {}\n", room.pod.holder().pid(), running.child.pid());
        File::from(writer.try_clone().unwrap()).write_all(pids.as_bytes()).unwrap();
        std::thread::park();
        0
    })
    .unwrap();
    let mut text = [0; 64];
    let length = reader.read(&mut text).unwrap();
    let pids = String::from_utf8_lossy(&text[..length]).into_owned();
    let open =
        |pid: &str| pidfd_open(Pid::from_raw(pid.parse().unwrap()).unwrap(), PidfdFlags::empty());
    let processes: Vec<_> = pids.split_whitespace().map(|pid| open(pid).unwrap()).collect();
    assert_eq!(processes.len(), 2);
    supervisor.kill().unwrap();
    wait(&mut supervisor);
    for process in &processes {
        assert!(becomes_readable(process), "a process outlives its supervisor");
    }
}

fn a_holder_ends_at_whatever_moment_its_starter_is_killed() {
    let directory = tempfile::TempDir::new().unwrap();
    fs::create_dir(directory.path().join("proc")).unwrap();
    for pid in [PidSharing::Container, PidSharing::Pod] {
        let plan = PodSandboxPlan { pid, ..pod_plan(directory.path()) };
        for moment in 0..150 {
            let (mut reader, mut writer) = std::io::pipe().unwrap();
            let mut starter = sandbox::spawn_aside("starter", || {
                rustix::process::setsid().unwrap();
                keep_mounts_here();
                writer.write_all(b"!").unwrap();
                let _pod = PodSandbox::create(&spawner(), &plan);
                std::thread::park();
                0
            })
            .unwrap();
            reader.read_exact(&mut [0]).unwrap();
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_micros(10) * moment {
                std::hint::spin_loop();
            }
            starter.kill().unwrap();
            wait(&mut starter);
            while let Some(pid) = living_of_session(starter.pid()).first() {
                let process = pidfd_open(Pid::from_raw(*pid).unwrap(), PidfdFlags::empty());
                // One that is not found has been reaped meanwhile.
                let has_ended = process.map_or(true, |process| becomes_readable(&process));
                assert!(has_ended, "a holder outlives its starter");
            }
        }
    }
}

/// The processes of a session that have not ended yet (`proc_pid_stat(5)`).
fn living_of_session(session: i32) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    let belongs = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> =
            stat.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
        let is_over = matches!(fields.first(), None | Some(&("Z" | "X")));
        !is_over && fields.get(3) == Some(&session.to_string().as_str())
    };
    pids.filter(belongs).collect()
}

fn a_container_that_is_dropped_is_gone() {
    let room = Room::new();
    let running = room.start(&room.plan("sleep 1000"), None);
    let pid = Pid::from_raw(running.child.pid()).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    drop(running);
    assert!(becomes_readable(&process));
    sandbox::reap_orphans();
    assert!(pidfd_open(pid, PidfdFlags::empty()).is_err());
    assert_eq!(room.shell("exit 0"), Ended { code: 0, output: String::new() });
}
