//! What minipod's table for Ethernet frames says: a pod sends as itself or not at all.
//!
//! Containers may send raw packets (`NET_RAW`), so they can claim to be the gateway or a neighbor:
//! in the frame, in ARP (RFC 826), in neighbor discovery (RFC 4861), in the packet's source. Each
//! port of the bridge has one hardware address and one address of each kind; a frame that arrives
//! there and claims something else is dropped before the bridge learns from it. So is what only
//! routers and DHCP servers send.
//!
//! See for yourself: `nft list table bridge minipod`

use std::net::Ipv6Addr;

use super::expression::{Expression, FIRST};
use super::ruleset::{
    Chain, Element, Family, Field, Hook, ICMPV6, Ruleset, Set, TYPE_ETHERNET, TYPE_LINK_NAME,
    Version, link_name, transport,
};
use crate::network::bridge::{link_group, mac_of};
use crate::network::lease::Lease;
use crate::network::route::MacAddress;
use crate::network::settings::{NetworkSettings, Protocol};

use Expression::{Accept, Contains, Drop, Is, Jump, LoadHeader, LoadMeta, Mask};

/// Which port may send from which hardware and IPv4 address.
const SENDERS: &str = "senders";
/// The same for IPv6.
const SENDERS6: &str = "senders6";

/// The table.
pub(super) fn ruleset(settings: &NetworkSettings) -> Ruleset {
    let set = |name, version: Version| {
        let address = (version.address_type(), version.address_length());
        let key = Field::joined(&[(TYPE_LINK_NAME, 16), (TYPE_ETHERNET, 6), address]);
        Set { name, key, value: None }
    };
    let by_pods_port = by_port_of(settings);
    let hook = |number| Some(Hook { kind: "filter", number, priority: NF_BR_PRI_FILTER });
    Ruleset {
        family: Family::Bridge,
        sets: vec![set(SENDERS, Version::V4), set(SENDERS6, Version::V6)],
        chains: vec![
            Chain { name: "sent_by_pod", hook: None, rules: sent_by_pod() },
            Chain {
                name: "arriving",
                hook: hook(NF_BR_PRE_ROUTING),
                rules: vec![[by_pods_port.clone(), vec![Jump { chain: "sent_by_pod" }]].concat()],
            },
            // A frame for the bridge itself (IEEE 802.1D) does not always come through the chain
            // before. The kernel would take any packet in it as one for the machine.
            Chain {
                name: "for_the_bridge",
                hook: hook(NF_BR_LOCAL_IN),
                rules: vec![[by_pods_port, reserved_destination(), vec![Drop]].concat()],
            },
        ],
    }
}

/// What a pod's port may send.
pub(super) fn elements(lease: &Lease) -> Vec<Element> {
    let mac = mac_of(lease.ip);
    let element = |set, ip: &[u8]| {
        let mac = [&mac[..], &[0; 2]].concat();
        let key = [&link_name(&lease.host_interface)[..], &mac, ip].concat();
        Element { family: Family::Bridge, set, key, value: None }
    };
    let mut elements = vec![element(SENDERS, &lease.ip.octets())];
    if let Some(ip) = lease.ipv6 {
        elements.push(element(SENDERS6, &ip.octets()));
        elements.push(element(SENDERS6, &link_local(mac).octets()));
    }
    elements
}

/// The address that a link gives itself (RFC 4291, appendix A).
fn link_local(mac: MacAddress) -> Ipv6Addr {
    let mut ip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0).octets();
    ip[8..11].copy_from_slice(&mac[..3]);
    ip[13..].copy_from_slice(&mac[3..]);
    ip[8] ^= 2;
    ip.into()
}

