//! What one can ask about the pods of this machine: objects in, objects or an error out.
//!
//! Records are Kubernetes objects in files ([`record`], [`objects`]), which everybody reads and one
//! owner writes. What has to be done to a running pod is asked of its supervisor ([`client`]). This
//! crate must not know terminals, tables, command lines or HTTP, nor how namespaces and images
//! work: what it needs of those is handed in as a [`Machine`].

pub mod claims;
pub mod cleanup;
pub mod client;
pub mod control;
pub mod copy;
pub mod delete;
pub mod follow;
pub mod journal;
pub mod launch;
pub mod lock;
pub mod log_directory;
pub mod log_reader;
pub mod logs;
mod lost_pod;
mod machine;
pub mod namespaces;
pub mod objects;
pub mod packet;
pub mod places;
pub mod pods;
pub mod port_forward;
pub mod random;
pub mod record;
pub mod roots;
pub mod session;
pub mod settings;
pub mod text;
pub mod watch;

pub use machine::Machine;
pub use objects::Objects;
pub use places::{Places, PodDir};
pub use pods::Pods;
pub use random::name_ending;
pub use settings::{MaxPodDisk, Settings};
