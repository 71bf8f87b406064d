//! The machine's side of the pod network: the bridge and the forwarding switches.
//!
//! Where several pod networks share the machine, the last one turns the switches back.
//!
//! See for yourself: `ip -d link show minipod0; ip address show minipod0`

use std::net::{IpAddr, Ipv4Addr};

use nix::errno::Errno;

use super::error::NetworkError;
use super::firewall;
use super::lease::Pods;
use super::netlink::{Batch, Encoder, NetlinkSocket};
use super::range;
use super::record::Record;
use super::route::{self, Link, MacAddress, address_attribute, family, find_link, link_header};
use super::setting::{self, Forwarding};
use super::settings::{NetworkSettings, PodRange, fingerprint};

/// The bridge of pods that are there already.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) index: u32,
    record: Record,
}

/// The bridge and the range that it serves, if pods use it; what nobody uses is removed.
pub(super) fn find_bridge(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
    pods: Pods,
) -> Result<Option<Standing>, NetworkError> {
    let Some(link) = find_link(socket, &settings.bridge)? else {
        return Ok(None);
    };
    let record = recognize(&link, settings)?;
    if pods == Pods::Some
        && let Some(record) = record
    {
        return Ok(Some(Standing { index: link.index, record }));
    }
    remove_network(socket, settings)?;
    Ok(None)
}

/// The range that the pods have, or the best one for the first of them.
pub(super) fn range_of(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
    standing: Option<&Standing>,
    pods: Pods,
) -> Result<PodRange, NetworkError> {
    let ranges = settings.ranges();
    let serving = |cidr: &str| ranges.iter().find(|range| range.cidr.to_string() == cidr);
    if let Some(Standing { record, .. }) = standing {
        let (bridge, wanted) = (settings.bridge.clone(), settings.cidr);
        let other = || NetworkError::OtherRange { bridge, wanted, existing: record.cidr.clone() };
        return serving(&record.cidr).copied().ok_or_else(other);
    }
    // Somebody removed the bridge under the pods: they keep their range.
    let known = if pods == Pods::Some { Record::load(&settings.lease_dir)? } else { None };
    match known.as_ref().and_then(|record| serving(&record.cidr)) {
        Some(range) => range::choose(socket, settings, &[*range]),
        None => range::choose(socket, settings, &ranges),
    }
}

/// Makes the bridge and has packets passed on. Returns its index.
pub(super) fn make_bridge(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
) -> Result<u32, NetworkError> {
    let name = &settings.bridge;
    let forwarding = Forwarding::lock()?;
    let now = forwarding.read()?;
    let known = match other_network(socket, settings)? {
        Some(other) => Some(other), // it has turned the switches already
        None => Record::load(&settings.lease_dir)?, // so had a bridge that somebody removed
    };
    let before = known.map_or(now.clone(), |record| record.before);
    let record = Record { cidr: settings.cidr.to_string(), before };
    record.save(&settings.lease_dir)?;
    let index = create_bridge(socket, settings, &record).inspect_err(|_| {
        let _ = remove_link(socket, name); // the first error is the one to tell
    })?;
    forwarding.turn_on(&now, settings.ipv6.is_some())?;
    Ok(index)
}

/// Adds IPv6 to the bridge of pods that have none: the machine had no way out by IPv6 when the
/// first of them came.
pub(super) fn add_ipv6(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
    Standing { index, record }: &Standing,
) -> Result<(), NetworkError> {
    let Some(cidr) = settings.ipv6 else {
        return Ok(());
    };
    let forwarding = Forwarding::lock()?;
    let now = forwarding.read()?;
    let mut record = record.clone();
    if !now.ipv6 {
        record.before.accept_ra.clone_from(&now.accept_ra);
        record.save(&settings.lease_dir)?;
    }
    setting::trust_own_ipv6(&settings.bridge)?;
    let mut batch = Batch::default();
    batch.message(libc::RTM_NEWLINK, libc::NLM_F_ACK, "label the bridge", |message| {
        message.raw(&link_header(*index, 0, 0));
        message.text(libc::IFLA_IFALIAS, &record.text());
    });
    add_address(&mut batch, *index, cidr.gateway().into(), cidr.prefix());
    socket.execute(&batch)?;
    forwarding.turn_on(&now, true)
}

