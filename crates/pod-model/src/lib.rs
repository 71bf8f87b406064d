//! The words of the domain: a manifest becomes a valid pod.
//!
//! This crate knows names, fields, defaults and rules of a Kubernetes v1 Pod. It must not know
//! Linux, files, clocks, or how states change.

pub mod event;
pub mod names;
pub mod pod;
pub mod status;
pub mod uptime;

pub use event::{EventKind, EventSubject, PodEvent};
pub use names::{ContainerName, NameError, PodName};
pub use pod::{
    ContainerRestartPolicy, ContainerSpec, Handler, HttpScheme, Pod, PodUid, ProbeSpec, PullPolicy,
    RestartPolicy, RestartRule, RestartRuleAction, Role,
};
pub use status::{
    Condition, ContainerState, ContainerStatus, Deletion, PodPhase, PodStatus, Terminated,
};
pub use uptime::Uptime;
