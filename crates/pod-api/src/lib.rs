//! What one can ask about the pods of this machine: objects in, objects or an error out.
//!
//! Records are Kubernetes objects in files ([`record`], [`objects`]), which everybody reads and one
//! owner writes. What has to be done to a running pod is asked of its supervisor ([`client`]). This
//! crate must not know terminals, tables, command lines or HTTP, nor how namespaces and images
//! work: what it needs of those is handed in as a [`Machine`].

pub mod api;
pub mod claims;
pub mod cleanup;
pub mod client;
pub mod containers;
pub mod control;
pub mod copy;
pub mod delete;
pub mod error;
pub mod follow;
pub mod journal;
pub mod launch;
pub mod lock;
pub mod log_directory;
pub mod log_instance;
pub mod log_line;
pub mod log_reader;
pub mod log_stream;
pub mod logs;
mod lost_pod;
mod machine;
pub mod namespaces;
pub mod object;
pub mod object_store;
pub mod objects;
pub mod packet;
pub mod places;
pub mod pods;
pub mod port_forward;
pub mod random;
pub mod record;
pub mod resource;
pub mod roots;
pub mod selectors;
pub mod session;
pub mod settings;
pub mod text;
pub mod watch;

pub use api::{Api, Selection};
pub use error::ApiError;
pub use machine::Machine;
pub use object::Object;
pub use object_store::Objects;
pub use places::{Places, PodDir};
pub use pods::Pods;
pub use random::name_ending;
pub use resource::Resource;
pub use settings::{MaxPodDisk, Settings};
