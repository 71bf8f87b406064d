//! What a pod and its containers will get, as values.
//!
//! A plan is complete before any process exists. It can be printed, compared and tested without
//! root; the stages only carry it out.

mod process;
mod source;
mod text;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::user_namespace::IdRange;

pub use process::{
    CapabilitySets, LimitedResource, ProcessPlan, Rlimit, SeccompPlan, TerminalSize, UserPlan,
};
pub use source::{MountSource, PathKind, SubPath};

/// The namespaces that the containers of a pod share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSandboxPlan {
    /// The host name in the pod's UTS namespace.
    pub hostname: String,
    /// The NIS domain name in the pod's UTS namespace.
    pub domainname: Option<String>,
    /// `network_namespaces(7)`.
    pub network: Sharing,
    /// `ipc_namespaces(7)`.
    pub ipc: Sharing,
    /// `uts_namespaces(7)`.
    pub uts: Sharing,
    /// `pid_namespaces(7)`.
    pub pid: PidSharing,
    /// Whether a container of the pod may look into processes that it sees (`CAP_SYS_PTRACE`).
    pub may_trace: bool,
    /// The ids of the pod's own user namespace (`user_namespaces(7)`); `None` when the pod has
    /// the host's ids.
    pub user_ids: Option<IdRange>,
    /// Kernel parameters of the pod's namespaces, in order.
    pub sysctls: Vec<Sysctl>,
    /// Where the pod's `/dev/shm` is mounted for the process that starts containers.
    pub shm_dir: PathBuf,
    /// Its size in bytes.
    pub shm_size: u64,
    /// An existing directory: where the `/proc` of a shared process namespace is mounted for the
    /// process that starts containers.
    pub proc_dir: PathBuf,
}

/// Whose namespace the containers of a pod are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// One of the pod's own.
    Pod,
    /// The host's.
    Host,
}

/// Whose process ids a container sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidSharing {
    /// Its own; its first process is 1.
    Container,
    /// The pod's; the pod's holder is 1.
    Pod,
    /// The host's.
    Host,
}

/// A kernel parameter, for example `net.ipv4.ip_forward`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// Its name with dots.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether the pod does without where it cannot be set: it only spares containers a capability.
    #[serde(default)]
    pub is_convenience: bool,
}

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPlan {
    /// Its name, for messages.
    pub name: String,
    /// Its root file system.
    pub root: RootPlan,
    /// What is mounted beside the standard file systems, in order.
    pub mounts: Vec<MountPlan>,
    /// Its own cgroup directories, shown below `/sys/fs/cgroup`.
    pub cgroup_mounts: Vec<MountPlan>,
    /// Paths that show nothing.
    pub masked_paths: Vec<String>,
    /// Paths that cannot be written.
    pub readonly_paths: Vec<String>,
    /// What is in `/dev`.
    pub devices: DevicesPlan,
    /// Whether `/sys` and `/sys/fs/cgroup` can be written.
    pub privileged_mounts: bool,
    /// Its first process.
    pub process: ProcessPlan,
}

/// A root file system: read-only layers with a writable one on top (overlayfs).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootPlan {
    /// The image's layers, the lowest first.
    pub layers: Vec<PathBuf>,
    /// An existing directory for what the container writes.
    pub writable: PathBuf,
    /// Whether the root is read-only for the container.
    pub readonly: bool,
    /// Directories that exist, and can be written also when the root is read-only: absolute paths
    /// in the container (`VOLUME` of an image; untrusted).
    pub volumes: Vec<String>,
    /// `MS_NODEV`.
    pub nodev: bool,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    /// What is mounted.
    pub source: MountSource,
    /// Where: an absolute path in the container.
    pub target: String,
    /// How.
    pub options: MountOptions,
}

/// How something is mounted (mount(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountOptions {
    /// `MS_RDONLY`.
    pub readonly: bool,
    /// Read-only with everything mounted below it.
    pub recursive_readonly: bool,
    /// `MS_NOSUID`.
    pub nosuid: bool,
    /// `MS_NODEV`, with everything mounted below it.
    pub nodev: bool,
    /// `MS_NOEXEC`.
    pub noexec: bool,
    /// How mounts below it spread.
    pub propagation: Propagation,
    /// Whether mount points that are missing in it are made although it is read-only: what it
    /// shows is the pod's own.
    pub mount_points: bool,
}

/// How mounts below a mount spread (`mount_namespaces(7)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Not at all.
    #[default]
    Private,
    /// From the host into the container.
    HostToContainer,
    /// Both ways.
    Bidirectional,
}

/// What is in a container's `/dev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DevicesPlan {
    /// null, zero, full, random, urandom, tty and a pseudo-terminal file system.
    Default,
    /// The same and every device of the host.
    Host,
}
