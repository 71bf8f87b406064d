//! A process that asks something over the node's network.
//!
//! Who am I: `minipod:probe`, a child of the supervisor in the mount namespace of the pod's holder,
//! which has nothing in it; a user of my own, without any capability. A container with `hostPID` sees
//! me, and finds nothing. What do I hold: the file that the answer goes into. How do I end: when I have
//! answered, or killed by the supervisor.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use nix::unistd::getppid;
use rustix::io::Errno;

use super::harmless::{become_nobody, die_with_supervisor, keep_only};
use super::landlock::{Needs, restrict_to};
use super::order::Question;
use super::report::StageError;
use crate::child::Child;
use crate::spawner::Jobs;
use crate::sys::clone::New;

/// What was looked up is not longer, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;

/// Does the job; returns the exit code. Whoever sees the title sees a process that has nothing any
/// more.
pub(crate) fn run(
    order: &Question<'_>,
    holder: BorrowedFd<'_>,
    output: OwnedFd,
    jobs: Jobs,
) -> i32 {
    match prepare(order, holder, &output, jobs) {
        Ok(job) => (jobs.ask)(&job, output),
        Err(_) => 1, // whoever waits for the answer gets none
    }
}

fn prepare(
    order: &Question<'_>,
    holder: BorrowedFd<'_>,
    output: &OwnedFd,
    jobs: Jobs,
) -> Result<String, StageError> {
    die_with_supervisor(|| require_parent(order.supervisor))?;
    let job = if order.looks_up {
        look_up(&order.job, jobs)
            .map_err(|error| StageError::prepare("cannot look up a name", error))?
    } else {
        order.job.to_string()
    };
    // Its root becomes this one's.
    setns(holder, CloneFlags::CLONE_NEWNS)
        .map_err(|error| StageError::prepare("cannot enter an empty root", error))?;
    keep_only(&[output.as_fd()])?;
    become_nobody(false, || require_parent(order.supervisor))?;
    restrict_to(Needs::Network)?;
    let title = std::ffi::CString::new(order.title.as_ref()).unwrap_or_default();
    let _ = nix::sys::prctl::set_name(&title); // only what ps shows
    Ok(job)
}

/// That the supervisor is still this process's parent.
fn require_parent(supervisor: u32) -> Result<(), StageError> {
    if u32::try_from(getppid().as_raw()) == Ok(supervisor) {
        return Ok(());
    }
    Err(StageError::prepare("the supervisor has ended", Errno::SRCH))
}

/// Names are looked up with the machine's files, and the answers come from somewhere: a child does
/// it that has the files and no privilege, so that none ever has both.
fn look_up(job: &str, jobs: Jobs) -> io::Result<String> {
    let (reader, mut writer) = io::pipe()?;
    let asker = std::process::id();
    let child = Child::spawn(New::default(), move || {
        let is_nobody = keep_only(&[writer.as_fd()])
            .and_then(|()| become_nobody(false, || require_parent(asker)))
            .and_then(|()| restrict_to(Needs::Lookup));
        let found = if is_nobody.is_ok() { (jobs.look_up)(job) } else { None };
        i32::from(found.is_none_or(|found| writer.write_all(found.as_bytes()).is_err()))
    })?;
    let mut found = String::new();
    reader.take(LONGEST_ANSWER).read_to_string(&mut found)?;
    drop(child);
    Ok(found)
}
