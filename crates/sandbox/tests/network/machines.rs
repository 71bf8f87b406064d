//! Machines as they are: without IPv6, with a VPN, with routers, with other networks, and with
//! somebody who breaks what minipod made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sockopt};
use sandbox::network::{Egress, PodNetworkRequest, PodRange, attach, detach};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::Test;
use crate::lab::{INTERNET, Machine, Namespace, Pod, fresh_uid, tcp};
use crate::traces::{BRIDGE, IPV4, IPV6, delete_table};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        (
            "without_nf_tables_a_pod_is_refused_with_the_way_out_and_can_leave",
            without_nf_tables_a_pod_is_refused_with_the_way_out_and_can_leave,
        ),
        (
            "behind_a_wire_too_small_for_ipv6_pods_have_ipv4",
            behind_a_wire_too_small_for_ipv6_pods_have_ipv4,
        ),
        (
            "routes_broader_than_the_range_are_not_in_its_way",
            routes_broader_than_the_range_are_not_in_its_way,
        ),
        (
            "another_range_is_used_where_the_first_is_taken",
            another_range_is_used_where_the_first_is_taken,
        ),
        (
            "pods_keep_their_range_when_another_would_be_chosen_now",
            pods_keep_their_range_when_another_would_be_chosen_now,
        ),
        (
            "the_machine_keeps_the_ipv6_route_that_a_router_told_it",
            the_machine_keeps_the_ipv6_route_that_a_router_told_it,
        ),
        (
            "forwarding_that_somebody_else_uses_by_then_stays_on",
            forwarding_that_somebody_else_uses_by_then_stays_on,
        ),
        (
            "ipv6_that_comes_while_pods_run_reaches_the_next_pod",
            ipv6_that_comes_while_pods_run_reaches_the_next_pod,
        ),
        (
            "a_pod_is_taken_off_the_network_whatever_was_broken_under_it",
            a_pod_is_taken_off_the_network_whatever_was_broken_under_it,
        ),
        (
            "a_broken_neighbor_does_not_keep_a_pod_from_going",
            a_broken_neighbor_does_not_keep_a_pod_from_going,
        ),
        (
            "without_leases_a_pod_leaves_and_its_neighbor_stays",
            without_leases_a_pod_leaves_and_its_neighbor_stays,
        ),
    ]
}

fn behind_a_wire_too_small_for_ipv6_pods_have_ipv4() {
    let (machine, internet) = Machine::with_internet6();
    for end in [&*machine.namespace, &internet] {
        end.ip("link set wire mtu 1200");
    }
    let before = machine.state();
    let pod = machine.pod(&[tcp(8080, 80)]);
    assert_eq!(pod.address.ipv6, None);
    let listener = internet.listen("0.0.0.0:443");
    pod.namespace.talk((INTERNET, 443), &listener);
    machine.detach(&pod);
    assert_eq!(machine.state(), before);
}

fn routes_broader_than_the_range_are_not_in_its_way() {
    let (machine, internet) = Machine::with_internet();
    for route in [
        "0.0.0.0/1 via 192.0.2.1",
        "128.0.0.0/1 via 192.0.2.1",
        "10.0.0.0/8 via 192.0.2.1",
        "blackhole 10.80.0.0/12",
        "10.0.0.0/8 via 192.0.2.1 table 7",
    ] {
        machine.namespace.ip(&format!("route add {route}"));
    }
    let (pod, other) = (machine.pod(&[]), machine.pod(&[]));
    let listener = internet.listen("0.0.0.0:443");
    pod.namespace.talk((INTERNET, 443), &listener);
    let inside = other.namespace.listen("0.0.0.0:80");
    pod.namespace.talk((other.address.ip, 80), &inside);
    machine.namespace.talk((other.address.ip, 80), &inside);
}

