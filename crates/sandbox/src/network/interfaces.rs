//! What a network namespace has, as its owner sees it.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use super::error::NetworkError;
use super::netlink::{Batch, Family, NetlinkSocket};
use super::route::{self, LOOPBACK_INDEX, MacAddress};
use super::visit::visit;

/// A network interface with its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number for it, unique in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Driver, where the kernel tells one: "veth", "bridge".
    pub kind: Option<String>,
    /// Hardware address, if it has one of six bytes.
    pub mac: Option<MacAddress>,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// Each address with the length of its network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// The interfaces of a network namespace, in the kernel's order.
///
/// # Errors
///
/// If the namespace cannot be entered or the kernel does not answer.
pub fn interfaces(namespace: BorrowedFd<'_>) -> Result<Vec<Interface>, NetworkError> {
    let mut socket = visit(namespace, || Ok(NetlinkSocket::open(Family::Route)?))?;
    let links = route::links(&mut socket)?;
    let addresses = route::addresses(&mut socket)?;
    let of = |index: u32| {
        let own = addresses.iter().filter(move |address| address.link == index);
        own.map(|address| (address.ip, address.prefix)).collect()
    };
    let interface = |link: route::Link| Interface {
        index: link.index,
        addresses: of(link.index),
        name: link.name,
        kind: link.kind,
        mac: link.mac,
        mtu: link.mtu,
        up: link.up,
    };
    Ok(links.into_iter().map(interface).collect())
}

/// Brings `lo` up in the network namespace of the calling thread.
///
/// # Errors
///
/// If the caller may not (`EPERM`).
pub fn loopback_up() -> Result<(), NetworkError> {
    let mut socket = NetlinkSocket::open(Family::Route)?;
    let mut batch = Batch::default();
    route::bring_up(&mut batch, LOOPBACK_INDEX, "the loopback link");
    Ok(socket.execute(&batch)?)
}
