//! What minipod's firewall table says, as values; the same for IPv4 and IPv6.
//!
//! The rules never change while pods come and go: a published port is an element of a map, so the
//! ten thousandth costs a packet no more than the first.
//!
//! See for yourself: `nft list table ip minipod`

use std::net::IpAddr;

use super::expression::{Expression, FIRST, Register};
use crate::network::lease::Lease;
use crate::network::settings::{HostPort, NetworkSettings};

use Expression::{
    DestinationNat, Drop, Is, IsNot, Jump, LoadAddressType, LoadConnection, LoadHeader, LoadMeta,
    Mask, Masquerade, Translate,
};

/// Which of the two internet protocols a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

impl Version {
    /// The versions that a network has.
    pub(super) fn all(settings: &NetworkSettings) -> impl Iterator<Item = Self> + use<> {
        [Self::V4].into_iter().chain(settings.ipv6.map(|_| Self::V6))
    }

    /// The table family (`NFPROTO_IPV4`, `NFPROTO_IPV6`).
    pub(super) fn family(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    fn address_length(self) -> u32 {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }

    /// nft's name for the type of an address, by number: what `nft list` prints keys as.
    fn address_type(self) -> u32 {
        match self {
            Self::V4 => 7,
            Self::V6 => 8,
        }
    }

    /// Where source and destination are in the header (RFC 791, RFC 8200).
    fn source_offset(self) -> u32 {
        match self {
            Self::V4 => 12,
            Self::V6 => 8,
        }
    }

    fn destination_offset(self) -> u32 {
        self.source_offset() + self.address_length()
    }
}

/// A chain; with a hook, the kernel sends packets through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Vec<Expression>>,
}

/// Where and when a chain sees packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hook {
    /// "nat" or "filter".
    pub(super) kind: &'static str,
    /// `NF_INET_*`.
    pub(super) number: i32,
    /// `NF_IP_PRI_*`.
    pub(super) priority: i32,
}

/// A map from what a packet wants to the pod's address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PortMap {
    pub(super) name: &'static str,
    pub(super) key_type: u32,
    pub(super) key_length: u32,
    pub(super) value_type: u32,
    pub(super) value_length: u32,
}

/// A published port as an element of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) map: &'static str,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Ports on every address of the machine.
const ON_ANY: &str = "host_ports";
/// Ports on one address of the machine.
const ON_ONE: &str = "host_ip_ports";

const PORT: u32 = 4; // two bytes, filled up to a register
const PROTOCOL: u32 = 4; // one byte, filled up to a register

/// The table's maps.
pub(super) fn port_maps(version: Version) -> [PortMap; 2] {
    let (address, length) = (version.address_type(), version.address_length());
    let (value_type, value_length) = (concatenated(&[address, TYPE_PORT]), length + PORT);
    [
        PortMap {
            name: ON_ANY,
            key_type: concatenated(&[TYPE_PROTOCOL, TYPE_PORT]),
            key_length: PROTOCOL + PORT,
            value_type,
            value_length,
        },
        PortMap {
            name: ON_ONE,
            key_type: concatenated(&[address, TYPE_PROTOCOL, TYPE_PORT]),
            key_length: length + PROTOCOL + PORT,
            value_type,
            value_length,
        },
    ]
}

/// The elements for a pod's ports. A port on an address of the other version has none here.
pub(super) fn elements(
    version: Version,
    settings: &NetworkSettings,
    lease: &Lease,
) -> Vec<Element> {
    let Some(pod) = pod_address(version, settings, lease) else {
        return Vec::new();
    };
    let element = |port: &HostPort| {
        let wanted = [[port.protocol.number(), 0, 0, 0], in_register(port.host_port)].concat();
        let value = [pod.as_slice(), &in_register(port.container_port)].concat();
        match (version, port.host_ip, port.specific_ip()) {
            (_, None, _)
            | (Version::V4, Some(IpAddr::V4(_)), None)
            | (Version::V6, Some(IpAddr::V6(_)), None) => {
                Some(Element { map: ON_ANY, key: wanted, value })
            }
            (Version::V4, _, Some(IpAddr::V4(ip))) => {
                Some(Element { map: ON_ONE, key: [&ip.octets()[..], &wanted].concat(), value })
            }
            (Version::V6, _, Some(IpAddr::V6(ip))) => {
                Some(Element { map: ON_ONE, key: [&ip.octets()[..], &wanted].concat(), value })
            }
            _ => None,
        }
    };
    lease.host_ports.iter().filter_map(element).collect()
}

