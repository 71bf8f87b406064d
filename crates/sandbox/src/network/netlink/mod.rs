//! Netlink from scratch: how messages look on the wire, and one synchronous socket.
//!
//! Knows the framing of netlink(7) and nothing of links, addresses or firewalls.

mod decode;
mod encode;
mod socket;

pub(crate) use decode::{Message, attributes, find};
pub(crate) use encode::{Batch, Encoder};
pub(crate) use socket::{Family, NetlinkSocket};
pub use socket::{KernelRefusal, NetlinkError};

#[cfg(test)]
mod tests;
