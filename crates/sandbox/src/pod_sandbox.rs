//! A pod's sandbox: its holder, and the containers that join it.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use thiserror::Error;

use crate::cgroup::CgroupError;
use crate::child::Child;
use crate::container::{Placement, Starting, Stdio};
use crate::namespaces::Shared;
use crate::plan::{ContainerPlan, PidSharing, PodSandboxPlan, ProcessPlan, SeccompPlan, Sharing};
use crate::spawner::{Birth, Spawner};
use crate::stage::order::{Files, Order, Question, Slot};
use crate::stage::report::{self, Report, ReportReader, StageError};
use crate::sys::clone::New;

/// Why a sandbox or a process in it cannot be started.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The kernel made no process.
    #[error("cannot start {what}")]
    Clone {
        /// Which process.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The holder could not set up the shared namespaces.
    #[error("cannot set up the pod's namespaces")]
    Holder(#[source] StageError),
    /// A namespace cannot be opened or joined.
    #[error("cannot {verb}")]
    Namespace {
        /// What was being done.
        verb: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The cgroup cannot be joined.
    #[error("cannot join the cgroup")]
    Cgroup(#[from] CgroupError),
    /// A channel to the new process.
    #[error("cannot open a channel to the new process")]
    Channel(#[from] io::Error),
}

/// A pod's shared namespaces. Dropping it ends the holder; the namespaces go with the last
/// process in them.
#[derive(Debug)]
pub struct PodSandbox {
    holder: Child,
    plan: PodSandboxPlan,
    network: Option<OwnedFd>,
    users: Option<OwnedFd>,
    spared: Option<StageError>,
    spawner: Rc<Spawner>,
}

impl PodSandbox {
    /// Starts the holder and waits until the shared namespaces are set up.
    pub fn create(spawner: &Rc<Spawner>, plan: &PodSandboxPlan) -> Result<Self, SandboxError> {
        let shared = Shared::of(plan);
        let new = New {
            network: shared.network,
            ipc: shared.ipc,
            uts: shared.uts,
            pid: shared.pid,
            mount: true, // for an empty root
            user: plan.user_ids.is_some(),
            ..New::default()
        };
        let (reader, writer) = report::channel(false)?;
        let (gate, go) = io::pipe()?;
        let files = Files::default().with_report(&writer).with(Slot::Gate, gate.as_fd());
        let birth = Birth { new, ..Birth::default() };
        let holder = spawner
            .spawn(birth, &Order::Holder(Cow::Borrowed(plan)), &files)
            .map_err(|source| SandboxError::Clone { what: "the pod's holder".into(), source })?;
        drop(writer);
        if let Some(ids) = plan.user_ids {
            ids.write_maps(holder.pid()).map_err(|source| SandboxError::Namespace {
                verb: "map the user ids of the pod",
                source,
            })?;
        }
        drop(go); // the end of the pipe: the ids are mapped
        wait_for(&reader)?;
        let spared = match reader.read() {
            Report::Failed(error) if error.is_spared() => Some(error),
            Report::Failed(error) => return Err(SandboxError::Holder(error)),
            Report::Executed | Report::Nothing => None,
        };
        let network = match plan.network {
            Sharing::Pod => Some(open_namespace(&format!("/proc/{}/ns/net", holder.pid()))?),
            Sharing::Host => None,
        };
        let users = match plan.user_ids {
            Some(_) => Some(open_namespace(&format!("/proc/{}/ns/user", holder.pid()))?),
            None => None,
        };
        if shared.pid {
            mount_processes(spawner, &holder, &plan.proc_dir)?;
        }
        let (plan, spawner) = (plan.clone(), Rc::clone(spawner));
        Ok(Self { holder, plan, network, users, spared, spawner })
    }

    /// The holder's process, which is still to be ended; the rest is let go of.
    pub fn into_holder(self) -> Child {
        self.holder
    }

    /// The holder's process.
    pub fn holder(&self) -> &Child {
        &self.holder
    }

    /// Whether the pod has a user namespace of its own.
    pub fn has_own_users(&self) -> bool {
        self.plan.user_ids.is_some()
    }

    /// What could not be set up and the pod does without: kernel parameters, as
    /// [`Sysctl::is_convenience`](crate::plan::Sysctl::is_convenience) says.
    pub fn spared(&self) -> Option<&StageError> {
        self.spared.as_ref()
    }

    /// The pod's network namespace; `None` when the pod uses the host's.
    pub fn network_namespace(&self) -> Option<BorrowedFd<'_>> {
        self.network.as_ref().map(AsFd::as_fd)
    }

    /// Starts a container. Its outcome comes through [`Starting::outcome`].
    pub fn start_container(
        &self,
        plan: &ContainerPlan,
        stdio: Stdio,
        placement: Placement<'_>,
    ) -> Result<Starting, SandboxError> {
        let new = New {
            mount: true,
            pid: self.plan.pid == PidSharing::Container,
            cgroup: placement.birthplace(),
            ..New::default()
        };
        let birth = Birth { new, profile: profile(&plan.process), ..Birth::default() };
        let order = Order::Container(Cow::Borrowed(plan), Cow::Borrowed(&self.plan));
        let what = format!("container {:?}", plan.name);
        let (child, reader) =
            self.spawn(what, (birth, order), (self.holder.pidfd(), stdio, placement))?;
        Ok(match self.plan.pid {
            PidSharing::Pod => Starting::by_maker(child, reader),
            PidSharing::Container | PidSharing::Host => Starting::new(child, reader),
        })
    }

    /// Starts a process that joins a running container.
    pub fn start_visitor(
        &self,
        container: &Child,
        plan: &ProcessPlan,
        stdio: Stdio,
        placement: Placement<'_>,
    ) -> Result<Starting, SandboxError> {
        let new = New { cgroup: placement.birthplace(), ..New::default() };
        let birth = Birth { new, profile: profile(plan), ..Birth::default() };
        let order = Order::Visitor(Cow::Borrowed(plan), Cow::Borrowed(&self.plan));
        let process = (container.pidfd(), stdio, placement);
        let (child, reader) = self.spawn("a command".into(), (birth, order), process)?;
        Ok(Starting::by_maker(child, reader))
    }

    /// Runs [`Jobs::files`](crate::Jobs::files) in a child that sees a running container's files as
    /// the planned process would, with that process's rights, and nothing else of the container. The
    /// container does not see the child, which is in no process namespace of the pod's.
    pub fn visit_files(
        &self,
        container: &Child,
        plan: &ProcessPlan,
        (stdio, placement): (Stdio, Placement<'_>),
        job: &str,
    ) -> Result<Starting, SandboxError> {
        let new = New { cgroup: placement.birthplace(), ..New::default() };
        let birth = Birth { new, profile: profile(plan), ..Birth::default() };
        let order = Order::Files(Cow::Borrowed(plan), self.plan.user_ids, Cow::Borrowed(job));
        let process = (container.pidfd(), stdio, placement);
        let (child, reader) = self.spawn("a copy".into(), (birth, order), process)?;
        Ok(Starting::new(child, reader))
    }

    /// Runs [`Jobs::ask`](crate::Jobs::ask) in a child that has no file but `output`, an empty root, a
    /// user of its own and no capability. With `looks_up`,
    /// [`Jobs::look_up`](crate::Jobs::look_up) comes first.
    pub fn ask(
        &self,
        title: &str,
        output: BorrowedFd<'_>,
        (job, looks_up): (&str, bool),
    ) -> Result<Child, SandboxError> {
        let order = Order::Ask(Question {
            title: Cow::Borrowed(title),
            job: Cow::Borrowed(job),
            looks_up,
            supervisor: std::process::id(),
        });
        let files =
            Files::default().with(Slot::Member, self.holder.pidfd()).with(Slot::Output, output);
        self.spawner
            .spawn(Birth::default(), &order, &files)
            .map_err(|source| SandboxError::Clone { what: title.to_owned(), source })
    }

    /// Starts a process that reports.
    fn spawn(
        &self,
        what: String,
        (birth, order): (Birth<'_>, Order<'_>),
        (member, stdio, placement): (BorrowedFd<'_>, Stdio, Placement<'_>),
    ) -> Result<(Child, ReportReader), SandboxError> {
        let has_terminal = match &order {
            Order::Container(plan, _) => plan.process.terminal.is_some(),
            Order::Visitor(plan, _) => plan.terminal.is_some(),
            _ => false,
        };
        let (reader, writer) = report::channel(has_terminal)?;
        let tasks = placement.tasks_files()?;
        let mut files = Files::default()
            .with_report(&writer)
            .with(Slot::Member, member)
            .with(Slot::Users, self.users.as_ref().map(AsFd::as_fd))
            .with(Slot::Stdin, stdio.stdin.as_ref().map(AsFd::as_fd))
            .with(Slot::Stdout, stdio.stdout.as_ref().map(AsFd::as_fd))
            .with(Slot::Stderr, stdio.stderr.as_ref().map(AsFd::as_fd))
            .with(Slot::Gate, placement.gate.as_ref().map(AsFd::as_fd));
        for file in &tasks {
            files = files.with(Slot::Tasks, file.as_fd());
        }
        let child = self
            .spawner
            .spawn(birth, &order, &files)
            .map_err(|source| SandboxError::Clone { what, source })?;
        Ok((child, reader))
    }
}

/// Mounts the `/proc` of the holder's pid namespace, which only a process in it can do, before there
/// is anybody in it who would look into that process.
fn mount_processes(spawner: &Spawner, holder: &Child, path: &Path) -> Result<(), SandboxError> {
    let (reader, writer) = report::channel(false)?;
    let files = Files::default().with_report(&writer);
    let what = || "the process that mounts /proc".to_owned();
    let child = spawner
        .spawn_among(holder.pidfd(), &Order::Processes(Cow::Borrowed(path)), &files)
        .map_err(|source| SandboxError::Clone { what: what(), source })?;
    drop(writer);
    wait_for(&reader)?;
    if let Report::Failed(error) = reader.read() {
        return Err(SandboxError::Holder(error));
    }
    drop(child);
    Ok(())
}

/// The bounding set of the default profile that a process needs.
fn profile(process: &ProcessPlan) -> Option<u64> {
    (process.seccomp == SeccompPlan::RuntimeDefault).then_some(process.capabilities.bounding)
}

fn open_namespace(path: &str) -> Result<OwnedFd, SandboxError> {
    let opened = File::open(path).map(OwnedFd::from);
    opened.map_err(|source| SandboxError::Namespace { verb: "open a namespace", source })
}

/// Waits for the holder's report. Nobody but this crate's code is at work until then.
fn wait_for(report: &impl AsFd) -> Result<(), SandboxError> {
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(report, PollFlags::IN)], Some(&limit)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(SandboxError::Channel(error.into())),
            Ok(0) => return Err(SandboxError::Channel(io::ErrorKind::TimedOut.into())),
            Ok(_) => return Ok(()),
        }
    }
}
