//! The end of what is in a cgroup.
//!
//! Processes need processor time to end, and a cgroup whose quota is used up has none. It even owes some: since
//! Linux 6.18 what runs in the kernel goes on without quota and is paid for later, so that a fork bomb of a tenth of a
//! processor can be stopped for many minutes, in which its processes do not see the signal that kills them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::files::directories_below;
use super::{CgroupError, write};

/// How long nobody may end of those who were killed.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// For how many is waited at a time. Each costs an open file.
const MOST_WATCHED: usize = 256;

/// Kills every process in the cgroup and below, and waits for their end, as long as some end.
pub(super) fn kill_all(path: &Path) -> Result<(), CgroupError> {
    let (mut fewest, mut deadline) = (usize::MAX, Instant::now() + PATIENCE);
    // On v1 a process may fork while we read: again until nobody is left.
    loop {
        let killed = kill_now(path)?;
        for process in &killed {
            let left = deadline.saturating_duration_since(Instant::now());
            has_ended_within(process, left);
        }
        let living = count_living(path);
        if living == 0 {
            return Ok(());
        }
        if living < fewest {
            (fewest, deadline) = (living, Instant::now() + PATIENCE);
        }
        if Instant::now() >= deadline {
            let source = io::ErrorKind::TimedOut.into();
            return Err(CgroupError::File { verb: "kill what is in", path: path.into(), source });
        }
    }
}

/// Kills every process that is in the cgroup and below now; pidfds of some that have not ended yet.
pub(super) fn kill_now(path: &Path) -> Result<Vec<OwnedFd>, CgroupError> {
    let mut killed = Vec::new();
    for below in directories_below(path) {
        killed.extend(kill_now(&below)?);
    }
    if path.join("cgroup.kill").exists() {
        write(&path.join("cgroup.kill"), "1")?;
    }
    for pid in members(path) {
        if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL); // it may just have ended
            if killed.len() < MOST_WATCHED && !has_ended_within(&pidfd, Duration::ZERO) {
                killed.push(pidfd);
            }
        }
    }
    Ok(killed)
}

fn has_ended_within(process: &OwnedFd, time: Duration) -> bool {
    let time = Timespec::try_from(time).unwrap_or_default();
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&time)).is_ok_and(|ready| ready > 0)
}

/// Keeps what is in the cgroup and below from making processes, and gives it time to end: a fork bomb grows while it
/// is killed.
pub(super) fn let_end(path: &Path) {
    let most = path.join("pids.max");
    if most.exists() {
        let _ = write(&most, "0"); // it ends without, only later
    }
    give_time(path);
    directories_below(path).iter().for_each(|below| let_end(below));
}

/// Takes the quota of a cgroup away, and lets it weigh as much as others by default.
pub(super) fn give_time(path: &Path) {
    for (file, unlimited) in [("cpu.max", "max"), ("cpu.cfs_quota_us", "-1")] {
        let file = path.join(file);
        if fs::read_to_string(&file).is_ok_and(|text| !text.starts_with(unlimited)) {
            let _ = write(&file, unlimited); // it ends without, only later
        }
    }
    for (file, weight) in [("cpu.weight", 100), ("cpu.shares", 1024)] {
        let file = path.join(file);
        let own = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<u64>().ok());
        if own.is_some_and(|own| own < weight) {
            let _ = write(&file, &weight.to_string()); // as above
        }
    }
}

pub(super) fn members(path: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
}

/// How many in the cgroup and below live. A process that has ended stays a member until it is reaped.
fn count_living(path: &Path) -> usize {
    let below: usize = directories_below(path).iter().map(|below| count_living(below)).sum();
    let lives = |pid: &Pid| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        let state = stat.ok().and_then(|stat| stat.rsplit(") ").next()?.chars().next());
        !matches!(state, None | Some('Z' | 'X'))
    };
    below + members(path).iter().filter(|pid| lives(pid)).count()
}
