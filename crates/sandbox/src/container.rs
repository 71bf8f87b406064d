//! A container from the outside: started, joined, and known by its first process.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::cgroup::{CgroupError, ContainerCgroup};
use crate::child::Child;
use crate::stage::become_process::Gate;
use crate::stage::report::{Report, ReportReader, StageError};

/// The streams of a process; what is absent is the container's `/dev/null`. A process with a
/// terminal has none of them.
#[derive(Debug, Default)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: Option<OwnedFd>,
    /// Descriptor 1.
    pub stdout: Option<OwnedFd>,
    /// Descriptor 2.
    pub stderr: Option<OwnedFd>,
}

/// Where a process is placed before its program runs.
#[derive(Debug, Default)]
pub struct Placement<'a> {
    /// The cgroup that it is in from the start.
    pub cgroup: Option<&'a ContainerCgroup>,
    /// The reading end of a pipe: the program runs after one byte, or after the pipe's end, so
    /// that whoever holds the other end can place the process first.
    pub gate: Option<OwnedFd>,
}

impl<'a> Placement<'a> {
    /// The directory to be born in, on cgroup v2.
    pub(crate) fn birthplace(&self) -> Option<BorrowedFd<'a>> {
        self.cgroup.and_then(ContainerCgroup::v2_dir)
    }

    /// Opens the files through which a process gets into the cgroup.
    pub(crate) fn tasks_files(&self) -> Result<Vec<File>, CgroupError> {
        self.cgroup.map_or_else(|| Ok(Vec::new()), ContainerCgroup::tasks_files)
    }
}

/// A placement that needs no paths any more.
#[derive(Debug)]
pub(crate) struct OpenPlacement {
    tasks: Vec<File>,
    gate: Gate,
}

impl OpenPlacement {
    pub(crate) fn new(tasks: Vec<File>, gate: Gate) -> Self {
        Self { tasks, gate }
    }

    /// Waits until the program may run and moves this process to where it has to be. What was
    /// prepared before is so not slowed down by the limits of the program.
    pub(crate) fn settle(self) -> Result<(), StageError> {
        self.gate.pass();
        let mut tasks = self.tasks.iter();
        tasks
            .try_for_each(|mut file| file.write_all(b"0"))
            .map_err(|error| StageError::prepare("cannot join the cgroup", error))
    }
}

/// A process that is on its way to its program.
#[derive(Debug)]
pub struct Starting {
    child: Child,
    report: ReportReader,
}

/// What became of a start.
#[derive(Debug)]
pub enum StartOutcome {
    /// The program runs.
    Executed {
        /// The near end of its terminal, if it has one.
        terminal: Option<OwnedFd>,
    },
    /// It does not.
    Failed(StageError),
}

impl Starting {
    pub(crate) fn new(child: Child, report: ReportReader) -> Self {
        Self { child, report }
    }

    /// The same for a process that makes the one that goes on.
    pub(crate) fn by_maker(mut child: Child, report: ReportReader) -> Self {
        child.set_makes_another();
        Self::new(child, report)
    }

    /// The process.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Something of these is readable when there may be an outcome: what it reports, and its end,
    /// because the report of a process that a container has in its hands may never come.
    pub fn watched(&self) -> [BorrowedFd<'_>; 2] {
        [self.report.as_fd(), self.child.pidfd()]
    }

    /// The outcome, if there is one; never waits.
    pub fn outcome(&mut self) -> Option<StartOutcome> {
        if self.child.makes_another() {
            let has_ended = self.child.has_ended(); // before it is looked what it told
            match self.report.read() {
                Report::Failed(error) => return Some(StartOutcome::Failed(error)),
                Report::Nothing | Report::Executed if !has_ended => return None,
                Report::Nothing | Report::Executed => {}
            }
            let Some(made) = self.child.take_made() else { return Some(lost()) };
            self.child = made;
            self.report.acknowledge();
        }
        let has_ended = self.child.has_ended();
        match self.report.read() {
            Report::Nothing if has_ended => Some(lost()),
            Report::Nothing => None,
            Report::Executed => {
                Some(StartOutcome::Executed { terminal: self.report.take_terminal() })
            }
            Report::Failed(error) => Some(StartOutcome::Failed(error)),
        }
    }

    /// The process, once its program runs.
    pub fn into_child(self) -> Child {
        self.child
    }
}

fn lost() -> StartOutcome {
    StartOutcome::Failed(StageError::prepare("killed before it ran", Errno::SRCH))
}
