//! System call filters (seccomp(2)): the default profile as a program for the kernel.
//!
//! The filter looks a call up by binary search, about nine comparisons for any of the 400, because
//! the kernel walks it once per call number when it is installed and again for calls that look at
//! arguments.

mod condition;
mod document;
mod i386;
mod profile;
mod program;

pub use document::{ProfileError, parse_profile};
pub use profile::runtime_default;
pub use program::{Instruction, Program};
