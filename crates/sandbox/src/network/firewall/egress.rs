//! Where pods may send packets beyond their bridge, for pods that may not send them everywhere.
//!
//! A pod is known by its address, which the table for frames makes sure is its own. Answers to
//! whoever asked the pod always pass.

use std::net::IpAddr;

use super::expression::{Expression, FIRST};
use super::rules::pod_address;
use super::ruleset::{
    CT_STATE_KNOWN, Chain, Element, Field, ICMPV6, Set, TYPE_PORT, TYPE_PROTOCOL, Version,
    arrives_by, connection_has, destination, destination_into, in_register, inside,
    leaves_elsewhere, source, transport,
};
use crate::network::lease::Lease;
use crate::network::settings::{Egress, NetworkSettings, Protocol};

use Expression::{Accept, Contains, Drop, Jump, LoadHeader, LoadMeta};

/// Pods that reach other pods only.
const NOTHING: &str = "egress_none";
/// Pods that reach public addresses only.
const PUBLIC: &str = "egress_internet";
/// Which pod may ask which name server.
const RESOLVERS: &str = "resolvers";

/// The sets of pods, by address.
pub(super) fn sets(version: Version) -> [Set; 3] {
    let address = (version.address_type(), version.address_length());
    let question = [address, address, (TYPE_PROTOCOL, 1), (TYPE_PORT, 2)];
    [
        Set { name: NOTHING, key: Field::joined(&[address]), value: None },
        Set { name: PUBLIC, key: Field::joined(&[address]), value: None },
        Set { name: RESOLVERS, key: Field::joined(&question), value: None },
    ]
}

/// The elements that say what a pod may reach; none for a pod that may reach everything.
pub(super) fn elements(version: Version, lease: &Lease) -> Vec<Element> {
    let (Some(pod), family) = (pod_address(version, lease), version.family()) else {
        return Vec::new();
    };
    let element = |set, key| Element { family, set, key, value: None };
    match lease.egress {
        Egress::All => Vec::new(),
        Egress::None => vec![element(NOTHING, pod)],
        Egress::Internet => {
            let servers = lease.resolvers.iter().filter_map(|server| match (version, server) {
                (Version::V4, IpAddr::V4(ip)) => Some(ip.octets().to_vec()),
                (Version::V6, IpAddr::V6(ip)) => Some(ip.octets().to_vec()),
                _ => None,
            });
            let questions = servers.flat_map(|server| {
                let pod = &pod;
                [Protocol::Udp, Protocol::Tcp].map(|protocol| {
                    let protocol = [protocol.number(), 0, 0, 0];
                    let key = [&pod[..], &server, &protocol, &in_register(DNS)].concat();
                    element(RESOLVERS, key)
                })
            });
            let mut elements: Vec<Element> = questions.collect();
            elements.push(element(PUBLIC, pod.clone()));
            elements
        }
    }
}

/// The chains that decide.
pub(super) fn chains(version: Version) -> Vec<Chain> {
    let is_in = |set| vec![source(version), Contains { set, key: FIRST }];
    let answers = [connection_has(libc::NFT_CT_STATE, CT_STATE_KNOWN), vec![Accept]].concat();
    let private = ranges_that_are_not_public(version).into_iter().map(|(mask, network)| {
        [vec![destination(version)], inside(&mask, &network), vec![Drop]].concat()
    });
    let mut machine = vec![answers.clone()];
    if version == Version::V6 {
        // Neighbor solicitation and advertisement (RFC 4861): how the gateway is found.
        machine.extend([135, 136].map(|kind| [transport(ICMPV6, &[kind]), vec![Accept]].concat()));
    }
    machine.extend([
        asks_resolver(version),
        [is_in(NOTHING), vec![Drop]].concat(),
        [is_in(PUBLIC), vec![Drop]].concat(),
    ]);
    vec![
        Chain { name: "public_only", hook: None, rules: private.collect() },
        Chain {
            name: "egress",
            hook: None,
            rules: vec![
                answers,
                [is_in(NOTHING), vec![Drop]].concat(),
                asks_resolver(version),
                [is_in(PUBLIC), vec![Jump { chain: "public_only" }]].concat(),
            ],
        },
        Chain { name: "egress_to_machine", hook: None, rules: machine },
    ]
}

/// A pod's packet that is passed on to another network.
pub(super) fn leaves(settings: &NetworkSettings) -> Vec<Expression> {
    [arrives_by(settings), leaves_elsewhere(settings), vec![Jump { chain: "egress" }]].concat()
}

/// A pod's packet for the machine itself.
pub(super) fn asks_this_machine(settings: &NetworkSettings) -> Vec<Expression> {
    [arrives_by(settings), vec![Jump { chain: "egress_to_machine" }]].concat()
}

/// `ip saddr . ip daddr . meta l4proto . th dport @resolvers accept`.
fn asks_resolver(version: Version) -> Vec<Expression> {
    let words = version.address_length() / 4;
    vec![
        source(version),
        destination_into(version, FIRST + words),
        LoadMeta { key: libc::NFT_META_L4PROTO, into: FIRST + 2 * words },
        LoadHeader {
            header: libc::NFT_PAYLOAD_TRANSPORT_HEADER,
            offset: 2, // the destination port of TCP and UDP alike
            length: 2,
            into: FIRST + 2 * words + 1,
        },
        Contains { set: RESOLVERS, key: FIRST },
        Accept,
    ]
}

/// Masks and networks that are not of the public internet (IANA's special-purpose registries,
/// RFC 6890): private, shared, link-local with the metadata services of clouds, multicast,
/// reserved. Of IPv6 only `2000::/3` is public, without 6to4, which leads to IPv4 addresses.
fn ranges_that_are_not_public(version: Version) -> Vec<(Vec<u8>, Vec<u8>)> {
    match version {
        Version::V4 => [
            ([0, 0, 0, 0], 8),
            ([10, 0, 0, 0], 8),
            ([100, 64, 0, 0], 10),
            ([127, 0, 0, 0], 8),
            ([169, 254, 0, 0], 16),
            ([172, 16, 0, 0], 12),
            ([192, 0, 0, 0], 24),
            ([192, 168, 0, 0], 16),
            ([198, 18, 0, 0], 15),
            ([224, 0, 0, 0], 3),
        ]
        .into_iter()
        .map(|(network, prefix)| {
            let mask = u32::MAX << (32 - prefix);
            (mask.to_be_bytes().to_vec(), network.to_vec())
        })
        .collect(),
        // ::/2 without 2000::/3 is ::/3; the rest is 4000::/2 and 8000::/1.
        Version::V6 => [(0, 3), (0x4000, 2), (0x8000, 1), (0x2002, 16)]
            .into_iter()
            .map(|(first, prefix): (u128, u32)| {
                let mask = u128::MAX << (128 - prefix);
                (mask.to_be_bytes().to_vec(), (first << 112).to_be_bytes().to_vec())
            })
            .collect(),
    }
}

const DNS: u16 = 53;
