//! A child process and its end.
//!
//! Nothing here waits without a limit. A container that may trace a process keeps it from being
//! reaped for as long as it likes (ptrace(2): the end of a tracee is its tracer's first), and what
//! is stopped in the kernel does not end at all.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use crate::signal::Signal;
use crate::sys::clone::{self, Cloned, New};
use crate::sys::signals;

/// A child process. Dropping it kills it and waits for nobody: [`reap_orphans`] reaps it then.
#[derive(Debug)]
pub struct Child {
    pidfd: OwnedFd,
    pid: i32,
    is_reaped: bool,
    is_held: bool,
    makes_another: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; 128 + signal number after a signal.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Exit {
    /// That of a process of which nobody can tell any more how it ended.
    const UNKNOWN: Self = Self { code: 255, signal: None };
}

impl Child {
    /// Runs `job` in a child.
    pub(crate) fn spawn(new: New<'_>, job: impl FnOnce() -> i32) -> io::Result<Self> {
        let Cloned { pidfd, pid } = clone::clone(new, job)?;
        Ok(Self::known_by(pidfd, pid))
    }

    /// A child that another process has made for this one (`CLONE_PARENT`, clone(2)).
    pub(crate) fn known_by(pidfd: OwnedFd, pid: i32) -> Self {
        KNOWN.with_borrow_mut(|known| known.insert(pid));
        Self { pidfd, pid, is_reaped: false, is_held: false, makes_another: false }
    }

    /// Says that it makes another child of this process (`CLONE_PARENT`, clone(2)), in its own
    /// process group, and ends.
    pub(crate) fn set_makes_another(&mut self) {
        self.makes_another = true;
    }

    /// Whether it makes another child, which has not been taken yet.
    pub(crate) fn makes_another(&self) -> bool {
        self.makes_another
    }

    /// The child that it has made, if that is there.
    ///
    /// The kernel says which one it is: a child of this process that nobody knows of, in the group
    /// that is led by this one. A process that a container can trace has no say in it; made to leave
    /// the group, it is not found, and goes on as nothing but a process of its container.
    pub(crate) fn take_made(&mut self) -> Option<Self> {
        self.makes_another = false;
        self.made().next()
    }

    fn made(&self) -> impl Iterator<Item = Self> {
        // A group whose leader this process does not see has the number 0, which rustix does not
        // take for one: as of all that the first process of a machine has started.
        let is_made = |pid: &Pid| {
            let pid = nix::unistd::Pid::from_raw(pid.as_raw_pid());
            nix::unistd::getpgid(Some(pid)).is_ok_and(|group| group.as_raw() == self.pid)
        };
        // The number cannot pass on to another process: only this process could reap it.
        strangers().into_iter().filter(is_made).filter_map(|pid| {
            Some(Self::known_by(pidfd_open(pid, PidfdFlags::empty()).ok()?, pid.as_raw_pid()))
        })
    }

    /// Takes over a child that was started as a command.
    pub fn adopt(command: std::process::Child) -> io::Result<Self> {
        let number = i32::try_from(command.id()).unwrap_or_default();
        let pid = Pid::from_raw(number).ok_or(io::ErrorKind::NotFound)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        drop(command); // which neither kills nor reaps
        Ok(Self::known_by(pidfd, number))
    }

    /// Its process id as this process sees it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its pidfd (`pidfd_open(2))`: readable when it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        signals::send(self.pidfd.as_fd(), signal.number())
    }

    /// Kills it; as the first process of a pid namespace it takes the whole namespace along.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// Kills it and what it has started, as far as that is still in its process group. For a
    /// child that leads a session of its own.
    pub fn kill_group(&self) -> io::Result<()> {
        // A child that has not been reaped keeps its number, so the group can only be its own.
        if let (true, Some(group)) = (self.can_be_reaped(), Pid::from_raw(self.pid)) {
            let _ = kill_process_group(group, rustix::process::Signal::KILL); // it may not lead yet
        }
        self.kill()
    }

    /// Whether it has ended, whoever may learn how.
    pub(crate) fn has_ended(&self) -> bool {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut ends = [PollFd::new(&self.pidfd, PollFlags::IN)];
        matches!(poll(&mut ends, Some(&at_once)), Ok(1))
    }

