//! The instructions of nftables' little machine, as far as minipod's rules need them.
//!
//! Each loads something into a register, compares a register (and leaves the rule if the
//! comparison fails), or decides. `nft --debug=netlink list ruleset` shows the same instructions.

use crate::network::netlink::Encoder;

/// A 32-bit register; longer values continue in the following ones.
pub(super) type Register = u32;
/// The first of the sixteen (`NFT_REG32_00`).
pub(super) const FIRST: Register = 8;

/// One instruction of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// `meta …`: something that is known of the packet (`NFT_META_*`).
    LoadMeta { key: i32, into: Register },
    /// `ct …`: something that is known of its connection (`NFT_CT_*`).
    LoadConnection { key: i32, into: Register },
    /// Bytes of a header (`NFT_PAYLOAD_*`).
    LoadHeader { header: i32, offset: u32, length: u32, into: Register },
    /// `fib daddr type`: what kind of address the packet goes to.
    LoadAddressType { into: Register },
    /// Clears the bits that are not in the mask.
    Mask { register: Register, mask: Vec<u8> },
    /// Goes on only if the register has this value.
    Is { register: Register, value: Vec<u8> },
    /// Goes on only if the register has another value.
    IsNot { register: Register, value: Vec<u8> },
    /// Goes on only if the set contains the key that starts in this register.
    Contains { set: &'static str, key: Register },
    /// Replaces a key by its value in a map; goes on only if it has one.
    Translate { map: &'static str, key: Register, value: Register },
    /// Sends the connection to another address and port.
    DestinationNat { family: u8, address: Register, port: Register },
    /// Gives the connection the machine's own address as its source.
    Masquerade,
    /// Lets the packet pass, as far as this table is concerned.
    Accept,
    /// Drops the packet.
    Drop,
    /// Goes through another chain and comes back.
    Jump { chain: &'static str },
}

impl Expression {
    /// Writes the instruction as an element of a rule's list.
    pub(super) fn encode(&self, list: &mut Encoder) {
        list.nested(LIST_ELEMENT, |element| {
            element.text(EXPRESSION_NAME, self.name());
            element.nested(EXPRESSION_DATA, |data| self.encode_data(data));
        });
    }

    fn name(&self) -> &'static str {
        match self {
            Self::LoadMeta { .. } => "meta",
            Self::LoadConnection { .. } => "ct",
            Self::LoadHeader { .. } => "payload",
            Self::LoadAddressType { .. } => "fib",
            Self::Mask { .. } => "bitwise",
            Self::Is { .. } | Self::IsNot { .. } => "cmp",
            Self::Contains { .. } | Self::Translate { .. } => "lookup",
            Self::DestinationNat { .. } => "nat",
            Self::Masquerade => "masq",
            Self::Accept | Self::Drop | Self::Jump { .. } => "immediate",
        }
    }

    fn encode_data(&self, data: &mut Encoder) {
        match self {
            Self::LoadMeta { key, into } | Self::LoadConnection { key, into } => {
                // NFTA_META_* and NFTA_CT_* agree in the first two: DREG 1, KEY 2
                numbers(data, &[(1, *into), (2, constant(*key))]);
            }
            Self::LoadHeader { header, offset, length, into } => {
                // NFTA_PAYLOAD_*: DREG 1, BASE 2, OFFSET 3, LEN 4
                let base = constant(*header);
                numbers(data, &[(1, *into), (2, base), (3, *offset), (4, *length)]);
            }
            Self::LoadAddressType { into } => {
                // NFTA_FIB_*: DREG 1, RESULT 2, FLAGS 3
                let (address_type, destination) = (3, 2);
                numbers(data, &[(1, *into), (2, address_type), (3, destination)]);
            }
            Self::Mask { register, mask } => encode_mask(data, *register, mask),
            Self::Is { register, value } => compare(data, *register, libc::NFT_CMP_EQ, value),
            Self::IsNot { register, value } => compare(data, *register, libc::NFT_CMP_NEQ, value),
            Self::Contains { set, key } => {
                // NFTA_LOOKUP_*: SET 1, SREG 2, DREG 3
                data.text(1, set);
                numbers(data, &[(2, *key)]);
            }
            Self::Translate { map, key, value } => {
                data.text(1, map);
                numbers(data, &[(2, *key), (3, *value)]);
            }
            Self::DestinationNat { family, address, port } => {
                // NFTA_NAT_*: TYPE 1, FAMILY 2, REG_ADDR_MIN 3, REG_PROTO_MIN 5
                let (dnat, family) = (constant(libc::NFT_NAT_DNAT), u32::from(*family));
                numbers(data, &[(1, dnat), (2, family), (3, *address), (5, *port)]);
            }
            Self::Masquerade => {}
            Self::Accept => verdict(data, libc::NF_ACCEPT, None),
            Self::Drop => verdict(data, libc::NF_DROP, None),
            Self::Jump { chain } => verdict(data, libc::NFT_JUMP, Some(chain)),
        }
    }
}

fn numbers(data: &mut Encoder, attributes: &[(u16, u32)]) {
    for (kind, value) in attributes {
        data.network_number(*kind, *value);
    }
}

/// `NFTA_BITWISE_*`: SREG 1, DREG 2, LEN 3, MASK 4, XOR 5.
fn encode_mask(data: &mut Encoder, register: Register, mask: &[u8]) {
    let length = u32::try_from(mask.len()).expect("masks are as long as addresses");
    numbers(data, &[(1, register), (2, register), (3, length)]);
    data.nested(4, |value| value.attribute(DATA_VALUE, mask));
    data.nested(5, |value| value.attribute(DATA_VALUE, &vec![0; mask.len()]));
}

/// `NFTA_CMP_*`: SREG 1, OP 2, DATA 3.
fn compare(data: &mut Encoder, register: Register, operator: i32, value: &[u8]) {
    numbers(data, &[(1, register), (2, constant(operator))]);
    data.nested(3, |inside| inside.attribute(DATA_VALUE, value));
}

/// `NFTA_IMMEDIATE_*`: DREG 1, DATA 2; `NFTA_VERDICT_*`: CODE 1, CHAIN 2.
fn verdict(data: &mut Encoder, code: i32, chain: Option<&str>) {
    data.network_number(1, constant(libc::NFT_REG_VERDICT));
    data.nested(2, |inside| {
        inside.nested(DATA_VERDICT, |verdict| {
            verdict.attribute(1, &code.to_be_bytes());
            if let Some(chain) = chain {
                verdict.text(2, chain);
            }
        });
    });
}

fn constant(value: i32) -> u32 {
    u32::try_from(value).expect("nftables' constants are not negative")
}

// linux/netfilter/nf_tables.h
const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
/// `NFTA_DATA_VALUE`.
pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
