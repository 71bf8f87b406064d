//! Answers of the kernel (6.18, little endian) as it sent them.
#![cfg(target_endian = "little")]

use std::net::{IpAddr, Ipv4Addr};

use super::{LinkAddress, Route4, parse_address, parse_link, parse_route};
use crate::network::netlink::{Batch, Message};

#[test]
fn an_address_is_read_from_the_kernels_bytes() {
    let payload = [
        2, 8, 0x80, 0xfe, 1, 0, 0, 0, // AF_INET, /8, permanent, scope host, link 1
        8, 0, 1, 0, 127, 0, 0, 9, // IFA_ADDRESS: the other end
        8, 0, 2, 0, 127, 0, 0, 1, // IFA_LOCAL
        7, 0, 3, 0, b'l', b'o', 0, 0, // IFA_LABEL
    ];
    let message = Message { kind: libc::RTM_NEWADDR, flags: 2, sequence: 1, payload: &payload };
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert_eq!(parse_address(&message), Some(LinkAddress { link: 1, ip, prefix: 8 }));
    assert_eq!(parse_address(&Message { kind: libc::RTM_DELADDR, ..message }), None);
    assert_eq!(parse_address(&Message { payload: &payload[..7], ..message }), None);
}

#[test]
fn a_route_is_read_from_the_kernels_bytes() {
    let payload = [
        2, 24, 0, 0, 254, 2, 253, 1, 0, 0, 0,
        0, // AF_INET, /24, main table, kernel, link, unicast
        8, 0, 15, 0, 254, 0, 0, 0, // RTA_TABLE
        8, 0, 1, 0, 192, 0, 2, 0, // RTA_DST
        8, 0, 4, 0, 4, 0, 0, 0, // RTA_OIF
    ];
    let message = Message { kind: libc::RTM_NEWROUTE, flags: 2, sequence: 1, payload: &payload };
    let destination = Ipv4Addr::new(192, 0, 2, 0);
    assert_eq!(parse_route(&message), Some(Route4 { destination, prefix: 24, link: Some(4) }));
}

#[test]
fn a_link_is_read_with_its_kind_alias_master_and_group() {
    let mut batch = Batch::default();
    batch.message(libc::RTM_NEWLINK, 0, "try", |message| {
        message.raw(&super::link_header(7, libc::IFF_UP | libc::IFF_RUNNING, 0));
        message.text(libc::IFLA_IFNAME, "mp0");
        message.number(libc::IFLA_MTU, 1400);
        message.number(libc::IFLA_MASTER, 3);
        message.number(libc::IFLA_GROUP, 42);
        message.attribute(libc::IFLA_ADDRESS, &[1, 2, 3, 4, 5, 6]);
        message.text(libc::IFLA_IFALIAS, "ours");
        message.nested(libc::IFLA_LINKINFO, |kind| kind.text(libc::IFLA_INFO_KIND, "veth"));
    });
    let payload = &batch.bytes()[16..];
    let message = Message { kind: libc::RTM_NEWLINK, flags: 0, sequence: 1, payload };
    let link = parse_link(&message).unwrap();
    assert_eq!((link.index, link.name.as_str(), link.up, link.loopback), (7, "mp0", true, false));
    assert_eq!((link.mtu, link.master, link.group), (1400, Some(3), 42));
    assert_eq!(link.mac, Some([1, 2, 3, 4, 5, 6]));
    assert_eq!((link.alias.as_deref(), link.kind.as_deref()), (Some("ours"), Some("veth")));
}
