//! A child process in new namespaces (clone(2), `clone3`).

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use clone3::Clone3;

/// A child process as clone3 leaves it: its pidfd and its process id.
pub(crate) struct Cloned {
    pub(crate) pidfd: OwnedFd,
    pub(crate) pid: i32,
}

/// What the child gets new.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct New<'a> {
    pub(crate) mount: bool,
    pub(crate) pid: bool,
    pub(crate) network: bool,
    pub(crate) ipc: bool,
    pub(crate) uts: bool,
    pub(crate) user: bool,
    /// A cgroup v2 directory that the child is born in.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
}

/// Runs `job` in a child and returns at once. The child ends with what `job` returns; a panic in
/// it ends the child with 70 and never reaches the parent's frames.
pub(crate) fn clone(new: New<'_>, job: impl FnOnce() -> i32) -> io::Result<Cloned> {
    require_single_thread()?;
    let mut pidfd = -1;
    let mut call = Clone3::default();
    call.exit_signal(u64::from(libc::SIGCHLD.unsigned_abs())).flag_pidfd(&mut pidfd);
    if new.mount {
        call.flag_newns();
    }
    if new.pid {
        call.flag_newpid();
    }
    if new.network {
        call.flag_newnet();
    }
    if new.ipc {
        call.flag_newipc();
    }
    if new.uts {
        call.flag_newuts();
    }
    if new.user {
        call.flag_newuser();
    }
    let cgroup = new.cgroup;
    if let Some(directory) = &cgroup {
        call.flag_into_cgroup(directory);
    }
    // SAFETY: this process has one thread (checked above), so the child inherits no lock that
    // nobody in it can release; without CLONE_VM it cannot write to our memory; `pidfd` and the
    // cgroup's descriptor outlive the call.
    match unsafe { call.call() } {
        Ok(0) => end_child(job),
        Ok(pid) => {
            // SAFETY: on success the kernel stored a new descriptor here that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned { pidfd, pid })
        }
        Err(error) => Err(io::Error::from_raw_os_error(error.0)),
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
