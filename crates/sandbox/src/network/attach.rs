//! A pod comes onto the network, and leaves it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::bridge::{
    add_ipv6, find_bridge, link_group, mac_of, make_bridge, range_of, remove_link, remove_network,
};
use super::error::NetworkError;
use super::firewall;
use super::host_port::refuse_taken_ports;
use super::lease::{Lease, LeaseBook, plain_link_name};
use super::netlink::{Family, NetlinkSocket};
use super::pod_link::{self, POD_INTERFACE, Port};
use super::route::{self, Link, MacAddress, find_link};
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
    let mtu = pod_link::uplink_mtu(&mut host)?;
    let mut wanted = settings.clone();
    if !pod_link::carries_ipv6(mtu) {
        wanted = wanted.without_ipv6();
    }
    let (lease, bridge, settings) = book(&mut host, &wanted, request)?;
    let port = Port { bridge, mtu, namespace: request.namespace };
    match pod_link::connect(&mut host, &settings, &lease, port) {
        Ok(()) => Ok(pod_address(&settings, &lease)),
        Err(error) => {
            let _ = detach(&settings, request.pod_uid); // the first error is the one to tell
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
    remove_one_of_many(&mut host, settings, pod_uid);
    let mut book = match LeaseBook::open_existing(&settings.lease_dir)? {
        Some(book) => book,
        None if is_without_network(&mut host, settings, pod_uid)? => return Ok(()),
        None => LeaseBook::open(&settings.lease_dir)?, // somebody removed the leases
    };
    let lease = book.of_pod(pod_uid).cloned();
    let link = lease.as_ref().map_or_else(
        || plain_link_name(pod_uid).filter(|name| !book.is_taken(name)),
        |lease| Some(lease.host_interface.clone()),
    );
    // Each step is tried whatever became of the others; the first error is the one to tell.
    let mut steps = Vec::new();
    let is_last = book.is_last(pod_uid)
        && (lease.is_some() || !has_other_ports(&mut host, settings, link.as_deref())?);
    if is_last {
        steps.push(firewall::remove(settings));
        steps.push(firewall::take_back(settings));
        steps.push(remove_network(&mut host, settings));
    }
    if let Some(lease) = lease.as_ref().filter(|_| !is_last) {
        steps.push(firewall::unpublish(settings, lease));
    }
    if let Some(link) = link {
        steps.push(remove_pods_link(&mut host, settings, &link, lease.is_some()));
    }
    if let Some(lease) = lease {
        steps.push(firewall::redirect_udp_clients(&mut host, &lease));
    }
    steps.into_iter().fold(Ok(()), Result::and)?;
    book.release(pod_uid)
}

/// Whether there is nothing of a network: there never was a pod that needed one.
fn is_without_network(
    host: &mut NetlinkSocket,
    settings: &NetworkSettings,
    pod_uid: &str,
) -> Result<bool, NetworkError> {
    let links = [Some(settings.bridge.clone()), plain_link_name(pod_uid)];
    for name in links.into_iter().flatten() {
        if find_link(host, &name)?.is_some() {
            return Ok(false);
        }
    }
    Ok(!firewall::exists(settings)?)
}

/// Whether the bridge has ports besides this one.
fn has_other_ports(
    host: &mut NetlinkSocket,
    settings: &NetworkSettings,
    link: Option<&str>,
) -> Result<bool, NetworkError> {
    let links = route::links(host)?;
    let bridge = links.iter().find(|link| link.name == settings.bridge).map(|link| link.index);
    let is_other = |port: &Link| port.master == bridge && Some(port.name.as_str()) != link;
    Ok(bridge.is_some() && links.iter().any(is_other))
}

/// Removes the link of a pod. A name that is not known from a lease has to be a link of this
/// network's.
fn remove_pods_link(
    host: &mut NetlinkSocket,
    settings: &NetworkSettings,
    name: &str,
    is_leased: bool,
) -> Result<(), NetworkError> {
    let is_ours = |link: Link| link.group == link_group(settings);
    if is_leased || find_link(host, name)?.is_some_and(is_ours) {
        remove_link(host, name)?;
    }
    Ok(())
}

/// Removes the pod's link and what the firewall says about it if the network stays. That takes
/// the kernel some 20 ms, so it is done while nobody waits for the leases. With the last pod, all
/// goes in one step. What goes wrong is tried again, and told, under the lock.
fn remove_one_of_many(host: &mut NetlinkSocket, settings: &NetworkSettings, pod_uid: &str) {
    let Ok(Some(book)) = LeaseBook::open_existing(&settings.lease_dir) else {
        return;
    };
    let lease = book.of_pod(pod_uid).cloned().filter(|_| !book.is_last(pod_uid));
    drop(book); // unlocks the leases
    if let Some(lease) = lease {
        // Closing the firewall's socket waits until what was removed is free.
        let _ = firewall::unpublish(settings, &lease);
        let _ = remove_link(host, &lease.host_interface);
    }
}

/// What only one process may do at a time: the lease, the bridge, the firewall. Returns the
/// settings with the range that the network has.
fn book(
    host: &mut NetlinkSocket,
    settings: &NetworkSettings,
    request: &PodNetworkRequest<'_>,
) -> Result<(Lease, u32, NetworkSettings), NetworkError> {
    let mut book = LeaseBook::open(&settings.lease_dir)?;
    if let Some(old) = book.of_pod(request.pod_uid).cloned() {
        remove_link(host, &old.host_interface)?;
        firewall::unpublish(settings, &old)?;
    }
    refuse_taken_ports(book.leases(), request)?;
    let others = book.pods();
    let have_ipv6 = book.leases().iter().any(|lease| lease.ipv6.is_some());
    let standing = find_bridge(host, settings, others)?;
    let range = range_of(host, settings, standing.as_ref(), others)?;
    let settings = &settings.with_range(range);
    let lease = book.take(settings, request)?;
    let prepare = |host: &mut NetlinkSocket| {
        let bridge = match &standing {
            None => {
                let bridge = make_bridge(host, settings)?;
                firewall::let_pass(settings);
                bridge
            }
            Some(standing) => {
                if !have_ipv6 {
                    add_ipv6(host, settings, standing)?;
                }
                standing.index
            }
        };
        firewall::publish(settings, others, &book, &lease)?;
        firewall::redirect_udp_clients(host, &lease)?;
        Ok(bridge)
    };
    match prepare(host) {
        Ok(bridge) => Ok((lease, bridge, settings.clone())),
        Err(error) => {
            drop(book); // detach takes the lock itself
            let _ = detach(settings, request.pod_uid); // the first error is the one to tell
            Err(error)
        }
    }
}

fn pod_address(settings: &NetworkSettings, lease: &Lease) -> PodAddress {
    let ipv6 = settings.ipv6.zip(lease.ipv6);
    PodAddress {
        ip: lease.ip,
        gateway: settings.cidr.gateway(),
        prefix: settings.cidr.prefix(),
        interface: POD_INTERFACE.to_owned(),
        host_interface: lease.host_interface.clone(),
        ipv6: ipv6.map(|(cidr, ip)| PodAddress6 {
            ip,
            gateway: cidr.gateway(),
            prefix: cidr.prefix(),
        }),
        mac: mac_of(lease.ip),
    }
}
