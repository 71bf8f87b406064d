//! A process that joins a running container for one task.
//!
//! Who am I: `minipod:exec`, a child of the supervisor in its own pid namespace, where no container
//! sees me. What do I hold: my end of the report. How do I end: when I have given up everything and
//! made the process that becomes the command, in the container's pid namespace; when the container's
//! first process ends, the kernel kills that one with everything in there.

use std::os::fd::BorrowedFd;

use nix::sched::{CloneFlags, setns};

use super::become_process::{self, OwnMounts, Users};
use super::container_init::{leave_keyring, open_terminal};
use super::harmless::die_with_supervisor;
use super::report::{ReportWriter, StageError};
use crate::app_armor;
use crate::container::{OpenPlacement, Stdio};
use crate::plan::ProcessPlan;
use crate::user_namespace::{IdMap, IdRange};

/// The first process of a container, and the pod's user namespace where it has one of its own.
pub(super) type Container<'a> = (BorrowedFd<'a>, Option<BorrowedFd<'a>>, Option<IdRange>);

/// Joins the container and makes the command's process; returns the exit code of this one.
pub(crate) fn run(
    container: Container<'_>,
    plan: &ProcessPlan,
    (stdio, placement): (Stdio, OpenPlacement),
    (report, may_be_traced): (&ReportWriter, bool),
) -> i32 {
    visit(container, plan, (stdio, placement), (report, may_be_traced))
        .unwrap_or_else(|error| report.fail_with(&error))
}

fn visit(
    (container, users, ids): Container<'_>,
    plan: &ProcessPlan,
    (stdio, placement): (Stdio, OpenPlacement),
    (report, may_be_traced): (&ReportWriter, bool),
) -> Result<i32, StageError> {
    let _ = nix::sys::prctl::set_name(c"minipod:exec"); // only what ps shows
    // The supervisor finds the process that this one makes in its group.
    rustix::process::setpgid(None, None)
        .map_err(|error| StageError::prepare("cannot lead a process group", error))?;
    die_with_supervisor(|| report.require_starter())?;
    become_process::set_oom_score(plan.oom_score_adj)?;
    app_armor::confine_at_exec(plan.app_armor.as_deref())?;
    leave_keyring("minipod")?;
    let namespaces = CloneFlags::CLONE_NEWPID // of the processes that this one makes
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    // Joining the mount namespace also makes its root this process's root (setns(2)).
    setns(container, namespaces)
        .map_err(|error| StageError::prepare("cannot join the container", error))?;
    let stdio = match plan.terminal {
        Some(size) => open_terminal(size, report)?,
        None => stdio,
    };
    placement.settle()?;
    let ids = IdMap::of(users, ids);
    let users = ids.map(|ids| Users { ids, mounts: OwnMounts::Joined });
    become_process::become_another_process(plan, stdio, users, (report, may_be_traced))
}