fn pod_address(version: Version, settings: &NetworkSettings, lease: &Lease) -> Option<Vec<u8>> {
    match version {
        Version::V4 => Some(lease.ip.octets().to_vec()),
        Version::V6 => {
            let number = settings.cidr.number_of(lease.ip)?;
            settings.ipv6.map(|cidr| cidr.host(number).octets().to_vec())
        }
    }
}

fn in_register(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

/// The table's chains, in an order in which each is there before it is jumped to.
pub(super) fn chains(version: Version, settings: &NetworkSettings) -> Vec<Chain> {
    let mut chains = vec![
        Chain { name: "to_pods", hook: None, rules: to_pods(version) },
        Chain {
            name: "arriving",
            hook: Some(nat(libc::NF_INET_PRE_ROUTING, libc::NF_IP_PRI_NAT_DST)),
            rules: vec![arriving(version)],
        },
        Chain {
            name: "from_this_machine",
            hook: Some(nat(libc::NF_INET_LOCAL_OUT, libc::NF_IP_PRI_NAT_DST)),
            rules: vec![[local_destination(), vec![Jump { chain: "to_pods" }]].concat()],
        },
        Chain {
            name: "leaving",
            hook: Some(nat(libc::NF_INET_POST_ROUTING, libc::NF_IP_PRI_NAT_SRC)),
            rules: leaving(version, settings),
        },
        Chain {
            name: "forwarded",
            hook: Some(filter(libc::NF_INET_FORWARD, libc::NF_IP_PRI_FILTER)),
            rules: vec![unpublished(&settings.bridge)],
        },
    ];
    if version == Version::V4 {
        chains.push(Chain {
            name: "martians",
            hook: Some(filter(libc::NF_INET_PRE_ROUTING, libc::NF_IP_PRI_RAW)),
            rules: martians(&settings.bridge),
        });
    }
    chains
}

/// `dnat to ip daddr . meta l4proto . th dport map @host_ip_ports`, then the same without the
/// address.
fn to_pods(version: Version) -> Vec<Vec<Expression>> {
    let words = version.address_length() / 4;
    let wanted = |register: Register| {
        vec![
            LoadMeta { key: libc::NFT_META_L4PROTO, into: register },
            LoadHeader {
                header: libc::NFT_PAYLOAD_TRANSPORT_HEADER,
                offset: 2, // the destination port of TCP, UDP and SCTP alike
                length: 2,
                into: register + 1,
            },
        ]
    };
    let translate = |map| {
        vec![
            Translate { map, key: FIRST, value: FIRST },
            DestinationNat { family: version.family(), address: FIRST, port: FIRST + words },
        ]
    };
    vec![
        [vec![destination(version)], wanted(FIRST + words), translate(ON_ONE)].concat(),
        [wanted(FIRST), translate(ON_ANY)].concat(),
    ]
}

/// What arrives for the machine itself may be for a pod. Loopback addresses are never meant here:
/// they do not travel, and whoever sends to them over a wire wants something that was published
/// for this machine alone (CVE-2020-8558, CVE-2025-54388).
fn arriving(version: Version) -> Vec<Expression> {
    let mut rule = local_destination();
    if version == Version::V4 {
        rule.push(destination(version));
        rule.extend(outside(&LOOPBACK_MASK, &LOOPBACK));
    }
    rule.push(Jump { chain: "to_pods" });
    rule
}

fn leaving(version: Version, settings: &NetworkSettings) -> Vec<Vec<Expression>> {
    let (mask, network) = match (version, settings.ipv6) {
        (Version::V6, Some(cidr)) => {
            (cidr.mask().octets().to_vec(), cidr.network().octets().to_vec())
        }
        _ => (settings.cidr.mask().octets().to_vec(), settings.cidr.network().octets().to_vec()),
    };
    let from_pods = [vec![source(version)], inside(&mask, &network)].concat();
    let bridge = &settings.bridge;
    let mut rules = vec![
        // From a pod to the world: answers have to find their way back.
        [from_pods.clone(), vec![leaves_by(), is_not_name(bridge), Masquerade]].concat(),
        // From a pod to a pod by a host port: without this the answer would take the short way
        // over the bridge, past the translation, and come from an unknown address.
        [from_pods, vec![leaves_by(), is_name(bridge)], translated(), vec![Masquerade]].concat(),
    ];
    if version == Version::V4 {
        // From 127.0.0.1 to a pod: the pod cannot answer to that address. All other sources stay
        // what they are (CVE-2021-20199).
        let from_loopback = [vec![source(version)], inside(&LOOPBACK_MASK, &LOOPBACK)].concat();
        rules.push([from_loopback, vec![leaves_by(), is_name(bridge), Masquerade]].concat());
    }
    rules
}

/// New connections from elsewhere to a pod pass only if they came by a published port.
fn unpublished(bridge: &str) -> Vec<Expression> {
    let name = |key| LoadMeta { key, into: FIRST };
    let bits = |key, bits: u32| {
        [
            LoadConnection { key, into: FIRST },
            Mask { register: FIRST, mask: bits.to_ne_bytes().to_vec() },
        ]
    };
    let mut rule = vec![name(libc::NFT_META_OIFNAME), is_name(bridge)];
    rule.extend([name(libc::NFT_META_IIFNAME), is_not_name(bridge)]);
    rule.extend(bits(libc::NFT_CT_STATE, CT_STATE_NEW));
    rule.push(IsNot { register: FIRST, value: vec![0; 4] });
    rule.extend(bits(libc::NFT_CT_STATUS, CT_STATUS_DNAT));
    rule.extend([Is { register: FIRST, value: vec![0; 4] }, Drop]);
    rule
}

/// Loopback addresses on the bridge: with `route_localnet`, which host ports on 127.0.0.1 need,
/// the kernel no longer drops them itself.
fn martians(bridge: &str) -> Vec<Vec<Expression>> {
    let rule = |address| {
        let arrives_by = LoadMeta { key: libc::NFT_META_IIFNAME, into: FIRST };
        let loopback = inside(&LOOPBACK_MASK, &LOOPBACK);
        [vec![arrives_by, is_name(bridge), address], loopback, vec![Drop]].concat()
    };
    vec![rule(source(Version::V4)), rule(destination(Version::V4))]
}

fn nat(number: i32, priority: i32) -> Hook {
    Hook { kind: "nat", number, priority }
}

fn filter(number: i32, priority: i32) -> Hook {
    Hook { kind: "filter", number, priority }
}

fn source(version: Version) -> Expression {
    address_at(version, version.source_offset())
}

fn destination(version: Version) -> Expression {
    address_at(version, version.destination_offset())
}

fn address_at(version: Version, offset: u32) -> Expression {
    let header = libc::NFT_PAYLOAD_NETWORK_HEADER;
    LoadHeader { header, offset, length: version.address_length(), into: FIRST }
}

fn local_destination() -> Vec<Expression> {
    let local = u32::from(libc::RTN_LOCAL).to_ne_bytes().to_vec();
    vec![LoadAddressType { into: FIRST }, Is { register: FIRST, value: local }]
}

fn inside(mask: &[u8], network: &[u8]) -> Vec<Expression> {
    vec![masked(mask), Is { register: FIRST, value: network.to_vec() }]
}

fn outside(mask: &[u8], network: &[u8]) -> Vec<Expression> {
    vec![masked(mask), IsNot { register: FIRST, value: network.to_vec() }]
}

fn masked(mask: &[u8]) -> Expression {
    Mask { register: FIRST, mask: mask.to_vec() }
}

fn leaves_by() -> Expression {
    LoadMeta { key: libc::NFT_META_OIFNAME, into: FIRST }
}

fn is_name(name: &str) -> Expression {
    Is { register: FIRST, value: link_name(name) }
}

fn is_not_name(name: &str) -> Expression {
    IsNot { register: FIRST, value: link_name(name) }
}

/// `ct status dnat`.
fn translated() -> Vec<Expression> {
    vec![
        LoadConnection { key: libc::NFT_CT_STATUS, into: FIRST },
        Mask { register: FIRST, mask: CT_STATUS_DNAT.to_ne_bytes().to_vec() },
        IsNot { register: FIRST, value: vec![0; 4] },
    ]
}

/// A link's name as the kernel compares it: 16 bytes, zeros behind the name.
fn link_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(libc::IFNAMSIZ, 0);
    bytes
}

/// nft's number for a type that is made of several, six bits each.
fn concatenated(types: &[u32]) -> u32 {
    types.iter().fold(0, |all, one| (all << 6) | one)
}

const LOOPBACK: [u8; 4] = [127, 0, 0, 0];
const LOOPBACK_MASK: [u8; 4] = [255, 0, 0, 0];
const TYPE_PROTOCOL: u32 = 12; // inet_proto
const TYPE_PORT: u32 = 13; // inet_service
const CT_STATUS_DNAT: u32 = 1 << 5; // IPS_DST_NAT
const CT_STATE_NEW: u32 = 1 << 3; // NF_CT_STATE_BIT(IP_CT_NEW)

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