    /// Whether it has ended and its tracer has not let go of it: its pidfd is readable then, and
    /// there is nothing to learn before the kernel sends `SIGCHLD` once more.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// How it ended, if that can be told; never waits.
    pub fn try_wait(&mut self) -> Option<Exit> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let exit = match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            Ok(None) => {
                self.is_held = self.has_ended();
                return None;
            }
            Ok(Some(status)) => {
                let signal = status.terminating_signal();
                let code = status.exit_status().or(signal.map(|signal| 128 + signal));
                Exit { code: code.unwrap_or(Exit::UNKNOWN.code), signal }
            }
            Err(_) => Exit::UNKNOWN, // it is no child: what never comes is not waited for
        };
        self.is_reaped = true;
        forget(self.pid);
        Some(exit)
    }

    /// Waits for its end, until the deadline.
    pub fn wait_until(&mut self, deadline: Instant) -> Option<Exit> {
        loop {
            if let Some(exit) = self.try_wait() {
                return Some(exit);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            // One whose tracer holds it is waited for by the clock.
            let limit = if self.is_held { left.min(HELD_PAUSE) } else { left };
            let limit = Timespec::try_from(limit).ok()?;
            let mut ends = [PollFd::new(&self.pidfd, PollFlags::IN)];
            let _ = poll(if self.is_held { &mut [] } else { &mut ends }, Some(&limit));
        }
    }

    fn can_be_reaped(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !self.is_reaped && waitid(WaitId::PidFd(self.pidfd.as_fd()), options).is_ok()
    }
}

/// How often somebody who waits for a process looks whether its tracer has let go of it.
const HELD_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

impl Drop for Child {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        let _ = self.kill(); // it may have ended by itself
        if self.makes_another {
            // Who has been killed makes nothing any more.
            self.made().for_each(drop);
        }
        if self.try_wait().is_none() {
            forget(self.pid);
        }
    }
}

thread_local! {
    /// The children of this process that there is a [`Child`] for.
    static KNOWN: RefCell<BTreeSet<i32>> = const { RefCell::new(BTreeSet::new()) };
}

fn forget(pid: i32) {
    KNOWN.with_borrow_mut(|known| known.remove(&pid));
}

/// The children of this process that there is no [`Child`] for (`/proc/thread-self/children`,
/// proc(5)).
fn strangers() -> Vec<Pid> {
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let pids = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
    let is_known = |pid: i32| KNOWN.with_borrow(|known| known.contains(&pid));
    pids.filter(|pid| !is_known(*pid)).filter_map(Pid::from_raw).collect()
}

/// Reaps the children that have ended and that there is no [`Child`] for: those that were dropped,
/// and those that containers leave to this process (a process in this process's pid namespace loses
/// its parent, `PR_SET_CHILD_SUBREAPER`, prctl(2); a command makes a sibling, `CLONE_PARENT`,
/// clone(2)). Until then they count against the limit of their cgroup, and no pid namespace with one
/// of them in it ends.
pub fn reap_orphans() {
    for orphan in strangers() {
        let _ = waitid(WaitId::Pid(orphan), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

/// The same until nobody is left of them, or the deadline comes.
pub fn reap_orphans_until(deadline: Instant) {
    loop {
        reap_orphans();
        let left = deadline.checked_duration_since(Instant::now());
        let left = left.map(|left| Timespec::try_from(left.min(HELD_PAUSE)));
        let (Some(orphan), Some(Ok(left))) = (strangers().into_iter().next(), left) else {
            return;
        };
        if let Ok(pidfd) = pidfd_open(orphan, PidfdFlags::empty()) {
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)); // it looks again
        }
    }
}

/// Runs `job` in a child that shares everything with this process but its memory.
pub fn spawn_aside(title: &str, job: impl FnOnce() -> i32) -> Result<Child, crate::SandboxError> {
    let name = std::ffi::CString::new(title).unwrap_or_default();
    Child::spawn(New::default(), || {
        let _ = nix::sys::prctl::set_name(&name); // only what ps shows
        job()
    })
    .map_err(|source| crate::SandboxError::Clone { what: title.to_owned(), source })
}
