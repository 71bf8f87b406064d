//! What the kernel remembers of UDP conversations with host ports.
//!
//! Where a datagram goes is decided once per conversation and remembered while datagrams keep
//! coming. A client that never pauses would therefore miss a pod that came later, and talk to one
//! that is gone. TCP needs no such care: a new connection is a new decision.

use std::collections::HashSet;
use std::net::IpAddr;

use nix::errno::Errno;

use super::ruleset::Version;
use crate::network::netlink::{Batch, Encoder, Message, NetlinkError, NetlinkSocket, find};
use crate::network::route::parse_ip;
use crate::network::settings::Protocol;

/// Makes the kernel forget all UDP conversations with this port on these addresses.
///
/// A kernel that does not tell what it remembers (no `nf_conntrack_netlink`) is left alone.
pub(super) fn forget_udp(
    socket: &mut NetlinkSocket,
    version: Version,
    port: u16,
    machine: &HashSet<IpAddr>,
) -> Result<(), NetlinkError> {
    let mut found = Vec::new();
    let listing = socket.query(&list_request(version, port), |message| {
        found.extend(parse(&message).filter(|one| one.port == port && machine.contains(&one.ip)));
    });
    match listing {
        Err(error) if error.is(Errno::EOPNOTSUPP) || error.is(Errno::EINVAL) => return Ok(()),
        result => result?,
    }
    for conversation in found {
        match socket.execute(&forget_request(version, &conversation)) {
            Err(error) if error.is(Errno::ENOENT) => {} // it ended by itself
            result => result?,
        }
    }
    Ok(())
}

/// One conversation, in the direction of its first datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Conversation {
    /// Where that went, before any translation.
    ip: IpAddr,
    port: u16,
    /// `CTA_TUPLE_ORIG` as the kernel wrote it: the conversation's name.
    name: Vec<u8>,
    /// Tells it from a later one of the same name.
    id: Vec<u8>,
}

/// The kernel sorts out what has another protocol or port (`CTA_FILTER`, Linux 5.8); older ones
/// list everything.
fn list_request(version: Version, port: u16) -> Batch {
    let mut batch = Batch::default();
    let flags = libc::NLM_F_ACK | libc::NLM_F_DUMP;
    batch.message(CONNTRACK | GET, flags, "list UDP conversations", |message| {
        message.raw(&[version.family().number(), 0, 0, 0]);
        message.nested(TUPLE_ORIGINAL, |tuple| {
            tuple.nested(TUPLE_PROTOCOL, |protocol| {
                protocol.attribute(PROTOCOL_NUMBER, &[Protocol::Udp.number()]);
                protocol.attribute(DESTINATION_PORT, &port.to_be_bytes());
            });
        });
        message.nested(FILTER, |filter| {
            filter.number(FILTER_ORIGINAL, BY_PROTOCOL_NUMBER | BY_DESTINATION_PORT);
            filter.number(FILTER_REPLY, 0);
        });
    });
    batch
}

fn forget_request(version: Version, conversation: &Conversation) -> Batch {
    let mut batch = Batch::default();
    let doing = format!("forget a UDP conversation with port {}", conversation.port);
    batch.message(CONNTRACK | DELETE, libc::NLM_F_ACK, doing, |message: &mut Encoder| {
        message.raw(&[version.family().number(), 0, 0, 0]);
        message.nested(TUPLE_ORIGINAL, |tuple| tuple.raw(&conversation.name));
        message.attribute(ID, &conversation.id);
    });
    batch
}

fn parse(message: &Message<'_>) -> Option<Conversation> {
    let attributes = message.payload.get(4..)?;
    let name = find(attributes, TUPLE_ORIGINAL)?.value;
    let protocol = find(name, TUPLE_PROTOCOL)?.value;
    let addresses = find(name, TUPLE_IP)?.value;
    let ip = find(addresses, IPV4_DESTINATION).or_else(|| find(addresses, IPV6_DESTINATION))?;
    if find(protocol, PROTOCOL_NUMBER)?.value != [Protocol::Udp.number()] {
        return None;
    }
    Some(Conversation {
        ip: parse_ip(ip.value)?,
        port: u16::from_be_bytes(find(protocol, DESTINATION_PORT)?.value.try_into().ok()?),
        name: name.to_vec(),
        id: find(attributes, ID)?.value.to_vec(),
    })
}

// linux/netfilter/nfnetlink_conntrack.h; the filter's bits are those of libnetfilter_conntrack
const CONNTRACK: u16 = 1 << 8; // NFNL_SUBSYS_CTNETLINK
const GET: u16 = 1;
const DELETE: u16 = 2;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IPV4_DESTINATION: u16 = 2;
const IPV6_DESTINATION: u16 = 4;
const PROTOCOL_NUMBER: u16 = 1;
const DESTINATION_PORT: u16 = 3;
const ID: u16 = 12;
const FILTER: u16 = 25;
const FILTER_ORIGINAL: u16 = 1;
const FILTER_REPLY: u16 = 2;
const BY_PROTOCOL_NUMBER: u32 = 1 << 3;
const BY_DESTINATION_PORT: u32 = 1 << 5;
