//! What a firewall table is made of, as values, and the phrases that its rules share.

use super::expression::{Expression, FIRST, Register};
use crate::network::settings::NetworkSettings;

use Expression::{Is, IsNot, LoadConnection, LoadHeader, LoadMeta, Mask};

/// Which packets a table is for. Tables of one name exist once per family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv4 packets that pass through the machine.
    V4,
    /// IPv6 packets that pass through the machine.
    V6,
    /// Ethernet frames that pass through a bridge.
    Bridge,
}

impl Family {
    pub(super) const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Bridge];

    /// `NFPROTO_IPV4`, `NFPROTO_IPV6`, `NFPROTO_BRIDGE`.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
            Self::Bridge => 7,
        }
    }

    /// nft's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
            Self::Bridge => "bridge",
        }
    }
}

/// Which of the two internet protocols a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

impl Version {
    /// The family of the tables for packets of this version.
    pub(super) fn family(self) -> Family {
        match self {
            Self::V4 => Family::V4,
            Self::V6 => Family::V6,
        }
    }

    pub(super) fn address_length(self) -> u32 {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }

    /// nft's name for the type of an address, by number: what `nft list` prints keys as.
    pub(super) fn address_type(self) -> u32 {
        match self {
            Self::V4 => 7,
            Self::V6 => 8,
        }
    }

    /// Where the source address is in the header (RFC 791, RFC 8200).
    fn source_offset(self) -> u32 {
        match self {
            Self::V4 => 12,
            Self::V6 => 8,
        }
    }
}

/// A table's content; the same as long as the table exists. What changes with the pods are the
/// elements of its sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ruleset {
    pub(super) family: Family,
    pub(super) sets: Vec<Set>,
    /// In an order in which each is there before it is jumped to.
    pub(super) chains: Vec<Chain>,
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
    /// `NF_INET_*`, `NF_BR_*`.
    pub(super) number: i32,
    /// `NF_IP_PRI_*`, `NF_BR_PRI_*`.
    pub(super) priority: i32,
}

/// A set of keys, or a map from keys to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) key: Field,
    /// What a map's keys lead to.
    pub(super) value: Option<Field>,
}

/// What nft calls the parts of a key or value, by number, and how many bytes they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) kind: u32,
    pub(super) length: u32,
}

impl Field {
    /// Several values in one, each filled up to whole registers. Each is a type and its bytes.
    pub(super) fn joined(parts: &[(u32, u32)]) -> Self {
        let kind = parts.iter().fold(0, |all, (kind, _)| (all << 6) | kind);
        let length = parts.iter().map(|(_, length)| length.next_multiple_of(4)).sum();
        Self { kind, length }
    }
}

/// An element of a set or map of the table of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) family: Family,
    pub(super) set: &'static str,
    pub(super) key: Vec<u8>,
    /// Nothing in a set, something in a map.
    pub(super) value: Option<Vec<u8>>,
}

/// The source address of a packet.
pub(super) fn source(version: Version) -> Expression {
    address_at(version, version.source_offset(), FIRST)
}

/// The destination address of a packet.
pub(super) fn destination(version: Version) -> Expression {
    destination_into(version, FIRST)
}

/// The destination address of a packet, loaded into this register.
pub(super) fn destination_into(version: Version, into: Register) -> Expression {
    address_at(version, version.source_offset() + version.address_length(), into)
}

fn address_at(version: Version, offset: u32, into: Register) -> Expression {
    let header = libc::NFT_PAYLOAD_NETWORK_HEADER;
    LoadHeader { header, offset, length: version.address_length(), into }
}

/// The loaded address belongs to this network.
pub(super) fn inside(mask: &[u8], network: &[u8]) -> Vec<Expression> {
    vec![masked(mask), Is { register: FIRST, value: network.to_vec() }]
}

/// The loaded address does not belong to this network.
pub(super) fn outside(mask: &[u8], network: &[u8]) -> Vec<Expression> {
    vec![masked(mask), IsNot { register: FIRST, value: network.to_vec() }]
}

