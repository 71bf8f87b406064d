//! The files and directories of cgroups.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::killing::{self, PATIENCE, members};
use super::{CgroupError, Directory, Usage, Version, open, write};

/// Creates a cgroup and those above it; one that exists is fine.
pub(super) fn create(path: &Path) -> Result<(), CgroupError> {
    fs::create_dir_all(path).map_err(|source| CgroupError::File {
        verb: "create",
        path: path.to_owned(),
        source,
    })
}

/// Lets the cgroup use every processor and every node of memory that the one above it may use: on
/// version 1 a new cgroup has none, and nothing can join it (cpuset(7)).
pub(super) fn inherit_cpuset(path: &Path) -> Result<(), CgroupError> {
    let Some(above) = path.parent() else {
        return Ok(());
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = fs::read_to_string(path.join(file)).unwrap_or_default();
        if own.trim().is_empty() {
            let inherited = fs::read_to_string(above.join(file)).unwrap_or_default();
            write(&path.join(file), inherited.trim())?;
        }
    }
    Ok(())
}

pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, CgroupError> {
    Ok(OwnedFd::from(open(path)?))
}

/// What limits need of version 2.
const LIMITING: [&str; 3] = ["cpu", "memory", "pids"];

/// Makes those of the controllers that limits need available below each of the cgroups, from the
/// top down. In a container of another runtime the first is the root of a cgroup namespace and has
/// processes, which then move to a cgroup of their own: only one without may hand controllers down
/// (cgroups(7), "no internal processes").
pub(super) fn enable_controllers(
    paths: &[&Path],
    controllers: &[String],
) -> Result<(), CgroupError> {
    for (depth, path) in paths.iter().enumerate() {
        match enable(path, controllers) {
            Err(CgroupError::File { source, .. })
                if depth == 0 && source.kind() == io::ErrorKind::ResourceBusy =>
            {
                move_members(path, &path.join(INIT))?;
                enable(path, controllers)?;
            }
            enabled => enabled?,
        }
    }
    Ok(())
}

/// All at once, so that none is left switched on when another one cannot be.
fn enable(path: &Path, controllers: &[String]) -> Result<(), CgroupError> {
    let file = path.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&file).unwrap_or_default();
    let lacks = |one: &&str| !enabled.split_whitespace().any(|enabled| enabled == *one);
    let wanted = LIMITING.into_iter().filter(|one| controllers.iter().any(|has| has == one));
    let missing: Vec<String> = wanted.filter(lacks).map(|one| format!("+{one}")).collect();
    if missing.is_empty() { Ok(()) } else { write(&file, &missing.join(" ")) }
}

/// Where the processes of a namespace's root go, as podman and k3s call it.
const INIT: &str = "init";

/// How often is looked for processes that were made meanwhile.
const MOST_LOOKS: usize = 10;

fn move_members(from: &Path, to: &Path) -> Result<(), CgroupError> {
    create(to)?;
    for _ in 0..MOST_LOOKS {
        let members = members(from);
        if members.is_empty() {
            break;
        }
        for pid in members {
            match write(&to.join("cgroup.procs"), &pid.to_string()) {
                // It may just have ended.
                Err(CgroupError::File { source, .. })
                    if source.raw_os_error() == Some(libc::ESRCH) => {}
                moved => moved?,
            }
        }
    }
    Ok(())
}

/// How often version 1 is asked whether it is.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000 };

/// Removes a cgroup and those below it. What still runs in it is killed and waited for.
pub(super) fn remove_tree(path: &Path) -> Result<(), CgroupError> {
    for below in directories_below(path) {
        remove_tree(&below)?;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
            {
                killing::kill_all(path)?;
                wait_until_empty(path, deadline);
            }
            Err(source) => {
                return Err(CgroupError::File { verb: "remove", path: path.to_owned(), source });
            }
        }
    }
}

/// Removes a cgroup and those below it, as far as that can be done at once. What still runs is
/// killed, so that it can be done later.
pub(super) fn try_remove_tree(path: &Path) -> Result<(), CgroupError> {
    for below in directories_below(path) {
        try_remove_tree(&below)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => {
            killing::let_end(path);
            killing::kill_now(path)?;
            Err(CgroupError::File { verb: "remove", path: path.to_owned(), source })
        }
        Ok(()) => Ok(()),
    }
}

/// Waits until the cgroup may have become empty. A process on its end is listed no more while the
/// kernel still takes its memory down, and keeps the cgroup busy until then. Version 2 tells when
/// that is over (`cgroup.events`, cgroups(7)); version 1 has to be asked again.
fn wait_until_empty(path: &Path, deadline: Instant) {
    let Ok(events) = fs::File::open(path.join("cgroup.events")) else {
        let _ = poll(&mut [], Some(&PAUSE)); // whoever waits looks again
        return;
    };
    let is_busy = io::read_to_string(&events).is_ok_and(|text| text.contains("populated 1"));
    let left = deadline.saturating_duration_since(Instant::now()).try_into().ok();
    if let (true, Some(left)) = (is_busy, left) {
        let _ = poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&left));
    }
}

/// Where below `top` there is a cgroup of that name.
pub(super) fn find_below(top: &Path, name: &Path) -> Vec<PathBuf> {
    let here = Some(top.join(name)).filter(|path| path.is_dir());
    let below = directories_below(top);
    here.into_iter().chain(below.iter().flat_map(|below| find_below(below, name))).collect()
}

pub(super) fn directories_below(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

/// What the cgroup uses now.
pub(super) fn usage(version: Version, directories: &[Directory]) -> Usage {
    let number = |controller: &str, file: &str| {
        read(directories, controller, file).and_then(|text| text.trim().parse::<u64>().ok())
    };
    let field = |controller: &str, file: &str, name: &str| {
        read(directories, controller, file).and_then(|text| field_of(&text, name))
    };
    let (cpu, memory, inactive) = match version {
        Version::V1 => (
            number("cpuacct", "cpuacct.usage"),
            number("memory", "memory.usage_in_bytes"),
            field("memory", "memory.stat", "total_inactive_file"),
        ),
        Version::V2 => (
            field("cpu", "cpu.stat", "usage_usec").map(|usage| usage * 1000),
            number("memory", "memory.current"),
            field("memory", "memory.stat", "inactive_file"),
        ),
    };
    Usage {
        cpu_nanoseconds: cpu.unwrap_or(0),
        memory_bytes: memory.unwrap_or(0).saturating_sub(inactive.unwrap_or(0)),
    }
}

/// How many processes the kernel has killed in the cgroup for its memory limit.
pub(super) fn oom_kills(version: Version, directories: &[Directory]) -> u64 {
    let file = match version {
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    };
    let text = read(directories, "memory", file);
    text.and_then(|text| field_of(&text, "oom_kill")).unwrap_or(0)
}

fn read(directories: &[Directory], controller: &str, file: &str) -> Option<String> {
    let directory =
        directories.iter().find(|one| one.controllers.iter().any(|c| c == controller))?;
    fs::read_to_string(directory.path.join(file)).ok()
}

fn field_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}
