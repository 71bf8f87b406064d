//! A process that joins a running container for one task.
//!
//! Who am I: `minipod:exec`, a child of the supervisor that was born in the container's pid
//! namespace. What do I hold: my end of the report. How do I end: as the command I was started
//! for; when the container's first process ends, the kernel kills me with everything in there.

use std::convert::Infallible;
use std::os::fd::BorrowedFd;

use nix::sched::{CloneFlags, setns};

use super::become_process::{self, OwnMounts, Users};
use super::container_init::own_terminal;
use super::pod_holder::{die_with_supervisor, hide_from_others};
use super::report::{ReportWriter, StageError};
use crate::container::{Placement, Stdio};
use crate::plan::ProcessPlan;
use crate::user_namespace::IdMap;

/// Joins the container and becomes the command; returns an exit code only if that failed.
pub(crate) fn run(
    container: (BorrowedFd<'_>, Option<IdMap<'_>>),
    plan: &ProcessPlan,
    (stdio, placement): (Stdio, Placement<'_>),
    report: &ReportWriter,
) -> i32 {
    match visit(container, plan, (stdio, placement), report) {
        Ok(never) => match never {},
        Err(error) => {
            report.fail(&error);
            if error.is_not_found() { 127 } else { 126 }
        }
    }
}

fn visit(
    (container, ids): (BorrowedFd<'_>, Option<IdMap<'_>>),
    plan: &ProcessPlan,
    (stdio, placement): (Stdio, Placement<'_>),
    report: &ReportWriter,
) -> Result<Infallible, StageError> {
    let _ = nix::sys::prctl::set_name(c"minipod:exec"); // only what ps shows
    hide_from_others()?;
    die_with_supervisor()?;
    let placement = placement.open()?;
    rustix::process::setsid()
        .map_err(|error| StageError::prepare("cannot start a session", error))?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    // Joining the mount namespace also makes its root this process's root (setns(2)).
    setns(container, namespaces)
        .map_err(|error| StageError::prepare("cannot join the container", error))?;
    let stdio = match plan.terminal {
        Some(size) => own_terminal(size, report)?,
        None => stdio,
    };
    placement.settle()?;
    let users = ids.map(|ids| Users { ids, mounts: OwnMounts::Joined });
    become_process::become_process(plan, stdio, users)
}
