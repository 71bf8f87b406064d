//! What a user sees of a pod: derived by the lifecycle, recorded as a v1 `PodStatus`.

use std::net::IpAddr;
use std::time::Duration;

use crate::{ContainerName, Uptime};

/// `status` of a pod, with times since the supervisor's start.
#[derive(Clone, Debug, PartialEq)]
pub struct PodStatus {
    /// `phase`.
    pub phase: PodPhase,
    /// `reason`, for example `DeadlineExceeded`.
    pub reason: Option<String>,
    /// `message`.
    pub message: Option<String>,
    /// `startTime`: when the pod was first looked at.
    pub started: Option<Uptime>,
    /// `podIPs`.
    pub pod_ips: Vec<IpAddr>,
    /// `conditions`, in the kubelet's order.
    pub conditions: Vec<Condition>,
    /// `initContainerStatuses`, in the manifest's order.
    pub init_containers: Vec<ContainerStatus>,
    /// `containerStatuses`, sorted by name as a kubelet writes them.
    pub containers: Vec<ContainerStatus>,
    /// Set once the pod is being deleted.
    pub deletion: Option<Deletion>,
}

/// That a pod is being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// When the request came.
    pub requested: Uptime,
    /// `deletionGracePeriodSeconds`.
    pub grace: Duration,
}

/// `phase` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPhase {
    /// Not everything has started yet.
    Pending,
    /// Something runs or is to run again.
    Running,
    /// Every main container ended with 0.
    Succeeded,
    /// Everything ended, something with another code.
    Failed,
}

/// One of `status.conditions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`, for example `Initialized`.
    pub kind: String,
    /// `status`.
    pub is_true: bool,
    /// `reason`.
    pub reason: Option<String>,
    /// `message`.
    pub message: Option<String>,
    /// `lastTransitionTime`: when `is_true` last changed.
    pub since: Uptime,
}

/// `status` of one container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerStatus {
    /// `name`.
    pub name: ContainerName,
    /// `image`, as in the manifest.
    pub image: String,
    /// `imageID`, empty before the image is known.
    pub image_id: String,
    /// `containerID`, empty before the first start.
    pub container_id: String,
    /// `state`.
    pub state: ContainerState,
    /// `lastState.terminated`.
    pub last_state: Option<Terminated>,
    /// `restartCount`.
    pub restart_count: u32,
    /// `ready`.
    pub ready: bool,
    /// `started`.
    pub started: bool,
}

/// `state` of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum ContainerState {
    /// Not running; why.
    Waiting {
        /// `reason`, for example `CrashLoopBackOff`.
        reason: String,
        /// `message`.
        message: Option<String>,
    },
    /// Running.
    Running {
        /// `startedAt`.
        since: Uptime,
    },
    /// Ended.
    Terminated(Terminated),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Terminated {
    /// `exitCode`.
    pub exit_code: i32,
    /// `signal`.
    pub signal: Option<i32>,
    /// `reason`, for example `Completed`.
    pub reason: String,
    /// `message`: the termination message.
    pub message: Option<String>,
    /// `startedAt`; `None` when it never ran, which Kubernetes writes as 1970.
    pub started: Option<Uptime>,
    /// `finishedAt`.
    pub finished: Uptime,
    /// `containerID`.
    pub container_id: String,
}
