//! What minipod's table for IP packets says; the same for IPv4 and IPv6.
//!
//! The rules never change while pods come and go: a published port is an element of a map, so the
//! ten thousandth costs a packet no more than the first.
//!
//! See for yourself: `nft list table ip minipod`

use std::net::IpAddr;

use super::egress;
use super::expression::{Expression, FIRST, Register};
use super::ruleset::{
    CT_STATE_NEW, CT_STATUS_DNAT, Chain, Element, Field, Hook, Ruleset, Set, TYPE_PORT,
    TYPE_PROTOCOL, Version, arrives_by, arrives_elsewhere, connection_has, connection_lacks,
    destination, in_register, inside, leaves_by, leaves_elsewhere, outside, source,
};
use crate::network::lease::Lease;
use crate::network::settings::{HostPort, NetworkSettings};

use Expression::{
    DestinationNat, Drop, Is, IsNot, Jump, LoadAddressType, LoadHeader, LoadMeta, Masquerade,
    Translate,
};

/// Ports on every address of the machine.
const ON_ANY: &str = "host_ports";
/// Ports on one address of the machine.
const ON_ONE: &str = "host_ip_ports";

/// The table for packets of this version.
pub(super) fn ruleset(version: Version, settings: &NetworkSettings) -> Ruleset {
    let sets = port_maps(version).into_iter().chain(egress::sets(version)).collect();
    Ruleset { family: version.family(), sets, chains: chains(version, settings) }
}

/// The table's maps.
fn port_maps(version: Version) -> [Set; 2] {
    let (address, port) = ((version.address_type(), version.address_length()), (TYPE_PORT, 2));
    let value = Some(Field::joined(&[address, port]));
    let protocol = (TYPE_PROTOCOL, 1);
    [
        Set { name: ON_ANY, key: Field::joined(&[protocol, port]), value },
        Set { name: ON_ONE, key: Field::joined(&[address, protocol, port]), value },
    ]
}

/// The elements for a pod's ports. A port on an address of the other version has none here.
pub(super) fn elements(version: Version, lease: &Lease) -> Vec<Element> {
    let Some(pod) = pod_address(version, lease) else {
        return Vec::new();
    };
    let element = |port: &HostPort| {
        let wanted = [[port.protocol.number(), 0, 0, 0], in_register(port.host_port)].concat();
        let value = Some([pod.as_slice(), &in_register(port.container_port)].concat());
        let family = version.family();
        match (version, port.host_ip, port.specific_ip()) {
            (_, None, _)
            | (Version::V4, Some(IpAddr::V4(_)), None)
            | (Version::V6, Some(IpAddr::V6(_)), None) => {
                Some(Element { family, set: ON_ANY, key: wanted, value })
            }
            (Version::V4, _, Some(IpAddr::V4(ip))) => {
                let key = [&ip.octets()[..], &wanted].concat();
                Some(Element { family, set: ON_ONE, key, value })
            }
            (Version::V6, _, Some(IpAddr::V6(ip))) => {
                let key = [&ip.octets()[..], &wanted].concat();
                Some(Element { family, set: ON_ONE, key, value })
            }
            _ => None,
        }
    };
    lease.host_ports.iter().filter_map(element).collect()
}

/// The bytes of the pod's address of this version, if it has one.
pub(super) fn pod_address(version: Version, lease: &Lease) -> Option<Vec<u8>> {
    match version {
        Version::V4 => Some(lease.ip.octets().to_vec()),
        Version::V6 => lease.ipv6.map(|ip| ip.octets().to_vec()),
    }
}

