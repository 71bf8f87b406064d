//! The files and directories of cgroups.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{CgroupError, Directory, Usage, Version, open, write};

/// Creates a cgroup and those above it; one that exists is fine.
pub(super) fn create(path: &Path) -> Result<(), CgroupError> {
    fs::create_dir_all(path).map_err(|source| CgroupError::File {
        verb: "create",
        path: path.to_owned(),
        source,
    })
}

pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, CgroupError> {
    Ok(OwnedFd::from(open(path)?))
}

/// Makes the controllers available below each of the cgroups, from the top down.
pub(super) fn enable_controllers(paths: &[&Path]) -> Result<(), CgroupError> {
    for path in paths {
        for controller in ["+cpu", "+memory", "+pids"] {
            let file = path.join("cgroup.subtree_control");
            let enabled = fs::read_to_string(&file).unwrap_or_default();
            if !enabled.split_whitespace().any(|one| controller.ends_with(one)) {
                write(&file, controller)?;
            }
        }
    }
    Ok(())
}

/// Kills every process in the cgroup and below, and waits for each.
pub(super) fn kill_all(path: &Path) -> Result<(), CgroupError> {
    for below in directories_below(path) {
        kill_all(&below)?;
    }
    if path.join("cgroup.kill").exists() {
        write(&path.join("cgroup.kill"), "1")?;
    }
    // On v1 a process may fork while we read: again until nobody is left.
    loop {
        let members = members(path);
        if members.is_empty() {
            return Ok(());
        }
        for pid in members {
            if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
                let _ = pidfd_send_signal(&pidfd, Signal::KILL); // it may just have ended
                let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None);
            }
        }
        if !has_living(path) {
            return Ok(());
        }
    }
}

fn members(path: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
}

/// A process that has ended stays a member until it is reaped.
fn has_living(path: &Path) -> bool {
    members(path).into_iter().any(|pid| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        let state = stat.ok().and_then(|stat| stat.rsplit(") ").next()?.chars().next());
        !matches!(state, None | Some('Z' | 'X'))
    })
}

/// A cgroup whose last process is ending is busy for so many more looks at most.
const MOST_LOOKS: u32 = 10_000;

/// Removes a cgroup and those below it. What still runs in it is killed; a process that was moved
/// into it while it ended is waited for.
pub(super) fn remove_tree(path: &Path) -> Result<(), CgroupError> {
    for below in directories_below(path) {
        remove_tree(&below)?;
    }
    let mut looks = 0;
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && looks < MOST_LOOKS => {
                looks += 1;
                kill_all(path)?;
                std::thread::yield_now();
            }
            Err(source) => {
                return Err(CgroupError::File { verb: "remove", path: path.to_owned(), source });
            }
        }
    }
}

fn directories_below(path: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
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
