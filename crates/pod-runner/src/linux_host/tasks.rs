//! Short-lived children of the supervisor: pulls, probes, hooks, commands of `exec`.
//!
//! A task has one purpose, perhaps outputs that are collected, and perhaps a deadline. It is over
//! when its process has ended; dropping it kills it and waits for nobody.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use pod_lifecycle::{Hook, Instance, ProbeKind};
use pod_model::{ContainerName, Uptime};
use sandbox::{Child, Exit, StageError, StartOutcome, Starting};

use super::inbox::Token;
use super::output::{self, Drained};
use super::process::Process;
use crate::volumes::VolumeImage;

/// What a task is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Pulls a container's image, or one that a volume of it shows.
    Pull(ContainerName, Option<VolumeImage>),
    /// Pulls an image that is needed later.
    Prefetch(String),
    /// Runs a hook.
    Hook(Instance, Hook),
    /// Runs a probe.
    Probe(Instance, ProbeKind),
    /// Runs a command for the connection of that number.
    Exec(u64),
    /// Measures what the pod has written.
    Measure,
    /// Removes what a container has left.
    Remove,
}

/// How a task's process came to its end.
#[derive(Debug)]
pub(super) enum Ending {
    /// It ran and ended.
    Exited(Exit),
    /// It could not be started.
    NotStarted(StageError),
    /// It was still running at its deadline.
    TimedOut,
}

/// A task that is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) purpose: Purpose,
    pub(super) ending: Ending,
    pub(super) output: Vec<u8>,
    pub(super) errors: Vec<u8>,
}

/// A running task.
#[derive(Debug)]
pub(super) struct Task {
    id: u64,
    purpose: Purpose,
    process: Process,
    outputs: Vec<Output>,
    deadline: Option<Uptime>,
}

/// The near end of something that a task writes, and what it has written so far.
#[derive(Debug, Default)]
struct Output {
    file: Option<OwnedFd>,
    collected: Vec<u8>,
}

/// All running tasks.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    last_id: u64,
    running: Vec<Task>,
}

/// What a task may write before the rest is thrown away, as a kubelet limits it.
const MOST_OUTPUT: usize = 10 * 1024;

impl Tasks {
    /// Adds a process that runs already.
    pub(super) fn add(&mut self, purpose: Purpose, child: Child, output: Option<OwnedFd>) {
        self.push(purpose, Process::Running(child), output.into_iter().collect(), None);
    }

    /// Adds a process that is joining a container; its outputs are standard output and standard
    /// error, in this order.
    pub(super) fn add_starting(
        &mut self,
        purpose: Purpose,
        starting: Starting,
        outputs: Vec<OwnedFd>,
        deadline: Option<Uptime>,
    ) {
        self.push(purpose, Process::Starting(starting), outputs, deadline);
    }

    /// Adds a process with a deadline.
    pub(super) fn add_until(
        &mut self,
        purpose: Purpose,
        child: Child,
        output: Option<OwnedFd>,
        deadline: Option<Uptime>,
    ) {
        self.push(purpose, Process::Running(child), output.into_iter().collect(), deadline);
    }

    /// The earliest deadline of a task.
    pub(super) fn next_deadline(&self) -> Option<Uptime> {
        self.running.iter().filter_map(|task| task.deadline).min()
    }