/// Turns the forwarding switches back unless somebody else needs them, and removes the bridge, if
/// it is there and minipod's, with all that belongs to the network.
pub(super) fn remove_network(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
) -> Result<(), NetworkError> {
    let links = route::links(socket)?;
    let bridge = links.iter().find(|link| link.name == settings.bridge);
    let bridge = bridge.and_then(|link| Some((link, recognize(link, settings).ok()?)));
    let record = match &bridge {
        Some((_, Some(record))) => Some(record.clone()),
        _ => Record::load(&settings.lease_dir)?, // somebody removed the bridge, or its alias
    };
    // The switches first: whoever is killed while the bridge goes can still read what they were.
    let switches = record.map_or(Ok(()), |record| turn_back(socket, settings, &links, &record));
    if let Some((bridge, _)) = bridge {
        remove_links(socket, settings, bridge, &links)?;
    }
    switches.and(Record::forget(&settings.lease_dir))
}

/// Whether a bridge, a tunnel or an address translation is not minipod's: somebody else has
/// packets passed on, and found the switches turned already.
fn turn_back(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
    links: &[Link],
    record: &Record,
) -> Result<(), NetworkError> {
    let forwarding = Forwarding::lock()?;
    if other_network(socket, settings)?.is_some() {
        return Ok(());
    }
    let is_router = |link: &Link| link.kind.as_deref().is_some_and(|kind| ROUTERS.contains(&kind));
    let others = links.iter().filter(|link| link.name != settings.bridge);
    if others.into_iter().any(is_router) || firewall::others_translate() {
        return Ok(());
    }
    forwarding.turn_back(&record.before)
}

/// Kinds of links that a machine has which passes packets on.
const ROUTERS: [&str; 10] =
    ["bridge", "tun", "wireguard", "vxlan", "geneve", "macvlan", "ipvlan", "gre", "ipip", "vrf"];

fn remove_links(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
    bridge: &Link,
    links: &[Link],
) -> Result<(), NetworkError> {
    let group = link_group(settings);
    let ours = |link: &Link| link.master == Some(bridge.index) || link.index == bridge.index;
    if links.iter().filter(|link| link.group == group).all(ours) {
        remove_group(socket, settings)
    } else {
        remove_link(socket, &settings.bridge)
    }
}

/// The number by which `ip link … group` knows all links of a network. Links of one group go in
/// one step, and each step costs the kernel tens of milliseconds.
pub(super) fn link_group(settings: &NetworkSettings) -> u32 {
    fingerprint(&settings.bridge) >> 1 | 1 << 30 // large, so nobody's by chance; positive for ip
}

fn remove_group(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
) -> Result<(), NetworkError> {
    let mut batch = Batch::default();
    let doing = format!("remove the bridge {}", settings.bridge);
    batch.message(libc::RTM_DELLINK, libc::NLM_F_ACK, doing, |message| {
        message.raw(&link_header(0, 0, 0));
        message.number(libc::IFLA_GROUP, link_group(settings));
    });
    Ok(socket.execute(&batch)?)
}

/// Removes a link; one that is gone already is fine.
pub(super) fn remove_link(socket: &mut NetlinkSocket, name: &str) -> Result<(), NetworkError> {
    let mut batch = Batch::default();
    batch.message(libc::RTM_DELLINK, libc::NLM_F_ACK, format!("remove {name}"), |message| {
        message.raw(&link_header(0, 0, 0));
        message.text(libc::IFLA_IFNAME, name);
    });
    match socket.execute(&batch) {
        Err(error) if error.is(Errno::ENODEV) => Ok(()),
        result => Ok(result?),
    }
}

/// The record that a bridge of minipod's carries; nothing if somebody overwrote the alias of ours.
fn recognize(link: &Link, settings: &NetworkSettings) -> Result<Option<Record>, NetworkError> {
    let is_bridge = link.kind.as_deref() == Some("bridge");
    let record = link.alias.as_deref().and_then(Record::parse).filter(|_| is_bridge);
    if record.is_some() || is_bridge && link.group == link_group(settings) {
        return Ok(record);
    }
    Err(NetworkError::ForeignLink {
        name: link.name.clone(),
        found: match &link.kind {
            Some(kind) => format!("a {kind} of this name exists that minipod did not make"),
            None => "a link of this name exists that minipod did not make".to_owned(),
        },
    })
}

/// The record of another bridge of minipod's in this namespace.
fn other_network(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
) -> Result<Option<Record>, NetworkError> {
    let links = route::links(socket)?;
    let mut others = links.iter().filter(|link| link.name != settings.bridge);
    Ok(others.find_map(|link| recognize(link, settings).ok().flatten()))
}

