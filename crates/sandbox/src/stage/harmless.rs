//! What a process of ours does against others that could look into it.
//!
//! A container sees processes of ours when it shares a pid namespace with them. What the kernel lets
//! it do with one is decided by ptrace(2), "Ptrace access mode checking": the files below
//! `/proc/PID`, its memory and its descriptors are open to a process with the same user ids and at
//! least its capabilities if it is dumpable, and to one with `CAP_SYS_PTRACE` always. So all of them
//! hide, which leaves those with that capability; and every one that a task allows to be so has
//! nothing that would be worth looking for.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::report::StageError;
use crate::capabilities;
use crate::plan::CapabilitySets;
use crate::sys::{descriptors, environment};
use crate::user_namespace::ID_COUNT;

/// The user and group of processes that need no privilege. No container has it: a manifest's ids are
/// below 2^31, and so are those of the pods' user namespaces.
const OWN_ID: u32 = 4_000_000_000;

/// The same inside a pod's user namespace, which has no other ids: its last one.
const OWN_ID_IN_POD: u32 = ID_COUNT - 1;

/// No other process may look into this one (`PR_SET_DUMPABLE`, prctl(2)), and no core of it is
/// dumped; children have it from their parents, and execve(2) ends it.
///
/// # Errors
///
/// None that a kernel is known to have.
pub fn hide_from_others() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// The kernel kills this process when its parent dies. `require_it` fails if that has died already,
/// which the kernel tells nobody; it is asked each time, because a supervisor may die wherever the
/// request does not hold.
pub(crate) fn die_with_supervisor(
    require_it: impl FnOnce() -> Result<(), StageError>,
) -> Result<(), StageError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|error| StageError::prepare("cannot ask to die with the supervisor", error))?;
    require_it()
}

/// What a change of user undoes: it clears the signal for a parent's death, and makes the process
/// dumpable where `fs.suid_dumpable` says so (`proc_sys_fs(5)`).
pub(crate) fn stay_hidden(
    require_supervisor: impl FnOnce() -> Result<(), StageError>,
) -> Result<(), StageError> {
    hide_from_others()
        .map_err(|error| StageError::prepare("cannot hide from other processes", error))?;
    die_with_supervisor(require_supervisor)
}

/// Variables of the host are nobody's business who may look into this process.
pub(crate) fn forget_environment() -> Result<(), StageError> {
    environment::erase().map_err(|error| StageError::prepare("cannot erase the environment", error))
}

/// The standard streams become the null device.
pub(crate) fn let_go_of_streams() -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    Ok(rustix::process::chdir("/")?)
}

/// Keeps these files open and no other besides the streams.
pub(super) fn keep_only(files: &[BorrowedFd<'_>]) -> Result<(), StageError> {
    descriptors::close_all_but(files)
        .map_err(|error| StageError::prepare("cannot close what is open", error))
}

/// Gives up the user and every capability for good. `in_pod` says that this process is in a pod's
/// user namespace.
pub(super) fn become_nobody(
    in_pod: bool,
    require_supervisor: impl FnOnce() -> Result<(), StageError>,
) -> Result<(), StageError> {
    let failed = |error: Errno| StageError::prepare("cannot give up the user", error);
    let id = if in_pod { OWN_ID_IN_POD } else { OWN_ID };
    let (gid, uid) = (Gid::from_raw(id), Uid::from_raw(id));
    let lost = |error| StageError::prepare("cannot let go of capabilities", error);
    capabilities::limit_bounding_set(0).map_err(lost)?;
    setgroups(&[]).map_err(failed)?;
    setresgid(gid, gid, gid).map_err(failed)?;
    setresuid(uid, uid, uid).map_err(failed)?;
    capabilities::apply(&CapabilitySets::default()).map_err(lost)?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| StageError::prepare("cannot set no_new_privs", error))?;
    stay_hidden(require_supervisor)
}
