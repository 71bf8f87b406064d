//! A child process and its end.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

use crate::capabilities;
use crate::plan::CapabilitySets;
use crate::signal::Signal;
use crate::stage::pod_holder;
use crate::sys::clone::{self, Cloned, New};
use crate::sys::signals;

/// A child process. Dropping it kills and reaps it, so that no error path can leave a stray
/// process or a zombie behind.
#[derive(Debug)]
pub struct Child {
    pidfd: OwnedFd,
    pid: i32,
    is_reaped: bool,
    /// It makes another child of this process, in its own process group until it has told of it.
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

impl Child {
    /// Runs `job` in a child.
    pub(crate) fn spawn(new: New<'_>, job: impl FnOnce() -> i32) -> io::Result<Self> {
        let Cloned { pidfd, pid } = clone::clone(new, job)?;
        Ok(Self::known_by(pidfd, pid))
    }

    /// A child that another one has made for this process (`CLONE_PARENT`, clone(2)).
    pub(crate) fn known_by(pidfd: OwnedFd, pid: i32) -> Self {
        KNOWN.with_borrow_mut(|known| known.insert(pid));
        Self { pidfd, pid, is_reaped: false, makes_another: false }
    }

    /// Says whether it makes another child of this process and has not told of it yet.
    pub(crate) fn set_makes_another(&mut self, makes_another: bool) {
        self.makes_another = makes_another;
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
        // It has not been reaped, so nobody else can have its number.
        if let (false, Some(group)) = (self.is_reaped, Pid::from_raw(self.pid)) {
            let _ = kill_process_group(group, rustix::process::Signal::KILL); // it may not lead yet
        }
        self.kill()
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        self.reap(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> io::Result<Exit> {
        loop {
            match self.reap(WaitIdOptions::EXITED) {
                Ok(Some(exit)) => return Ok(exit),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether it has ended and made another child without telling of it, or none.
    pub(crate) fn has_ended_untold(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let ended = || waitid(WaitId::PidFd(self.pidfd.as_fd()), options);
        self.makes_another && !matches!(ended(), Ok(None))
    }

    /// Reaps the child that it has made and not told of, which was killed with its group.
    fn reap_group(&self) {
        let group = WaitId::Pgid(Pid::from_raw(self.pid));
        while matches!(waitid(group.clone(), WaitIdOptions::EXITED), Ok(_) | Err(Errno::INTR)) {}
    }

    fn reap(&mut self, options: WaitIdOptions) -> io::Result<Option<Exit>> {
        let itself = || WaitId::PidFd(self.pidfd.as_fd());
        if self.makes_another {
            // Who has ended without having told of the other one cannot tell any more.
            if waitid(itself(), options | WaitIdOptions::NOWAIT)?.is_none() {
                return Ok(None);
            }
            let _ = self.kill_group(); // there may be none
        }
        let Some(status) = waitid(itself(), options)? else {
            return Ok(None);
        };
        self.is_reaped = true;
        forget(self.pid);
        if self.makes_another {
            self.reap_group();
        }
        let signal = status.terminating_signal();
        let code = match (status.exit_status(), signal) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => 255,
        };
        Ok(Some(Exit { code, signal }))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_reaped {
            let _ = self.kill(); // it may have ended by itself
            let _ = self.wait(); // nobody is left to tell
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

/// Reaps the children that have ended and that there is no [`Child`] for: orphans of a container
/// whose processes are in this process's pid namespace, and so become this process's children
/// (`PR_SET_CHILD_SUBREAPER`, prctl(2)). Until then they count against the limit of their cgroup.
pub fn reap_orphans() -> io::Result<()> {
    let children = std::fs::read_to_string("/proc/thread-self/children")?;
    let pids = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
    let is_known = |pid: i32| KNOWN.with_borrow(|known| known.contains(&pid));
    for orphan in pids.filter(|pid| !is_known(*pid)).filter_map(Pid::from_raw) {
        let _ = waitid(WaitId::Pid(orphan), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
    Ok(())
}

/// Runs `job` in a child that is where this process is, and keeps no file but `output` and no
/// capability.
pub fn spawn_unprivileged(
    title: &str,
    output: OwnedFd,
    job: impl FnOnce(OwnedFd) -> i32,
) -> Result<Child, crate::SandboxError> {
    spawn_aside(title, || {
        let is_ready = pod_holder::die_with_supervisor().is_ok()
            && pod_holder::let_go_of_files(output.as_fd()).is_ok()
            && capabilities::apply(&CapabilitySets::default()).is_ok();
        if is_ready { job(output) } else { 1 }
    })
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
