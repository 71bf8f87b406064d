//! A process that works on the files of a running container.
//!
//! Who am I: `minipod:cp`, a child of the supervisor in the container's mount namespace, with the
//! container's user, capabilities and filter, but outside of its process namespace: only a container
//! with `hostPID` sees me, and finds what it has itself. What do I hold: three streams. How do I end: when the files are
//! copied. Nothing of the container is run or loaded.

use std::os::fd::AsFd;

use nix::sched::{CloneFlags, setns};

use super::become_process::{self, OwnMounts, Users};
use super::harmless::{die_with_supervisor, keep_only};
use super::landlock::{Needs, restrict_to};
use super::report::{ReportWriter, StageError};
use super::visitor::Container;
use crate::container::{OpenPlacement, Stdio};
use crate::plan::ProcessPlan;
use crate::user_namespace::IdMap;

/// Whose rights the job has, what it reads and writes, and where it is placed.
type Process<'a> = (&'a ProcessPlan, Stdio, OpenPlacement);

/// Joins the container's files and does the job; returns its exit code.
pub(crate) fn run(
    container: Container<'_>,
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
    (container, users, ids): Container<'_>,
    (plan, stdio, placement): Process<'_>,
    report: &ReportWriter,
) -> Result<(), StageError> {
    let _ = nix::sys::prctl::set_name(c"minipod:cp"); // only what ps shows
    die_with_supervisor(|| report.require_starter())?;
    become_process::set_oom_score(plan.oom_score_adj)?;
    rustix::process::setsid()
        .map_err(|error| StageError::prepare("cannot start a session", error))?;
    // Joining the mount namespace also makes its root this process's root (setns(2)).
    setns(container, CloneFlags::CLONE_NEWNS)
        .map_err(|error| StageError::prepare("cannot join the container", error))?;
    placement.settle()?;
    let ids = IdMap::of(users, ids);
    let users = ids.map(|ids| Users { ids, mounts: OwnMounts::Joined });
    become_process::confine(plan, stdio, users, report)?;
    restrict_to(Needs::Files)?;
    keep_only(&[report.as_fd()])
}
