//! What is to be done. Imperative; the outcome comes back as a fact.

use std::time::Duration;

use pod_model::ContainerName;

use crate::{Hook, Instance, ProbeKind};

/// Something to do, begun at once and never waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Set up volumes, namespaces and network. Answer: `SandboxReady`, `SandboxFailed`,
    /// `VolumesFailed`.
    CreateSandbox,
    /// Find the container's image, or pull it as its policy says. Answer: `ImageReady`,
    /// `ImageFailed`, with `ImagePulling` before when a registry is asked.
    EnsureImage {
        /// For which container.
        name: ContainerName,
    },
    /// Start the container. Answer: `Started`, `StartFailed`.
    Start {
        /// Which start.
        instance: Instance,
    },
    /// Run a hook. Answer: `HookFinished`.
    RunHook {
        /// Whose.
        instance: Instance,
        /// Which.
        hook: Hook,
        /// When to give it up, where the rule sets a limit.
        timeout: Option<Duration>,
    },
    /// Run a probe once. Answer: `ProbeFinished`.
    Probe {
        /// Whose.
        instance: Instance,
        /// Which.
        probe: ProbeKind,
    },
    /// Send the container's stop signal to its first process. Answer: `Exited`, some time.
    Terminate {
        /// Which start.
        instance: Instance,
    },
    /// Kill everything in the container. Answer: `Exited`.
    Kill {
        /// Which start.
        instance: Instance,
    },
    /// Remove an ended container's files so that it can start afresh (`RestartAllContainers`).
    RemoveContainer {
        /// Which start.
        instance: Instance,
    },
    /// Take down network, namespaces and mounts. Answer: `SandboxGone`.
    RemoveSandbox,
}