    /// The descriptors to wait for.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Token, BorrowedFd<'_>)> {
        self.running.iter().flat_map(|task| {
            let process =
                task.process.watched(Token::TaskReport(task.id), Token::TaskExit(task.id));
            let files = task.outputs.iter().filter_map(|output| output.file.as_ref());
            let outputs = files.map(|file| (Token::TaskOutput(task.id), file.as_fd()));
            process.chain(outputs)
        })
    }

    /// What a starting task reports: its terminal once it runs, or that it is over already.
    pub(super) fn report(&mut self, id: u64) -> Option<Report> {
        let at = self.position(id)?;
        let Process::Starting(starting) = &mut self.running[at].process else {
            return None;
        };
        match starting.outcome() {
            None => None,
            Some(StartOutcome::Failed(error)) => {
                Some(Report::Finished(self.finish(at, Ending::NotStarted(error))))
            }
            Some(StartOutcome::Executed { terminal }) => {
                let mut task = self.running.swap_remove(at);
                if let Process::Starting(starting) = task.process {
                    task.process = Process::Running(starting.into_child());
                }
                let purpose = task.purpose.clone();
                self.running.push(task);
                Some(Report::Executed(purpose, terminal))
            }
        }
    }

    /// Reads what a task has written.
    pub(super) fn read_output(&mut self, id: u64) {
        if let Some(at) = self.position(id) {
            self.running[at].read();
        }
    }

    /// The task, if its process has ended.
    pub(super) fn exited(&mut self, id: u64) -> Option<Finished> {
        let at = self.position(id)?;
        let Process::Running(child) = &mut self.running[at].process else {
            return None;
        };
        let exit = child.try_wait()?;
        self.running[at].read();
        Some(self.finish(at, Ending::Exited(exit)))
    }

    /// The tasks whose processes have ended and are held by a tracer.
    pub(super) fn held(&self) -> Vec<u64> {
        let held = self.running.iter().filter(|task| task.process.is_held());
        held.map(|task| task.id).collect()
    }

    /// Ends every task whose deadline has come.
    pub(super) fn expire(&mut self, now: Uptime) -> Vec<Finished> {
        let mut expired = Vec::new();
        while let Some(at) = self.running.iter().position(|task| task.is_due(now)) {
            self.running[at].read();
            self.running[at].kill();
            expired.push(self.finish(at, Ending::TimedOut));
        }
        expired
    }

    /// Whether there is a task of that purpose.
    pub(super) fn has(&self, purpose: &Purpose) -> bool {
        self.any(|one| one == purpose)
    }

    /// Whether there is a task with such a purpose.
    pub(super) fn any(&self, is_meant: impl Fn(&Purpose) -> bool) -> bool {
        self.running.iter().any(|task| is_meant(&task.purpose))
    }

    /// Kills the tasks that `is_unwanted` picks.
    pub(super) fn cancel(&mut self, is_unwanted: impl Fn(&Purpose) -> bool) {
        let unwanted = self.running.extract_if(.., |task| is_unwanted(&task.purpose));
        unwanted.for_each(|task| task.kill());
    }

    fn push(
        &mut self,
        purpose: Purpose,
        process: Process,
        outputs: Vec<OwnedFd>,
        deadline: Option<Uptime>,
    ) {
        self.last_id += 1;
        let outputs = outputs.into_iter();
        let outputs =
            outputs.map(|file| Output { file: Some(file), ..Output::default() }).collect();
        self.running.push(Task { id: self.last_id, purpose, process, outputs, deadline });
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.running.iter().position(|task| task.id == id)
    }

    fn finish(&mut self, at: usize, ending: Ending) -> Finished {
        let task = self.running.swap_remove(at);
        let mut collected = task.outputs.into_iter().map(|output| output.collected);
        let output = collected.next().unwrap_or_default();
        let errors = collected.next().unwrap_or_default();
        Finished { purpose: task.purpose, ending, output, errors }
    }
}

/// What became of a starting task.
#[derive(Debug)]
pub(super) enum Report {
    /// It runs; its terminal, if it has one.
    Executed(Purpose, Option<OwnedFd>),
    /// It is over.
    Finished(Finished),
}

impl Task {
    /// Kills its process with what that has started.
    fn kill(&self) {
        let _ = self.process.child().kill_group(); // it may just have ended
    }

    fn is_due(&self, now: Uptime) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    fn read(&mut self) {
        self.outputs.iter_mut().for_each(Output::read);
    }
}

impl Output {
    fn read(&mut self) {
        let Some(file) = &self.file else {
            return;
        };
        let collected = &mut self.collected;
        let drained = output::drain(file, |bytes| {
            let room = MOST_OUTPUT.saturating_sub(collected.len());
            collected.extend_from_slice(&bytes[..bytes.len().min(room)]);
        });
        if drained == Drained::Ended {
            self.file = None;
        }
    }
}
