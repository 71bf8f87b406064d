//! A process that works on the files of a running container.
//!
//! Who am I: `minipod:cp`, a child of the supervisor in the container's mount namespace, with the
//! container's user, capabilities and filter, but outside of its process namespace: the container
//! neither sees nor traces me. What do I hold: three streams. How do I end: when the files are
//! copied. Nothing of the container is run or loaded.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sched::{CloneFlags, setns};

use super::become_process::{self, OwnMounts, Users};
use super::pod_holder::{die_with_supervisor, hide_from_others};
use super::report::{ReportWriter, StageError};
use crate::container::{Placement, Stdio};
use crate::plan::ProcessPlan;
use crate::sys::descriptors;
use crate::user_namespace::IdMap;

/// Whose rights the job has, what it reads and writes, and where it is placed.
type Process<'a> = (&'a ProcessPlan, Stdio, Placement<'a>);

/// Joins the container's files and does the job; returns its exit code.
pub(crate) fn run(
    container: (BorrowedFd<'_>, Option<IdMap<'_>>),
    process: Process<'_>,
    report: ReportWriter,
    job: impl FnOnce() -> i32,
) -> i32 {
    match join(container, process, &report) {
        Ok(()) => {
            report.close(); // tells that the job begins
            job()
        }
        Err(error) => {
            report.fail(&error);
            126
        }
    }
}

fn join(
    (container, ids): (BorrowedFd<'_>, Option<IdMap<'_>>),
    (plan, stdio, placement): Process<'_>,
    report: &ReportWriter,
) -> Result<(), StageError> {
    let _ = nix::sys::prctl::set_name(c"minipod:cp"); // only what ps shows
    hide_from_others()?;
    die_with_supervisor()?;
    let placement = placement.open()?;
    become_process::set_oom_score(plan.oom_score_adj)?;
    rustix::process::setsid()
        .map_err(|error| StageError::prepare("cannot start a session", error))?;
    // Joining the mount namespace also makes its root this process's root (setns(2)).
    setns(container, CloneFlags::CLONE_NEWNS)
        .map_err(|error| StageError::prepare("cannot join the container", error))?;
    placement.settle()?;
    let users = ids.map(|ids| Users { ids, mounts: OwnMounts::Joined });
    become_process::confine(plan, stdio, users)?;
    descriptors::close_all_but(&[report.as_fd()])
        .map_err(|error| StageError::prepare("cannot close what is open", error))
}
