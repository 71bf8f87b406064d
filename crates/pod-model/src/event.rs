//! What happened to a pod, in Kubernetes' words.

use crate::{ContainerName, Uptime};

/// One event, before it is recorded as a v1 `Event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    /// When it happened.
    pub at: Uptime,
    /// `type`.
    pub kind: EventKind,
    /// `reason`, for example `Pulled`.
    pub reason: &'static str,
    /// The pod or one of its containers.
    pub subject: EventSubject,
    /// `message`.
    pub message: String,
    /// Whether it tells of a failure that trying again does not mend until somebody changes
    /// something.
    pub awaits_change: bool,
}

/// `type` of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Something that was to happen.
    Normal,
    /// Something a user should look at.
    Warning,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventSubject {
    /// The pod as a whole.
    Pod,
    /// An init container or sidecar: `spec.initContainers{name}`.
    InitContainer(ContainerName),
    /// A main container: `spec.containers{name}`.
    Container(ContainerName),
}
