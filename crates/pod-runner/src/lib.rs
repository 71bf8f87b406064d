//! Runs one pod: plans, carries out actions, records.
//!
//! A supervisor ([`supervisor`], [`linux_host`]) owns one pod's processes and is the only one who
//! writes its record. This crate must not know terminals, tables or how arguments are parsed.

pub mod clock;
mod disk_pressure;
mod disk_usage;
pub mod doctor;
pub mod host;
mod ids;
pub mod image_use;
mod inherited;
pub mod linux_host;
pub mod machine;
mod network_files;
mod own_program;
pub mod plan;
pub mod pod_network;
pub mod prober;
pub mod pull_progress;
pub mod pull_worker;
mod secrets;
mod skeleton;
pub mod supervisor;
mod termination_message;
mod volumes;

pub use machine::LinuxMachine;
pub use sandbox::app_armor;
