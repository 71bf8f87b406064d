//! What a new process is told to do, and the files that it is given for it.

use std::borrow::Cow;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::report::ReportWriter;
use super::{asker, container_init, file_visitor, pod_holder, visitor};
use crate::container::{OpenPlacement, Stdio};
use crate::plan::{ContainerPlan, PodSandboxPlan, ProcessPlan};
use crate::spawner::Jobs;
use crate::stage::become_process::Gate;
use crate::user_namespace::IdRange;

/// What a new process does.
#[expect(clippy::large_enum_variant, reason = "a process has one")]
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order<'a> {
    /// It holds the pod's namespaces.
    Holder(Cow<'a, PodSandboxPlan>),
    /// It mounts the `/proc` of the pod's process namespace.
    Processes(Cow<'a, Path>),
    /// It becomes a container, or makes it.
    Container(Cow<'a, ContainerPlan>, Cow<'a, PodSandboxPlan>),
    /// It makes a process in a container.
    Visitor(Cow<'a, ProcessPlan>, Cow<'a, PodSandboxPlan>),
    /// It does a job with a container's files.
    Files(Cow<'a, ProcessPlan>, Option<IdRange>, Cow<'a, str>),
    /// It asks something over the network.
    Ask(Question<'a>),
}

/// Something to ask.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Question<'a> {
    /// What ps shows.
    pub(crate) title: Cow<'a, str>,
    /// What the caller's function gets.
    pub(crate) job: Cow<'a, str>,
    /// Whether something is to be looked up first.
    pub(crate) looks_up: bool,
    /// The supervisor's process id.
    pub(crate) supervisor: u32,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Slot {
    /// The far end of the report.
    Report,
    /// Where the supervisor says that it knows of a process that was made.
    Known,
    /// Where a terminal is handed over.
    Terminal,
    /// The pidfd of a process whose namespaces are joined.
    Member,
    /// The pod's user namespace.
    Users,
    /// Descriptors 0 to 2.
    Stdin,
    Stdout,
    Stderr,
    /// What to wait for.
    Gate,
    /// A `tasks` file of the cgroup to join.
    Tasks,
    /// Where a job writes to.
    Output,
}

/// Files as they are handed over.
#[derive(Debug, Default)]
pub(crate) struct Files<'a>(Vec<(Slot, BorrowedFd<'a>)>);

impl<'a> Files<'a> {
    /// Adds a file.
    pub(crate) fn with(mut self, slot: Slot, file: impl Into<Option<BorrowedFd<'a>>>) -> Self {
        self.0.extend(file.into().map(|file| (slot, file)));
        self
    }

    /// Adds what a process reports through.
    pub(crate) fn with_report(self, report: &'a ReportWriter) -> Self {
        let [errors, known] = report.kept();
        self.with(Slot::Report, errors)
            .with(Slot::Known, known)
            .with(Slot::Terminal, report.terminal())
    }

    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'a>> {
        self.0.iter().map(|(_, file)| *file)
    }

    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.0.iter().map(|(slot, _)| *slot).collect()
    }
}

/// Files as they are received.
#[derive(Debug)]
pub(crate) struct Received(Vec<(Slot, OwnedFd)>);

impl Received {
    pub(crate) fn new(slots: Vec<Slot>, files: Vec<OwnedFd>) -> Self {
        Self(slots.into_iter().zip(files).collect())
    }

    fn take(&mut self, slot: Slot) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(one, _)| *one == slot)?;
        Some(self.0.remove(at).1)
    }

    fn report(&mut self) -> Option<ReportWriter> {
        let (errors, known) = (self.take(Slot::Report)?, self.take(Slot::Known)?);
        Some(ReportWriter::new(errors, known, self.take(Slot::Terminal)))
    }

    fn stdio(&mut self) -> Stdio {
        Stdio {
            stdin: self.take(Slot::Stdin),
            stdout: self.take(Slot::Stdout),
            stderr: self.take(Slot::Stderr),
        }
    }

    fn placement(&mut self) -> OpenPlacement {
        let gate = Gate(self.take(Slot::Gate));
        let tasks = std::iter::from_fn(|| self.take(Slot::Tasks)).map(File::from).collect();
        OpenPlacement::new(tasks, gate)
    }
}

/// The whole life of a new process, unless it becomes a program; returns its exit code.
pub(crate) fn carry_out(order: Order<'static>, files: Received, jobs: Jobs) -> i32 {
    // What is left of them is closed by the process itself, when it keeps no more than it needs, and
    // with its end.
    let mut files = ManuallyDrop::new(files);
    let users = ManuallyDrop::new(files.take(Slot::Users));
    let member = ManuallyDrop::new(files.take(Slot::Member));
    let (users, member) = (users.as_ref().map(AsFd::as_fd), member.as_ref().map(AsFd::as_fd));
    // That a file is missing happens with no supervisor of ours.
    done(order, (member, users), &mut files, jobs).unwrap_or(1)
}

fn done(
    order: Order<'static>,
    (member, users): (Option<BorrowedFd<'_>>, Option<BorrowedFd<'_>>),
    files: &mut Received,
    jobs: Jobs,
) -> Option<i32> {
    let report = ManuallyDrop::new(files.report());
    let code = match order {
        Order::Holder(plan) => {
            pod_holder::run(&plan, files.take(Slot::Gate), ManuallyDrop::into_inner(report)?)
        }
        Order::Processes(path) => pod_holder::mount_processes(&path, report.as_ref()?),
        Order::Container(plan, pod) => {
            let setting = container_init::Setting {
                holder: member?,
                users,
                stdio: files.stdio(),
                placement: files.placement(),
                pod: &pod,
            };
            container_init::run(&plan, setting, report.as_ref()?)
        }
        Order::Visitor(plan, pod) => {
            let process = (files.stdio(), files.placement());
            let container = (member?, users, pod.user_ids);
            visitor::run(container, &plan, process, (report.as_ref()?, pod.may_trace))
        }
        Order::Files(plan, ids, job) => {
            let process = (plan.as_ref(), files.stdio(), files.placement());
            let job = || (jobs.files)(&job);
            file_visitor::run(
                (member?, users, ids),
                process,
                ManuallyDrop::into_inner(report)?,
                job,
            )
        }
        Order::Ask(order) => asker::run(&order, member?, files.take(Slot::Output)?, jobs),
    };
    Some(code)
}
