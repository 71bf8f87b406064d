//! A container from the outside: started, joined, and known by its first process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
    /// The cgroup v2 directory that it is born in.
    pub cgroup_v2: Option<BorrowedFd<'a>>,
    /// The reading end of a pipe: the program runs after one byte, or after the pipe's end, so
    /// that whoever holds the other end can place the process first.
    pub gate: Option<OwnedFd>,
}

impl Placement<'_> {
    pub(crate) fn into_gate(self) -> Gate {
        Gate(self.gate)
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