/// Makes the thread's kernel one without nfnetlink: `socket(AF_NETLINK, …, NETLINK_NETFILTER)` says
/// that there is no such protocol.
fn forget_netfilter() {
    let is = |argument, value| {
        let (length, equals) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        SeccompCondition::new(argument, length, equals, value).unwrap()
    };
    let (netlink, netfilter) = (16, 12);
    let rule = SeccompRule::new(vec![is(0, netlink), is(2, netfilter)]).unwrap();
    let no_such_protocol = SeccompAction::Errno(93);
    let filter = SeccompFilter::new(
        [(libc_socket(), vec![rule])].into(),
        SeccompAction::Allow,
        no_such_protocol,
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

fn libc_socket() -> i64 {
    if cfg!(target_arch = "x86_64") { 41 } else { 198 } // asm/unistd.h
}

fn without_nf_tables_a_pod_is_refused_with_the_way_out_and_can_leave() {
    let machine = Machine::new();
    let before = machine.state();
    let (uid, namespace) = (fresh_uid(), Namespace::bare());
    let request = PodNetworkRequest {
        pod_uid: &uid,
        namespace: namespace.as_fd(),
        host_ports: &[],
        egress: Egress::All,
        resolvers: &[],
    };
    let (attached, detached) = machine.namespace.run(|| {
        forget_netfilter();
        (attach(&machine.settings, &request), detach(&machine.settings, &uid))
    });
    let error = attached.unwrap_err();
    assert_eq!(error.to_string(), "this kernel lacks a part of nf_tables that pods need");
    assert!(error.hint().unwrap().contains("modprobe bridge veth nf_tables"));
    assert!(detached.is_ok(), "{detached:?}");
    assert_eq!(machine.state(), before);
}

/// A machine whose pods may have one of two ranges, and a way to take the first.
fn with_a_second_range() -> (Machine, Namespace) {
    let (mut machine, internet) = Machine::with_internet();
    let range = |cidr: &str| PodRange { cidr: cidr.parse().unwrap(), ipv6: None };
    machine.settings.alternatives = vec![range("10.85.64.0/18"), range("10.185.0.0/16")];
    (machine, internet)
}

fn another_range_is_used_where_the_first_is_taken() {
    let (machine, _internet) = with_a_second_range();
    machine.namespace.ip("route add 10.85.0.0/16 via 192.0.2.1");
    machine.namespace.ip("address add 10.85.70.1/32 dev lo");
    let before = machine.state();
    let (pod, other) = (machine.pod(&[tcp(8080, 80)]), machine.pod(&[]));
    assert_eq!(pod.address.ip, Ipv4Addr::new(10, 185, 0, 2));
    assert_eq!(other.address.gateway, Ipv4Addr::new(10, 185, 0, 1));
    let inside = pod.namespace.listen("0.0.0.0:80");
    other.namespace.talk((pod.address.gateway, 8080), &inside);
    for pod in [pod, other] {
        machine.detach(&pod);
    }
    assert_eq!(machine.state(), before);
    // With all of them taken, the error is about the first.
    machine.namespace.ip("route add 10.185.0.0/16 via 192.0.2.1");
    let error = machine.try_pod(&fresh_uid(), &[]).err().unwrap();
    let expected =
        "cannot use 10.85.0.0/16 for pods: this machine has the address 10.85.70.1/32 on lo";
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().unwrap().contains("--pod-cidr"));
}

fn pods_keep_their_range_when_another_would_be_chosen_now() {
    let (machine, _internet) = with_a_second_range();
    machine.namespace.ip("route add 10.85.64.0/18 via 192.0.2.1");
    let first = machine.pod(&[]);
    assert_eq!(first.address.gateway, Ipv4Addr::new(10, 185, 0, 1));
    machine.namespace.ip("route del 10.85.64.0/18");
    let second = machine.pod(&[]);
    assert_eq!(second.address.gateway, first.address.gateway);
    machine.namespace.ip("link del minipod0"); // by somebody
    assert_eq!(machine.pod(&[]).address.gateway, first.address.gateway);
}

/// Sends a router advertisement of an hour's default route to everybody on the wire.
fn advertise(router: &Namespace) {
    router.run(|| {
        let (family, raw) = (AddressFamily::INET6, SocketType::RAW);
        let socket =
            rustix::net::socket_with(family, raw, SocketFlags::CLOEXEC, Some(ipproto::ICMPV6))
                .unwrap();
        sockopt::set_ipv6_multicast_hops(&socket, 255).unwrap();
        let packet = [134, 0, 0, 0, 64, 0, 0x0e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0];
        let to = "[ff02::1%2]:0".parse::<std::net::SocketAddrV6>().unwrap();
        rustix::net::sendto(&socket, &packet, SendFlags::empty(), &SocketAddr::from(to)).unwrap();
    });
}

fn the_machine_keeps_the_ipv6_route_that_a_router_told_it() {
    let (machine, internet) = Machine::with_internet6();
    let wire = internet.ip("-o link show wire");
    assert!(wire.starts_with("2:"), "the advertisement leaves by link 2: {wire}");
    for end in [&*machine.namespace, &internet] {
        end.set("ipv6/conf/wire/accept_dad", "0");
        end.set("ipv6/conf/wire/addr_gen_mode", "1");
    }
    internet.ip("address add fe80::1/64 dev wire nodad");
    machine.namespace.ip("address add fe80::2/64 dev wire nodad");
    machine.namespace.set("ipv6/conf/wire/accept_ra", "1");
    let routes = || machine.namespace.ip("-6 route show default");
    advertise(&internet);
    assert!(routes().contains("proto ra"), "{}", routes());
    let pod = machine.pod(&[]);
    assert!(pod.address.ipv6.is_some());
    assert_eq!(machine.namespace.get("ipv6/conf/all/forwarding"), "1");
    assert!(routes().contains("proto ra"), "the route stays: {}", routes());
    machine.namespace.ip("-6 route del default");
    advertise(&internet);
    assert!(routes().contains("proto ra"), "and comes back: {}", routes());
    machine.detach(&pod);
    assert_eq!(machine.namespace.get("ipv6/conf/all/forwarding"), "0");
    assert_eq!(machine.namespace.get("ipv6/conf/wire/accept_ra"), "1");
    assert!(routes().contains("proto ra"), "{}", routes());
}

fn forwarding_that_somebody_else_uses_by_then_stays_on() {
    let wire = "veth0 type veth peer name veth1";
    for (other, expected) in [("docker0 type bridge", "1"), (wire, "0")] {
        let machine = Machine::new();
        let pod = machine.pod(&[]);
        machine.namespace.ip(&format!("link add name {other}"));
        machine.detach(&pod);
        assert_eq!(machine.namespace.get("ipv4/ip_forward"), expected, "{other}");
    }
    let machine = Machine::new();
    let pod = machine.pod(&[]);
    machine.namespace.run(crate::traces::translate);
    machine.detach(&pod);
    assert_eq!(machine.namespace.get("ipv4/ip_forward"), "1", "somebody translates addresses");
}

fn ipv6_that_comes_while_pods_run_reaches_the_next_pod() {
    let (mut machine, internet) = Machine::with_internet6();
    let before = machine.state();
    let later = machine.settings.ipv6.take();
    let first = machine.pod(&[tcp(8080, 80)]);
    machine.settings.ipv6 = later;
    let second = machine.pod(&[tcp(8081, 80)]);
    let to = "fd00::1".parse::<Ipv6Addr>().unwrap();
    let listener = internet.listen("[::]:443");
    second.namespace.talk((to, 443), &listener);
    let published = second.namespace.listen("[::]:80");
    internet.talk(("fd00::2".parse::<Ipv6Addr>().unwrap(), 8081), &published);
    // The first one is as it was.
    let old = first.namespace.listen("0.0.0.0:80");
    internet.talk((Ipv4Addr::new(192, 0, 2, 2), 8080), &old);
    let third = machine.pod(&[]);
    third.namespace.talk((second.address.ipv6.clone().unwrap().ip, 80), &published);
    for pod in [third, second, first] {
        machine.detach(&pod);
    }
    assert_eq!(machine.state(), before);
}

/// What somebody does to the machine and the pod's part of it.
type Breakage = fn(&Machine, &Pod);

/// Each way in which somebody may break what a pod's network is made of.
fn breakages() -> Vec<(&'static str, Breakage)> {
    vec![
        ("the bridge is deleted", |machine, _| drop(machine.namespace.ip("link del minipod0"))),
        ("the bridge has another alias", |machine, _| {
            machine.namespace.ip("link set minipod0 alias mine");
        }),
        ("the pod's link is deleted", |machine, pod| {
            machine.namespace.ip(&format!("link del {}", pod.address.host_interface));
        }),
        ("the pod's link is taken off the bridge", |machine, pod| {
            machine.namespace.ip(&format!("link set {} nomaster", pod.address.host_interface));
        }),
        ("the tables are deleted", |machine, _| {
            for family in [IPV4, IPV6, BRIDGE] {
                machine.namespace.run(|| delete_table(family));
            }
        }),
        ("one table is deleted", |machine, _| machine.namespace.run(|| delete_table(BRIDGE))),
        ("the leases are removed", |machine, _| {
            std::fs::remove_dir_all(&machine.settings.lease_dir).unwrap();
        }),
        ("the lease is garbled", |machine, pod| {
            let lease = machine.settings.lease_dir.join(pod.address.ip.to_string());
            std::fs::write(lease, b"\xff\xfe garbage\n").unwrap();
        }),
        ("the lease is a directory", |machine, pod| {
            let lease = machine.settings.lease_dir.join(pod.address.ip.to_string());
            std::fs::remove_file(&lease).unwrap();
            std::fs::create_dir_all(lease.join("more")).unwrap();
        }),
        ("the record of the switches is garbled", |machine, _| {
            let record = machine.settings.lease_dir.join("forwarding-before");
            std::fs::write(record, b"\xff").unwrap();
        }),
        ("the settings are others", |_, _| {}),
        ("everything at once", |machine, _| {
            machine.namespace.ip("link del minipod0");
            for family in [IPV4, IPV6, BRIDGE] {
                machine.namespace.run(|| delete_table(family));
            }
            std::fs::remove_dir_all(&machine.settings.lease_dir).unwrap();
        }),
    ]
}

fn a_pod_is_taken_off_the_network_whatever_was_broken_under_it() {
    for (what, break_it) in breakages() {
        let (mut machine, _internet) = Machine::with_internet6();
        let links = || machine.namespace.ip("-o -br link");
        let before = links();
        let pod = machine.pod(&[tcp(8080, 80)]);
        break_it(&machine, &pod);
        let uid = pod.uid.clone();
        if what == "the settings are others" {
            machine.settings.cidr = "192.168.7.0/24".parse().unwrap();
            machine.settings.ipv6 = None;
        }
        let outcome = machine.namespace.run(|| detach(&machine.settings, &uid));
        assert!(outcome.is_ok(), "{what}: {outcome:?}");
        let traces = machine.namespace.run(|| sandbox::network::traces(&machine.settings)).unwrap();
        assert_eq!(traces, [""; 0], "{what}");
        assert_eq!(machine.namespace.ip("-o -br link"), before, "{what}");
        // And the machine is ready for the next one.
        machine.detach(&machine.pod(&[tcp(8080, 80)]));
        assert_eq!(machine.namespace.ip("-o -br link"), before, "{what}, and a pod after it");
    }
}

fn a_broken_neighbor_does_not_keep_a_pod_from_going() {
    for (what, break_it) in breakages() {
        let (machine, _internet) = Machine::with_internet6();
        let before = machine.namespace.ip("-o -br link");
        let (neighbor, pod) = (machine.pod(&[tcp(8080, 80)]), machine.pod(&[tcp(8081, 80)]));
        break_it(&machine, &neighbor);
        for one in [&pod, &neighbor] {
            let outcome = machine.namespace.run(|| detach(&machine.settings, &one.uid));
            assert!(outcome.is_ok(), "{what}: {outcome:?}");
        }
        let traces = machine.namespace.run(|| sandbox::network::traces(&machine.settings)).unwrap();
        assert_eq!(traces, [""; 0], "{what}");
        assert_eq!(machine.namespace.ip("-o -br link"), before, "{what}");
    }
}

fn without_leases_a_pod_leaves_and_its_neighbor_stays() {
    let machine = Machine::new();
    let (leaves, stays) = (machine.pod(&[]), machine.pod(&[]));
    std::fs::remove_dir_all(&machine.settings.lease_dir).unwrap();
    machine.detach(&leaves);
    let link = format!("-o link show {}", stays.address.host_interface);
    assert!(machine.namespace.ip(&link).contains("master minipod0"));
    let listener = stays.namespace.listen("0.0.0.0:80");
    let seen = machine.namespace.talk((stays.address.ip, 80), &listener);
    assert_eq!(seen, IpAddr::from(stays.address.gateway));
    machine.detach(&stays);
    assert_eq!(machine.state().matches("minipod0").count(), 0, "{}", machine.state());
}
