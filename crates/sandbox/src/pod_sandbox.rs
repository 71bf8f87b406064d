//! A pod's sandbox: its holder, and the containers that join it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use thiserror::Error;

use crate::child::Child;
use crate::container::{Placement, Starting, Stdio};
use crate::namespaces::Shared;
use crate::plan::{ContainerPlan, PidSharing, PodSandboxPlan, ProcessPlan, SeccompPlan, Sharing};
use crate::seccomp;
use crate::stage::container_init::{self, Setting};
use crate::stage::report::{self, Report, StageError};
use crate::stage::{file_visitor, pod_holder, visitor};
use crate::sys::clone::New;
use crate::user_namespace::IdMap;

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
    own_pid_namespace: OwnedFd,
}

impl PodSandbox {
    /// Starts the holder and waits until the shared namespaces are set up.
    pub fn create(plan: &PodSandboxPlan) -> Result<Self, SandboxError> {
        let shared = Shared::of(plan);
        let new = New {
            network: shared.network,
            ipc: shared.ipc,
            uts: shared.uts,
            pid: plan.pid == PidSharing::Pod,
            mount: plan.pid == PidSharing::Pod, // the containers see it then
            user: plan.user_ids.is_some(),
            ..New::default()
        };
        let (reader, writer) = report::channel(false)?;
        let (gate, go) = io::pipe()?;
        let (gate, go) = (OwnedFd::from(gate), OwnedFd::from(go));
        let holder = Child::spawn(new, || pod_holder::run(plan, (&gate, &go), writer))
            .map_err(|source| SandboxError::Clone { what: "the pod's holder".into(), source })?;
        if let Some(ids) = plan.user_ids {
            ids.write_maps(holder.pid()).map_err(|source| SandboxError::Namespace {
                verb: "map the user ids of the pod",
                source,
            })?;
        }
        drop(go); // the end of the pipe: the ids are mapped
        wait_for(&reader)?;
        if let Report::Failed(error) = reader.read() {
            return Err(SandboxError::Holder(error));
        }
        let network = match plan.network {
            Sharing::Pod => Some(open_namespace(&format!("/proc/{}/ns/net", holder.pid()))?),
            Sharing::Host => None,
        };
        let users = match plan.user_ids {
            Some(_) => Some(open_namespace(&format!("/proc/{}/ns/user", holder.pid()))?),
            None => None,
        };
        let own_pid_namespace = open_namespace("/proc/self/ns/pid")?;
        Ok(Self { holder, plan: plan.clone(), network, users, own_pid_namespace })
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
        prepare_profile(&plan.process);
        let new = New {
            mount: true,
            pid: self.plan.pid == PidSharing::Container,
            cgroup: placement.birthplace(),
            ..New::default()
        };
        let setting = Setting {
            holder: self.holder.pidfd(),
            shared: Shared::of(&self.plan),
            ids: self.id_map(),
            shm_dir: &self.plan.shm_dir,
            stdio,
            placement,
        };
        let (reader, writer) = report::channel(plan.process.terminal.is_some())?;
        let job = || container_init::run(plan, setting, &writer);
        let what = || format!("container {:?}", plan.name);
        let child = match self.plan.pid {
            PidSharing::Pod => self.spawn_among(self.holder.pidfd(), new, job),
            PidSharing::Container | PidSharing::Host => Child::spawn(new, job),
        }
        .map_err(|source| SandboxError::Clone { what: what(), source })?;
        drop(writer);
        Ok(Starting::new(child, reader))
    }

    /// Starts a process that joins a running container.
    pub fn start_visitor(
        &self,
        container: &Child,
        plan: &ProcessPlan,
        stdio: Stdio,
        placement: Placement<'_>,
    ) -> Result<Starting, SandboxError> {
        prepare_profile(plan);
        let new = New { cgroup: placement.birthplace(), ..New::default() };
        let (reader, writer) = report::channel(plan.terminal.is_some())?;
        let joined = (container.pidfd(), self.id_map());
        let child = Child::spawn(new, || visitor::run(joined, plan, (stdio, placement), &writer))
            .map_err(|source| SandboxError::Clone { what: "a command".into(), source })?;
        drop(writer);
        Ok(Starting::by_maker(child, reader))
    }

    /// Runs `job` in a child that sees a running container's files as the planned process would,
    /// with that process's rights, and nothing else of the container. The container does not see
    /// the child: it is in no process namespace of the pod's.
    pub fn visit_files(
        &self,
        container: &Child,
        plan: &ProcessPlan,
        (stdio, placement): (Stdio, Placement<'_>),
        job: impl FnOnce() -> i32,
    ) -> Result<Starting, SandboxError> {
        let new = New { cgroup: placement.birthplace(), ..New::default() };
        let (reader, writer) = report::channel(false)?;
        let joined = (container.pidfd(), self.id_map());
        let process = (plan, stdio, placement);
        let child = Child::spawn(new, move || file_visitor::run(joined, process, writer, job))
            .map_err(|source| SandboxError::Clone { what: "a copy".into(), source })?;
        Ok(Starting::new(child, reader))
    }

    /// The pod's user namespace, where it has one of its own.
    fn id_map(&self) -> Option<IdMap<'_>> {
        let namespace = self.users.as_ref()?.as_fd();
        Some(IdMap { namespace, range: self.plan.user_ids? })
    }

    /// Runs `job` in a child that is born in the pid namespace of `member`. For the time of the
    /// clone, children of this process are born there (setns(2), `CLONE_NEWPID`).
    fn spawn_among(
        &self,
        member: BorrowedFd<'_>,
        new: New<'_>,
        job: impl FnOnce() -> i32,
    ) -> io::Result<Child> {
        setns(member, CloneFlags::CLONE_NEWPID)?;
        let child = Child::spawn(new, job);
        setns(&self.own_pid_namespace, CloneFlags::CLONE_NEWPID)?;
        child
    }
}

/// Compiles the default profile here, where the next process finds it, too.
fn prepare_profile(process: &ProcessPlan) {
    if process.seccomp == SeccompPlan::RuntimeDefault {
        drop(seccomp::default_profile(process.capabilities.bounding));
    }
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
