//! A container from the outside: started, joined, and known by its first process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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

    /// Moves this process to where it has to be, before it does anything else.
    pub(crate) fn settle(&self) -> Result<(), StageError> {
        let Some(Err(error)) = self.cgroup.map(ContainerCgroup::join) else {
            return Ok(());
        };
        let CgroupError::File { path, source, .. } = error else {
            return Ok(()); // joining does nothing but write files
        };
        Err(StageError::prepare(format!("cannot join the cgroup by {}", path.display()), source))
    }

    /// Waits until the program may run.
    pub(crate) fn pass_gate(self) {
        Gate(self.gate).pass();
    }
}

/// A process that is on its way to its program.
#[derive(Debug)]
pub struct Starting {
    child: Child,
    report: ReportReader,
    terminal: Option<OwnedFd>,
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
        Self { child, report, terminal: None }
    }

    /// The process.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Readable when there is an outcome.
    pub fn report_fd(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }

    /// The outcome, if there is one; never waits.
    pub fn outcome(&mut self) -> Option<StartOutcome> {
        loop {
            match self.report.read() {
                Report::Nothing => return None,
                Report::Terminal(terminal) => self.terminal = Some(terminal),
                Report::Executed => {
                    return Some(StartOutcome::Executed { terminal: self.terminal.take() });
                }
                Report::Failed(error) => return Some(StartOutcome::Failed(error)),
            }
        }
    }

    /// The process, once its program runs.
    pub fn into_child(self) -> Child {
        self.child
    }
}
