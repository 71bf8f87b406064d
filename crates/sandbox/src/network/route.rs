//! Links, addresses and routes as rtnetlink(7) tells them: the questions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;

use super::netlink::{Batch, Encoder, Message, NetlinkError, NetlinkSocket, attributes, find};

/// Hardware address of an Ethernet link.
pub type MacAddress = [u8; 6];

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) up: bool,
    pub(super) loopback: bool,
    pub(super) mtu: u32,
    /// The bridge whose port it is.
    pub(super) master: Option<u32>,
    /// The number of the group that it goes with; 0 for most.
    pub(super) group: u32,
    pub(super) mac: Option<MacAddress>,
    /// Free text that `ip link` shows as "alias".
    pub(super) alias: Option<String>,
    /// Driver: "bridge", "veth".
    pub(super) kind: Option<String>,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LinkAddress {
    pub(super) link: u32,
    pub(super) ip: IpAddr,
    pub(super) prefix: u8,
}

/// An IPv4 route of any table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route4 {
    pub(super) destination: Ipv4Addr,
    pub(super) prefix: u8,
    pub(super) link: Option<u32>,
}

/// The link with this name, if there is one.
pub(super) fn find_link(
    socket: &mut NetlinkSocket,
    name: &str,
) -> Result<Option<Link>, NetlinkError> {
    let mut batch = Batch::default();
    batch.message(libc::RTM_GETLINK, libc::NLM_F_ACK, format!("look for {name}"), |message| {
        message.raw(&link_header(0, 0, 0));
        message.text(libc::IFLA_IFNAME, name);
    });
    let mut found = None;
    match socket.query(&batch, |message| found = parse_link(&message)) {
        Err(error) if error.is(Errno::ENODEV) => Ok(None),
        result => result.map(|()| found),
    }
}

/// The link with this index.
pub(super) fn link_by_index(
    socket: &mut NetlinkSocket,
    index: u32,
) -> Result<Option<Link>, NetlinkError> {
    let mut batch = Batch::default();
    batch.message(
        libc::RTM_GETLINK,
        libc::NLM_F_ACK,
        format!("look for link {index}"),
        |message| {
            message.raw(&link_header(index, 0, 0));
        },
    );
    let mut found = None;
    match socket.query(&batch, |message| found = parse_link(&message)) {
        Err(error) if error.is(Errno::ENODEV) => Ok(None),
        result => result.map(|()| found),
    }
}

/// Every link of the namespace, in the kernel's order.
pub(super) fn links(socket: &mut NetlinkSocket) -> Result<Vec<Link>, NetlinkError> {
    let mut links = Vec::new();
    dump(socket, libc::RTM_GETLINK, "list the links", &link_header(0, 0, 0), |message| {
        links.extend(parse_link(&message));
    })?;
    Ok(links)
}

/// Every address of the namespace.
pub(super) fn addresses(socket: &mut NetlinkSocket) -> Result<Vec<LinkAddress>, NetlinkError> {
    let mut addresses = Vec::new();
    dump(socket, libc::RTM_GETADDR, "list the addresses", &[0; 8], |message| {
        addresses.extend(parse_address(&message));
    })?;
    Ok(addresses)
}

/// Every IPv4 route of the namespace.
pub(super) fn routes(socket: &mut NetlinkSocket) -> Result<Vec<Route4>, NetlinkError> {
    let mut header = [0; 12];
    header[0] = family(libc::AF_INET);
    let mut routes = Vec::new();
    dump(socket, libc::RTM_GETROUTE, "list the routes", &header, |message| {
        routes.extend(parse_route(&message));
    })?;
    Ok(routes)
}

