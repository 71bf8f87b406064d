//! A pod comes onto the network, and leaves it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::bridge::{ensure_bridge, mac_of, remove_link, remove_network};
use super::error::NetworkError;
use super::firewall;
use super::host_port::refuse_taken_ports;
use super::lease::{Lease, LeaseBook};
use super::netlink::{Family, NetlinkSocket};
use super::pod_link::{self, POD_INTERFACE};
use super::route::MacAddress;
use super::settings::{NetworkSettings, PodNetworkRequest};

/// How a pod is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodAddress {
    /// The pod's address (`status.podIP`).
    pub ip: Ipv4Addr,
    /// The bridge's address, where the pod's default route leads.
    pub gateway: Ipv4Addr,
    /// Length of the network's prefix in bits.
    pub prefix: u8,
    /// Name of the link in the pod.
    pub interface: String,
    /// Name of its other end on the machine.
    pub host_interface: String,
    /// The pod's IPv6 address, if the network has such.
    pub ipv6: Option<PodAddress6>,
    /// Hardware address of the link in the pod.
    pub mac: MacAddress,
}

/// How a pod is reached by IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodAddress6 {
    /// The pod's address.
    pub ip: Ipv6Addr,
    /// The bridge's address, where the pod's default route leads.
    pub gateway: Ipv6Addr,
    /// Length of the network's prefix in bits.
    pub prefix: u8,
}

/// Gives a pod an address, a link and a way out, and makes its host ports lead to it.
///
/// A pod that has a lease keeps its address: after its namespace had to be made anew, attach it
/// again. Several processes may attach pods at the same time.
///
/// # Errors
///
/// [`NetworkError`] says which step failed; what was made until then is taken back.
pub fn attach(
    settings: &NetworkSettings,
    request: &PodNetworkRequest<'_>,
) -> Result<PodAddress, NetworkError> {
    let mut host = NetlinkSocket::open(Family::Route)?;
    let (lease, bridge) = book(&mut host, settings, request)?;
    match pod_link::connect(&mut host, settings, &lease, bridge, request.namespace) {
        Ok(()) => Ok(pod_address(settings, &lease)),
        Err(error) => {
            let _ = detach(settings, request.pod_uid); // the first error is the one to tell
            Err(error)
        }
    }
}

/// Takes a pod off the network: its link, its host ports and its lease. With the last pod go the
/// bridge and the firewall table, and the forwarding switches are turned back.
///
/// Needs neither the pod's namespace nor anything that [`attach`] returned, so it also works after
/// a crash; a pod that is not attached is fine. The kernel takes tens of milliseconds to remove a
/// link, whoever asks for it, so start this as soon as the pod's processes are told to end, beside
/// the other cleaning up.
///
/// # Errors
///
/// [`NetworkError`] says which step failed; detaching again picks up from there.
pub fn detach(settings: &NetworkSettings, pod_uid: &str) -> Result<(), NetworkError> {
    let mut host = NetlinkSocket::open(Family::Route)?;
    let ports = remove_one_of_many(&mut host, settings, pod_uid)?;
    let Some(mut book) = LeaseBook::open_existing(&settings.lease_dir)? else {
        return Ok(());
    };
    let lease = book.of_pod(pod_uid).cloned();
    if book.is_last(pod_uid) {
        let mut firewall = NetlinkSocket::open(Family::Netfilter)?;
        firewall::remove(&mut firewall, settings)?;
        remove_network(&mut host, settings)?;
    } else if let (Some(lease), Ports::Published) = (&lease, ports) {
        // it was the last one a moment ago
        firewall::unpublish(&mut NetlinkSocket::open(Family::Netfilter)?, settings, lease)?;
    }
    if let Some(lease) = lease {
        remove_link(&mut host, &lease.host_interface)?;
        firewall::redirect_udp_clients(&mut host, settings, &lease)?;
    }
    book.release(pod_uid)
}

/// What became of a pod's host ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ports {
    /// They still lead to the pod, should it have any.
    Published,
    /// They are free.
    Withdrawn,
}

/// Removes the pod's link and host ports if the network stays. That takes the kernel some 20 ms,
/// so it is done while nobody waits for the leases. With the last pod, all goes in one step.
fn remove_one_of_many(
    host: &mut NetlinkSocket,
    settings: &NetworkSettings,
    pod_uid: &str,
) -> Result<Ports, NetworkError> {
    let book = LeaseBook::open_existing(&settings.lease_dir)?;
    let Some(book) = book.filter(|book| !book.is_last(pod_uid)) else {
        return Ok(Ports::Published);
    };
    let Some(lease) = book.of_pod(pod_uid).cloned() else {
        return Ok(Ports::Published);
    };
    drop(book); // unlocks the leases
    let mut firewall = NetlinkSocket::open(Family::Netfilter)?;
    firewall::unpublish(&mut firewall, settings, &lease)?;
    remove_link(host, &lease.host_interface)?;
    // Closing the firewall's socket waits until what was removed is free, which is now.
    Ok(Ports::Withdrawn)
}

/// What only one process may do at a time: the lease, the bridge, the firewall.
fn book(
    host: &mut NetlinkSocket,
    settings: &NetworkSettings,
    request: &PodNetworkRequest<'_>,
) -> Result<(Lease, u32), NetworkError> {
    let mut book = LeaseBook::open(&settings.lease_dir)?;
    if let Some(old) = book.of_pod(request.pod_uid).cloned() {
        remove_link(host, &old.host_interface)?;
        firewall::unpublish(&mut NetlinkSocket::open(Family::Netfilter)?, settings, &old)?;
    }
    refuse_taken_ports(book.leases(), request)?;
    let others = book.pods();
    let lease = book.take(settings.cidr, request)?;
    let prepare = |host: &mut NetlinkSocket| {
        let bridge = ensure_bridge(host, settings, others)?;
        firewall::publish(settings, others, book.leases(), &lease)?;
        firewall::redirect_udp_clients(host, settings, &lease)?;
        Ok(bridge)
    };
    match prepare(host) {
        Ok(bridge) => Ok((lease, bridge)),
        Err(error) => {
            drop(book); // detach takes the lock itself
            let _ = detach(settings, request.pod_uid); // the first error is the one to tell
            Err(error)
        }
    }
}

fn pod_address(settings: &NetworkSettings, lease: &Lease) -> PodAddress {
    let number = settings.cidr.number_of(lease.ip).expect("the lease is of this range");
    PodAddress {
        ip: lease.ip,
        gateway: settings.cidr.gateway(),
        prefix: settings.cidr.prefix(),
        interface: POD_INTERFACE.to_owned(),
        host_interface: lease.host_interface.clone(),
        ipv6: settings.ipv6.map(|cidr| PodAddress6 {
            ip: cidr.host(number),
            gateway: cidr.gateway(),
            prefix: cidr.prefix(),
        }),
        mac: mac_of(lease.ip),
    }
}
