//! The pod's own link: `eth0` in the pod, the other end a port of the bridge.
//!
//! One message makes both ends where they belong: the pod's end in the pod's namespace, ours as a
//! port of the bridge. Nothing is moved afterwards, because a move waits for all processors.
//!
//! See for yourself: `nsenter -t <pid of the pod holder> -n ip address`; `bridge -d link`

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::bridge::{add_address, link_group, mac_of};
use super::error::NetworkError;
use super::lease::Lease;
use super::netlink::{Batch, Encoder, Family, NetlinkSocket};
use super::route::{
    self, LOOPBACK_INDEX, Link, address_attribute, bring_up, family, find_link, link_header,
};
use super::setting;
use super::settings::NetworkSettings;
use super::visit::visit;

/// Name of the pod's link inside the pod.
pub(super) const POD_INTERFACE: &str = "eth0";
/// Ethernet's own size, when there is no way out whose size could be taken.
const DEFAULT_MTU: u32 = 1500;

/// Makes the link and sets up the pod's end: loopback, addresses, default routes.
///
/// When this returns, packets pass.
pub(super) fn connect(
    host: &mut NetlinkSocket,
    settings: &NetworkSettings,
    lease: &Lease,
    port: Port<'_>,
) -> Result<(), NetworkError> {
    let Port { mtu, namespace, .. } = port;
    visit(namespace, || {
        let mut pod = NetlinkSocket::open(Family::Route)?;
        create_pair(host, settings, lease, port)?;
        match lease.ipv6 {
            None => setting::disable_ipv6(POD_INTERFACE)?,
            Some(_) => setting::trust_own_ipv6(POD_INTERFACE)?,
        }
        set_up_pod_end(&mut pod, settings, lease)?;
        open_port(host, lease, mtu)?;
        // The kernel lets packets pass only after a worker has seen both ends up. It catches up
        // with that work before it answers a question about a link (since Linux 6.8). The bridge
        // comes last: it is up once it has a port that is.
        link_of(&mut pod, POD_INTERFACE)?;
        link_of(host, &lease.host_interface)?;
        link_of(host, &settings.bridge)?;
        Ok(())
    })
}

/// Where the machine's end goes, and what both ends have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Port<'a> {
    /// Index of the bridge.
    pub(super) bridge: u32,
    /// Largest packet, in bytes.
    pub(super) mtu: u32,
    /// Where the pod's end goes.
    pub(super) namespace: BorrowedFd<'a>,
}

fn create_pair(
    host: &mut NetlinkSocket,
    settings: &NetworkSettings,
    lease: &Lease,
    port: Port<'_>,
) -> Result<(), NetworkError> {
    let namespace =
        u32::try_from(port.namespace.as_raw_fd()).expect("descriptors are not negative");
    let pod_end = |peer: &mut Encoder| {
        peer.raw(&link_header(0, 0, 0));
        peer.text(libc::IFLA_IFNAME, POD_INTERFACE);
        peer.number(libc::IFLA_MTU, port.mtu);
        peer.attribute(libc::IFLA_ADDRESS, &mac_of(lease.ip));
        peer.number(libc::IFLA_NET_NS_FD, namespace);
    };
    let mut batch = Batch::default();
    let doing = format!("create {} for the pod", lease.host_interface);
    let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    batch.message(libc::RTM_NEWLINK, flags, doing, |message| {
        message.raw(&link_header(0, 0, 0));
        message.text(libc::IFLA_IFNAME, &lease.host_interface);
        message.number(libc::IFLA_MTU, port.mtu);
        message.number(libc::IFLA_MASTER, port.bridge);
        message.number(libc::IFLA_GROUP, link_group(settings));
        message.nested(libc::IFLA_LINKINFO, |kind| {
            kind.text(libc::IFLA_INFO_KIND, "veth");
            kind.nested(libc::IFLA_INFO_DATA, |options| options.nested(VETH_INFO_PEER, pod_end));
        });
    });
    Ok(host.execute(&batch)?)
}