fn masked(mask: &[u8]) -> Expression {
    Mask { register: FIRST, mask: mask.to_vec() }
}

/// `iifname BRIDGE`.
pub(super) fn arrives_by(settings: &NetworkSettings) -> Vec<Expression> {
    let (key, value) = (libc::NFT_META_IIFNAME, link_name(&settings.bridge));
    vec![LoadMeta { key, into: FIRST }, Is { register: FIRST, value }]
}

/// `iifname != BRIDGE`.
pub(super) fn arrives_elsewhere(settings: &NetworkSettings) -> Vec<Expression> {
    let (key, value) = (libc::NFT_META_IIFNAME, link_name(&settings.bridge));
    vec![LoadMeta { key, into: FIRST }, IsNot { register: FIRST, value }]
}

/// `oifname BRIDGE`.
pub(super) fn leaves_by(settings: &NetworkSettings) -> Vec<Expression> {
    let (key, value) = (libc::NFT_META_OIFNAME, link_name(&settings.bridge));
    vec![LoadMeta { key, into: FIRST }, Is { register: FIRST, value }]
}

/// `oifname != BRIDGE`.
pub(super) fn leaves_elsewhere(settings: &NetworkSettings) -> Vec<Expression> {
    let (key, value) = (libc::NFT_META_OIFNAME, link_name(&settings.bridge));
    vec![LoadMeta { key, into: FIRST }, IsNot { register: FIRST, value }]
}

/// Some of these bits are set in what is known of the packet's connection.
pub(super) fn connection_has(key: i32, bits: u32) -> Vec<Expression> {
    [connection_bits(key, bits), vec![IsNot { register: FIRST, value: vec![0; 4] }]].concat()
}

/// None of these bits is set in what is known of the packet's connection.
pub(super) fn connection_lacks(key: i32, bits: u32) -> Vec<Expression> {
    [connection_bits(key, bits), vec![Is { register: FIRST, value: vec![0; 4] }]].concat()
}

fn connection_bits(key: i32, bits: u32) -> Vec<Expression> {
    let mask = bits.to_ne_bytes().to_vec();
    vec![LoadConnection { key, into: FIRST }, Mask { register: FIRST, mask }]
}

/// `ct status dnat`.
pub(super) const CT_STATUS_DNAT: u32 = 1 << 5; // IPS_DST_NAT
/// `ct state established,related`.
pub(super) const CT_STATE_KNOWN: u32 = 1 << 1 | 1 << 2; // NF_CT_STATE_BIT
/// `ct state new`.
pub(super) const CT_STATE_NEW: u32 = 1 << 3;

/// `meta l4proto PROTOCOL`, and the first bytes of its header.
pub(super) fn transport(protocol: u8, header: &[u8]) -> Vec<Expression> {
    let length = u32::try_from(header.len()).expect("headers are short");
    vec![
        LoadMeta { key: libc::NFT_META_L4PROTO, into: FIRST },
        Is { register: FIRST, value: vec![protocol] },
        LoadHeader { header: libc::NFT_PAYLOAD_TRANSPORT_HEADER, offset: 0, length, into: FIRST },
        Is { register: FIRST, value: header.to_vec() },
    ]
}

/// A link's name as the kernel compares it: 16 bytes, zeros behind the name.
pub(super) fn link_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(libc::IFNAMSIZ, 0);
    bytes
}

/// A port filled up to a register.
pub(super) fn in_register(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

// nft's numbers for the types of keys
pub(super) const TYPE_ETHERNET: u32 = 9; // ether_addr
pub(super) const TYPE_PROTOCOL: u32 = 12; // inet_proto
pub(super) const TYPE_PORT: u32 = 13; // inet_service
pub(super) const TYPE_LINK_NAME: u32 = 41; // ifname

pub(super) const ICMPV6: u8 = 58;
