//! The rows of kubectl's tables: from an object to the cells that stand for it.
//!
//! A command line aligns them, an API server sends them as a `Table`; both show the same.

pub mod age;
pub mod claims;
pub mod events;
pub mod pods;
pub mod rows;