fn set_up_pod_end(
    pod: &mut NetlinkSocket,
    settings: &NetworkSettings,
    lease: &Lease,
) -> Result<(), NetworkError> {
    let link = link_of(pod, POD_INTERFACE)?;
    let mut batch = Batch::default();
    bring_up(&mut batch, LOOPBACK_INDEX, "the pod's loopback");
    bring_up(&mut batch, link.index, POD_INTERFACE);
    add_address(&mut batch, link.index, lease.ip.into(), settings.cidr.prefix());
    add_default_route(&mut batch, link.index, settings.cidr.gateway().into());
    if let (Some(cidr), Some(ip)) = (settings.ipv6, lease.ipv6) {
        add_address(&mut batch, link.index, ip.into(), cidr.prefix());
        add_default_route(&mut batch, link.index, cidr.gateway().into());
    }
    Ok(pod.execute(&batch)?)
}

/// Brings the machine's end up as a port through which the pod may see its own packets again:
/// that is how it reaches itself by its host port. The end gets no IPv6 address of its own, which
/// has to be said before it is up.
fn open_port(host: &mut NetlinkSocket, lease: &Lease, mtu: u32) -> Result<(), NetworkError> {
    let mut batch = Batch::default();
    let doing = format!("set up {}", lease.host_interface);
    batch.message(libc::RTM_NEWLINK, libc::NLM_F_ACK, doing, |message| {
        message.raw(&link_header(0, 0, 0));
        message.text(libc::IFLA_IFNAME, &lease.host_interface);
        message.nested(libc::IFLA_LINKINFO, |kind| {
            kind.text(libc::IFLA_INFO_SLAVE_KIND, "bridge");
            kind.nested(libc::IFLA_INFO_SLAVE_DATA, |port| port.attribute(IFLA_BRPORT_MODE, &[1]));
        });
        if !carries_ipv6(mtu) {
            return; // the kernel refuses to set what does not exist
        }
        message.nested(libc::IFLA_AF_SPEC, |families| {
            families.nested(u16::from(family(libc::AF_INET6)), |ipv6| {
                ipv6.attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
            });
        });
    });
    let doing = format!("bring up {}", lease.host_interface);
    batch.message(libc::RTM_NEWLINK, libc::NLM_F_ACK, doing, |message| {
        message.raw(&link_header(0, libc::IFF_UP, libc::IFF_UP));
        message.text(libc::IFLA_IFNAME, &lease.host_interface);
    });
    Ok(host.execute(&batch)?)
}

fn add_default_route(batch: &mut Batch, link: u32, gateway: IpAddr) {
    let family = match gateway {
        IpAddr::V4(_) => family(libc::AF_INET),
        IpAddr::V6(_) => family(libc::AF_INET6),
    };
    let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    let doing = format!("add the default route through {gateway}");
    batch.message(libc::RTM_NEWROUTE, flags, doing, |message| {
        message.raw(&[family, 0, 0, 0, libc::RT_TABLE_MAIN, libc::RTPROT_BOOT]);
        message.raw(&[libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST, 0, 0, 0, 0]);
        address_attribute(message, libc::RTA_GATEWAY, gateway);
        message.number(libc::RTA_OIF, link);
    });
}

/// Largest packet that leaves the machine whole, so that pods need not find out.
pub(super) fn uplink_mtu(host: &mut NetlinkSocket) -> Result<u32, NetworkError> {
    let Some(index) = route::uplink(host)? else {
        return Ok(DEFAULT_MTU);
    };
    let link = route::link_by_index(host, index)?.filter(|link| !link.loopback);
    Ok(link.map_or(DEFAULT_MTU, |link| link.mtu))
}

/// Whether a link of this size can have IPv6: the kernel has it, and packets of the smallest size
/// that every link must carry fit (RFC 8200, section 5).
pub(super) fn carries_ipv6(mtu: u32) -> bool {
    mtu >= 1280 && setting::has_ipv6()
}

fn link_of(socket: &mut NetlinkSocket, name: &str) -> Result<Link, NetworkError> {
    find_link(socket, name)?.ok_or_else(|| NetworkError::LinkGone { name: name.to_owned() })
}

// linux/veth.h, linux/if_link.h
const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
