//! Which namespaces a container shares with its pod (namespaces(7)).

use nix::sched::CloneFlags;

use crate::plan::{PidSharing, PodSandboxPlan, Sharing};

/// The namespaces that the pod's holder holds for the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) network: bool,
    pub(crate) ipc: bool,
    pub(crate) uts: bool,
    pub(crate) pid: bool,
}

impl Shared {
    /// What the plan says.
    pub(crate) fn of(plan: &PodSandboxPlan) -> Self {
        let is_pods = |sharing| sharing == Sharing::Pod;
        Self {
            network: is_pods(plan.network),
            ipc: is_pods(plan.ipc),
            uts: is_pods(plan.uts),
            pid: plan.pid == PidSharing::Pod,
        }
    }

    /// The flags for setns(2) with the holder's pidfd.
    pub(crate) fn flags(self) -> CloneFlags {
        let mut flags = CloneFlags::empty();
        flags.set(CloneFlags::CLONE_NEWNET, self.network);
        flags.set(CloneFlags::CLONE_NEWIPC, self.ipc);
        flags.set(CloneFlags::CLONE_NEWUTS, self.uts);
        flags.set(CloneFlags::CLONE_NEWPID, self.pid);
        flags
    }
}