/// Index of the link through which packets to the outside would leave, if any would.
pub(super) fn uplink(socket: &mut NetlinkSocket) -> Result<Option<u32>, NetlinkError> {
    let mut batch = Batch::default();
    let ask = "look for the way out";
    batch.message(libc::RTM_GETROUTE, libc::NLM_F_ACK, ask, |message| {
        message.raw(&[family(libc::AF_INET), 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        message.attribute(libc::RTA_DST, &SOMEWHERE_OUTSIDE.octets());
    });
    let mut link = None;
    match socket.query(&batch, |message| link = parse_route(&message).and_then(|route| route.link))
    {
        // No way out is an answer too: ENETUNREACH, or what an administrator's route says.
        Err(NetlinkError::Refused { .. }) => Ok(None),
        result => result.map(|()| link),
    }
}

/// An address of the public internet (Kubernetes in Action pings it), used only as a question to
/// the routing table.
const SOMEWHERE_OUTSIDE: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);

fn dump(
    socket: &mut NetlinkSocket,
    kind: u16,
    doing: &str,
    header: &[u8],
    each: impl FnMut(Message<'_>),
) -> Result<(), NetlinkError> {
    let mut batch = Batch::default();
    batch.message(kind, libc::NLM_F_ACK | libc::NLM_F_DUMP, doing, |message| message.raw(header));
    socket.query(&batch, each)
}

/// Appends a request to switch a link on.
pub(super) fn bring_up(batch: &mut Batch, link: u32, name: &str) {
    let doing = format!("bring up {name}");
    batch.message(libc::RTM_NEWLINK, libc::NLM_F_ACK, doing, |message| {
        message.raw(&link_header(link, libc::IFF_UP, libc::IFF_UP));
    });
}

/// `struct ifinfomsg`: family and type 0, then index, flags and which of the flags to change.
pub(super) fn link_header(index: u32, flags: i32, change: i32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

/// An address family as the one byte that netlink headers have for it.
pub(super) fn family(family: i32) -> u8 {
    u8::try_from(family).expect("address families are small numbers")
}

/// The attribute and its number for an address of either family.
pub(super) fn address_attribute(message: &mut Encoder, kind: u16, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => message.attribute(kind, &ip.octets()),
        IpAddr::V6(ip) => message.attribute(kind, &ip.octets()),
    }
}

fn parse_link(message: &Message<'_>) -> Option<Link> {
    if message.kind != libc::RTM_NEWLINK {
        return None;
    }
    let flags = i32::from_ne_bytes(message.payload.get(8..12)?.try_into().ok()?);
    let mut link = Link {
        index: u32::from_ne_bytes(message.payload.get(4..8)?.try_into().ok()?),
        up: flags & libc::IFF_UP != 0,
        loopback: flags & libc::IFF_LOOPBACK != 0,
        ..Link::default()
    };
    for attribute in attributes(message.payload.get(16..)?) {
        match attribute.kind {
            libc::IFLA_IFNAME => link.name = attribute.text(),
            libc::IFLA_MTU => link.mtu = attribute.number()?,
            libc::IFLA_MASTER => link.master = attribute.number(),
            libc::IFLA_GROUP => link.group = attribute.number()?,
            libc::IFLA_ADDRESS => link.mac = attribute.value.try_into().ok(),
            libc::IFLA_IFALIAS => link.alias = Some(attribute.text()),
            libc::IFLA_LINKINFO => {
                link.kind = find(attribute.value, libc::IFLA_INFO_KIND).map(|kind| kind.text());
            }
            _ => {}
        }
    }
    Some(link)
}

fn parse_address(message: &Message<'_>) -> Option<LinkAddress> {
    if message.kind != libc::RTM_NEWADDR {
        return None;
    }
    let mut ip = None;
    for attribute in attributes(message.payload.get(8..)?) {
        match attribute.kind {
            // For IPv4 the local address is in IFA_LOCAL, and IFA_ADDRESS is the other end of a
            // point-to-point link; for IPv6 there is only IFA_ADDRESS.
            libc::IFA_LOCAL => ip = parse_ip(attribute.value),
            libc::IFA_ADDRESS => ip = ip.or_else(|| parse_ip(attribute.value)),
            _ => {}
        }
    }
    Some(LinkAddress {
        link: u32::from_ne_bytes(message.payload.get(4..8)?.try_into().ok()?),
        ip: ip?,
        prefix: *message.payload.get(1)?,
    })
}

fn parse_route(message: &Message<'_>) -> Option<Route4> {
    if message.kind != libc::RTM_NEWROUTE {
        return None;
    }
    let mut route =
        Route4 { destination: Ipv4Addr::UNSPECIFIED, prefix: *message.payload.get(1)?, link: None };
    for attribute in attributes(message.payload.get(12..)?) {
        match (attribute.kind, parse_ip(attribute.value)) {
            (libc::RTA_DST, Some(IpAddr::V4(ip))) => route.destination = ip,
            (libc::RTA_OIF, _) => route.link = attribute.number(),
            _ => {}
        }
    }
    Some(route)
}

/// An address of either family from its bytes.
pub(super) fn parse_ip(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
    let sixteen = <[u8; 16]>::try_from(bytes).map(|octets| IpAddr::from(Ipv6Addr::from(octets)));
    four.or(sixteen).ok()
}

/// The loopback link is the first of every network namespace.
pub(super) const LOOPBACK_INDEX: u32 = 1;

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
