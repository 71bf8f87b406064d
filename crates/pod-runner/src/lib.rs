//! Runs one pod: plans, carries out actions, records.
//!
//! The program has two sides. The supervisor ([`supervisor`], [`linux_host`]) owns one pod's
//! processes and writes its record. Views and commands read the record ([`pods`], [`follow`],
//! [`log_reader`]) and ask the supervisor only where something is to be done ([`client`],
//! [`delete`]). It must not know terminals, tables or how arguments are parsed.

pub mod claims;
pub mod cleanup;
pub mod client;
pub mod clock;
pub mod control;
pub mod copy;
pub mod delete;
mod disk_pressure;
mod disk_usage;
pub mod doctor;
pub mod follow;
pub mod host;
mod ids;
pub mod image_use;
mod inherited;
pub mod journal;
pub mod launch;
pub mod linux_host;
pub mod lock;
mod log_directory;
pub mod log_reader;
pub mod logs;
mod lost_pod;
pub mod namespaces;
mod network_files;
pub mod objects;
mod own_program;
pub mod packet;
pub mod places;
pub mod plan;
pub mod pods;
pub mod port_forward;
pub mod prober;
pub mod pull_progress;
pub mod pull_worker;
mod random;
pub mod record;
pub mod roots;
mod secrets;
pub mod session;
pub mod settings;
mod skeleton;
pub mod supervisor;
mod termination_message;
pub mod text;
mod volumes;
pub mod watch;

pub use disk_pressure::MaxPodDisk;
pub use objects::Objects;
pub use places::{Places, PodDir};
pub use pods::Pods;
pub use random::name_ending;
pub use sandbox::app_armor;
pub use settings::Settings;
