//! System call filters (seccomp(2)): the default profile as a program for the kernel.
//!
//! The filter looks a call up by binary search, about nine comparisons for any of the 400, because
//! the kernel walks it once per call number when it is installed and again for calls that look at
//! arguments.

use std::cell::RefCell;

mod condition;
mod document;
mod i386;
mod profile;
mod program;

pub use document::{ProfileError, parse_profile};
pub use profile::runtime_default;
pub use program::{Instruction, Program};

thread_local! {
    /// The default profile that was compiled last, with the bounding set it is for.
    static LAST: RefCell<Option<(u64, Program)>> = const { RefCell::new(None) };
}

/// The default profile, compiled once for processes that are alike: most containers are. A child
/// has what its parent compiled, so whoever starts children asks first.
pub(crate) fn default_profile(bounding: u64) -> Program {
    LAST.with_borrow_mut(|last| match last {
        Some((known, program)) if *known == bounding => program.clone(),
        _ => last.insert((bounding, runtime_default(bounding))).1.clone(),
    })
}
