//! What the end-to-end tests share: the program, a node with places of its own, a lab, and the
//! check that nothing is left.

pub mod fixtures;
pub mod image;
pub mod lab;
pub mod layouts;
pub mod leaks;
pub mod needs;
pub mod node;
pub mod registry;
mod small_disk;
pub mod transcript;
mod waits;

pub use lab::Lab;
pub use node::{Node, Outcome};
pub use small_disk::SmallDisk;
pub use transcript::Session;