/// The table's chains, in an order in which each is there before it is jumped to.
fn chains(version: Version, settings: &NetworkSettings) -> Vec<Chain> {
    let mut chains = egress::chains(version);
    chains.extend([
        Chain { name: "to_pods", hook: None, rules: to_pods(version) },
        Chain {
            name: "arriving",
            hook: Some(nat(libc::NF_INET_PRE_ROUTING, libc::NF_IP_PRI_NAT_DST)),
            rules: vec![arriving(version)],
        },
        Chain {
            name: "from_this_machine",
            hook: Some(nat(libc::NF_INET_LOCAL_OUT, libc::NF_IP_PRI_NAT_DST)),
            rules: vec![from_this_machine(version)],
        },
        Chain {
            name: "leaving",
            hook: Some(nat(libc::NF_INET_POST_ROUTING, libc::NF_IP_PRI_NAT_SRC)),
            rules: leaving(version, settings),
        },
        Chain {
            name: "forwarded",
            hook: Some(filter(libc::NF_INET_FORWARD, libc::NF_IP_PRI_FILTER)),
            rules: vec![unpublished(settings), egress::leaves(settings)],
        },
        Chain {
            name: "for_this_machine",
            hook: Some(filter(libc::NF_INET_LOCAL_IN, libc::NF_IP_PRI_FILTER)),
            rules: vec![egress::asks_this_machine(settings)],
        },
    ]);
    if version == Version::V4 {
        chains.push(Chain {
            name: "martians",
            hook: Some(filter(libc::NF_INET_PRE_ROUTING, libc::NF_IP_PRI_RAW)),
            rules: martians(settings),
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
            DestinationNat {
                family: version.family().number(),
                address: FIRST,
                port: FIRST + words,
            },
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

/// What this machine sends to itself may be for a pod. `::1` does not leave the loopback link, so
/// there nothing is translated, and a client hears at once that nobody listens.
fn from_this_machine(version: Version) -> Vec<Expression> {
    let mut rule = local_destination();
    if version == Version::V6 {
        rule.push(destination(version));
        rule.push(IsNot { register: FIRST, value: LOOPBACK6.to_vec() });
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
    let translated = connection_has(libc::NFT_CT_STATUS, CT_STATUS_DNAT);
    let mut rules = vec![
        // From a pod to the world: answers have to find their way back.
        [from_pods.clone(), leaves_elsewhere(settings), vec![Masquerade]].concat(),
        // From a pod to a pod by a host port: without this the answer would take the short way
        // over the bridge, past the translation, and come from an unknown address.
        [from_pods, leaves_by(settings), translated, vec![Masquerade]].concat(),
    ];
    if version == Version::V4 {
        // From 127.0.0.1 to a pod: the pod cannot answer to that address. All other sources stay
        // what they are (CVE-2021-20199).
        let from_loopback = [vec![source(version)], inside(&LOOPBACK_MASK, &LOOPBACK)].concat();
        rules.push([from_loopback, leaves_by(settings), vec![Masquerade]].concat());
    }
    rules
}

/// New connections from elsewhere to a pod pass only if they came by a published port.
fn unpublished(settings: &NetworkSettings) -> Vec<Expression> {
    [
        leaves_by(settings),
        arrives_elsewhere(settings),
        connection_has(libc::NFT_CT_STATE, CT_STATE_NEW),
        connection_lacks(libc::NFT_CT_STATUS, CT_STATUS_DNAT),
        vec![Drop],
    ]
    .concat()
}

/// Loopback addresses on the bridge: with `route_localnet`, which host ports on 127.0.0.1 need,
/// the kernel no longer drops them itself.
fn martians(settings: &NetworkSettings) -> Vec<Vec<Expression>> {
    let rule = |address| {
        let loopback = inside(&LOOPBACK_MASK, &LOOPBACK);
        [arrives_by(settings), vec![address], loopback, vec![Drop]].concat()
    };
    vec![rule(source(Version::V4)), rule(destination(Version::V4))]
}

fn nat(number: i32, priority: i32) -> Hook {
    Hook { kind: "nat", number, priority }
}

fn filter(number: i32, priority: i32) -> Hook {
    Hook { kind: "filter", number, priority }
}

fn local_destination() -> Vec<Expression> {
    let local = u32::from(libc::RTN_LOCAL).to_ne_bytes().to_vec();
    vec![LoadAddressType { into: FIRST }, Is { register: FIRST, value: local }]
}

const LOOPBACK: [u8; 4] = [127, 0, 0, 0];
const LOOPBACK_MASK: [u8; 4] = [255, 0, 0, 0];
const LOOPBACK6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
