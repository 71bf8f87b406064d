//! Opens, walks and removes files below directories that containers and images may have written.
//!
//! Everything goes by descriptors: no link leads out of the directory that the caller holds, trees
//! may be of any depth and width, and may change while they are read.

mod open;
mod remove;
pub mod walk;

pub use open::open;
pub use remove::{remove_at, remove_tree};
