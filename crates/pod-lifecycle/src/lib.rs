//! What should happen next in a pod, given what happened.
//!
//! Facts go in, actions come out. This crate never waits, reads a clock, or makes a system call;
//! it must not know process ids, paths, image bytes, wall time or threads.

pub mod action;
pub mod fact;

pub use action::Action;
pub use fact::{
    Attempt, Fact, Hook, ImageFailure, Instance, ProbeKind, ProbeOutcome, PullReport, StartStage,
};
