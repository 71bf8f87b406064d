//! A plan becomes a confined process in the pod's shared namespaces.
//!
//! Start with [`plan`]: everything a container will get is decided there, as values. Then
//! [`pod_sandbox`] starts processes, and `stage` holds what each of them does on its way to being a
//! container, one file per process, top to bottom. This crate must not know manifests, images,
//! restart rules or probes.

pub mod app_armor;
pub mod capabilities;
pub mod cgroup;
pub mod child;

pub mod container;
mod host_mounts;
pub mod locks;
mod mount_sources;
mod mounts;
mod namespaces;
pub mod network;
mod overlay;
mod packet;
pub mod paths;
pub mod plan;
pub mod pod_sandbox;
mod root;
pub mod seccomp;
mod signal;
pub mod spawner;
pub mod stage;
mod standard_mounts;
mod sys;
mod sysctls;
mod terminal;
pub mod trial;
mod user_namespace;

pub use child::{Child, Exit, reap_orphans, reap_orphans_until, spawn_aside};
pub use container::{Placement, StartOutcome, Starting, Stdio};
pub use host_mounts::remember_host_mounts;
pub use plan::{
    CapabilitySets, ContainerPlan, DevicesPlan, MountOptions, MountPlan, MountSource, PathKind,
    PidSharing, PodSandboxPlan, ProcessPlan, Propagation, Rlimit, RootPlan, SeccompPlan, Sharing,
    SubPath, Sysctl, TerminalSize, UserPlan,
};
pub use pod_sandbox::{PodSandbox, SandboxError};
pub use signal::{Signal, UnknownSignal};
pub use spawner::{Jobs, Spawner};
pub use stage::harmless::hide_from_others;
pub use stage::report::StageError;
pub use sys::descriptors::close_on_exec_from;
pub use sys::mount_attributes::read_only;
pub use sys::own_pages::release as release_own_pages;
pub use user_namespace::{ID_COUNT, IdRange};
