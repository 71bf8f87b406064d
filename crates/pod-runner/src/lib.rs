//! Runs one pod: plans, carries out actions, records.
//!
//! It must not know terminals, tables or how arguments are parsed.

pub mod clock;
pub mod control;
pub mod journal;
pub mod lock;
pub mod logs;
pub mod packet;
pub mod places;
pub mod record;

pub use places::{Places, PodDir};
