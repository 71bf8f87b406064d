//! The words of the domain: a manifest becomes a valid pod.
//!
//! This crate knows names, fields, defaults and rules of a Kubernetes v1 Pod. It must not know
//! Linux, files, clocks, or how states change.

mod apparmor;
mod capability;
mod decode;
mod defaults;
mod distill;
pub mod event;
pub mod event_log;
mod expansion;
pub mod fields;
mod kinds;
pub mod kubernetes_status;
pub mod names;
pub mod parse;
pub mod pod;
pub mod pod_resources;
pub mod pod_update;
pub mod problem;
pub mod qos;
pub mod quantity;
pub mod status;
mod token_volume;
pub mod uptime;
mod validate;
pub mod yaml;

pub use capability::CAPABILITIES;
pub use event::{EventKind, EventSubject, PodEvent};
pub use event_log::{AWAITS_CHANGE, EventLog};
pub use expansion::expand;
pub use kinds::LeftOut;
pub use kubernetes_status::to_v1;
pub use names::{ContainerName, NameError, PodName};
pub use parse::{Manifest, Object, ParseOptions, Unnamed, from_object, parse};
pub use pod::{
    ContainerRestartPolicy, ContainerSpec, Handler, HttpScheme, Pod, PodUid, ProbeSpec, PullPolicy,
    RestartPolicy, RestartRule, RestartRuleAction, Role,
};
pub use pod_update::{ForbiddenUpdate, PodUpdate};
pub use problem::{Problem, Problems, Severity, Source};
pub use qos::{QosClass, qos_class};
pub use quantity::Quantity;
pub use status::{
    Condition, ContainerState, ContainerStatus, Deletion, PodPhase, PodStatus, Terminated,
};
pub use uptime::Uptime;
pub use validate::{label_key, label_value};
pub use yaml::Place;
