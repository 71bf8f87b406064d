//! A container's first process, until it becomes the container's program.
//!
//! Who am I: `minipod:init`, process 1 of a new pid namespace, in a new mount namespace. In a pod
//! that shares its processes I stay outside of their namespace, where they would look into me as
//! long as I have the machine's root, and make the process that becomes the container's. Who
//! started me: the pod's supervisor. What do I hold: my end of the report, which closes when the
//! program runs. How do I end: as the container's program, when I have made the one that becomes
//! it, or with an error on the report.
//!
//! See for yourself: `nsenter -t PID -m cat /proc/self/mountinfo`, `lsns -p PID`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{Mode, OFlags};

use super::become_process::{self, OwnMounts, Users};
use super::harmless::die_with_supervisor;
use super::report::{ReportWriter, StageError};
use crate::app_armor;
use crate::container::{OpenPlacement, Stdio};
use crate::namespaces::Shared;
use crate::plan::{ContainerPlan, PidSharing, PodSandboxPlan, TerminalSize};
use crate::root;
use crate::standard_mounts::MOST_TERMINALS;
use crate::sys::keyring;
use crate::terminal;
use crate::user_namespace::IdMap;

/// Everything the stage needs that is not in the plan.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) holder: BorrowedFd<'a>,
    pub(crate) users: Option<BorrowedFd<'a>>,
    pub(crate) stdio: Stdio,
    pub(crate) placement: OpenPlacement,
    pub(crate) pod: &'a PodSandboxPlan,
}

/// Turns this process into the container's program, or makes the process that becomes it; returns
/// an exit code only if it failed, or has done its part.
pub(crate) fn run(plan: &ContainerPlan, setting: Setting<'_>, report: &ReportWriter) -> i32 {
    container_init(plan, setting, report).unwrap_or_else(|error| report.fail_with(&error))
}

fn container_init(
    plan: &ContainerPlan,
    setting: Setting<'_>,
    report: &ReportWriter,
) -> Result<i32, StageError> {
    let _ = nix::sys::prctl::set_name(c"minipod:init"); // only what ps shows
    die_with_supervisor(|| report.require_starter())?;
    become_process::set_oom_score(plan.process.oom_score_adj)?;
    let Setting { holder, users, mut stdio, placement, pod } = setting;
    let ids = IdMap::of(users, pod.user_ids);
    let is_seen = pod.pid == PidSharing::Pod;
    if is_seen {
        // The supervisor finds the process that this one makes in its group, if this one is killed
        // before it can tell of it.
        rustix::process::setpgid(None, None)
            .map_err(|error| StageError::prepare("cannot lead a process group", error))?;
    } else {
        rustix::process::setsid()
            .map_err(|error| StageError::prepare("cannot start a session", error))?;
    }
    join_pod(holder, pod)?;
    app_armor::confine_at_exec(plan.process.app_armor.as_deref())?;
    leave_keyring(&plan.name)?;
    // From here on paths are the container's; the host's are out of reach after `enter`.
    let root = root::build(plan, pod, ids)?;
    if stdio.stdin.is_none() && plan.process.terminal.is_none() {
        stdio.stdin = Some(root.open_null()?);
    }
    root.enter()?;
    if let Some(size) = plan.process.terminal {
        stdio = open_terminal(size, report)?;
        if !is_seen {
            let failed = |error| StageError::prepare("cannot take the terminal", error);
            stdio.stdin.iter().try_for_each(terminal::make_controlling).map_err(failed)?;
        }
        stdio.stdin.iter().try_for_each(show_as_console)?;
    }
    placement.settle()?;
    own_cgroup_namespace()?;
    let users = ids.map(|ids| Users { ids, mounts: OwnMounts::New });
    if is_seen {
        let to = (report, pod.may_trace);
        return become_process::become_another_process(&plan.process, stdio, users, to);
    }
    match become_process::become_process(&plan.process, stdio, users, report)? {}
}

/// Joins the namespaces that the holder holds for the pod. A shared pid namespace is for the process that this one makes.
fn join_pod(holder: BorrowedFd<'_>, pod: &PodSandboxPlan) -> Result<(), StageError> {
    let flags = Shared::of(pod).flags();
    if flags.is_empty() {
        return Ok(());
    }
    setns(holder, flags)
        .map_err(|error| StageError::prepare("cannot join the pod's namespaces", error))
}

/// The host's keys are not the container's. A kernel without keyrings has none to leave.
pub(super) fn leave_keyring(name: &str) -> Result<(), StageError> {
    let name = std::ffi::CString::new(name).unwrap_or_default();
    match keyring::join_new_session_keyring(&name) {
        Err(error) if error.raw_os_error() != Some(libc::ENOSYS) => {
            Err(StageError::prepare("cannot join a session keyring", error))
        }
        _ => Ok(()),
    }
}

/// The cgroup the process is in by now becomes the root of what it can see of cgroups.
fn own_cgroup_namespace() -> Result<(), StageError> {
    unshare(CloneFlags::CLONE_NEWCGROUP)
        .map_err(|error| StageError::prepare("cannot make a cgroup namespace", error))
}

/// The terminal is the container's console, too: `/dev/console` in its own `/dev`.
fn show_as_console(far: &OwnedFd) -> Result<(), StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot make /dev/console", error);
    let root =
        rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| failed(error.into()))?;
    terminal::mount_console(&root, far).map_err(failed)
}

/// A terminal from the container's own `/dev/pts`; the near end goes to the supervisor.
pub(super) fn open_terminal(
    size: TerminalSize,
    report: &ReportWriter,
) -> Result<Stdio, StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot make a terminal", error);
    let (near, far) = terminal::open_pair().map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => {
            let text = format!(
                "cannot make a terminal: all {MOST_TERMINALS} of the container are in use, or all \
                 of the machine (kernel.pty.max)"
            );
            StageError::prepare(text, error)
        }
        _ => failed(error),
    })?;
    terminal::set_size(&near, size).map_err(failed)?;
    report.send_terminal(near.as_fd()).map_err(failed)?;
    drop(near);
    let copy = |file: &OwnedFd| file.try_clone().map_err(failed);
    Ok(Stdio { stdin: Some(copy(&far)?), stdout: Some(copy(&far)?), stderr: Some(far) })
}
