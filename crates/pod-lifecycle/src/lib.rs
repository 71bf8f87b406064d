//! What should happen next in a pod, given what happened.
//!
//! Facts go in, actions come out. This crate never waits, reads a clock, or makes a system call;
//! it must not know process ids, paths, image bytes, wall time or threads.

pub mod action;
mod decide;
pub mod fact;
pub mod machine;
mod narrate;
mod observe;
mod restart_all;
mod rules;
mod state;
mod timing;
mod update;
mod view;

pub use action::Action;
pub use fact::{
    Attempt, Fact, Hook, ImageFailure, Instance, ProbeKind, ProbeOutcome, PullReport, StartStage,
};
pub use machine::PodMachine;
pub use timing::Timing;
pub use update::Update;
