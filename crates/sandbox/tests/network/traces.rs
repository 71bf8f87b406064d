//! What a pod leaves behind: nothing.

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, netlink};
use sandbox::network::{HostPort, Protocol, detach};

use crate::Test;
use crate::lab::{Machine, Namespace, Pod, fresh_uid, tcp};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("after_the_last_pod_everything_is_as_before_the_first", as_before),
        ("detaching_twice_or_a_stranger_is_fine", twice),
        ("a_pod_whose_namespace_is_gone_leaves_nothing_either", namespace_gone),
        ("an_attach_that_fails_leaves_nothing", failed_attach),
        ("pods_that_come_and_go_at_the_same_time_leave_nothing", churn),
        ("forwarding_that_was_on_stays_on", forwarding_on),
        ("a_bridge_that_somebody_removed_does_not_keep_forwarding_on", bridge_removed),
        ("two_networks_share_a_machine_and_the_last_one_turns_forwarding_off", two_networks),
        ("a_bridge_and_a_table_left_by_a_crash_are_taken_over", crash),
        ("a_firewall_table_that_somebody_flushed_is_made_again", flushed),
    ]
}

fn as_before() {
    let (machine, _internet) = Machine::with_internet();
    let before = machine.state();
    assert!(before.contains(r#"["0\n", "0\n"]"#), "forwarding starts switched off: {before}");
    let udp = HostPort { protocol: Protocol::Udp, ..tcp(5353, 53) };
    let pods = [machine.pod(&[]), machine.pod(&[tcp(8080, 80), udp])];
    let during = machine.state();
    for trace in ["the bridge minipod0 exists", "the firewall table minipod exists", r#"["1\n"#] {
        assert!(during.contains(trace), "{trace}: {during}");
    }
    for pod in pods {
        machine.detach(&pod);
    }
    assert_eq!(machine.state(), before);
}

fn twice() {
    let machine = Machine::new();
    let before = machine.state();
    let pod = machine.pod(&[tcp(8080, 80)]);
    machine.detach(&pod);
    machine.detach(&pod);
    machine.namespace.run(|| detach(&machine.settings, "never seen")).unwrap();
    assert_eq!(machine.state(), before);
}

fn namespace_gone() {
    let machine = Machine::new();
    let before = machine.state();
    let Pod { uid, namespace, .. } = machine.pod(&[tcp(8080, 80)]);
    drop(namespace);
    machine.namespace.run(|| detach(&machine.settings, &uid)).unwrap();
    assert_eq!(machine.state(), before);
}

fn failed_attach() {
    let machine = Machine::new();
    let before = machine.state();
    let namespace = Namespace::new();
    namespace.ip("link add eth0 type bridge"); // the name that the pod's link wants
    let error = machine.attach(&fresh_uid(), &namespace, &[tcp(8080, 80)]).unwrap_err();
    assert!(error.to_string().starts_with("cannot create mp"), "{error}");
    assert_eq!(machine.state(), before);
}

/// The network is made and removed many times over, by whoever happens to be first and last.
fn churn() {
    let machine = Machine::new();
    let before = machine.state();
    std::thread::scope(|scope| {
        for port in 8080..8084 {
            let machine = &machine;
            scope.spawn(move || {
                for _ in 0..8 {
                    let pod = machine.pod(&[tcp(port, 80)]);
                    let listener = pod.namespace.listen("0.0.0.0:80");
                    machine.namespace.talk(([127, 0, 0, 1], port), &listener);
                    machine.detach(&pod);
                }
            });
        }
    });
    assert_eq!(machine.state(), before);
}

fn forwarding_on() {
    let machine = Machine::new();
    machine.namespace.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).unwrap();
    let before = machine.state();
    machine.detach(&machine.pod(&[]));
    assert_eq!(machine.state(), before);
}

fn bridge_removed() {
    let machine = Machine::new();
    let before = machine.state();
    let pod = machine.pod(&[tcp(8080, 80)]);
    machine.namespace.ip("link del minipod0");
    let later = machine.pod(&[]);
    machine.detach(&later);
    machine.namespace.ip("link del minipod0");
    machine.detach(&pod);
    assert_eq!(machine.state(), before);
}

fn two_networks() {
    let machine = Machine::new();
    let before = machine.state();
    let first = machine.pod(&[tcp(8080, 80)]);
    let other = machine.second_network();
    let second = other.pod(&[tcp(8081, 80)]);
    machine.detach(&first);
    assert!(machine.state().contains(r#"["1\n""#), "the other network needs forwarding");
    let listener = second.namespace.listen("0.0.0.0:80");
    machine.namespace.talk(([127, 0, 0, 1], 8081), &listener);
    other.detach(&second);
    assert_eq!(machine.state(), before);
}

fn crash() {
    let machine = Machine::new();
    let before = machine.state();
    let _forgotten = machine.pod(&[tcp(8080, 80)]);
    std::fs::remove_dir_all(&machine.settings.lease_dir).unwrap();
    let pod = machine.pod(&[tcp(8080, 80)]);
    let listener = pod.namespace.listen("0.0.0.0:80");
    machine.namespace.talk((pod.address.gateway, 8080), &listener);
    machine.detach(&pod);
    assert_eq!(machine.state(), before);
}

fn flushed() {
    let machine = Machine::new();
    let pod = machine.pod(&[tcp(8080, 80)]);
    for family in [IPV4, BRIDGE] {
        machine.namespace.run(|| delete_table(family));
    }
    assert!(!machine.state().contains("the firewall table"), "{}", machine.state());
    let _another = machine.pod(&[]);
    let listener = pod.namespace.listen("0.0.0.0:80");
    machine.namespace.talk((pod.address.gateway, 8080), &listener);
}

/// `nft delete table FAMILY minipod`, without the program.
pub(crate) fn delete_table(family: Family) {
    transaction(&[message(10 << 8 | 2, &[&family[..], &text(1, "minipod")])]); // NFT_MSG_DELTABLE
}

/// `nft add table ip nat`, and in it a chain as `iptables -t nat` makes it.
pub(crate) fn translate() {
    add_chain("nat", "POSTROUTING", 4, 1);
}

/// A base chain of a type that is called as its table, with `NF_DROP` or `NF_ACCEPT` as policy.
fn add_chain(table: &str, name: &str, hook: u8, policy: u8) {
    let (kind, name, table) = (text(7, table), text(3, name), text(1, table));
    let hook =
        [&[20, 0, 4, 0x80][..], &[8, 0, 1, 0, 0, 0, 0, hook], &[8, 0, 2, 0, 0, 0, 0, 0]].concat();
    let policy = [8, 0, 5, 0, 0, 0, 0, policy];
    transaction(&[
        message(10 << 8, &[&IPV4[..], &table]), // NFT_MSG_NEWTABLE
        message(10 << 8 | 3, &[&IPV4[..], &table, &name, &hook, &policy, &kind]), // NFT_MSG_NEWCHAIN
    ]);
}

/// `struct nfgenmsg`.
pub(crate) type Family = [u8; 4];
pub(crate) const IPV4: Family = [2, 0, 0, 0];
pub(crate) const IPV6: Family = [10, 0, 0, 0];
pub(crate) const BRIDGE: Family = [7, 0, 0, 0];

fn message(kind: u16, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u32::try_from(16 + body.len()).unwrap();
    let flags = 0x401_u16; // NLM_F_REQUEST, NLM_F_CREATE
    let header = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8]];
    [header.concat(), body].concat()
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    let length = u16::try_from(4 + value.len() + 1).unwrap();
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value.as_bytes()].concat();
    bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
    bytes
}

fn transaction(messages: &[Vec<u8>]) {
    let (begin, end) = (message(0x10, &[&[0, 0, 0, 10]]), message(0x11, &[&[0, 0, 0, 10]]));
    let bytes = [begin, messages.concat(), end].concat();
    let (family, raw) = (AddressFamily::NETLINK, SocketType::RAW);
    let socket =
        rustix::net::socket_with(family, raw, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))
            .unwrap();
    rustix::net::send(&socket, &bytes, SendFlags::empty()).unwrap();
}