fn create_bridge(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
    record: &Record,
) -> Result<u32, NetworkError> {
    let name = &settings.bridge;
    let mut batch = Batch::default();
    let doing = format!("create the bridge {name}");
    let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    batch.message(libc::RTM_NEWLINK, flags, doing, |message| {
        message.raw(&link_header(0, 0, 0));
        message.text(libc::IFLA_IFNAME, name);
        // Without an address of its own a bridge takes the lowest of its ports', and every pod
        // that comes or goes may make the others lose their gateway.
        message.attribute(libc::IFLA_ADDRESS, &mac_of(settings.cidr.gateway()));
        message.number(libc::IFLA_GROUP, link_group(settings));
        message.nested(libc::IFLA_LINKINFO, |kind| {
            kind.text(libc::IFLA_INFO_KIND, "bridge");
            kind.nested(libc::IFLA_INFO_DATA, |options| {
                options.number(IFLA_BR_FORWARD_DELAY, 0);
                options.number(IFLA_BR_STP_STATE, 0);
                options.attribute(IFLA_BR_GROUP_FWD_MASK, &ALL_GROUPS.to_ne_bytes());
            });
        });
    });
    // The alias is not read when a link is created, only when it is changed.
    let doing = format!("set up the bridge {name}");
    batch.message(libc::RTM_NEWLINK, libc::NLM_F_ACK, doing, |message| {
        message.raw(&link_header(0, 0, 0));
        message.text(libc::IFLA_IFNAME, name);
        message.text(libc::IFLA_IFALIAS, &record.text());
        message.nested(libc::IFLA_AF_SPEC, ipv4_settings);
    });
    socket.execute(&batch)?;
    match settings.ipv6 {
        None => setting::disable_ipv6(name)?,
        Some(_) => setting::trust_own_ipv6(name)?,
    }
    bring_up_bridge(socket, settings)
}

fn bring_up_bridge(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
) -> Result<u32, NetworkError> {
    let name = &settings.bridge;
    let link = find_link(socket, name)?.ok_or(NetworkError::LinkGone { name: name.clone() })?;
    let mut batch = Batch::default();
    let doing = format!("bring up the bridge {name}");
    batch.message(libc::RTM_NEWLINK, libc::NLM_F_ACK, doing, |message| {
        message.raw(&link_header(link.index, libc::IFF_UP, libc::IFF_UP));
    });
    add_address(&mut batch, link.index, settings.cidr.gateway().into(), settings.cidr.prefix());
    if let Some(cidr) = settings.ipv6 {
        add_address(&mut batch, link.index, cidr.gateway().into(), cidr.prefix());
    }
    socket.execute(&batch)?;
    Ok(link.index)
}

/// Frames to addresses that are reserved for bridges (01:80:c2:00:00:03 to :0f, IEEE 802.1D) go
/// the way of all others. Without this the kernel takes what is in some of them as packets that
/// arrived on the port itself, past the firewall's table for frames.
const ALL_GROUPS: u16 = 0xfff8;

/// `route_localnet` lets connections to 127.0.0.1:hostPort leave through the bridge; the firewall
/// table drops what pods send to such addresses.
fn ipv4_settings(families: &mut Encoder) {
    families.nested(u16::from(family(libc::AF_INET)), |ipv4| {
        ipv4.nested(IFLA_INET_CONF, |settings| {
            settings.number(IPV4_DEVCONF_ROUTE_LOCALNET, 1);
        });
    });
}

/// Appends a request for an address that is usable at once.
pub(super) fn add_address(batch: &mut Batch, link: u32, ip: IpAddr, prefix: u8) {
    let (family, flags) = match ip {
        IpAddr::V4(_) => (family(libc::AF_INET), 0),
        IpAddr::V6(_) => (family(libc::AF_INET6), IFA_F_NODAD),
    };
    let request = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    batch.message(
        libc::RTM_NEWADDR,
        request,
        format!("add the address {ip}/{prefix}"),
        |message| {
            message.raw(&[family, prefix, flags, libc::RT_SCOPE_UNIVERSE]);
            message.raw(&link.to_ne_bytes());
            address_attribute(message, libc::IFA_LOCAL, ip);
            address_attribute(message, libc::IFA_ADDRESS, ip);
        },
    );
}

/// The hardware address that goes with an IPv4 address: a locally administered prefix and the
/// address. A later pod with the same address is then no stranger to its neighbors.
pub(super) fn mac_of(ip: Ipv4Addr) -> MacAddress {
    let [a, b, c, d] = ip.octets();
    [0x0a, 0x58, a, b, c, d]
}

// linux/if_link.h, linux/ip.h, linux/if_addr.h
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BR_GROUP_FWD_MASK: u16 = 9;
const IFLA_INET_CONF: u16 = 1;
const IPV4_DEVCONF_ROUTE_LOCALNET: u16 = 26;
const IFA_F_NODAD: u8 = 2;
