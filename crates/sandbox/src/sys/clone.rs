//! A child process in new namespaces (clone(2), `clone3`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

/// A child process as clone3 leaves it: its pidfd and its process id.
pub(crate) struct Cloned {
    pub(crate) pidfd: OwnedFd,
    pub(crate) pid: i32,
}

/// `CLONE_INTO_CGROUP` (linux/sched.h); the C library's number of it is too short.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the child gets new.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct New<'a> {
    pub(crate) mount: bool,
    pub(crate) pid: bool,
    pub(crate) network: bool,
    pub(crate) ipc: bool,
    pub(crate) uts: bool,
    pub(crate) user: bool,
    /// A cgroup v2 directory that the child is born in.
    #[serde(skip)]
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// Its parent is this process's parent (`CLONE_PARENT`).
    #[serde(skip)]
    pub(crate) sibling: bool,
}

/// Runs `job` in a child and returns at once. The child ends with what `job` returns; a panic in
/// it ends the child with 70 and never reaches the parent's frames.
pub(crate) fn clone(new: New<'_>, job: impl FnOnce() -> i32) -> io::Result<Cloned> {
    require_single_thread()?;
    let mut pidfd: libc::c_int = -1;
    let call = libc::clone_args {
        flags: new.flags(),
        pidfd: (&raw mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        // A sibling has this process's own.
        exit_signal: if new.sibling { 0 } else { u64::from(libc::SIGCHLD.unsigned_abs()) },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: new.cgroup.map_or(0, |directory| u64::from(directory.as_raw_fd().unsigned_abs())),
    };
    let size = size_of::<libc::clone_args>();
    // SAFETY: this process has one thread (checked above), so the child inherits no lock that
    // nobody in it can release; without CLONE_VM it goes on with a copy of this stack and cannot
    // write to our memory; the kernel reads `size` bytes of `call` and stores a descriptor in
    // `pidfd`; both, and the cgroup's descriptor, outlive the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const call, size) };
    match i32::try_from(pid).unwrap_or(-1) {
        -1 => Err(io::Error::last_os_error()),
        0 => end_child(job),
        pid => {
            // SAFETY: on success the kernel stored a new descriptor here that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned { pidfd, pid })
        }
    }
}

impl New<'_> {
    fn flags(&self) -> u64 {
        let chosen = [
            (self.mount, libc::CLONE_NEWNS),
            (self.pid, libc::CLONE_NEWPID),
            (self.network, libc::CLONE_NEWNET),
            (self.ipc, libc::CLONE_NEWIPC),
            (self.uts, libc::CLONE_NEWUTS),
            (self.user, libc::CLONE_NEWUSER),
            (self.sibling, libc::CLONE_PARENT),
        ];
        let chosen = chosen.iter().filter(|(is_chosen, _)| *is_chosen);
        let flags = chosen.fold(libc::CLONE_PIDFD, |flags, (_, one)| flags | one);
        u64::from(flags.cast_unsigned()) | self.cgroup.map_or(0, |_| INTO_CGROUP)
    }
}

/// Runs `job` in a sibling: a child of this process's parent, born in the pid namespace that this
/// process has chosen for its children. For a process that was itself made by [`clone`] and is all
/// but confined: a seccomp filter lets this call pass, and `clone3` not.
///
/// The parent learns of it from the kernel alone: it is a new child in this process's group.
pub(crate) fn clone_sibling(job: impl FnOnce() -> i32) -> io::Result<()> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    let none = std::ptr::null_mut::<libc::c_int>();
    // SAFETY: this process has one thread, being a child of `clone` that has started none, so the
    // sibling inherits no lock that nobody in it can release; without CLONE_VM it goes on with a
    // copy of this stack and cannot write to our memory; the kernel is given no address.
    match unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, 0) } {
        -1 => Err(io::Error::last_os_error()),
        0 => end_child(job),
        _ => Ok(()),
    }
}

/// A child of a process with other threads could wait for ever for a lock that one of them held.
fn require_single_thread() -> io::Result<()> {
    let tasks = std::fs::read_dir("/proc/self/task")?.count();
    if tasks == 1 {
        return Ok(());
    }
    Err(io::Error::other(format!("the process has {tasks} threads, and must have one")))
}

fn end_child(job: impl FnOnce() -> i32) -> ! {
    let code = catch_unwind(AssertUnwindSafe(job)).unwrap_or(70);
    // SAFETY: _exit runs no destructor and no handler of the parent's, whose frames are below.
    unsafe { libc::_exit(code) }
}