fn sent_by_pod() -> Vec<Vec<Expression>> {
    let is = |protocol: u16| {
        let value = protocol.to_be_bytes().to_vec();
        vec![LoadMeta { key: libc::NFT_META_PROTOCOL, into: FIRST }, Is { register: FIRST, value }]
    };
    let (ipv4, arp, ipv6) = (is(0x0800), is(0x0806), is(0x86dd));
    let network = libc::NFT_PAYLOAD_NETWORK_HEADER;
    let frame_source = (libc::NFT_PAYLOAD_LL_HEADER, 6);
    let ipv6_source = sender(SENDERS6, frame_source, (network, 8, 16));
    // In an advertisement, the address that is advertised, behind four bytes of header and four
    // of flags.
    let target = (libc::NFT_PAYLOAD_TRANSPORT_HEADER, 8, 16);
    let advertised = sender(SENDERS6, frame_source, target);
    let udp =
        |ports: [u16; 2]| transport(Protocol::Udp.number(), &ports.map(u16::to_be_bytes).concat());
    let icmpv6 = |kind| transport(ICMPV6, &[kind]);
    let advertisement = [&ipv6[..], &icmpv6(NEIGHBOR_ADVERTISEMENT)].concat();
    vec![
        [&ipv4[..], &udp(DHCP_ANSWER), &[Drop]].concat(),
        [&ipv4[..], &sender(SENDERS, frame_source, (network, 12, 4)), &[Accept]].concat(),
        // The sender's addresses in an ARP packet: hardware at 8, IPv4 at 14.
        [
            &arp[..],
            &sender(SENDERS, frame_source, (network, 14, 4)),
            &sender(SENDERS, (network, 8), (network, 14, 4)),
            &[Accept],
        ]
        .concat(),
        [&ipv6[..], &icmpv6(ROUTER_ADVERTISEMENT), &[Drop]].concat(),
        [&ipv6[..], &icmpv6(REDIRECT), &[Drop]].concat(),
        [&ipv6[..], &udp(DHCP6_ANSWER), &[Drop]].concat(),
        [&advertisement[..], &ipv6_source, &advertised, &[Accept]].concat(),
        [&advertisement[..], &[Drop]].concat(),
        [&ipv6[..], &ipv6_source, &[Accept]].concat(),
        vec![Drop],
    ]
}

/// `iifname . MAC . ADDRESS @SET`, with the header and offset of the hardware address, and the
/// header, offset and length of the other.
fn sender(
    set: &'static str,
    (mac_header, mac_offset): (i32, u32),
    (header, offset, length): (i32, u32, u32),
) -> Vec<Expression> {
    vec![
        LoadMeta { key: libc::NFT_META_IIFNAME, into: FIRST },
        LoadHeader { header: mac_header, offset: mac_offset, length: 6, into: FIRST + 4 },
        LoadHeader { header, offset, length, into: FIRST + 6 },
        Contains { set, key: FIRST },
    ]
}

/// `meta iifgroup`: the frame arrives by a pod's link.
fn by_port_of(settings: &NetworkSettings) -> Vec<Expression> {
    let value = link_group(settings).to_ne_bytes().to_vec();
    vec![LoadMeta { key: libc::NFT_META_IIFGROUP, into: FIRST }, Is { register: FIRST, value }]
}

/// `ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00`.
fn reserved_destination() -> Vec<Expression> {
    let header = libc::NFT_PAYLOAD_LL_HEADER;
    vec![
        LoadHeader { header, offset: 0, length: 6, into: FIRST },
        Mask { register: FIRST, mask: vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xf0] },
        Is { register: FIRST, value: vec![1, 0x80, 0xc2, 0, 0, 0] },
    ]
}

// linux/netfilter_bridge.h
const NF_BR_PRE_ROUTING: i32 = 0;
const NF_BR_LOCAL_IN: i32 = 1;
const NF_BR_PRI_FILTER: i32 = -200; // NF_BR_PRI_FILTER_BRIDGED
// RFC 4861
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
/// Source and destination port of a server's answer (RFC 2131, RFC 8415).
const DHCP_ANSWER: [u16; 2] = [67, 68];
const DHCP6_ANSWER: [u16; 2] = [547, 546];
