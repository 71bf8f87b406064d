//! The pod's network: an address of its own, a way out, and ports of the machine that lead in.
//!
//! A bridge on the machine, a pair of virtual links per pod, a lease per address, one firewall
//! table. All of it is asked of the kernel by netlink from this process; no other program runs
//! (unless the machine uses `iptables-legacy`, whose rules only that can change).
//! Everything is found again by names and files, so taking a pod off the network needs nothing
//! that a dead process knew.
//!
//! Must not know: pods' manifests, containers, how the namespace came to be.
//!
//! See for yourself: `ip link show master minipod0`, `nft list table ip minipod`.

mod attach;
mod bridge;
mod cidr;
mod error;
mod firewall;
mod host_port;
mod interfaces;
mod lease;
mod netlink;
mod pod_link;
mod range;
mod record;
mod rehearsal;
mod route;
mod setting;
mod settings;
mod traces;
mod visit;
mod warnings;

pub use attach::{PodAddress, PodAddress6, attach, detach};
pub use cidr::{Ipv4Cidr, Ipv6Cidr, ParseError};
pub use error::NetworkError;
pub use interfaces::{Interface, interfaces, loopback_up};
pub use netlink::{KernelRefusal, NetlinkError};
pub use range::free_range;
pub use rehearsal::rehearse;
pub use route::MacAddress;
pub use settings::{
    DEFAULT_BRIDGE, DEFAULT_POD_CIDR, Egress, HostPort, NetworkSettings, PodNetworkRequest,
    PodRange, Protocol,
};
pub use traces::traces;
pub use warnings::warnings;
