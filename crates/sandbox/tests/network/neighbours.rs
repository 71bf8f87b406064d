//! Attacks of a pod on its neighbors and on the machine, by frames that claim to be somebody
//! else's. Each attack is tried a second time without minipod's table for frames, where it has to
//! succeed: else the test would show nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use crate::Test;
use crate::lab::{Machine, Pod};
use crate::traces::{BRIDGE, delete_table};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        (
            "a_pod_does_not_send_from_a_neighbors_ipv4_address",
            a_pod_does_not_send_from_a_neighbors_ipv4_address,
        ),
        (
            "a_pod_does_not_send_from_another_hardware_address",
            a_pod_does_not_send_from_another_hardware_address,
        ),
        (
            "a_pod_does_not_answer_arp_for_a_neighbor_or_the_gateway",
            a_pod_does_not_answer_arp_for_a_neighbor_or_the_gateway,
        ),
        (
            "a_pod_does_not_announce_the_gateways_address_by_arp",
            a_pod_does_not_announce_the_gateways_address_by_arp,
        ),
        (
            "a_pod_does_not_send_from_a_neighbors_ipv6_address",
            a_pod_does_not_send_from_a_neighbors_ipv6_address,
        ),
        (
            "a_pod_does_not_advertise_a_neighbors_ipv6_address",
            a_pod_does_not_advertise_a_neighbors_ipv6_address,
        ),
        (
            "a_pod_is_no_router_to_its_neighbors_and_the_machine",
            a_pod_is_no_router_to_its_neighbors_and_the_machine,
        ),
        (
            "a_pod_is_no_dhcp_server_to_its_neighbors_and_the_machine",
            a_pod_is_no_dhcp_server_to_its_neighbors_and_the_machine,
        ),
        (
            "frames_for_the_bridge_itself_are_not_taken_for_the_machines",
            frames_for_the_bridge_itself_are_not_taken_for_the_machines,
        ),
        ("a_pod_without_ipv6_does_not_send_ipv6", a_pod_without_ipv6_does_not_send_ipv6),
        ("a_pod_that_comes_back_sends_as_itself", a_pod_that_comes_back_sends_as_itself),
    ]
}

/// Who sends, in which way, and whether the frame comes through.
fn comes_through(receiver: &UdpSocket, fence: impl Fn(), attack: impl Fn()) -> bool {
    attack();
    fence(); // frames of one pod stay in order, so after this one the other is not on its way
    let mut text = [0; 16];
    let (length, _) = receiver.recv_from(&mut text).unwrap();
    match &text[..length] {
        b"fence" => false,
        b"attack" => {
            let (length, _) = receiver.recv_from(&mut text).unwrap();
            assert_eq!(&text[..length], b"fence");
            true
        }
        other => panic!("{other:?}"),
    }
}

/// Says that the attack fails, and that it succeeds without the table for frames.
fn only_the_table_stops(machine: &Machine, attack: impl Fn() -> bool) {
    assert!(!attack(), "the attack succeeds");
    machine.namespace.run(|| delete_table(BRIDGE));
    assert!(attack(), "the attack succeeds against nobody");
}

fn send(from: &UdpSocket, text: &str, to: SocketAddr) {
    // Without a route or a neighbor there is nothing on the wire, which is as good.
    let _ = from.send_to(text.as_bytes(), to);
}

fn a_pod_does_not_send_from_a_neighbors_ipv4_address() {
    let machine = Machine::new();
    let (victim, attacker) = (machine.pod(&[]), machine.pod(&[]));
    attacker.namespace.ip(&format!("address add {}/32 dev eth0", victim.address.ip));
    let forged = attacker.namespace.udp(&format!("{}:0", victim.address.ip));
    let honest = attacker.namespace.udp(&format!("{}:0", attacker.address.ip));
    let receiver = machine.namespace.udp("0.0.0.0:7000");
    let to = SocketAddr::from((attacker.address.gateway, 7000));
    send(&honest, "fence", to); // finds the gateway's hardware address
    receiver.recv_from(&mut [0; 16]).unwrap();
    only_the_table_stops(&machine, || {
        comes_through(&receiver, || send(&honest, "fence", to), || send(&forged, "attack", to))
    });
}

fn a_pod_does_not_send_from_another_hardware_address() {
    let machine = Machine::new();
    let (victim, attacker) = (machine.pod(&[]), machine.pod(&[]));
    let fence = machine.pod(&[]);
    let receiver = victim.namespace.udp("0.0.0.0:7000");
    let to = SocketAddr::from((victim.address.ip, 7000));
    let (sender, honest) = (attacker.namespace.udp("0.0.0.0:0"), fence.namespace.udp("0.0.0.0:0"));
    for socket in [&sender, &honest] {
        send(socket, "warm up", to); // finds the victim's hardware address
        receiver.recv_from(&mut [0; 16]).unwrap();
    }
    let mac = victim.namespace.ip("-br link show eth0");
    let mac = mac.split_whitespace().nth(2).unwrap().to_owned();
    attacker.namespace.ip("link set eth0 address 0a:58:0a:55:ff:fe");
    attacker.namespace.ip(&format!("neigh replace {} lladdr {mac} dev eth0", victim.address.ip));
    only_the_table_stops(&machine, || {
        comes_through(&receiver, || send(&honest, "fence", to), || send(&sender, "attack", to))
    });
}

/// What a pod knows of the hardware address that belongs to an address, asked anew.
fn asks_for(pod: &Pod, ip: impl Into<IpAddr>) -> String {
    let ip = ip.into();
    pod.namespace.ip("neigh flush dev eth0");
    let socket = pod.namespace.udp(if ip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" });
    for _ in 0..3 {
        send(&socket, "?", SocketAddr::new(ip, 9));
        let _ = pod.namespace.fails_to_reach((ip, 9)); // refused, once somebody was found
    }
    pod.namespace.ip(&format!("neigh show {ip} dev eth0"))
}

/// `0a:58:…` as `ip` prints it.
fn mac_of(pod: &Pod) -> String {
    pod.address.mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// The attacker takes an address that nobody answers for, so that its answer would be the only one.
fn a_pod_does_not_answer_arp_for_a_neighbor_or_the_gateway() {
    let machine = Machine::new();
    let (victim, attacker) = (machine.pod(&[]), machine.pod(&[]));
    for address in ["10.85.7.7", "10.85.0.9"] {
        attacker.namespace.ip(&format!("address add {address}/32 dev eth0"));
    }
    let asked: Ipv4Addr = "10.85.7.7".parse().unwrap();
    only_the_table_stops(&machine, || asks_for(&victim, asked).contains(&mac_of(&attacker)));
}

fn a_pod_does_not_announce_the_gateways_address_by_arp() {
    let machine = Machine::new();
    let (victim, attacker) = (machine.pod(&[]), machine.pod(&[]));
    let gateway = attacker.address.gateway;
    attacker.namespace.set("ipv4/conf/eth0/arp_notify", "1");
    only_the_table_stops(&machine, || {
        let known = asks_for(&victim, gateway);
        assert!(known.contains("0a:58:0a:55:00:01"), "{known}");
        // An address that was learned a while ago may be replaced by an announcement.
        victim.namespace.set("ipv4/neigh/eth0/locktime", "0");
        attacker.namespace.ip(&format!("address add {gateway}/32 dev eth0"));
        // A change of the hardware address announces the addresses of the link.
        attacker.namespace.ip(&format!("link set eth0 address {}", mac_of(&attacker)));
        attacker.namespace.ip(&format!("address del {gateway}/32 dev eth0"));
        let mac = victim.namespace.ip(&format!("neigh show {gateway} dev eth0"));
        mac.contains(&mac_of(&attacker))
    });
}

fn machine6() -> Machine {
    let mut machine = Machine::new();
    machine.settings.ipv6 = Some("fd85::/64".parse().unwrap());
    machine
}

fn ip6(pod: &Pod) -> Ipv6Addr {
    pod.address.ipv6.as_ref().unwrap().ip
}

fn gateway6(pod: &Pod) -> Ipv6Addr {
    pod.address.ipv6.as_ref().unwrap().gateway
}

fn a_pod_does_not_send_from_a_neighbors_ipv6_address() {
    let machine = machine6();
    let (victim, attacker) = (machine.pod(&[]), machine.pod(&[]));
    attacker.namespace.ip(&format!("address add {}/128 dev eth0 nodad", ip6(&victim)));
    let forged = attacker.namespace.udp(&format!("[{}]:0", ip6(&victim)));
    let honest = attacker.namespace.udp(&format!("[{}]:0", ip6(&attacker)));
    let receiver = machine.namespace.udp("[::]:7000");
    let to = SocketAddr::from((gateway6(&attacker), 7000));
    send(&honest, "fence", to);
    receiver.recv_from(&mut [0; 16]).unwrap();
    only_the_table_stops(&machine, || {
        comes_through(&receiver, || send(&honest, "fence", to), || send(&forged, "attack", to))
    });
}

/// A raw socket of a pod with `NET_RAW`, whose packets have the hop limit of neighbor discovery.
fn send_icmpv6(pod: &Pod, packet: &[u8], to: Ipv6Addr) {
    pod.namespace.run(|| {
        let (family, raw) = (AddressFamily::INET6, SocketType::RAW);
        let socket =
            rustix::net::socket_with(family, raw, SocketFlags::CLOEXEC, Some(ipproto::ICMPV6))
                .unwrap();
        sockopt::set_ipv6_unicast_hops(&socket, Some(255)).unwrap();
        sockopt::set_ipv6_multicast_hops(&socket, 255).unwrap();
        let to = SocketAddr::from((to, 0));
        rustix::net::sendto(&socket, packet, SendFlags::empty(), &to).unwrap();
    });
}

fn a_pod_does_not_advertise_a_neighbors_ipv6_address() {
    let machine = machine6();
    let (victim, attacker) = (machine.pod(&[]), machine.pod(&[]));
    let gateway = gateway6(&victim);
    let override_flag = 0x20;
    let packet = [
        &[136, 0, 0, 0, override_flag, 0, 0, 0][..],
        &gateway.octets(),
        &[2, 1], // target link-layer address, one unit of eight bytes
        &attacker.address.mac,
    ]
    .concat();
    only_the_table_stops(&machine, || {
        let known = asks_for(&victim, gateway);
        assert!(known.contains("0a:58:0a:55:00:01"), "{known}");
        send_icmpv6(&attacker, &packet, ip6(&victim));
        let mac = victim.namespace.ip(&format!("neigh show {gateway} dev eth0"));
        mac.contains(&mac_of(&attacker))
    });
}

fn a_pod_is_no_router_to_its_neighbors_and_the_machine() {
    let machine = machine6();
    let (victim, attacker) = (machine.pod(&[]), machine.pod(&[]));
    victim.namespace.set("ipv6/conf/eth0/accept_ra", "2");
    victim.namespace.ip("-6 route del default");
    let hour = [0x0e, 0x10];
    let packet = [&[134, 0, 0, 0, 64, 0][..], &hour, &[0; 8]].concat();
    only_the_table_stops(&machine, || {
        send_icmpv6(&attacker, &packet, "ff02::1".parse().unwrap());
        victim.namespace.ip("-6 route show default").contains("proto ra")
    });
}

fn a_pod_is_no_dhcp_server_to_its_neighbors_and_the_machine() {
    let machine = Machine::new();
    let (victim, attacker) = (machine.pod(&[]), machine.pod(&[]));
    let server = attacker.namespace.udp("0.0.0.0:67");
    let honest = attacker.namespace.udp("0.0.0.0:0");
    server.set_broadcast(true).unwrap();
    let receiver = victim.namespace.udp("0.0.0.0:68");
    let everybody = SocketAddr::from(([10, 85, 255, 255], 68));
    let to = SocketAddr::from((victim.address.ip, 68));
    send(&honest, "fence", to);
    receiver.recv_from(&mut [0; 16]).unwrap();
    only_the_table_stops(&machine, || {
        let attack = || send(&server, "attack", everybody);
        comes_through(&receiver, || send(&honest, "fence", to), attack)
    });
}

/// The kernel takes a packet in such a frame as one that arrived on the port, which is no link of
/// the bridge's network, whatever its source says.
fn frames_for_the_bridge_itself_are_not_taken_for_the_machines() {
    let machine = Machine::new();
    let attacker = machine.pod(&[]);
    for address in ["all", &attacker.address.host_interface] {
        machine.namespace.set(&format!("ipv4/conf/{address}/rp_filter"), "0");
    }
    let receiver = machine.namespace.udp("0.0.0.0:7000");
    let to = SocketAddr::from((attacker.address.gateway, 7000));
    let honest = attacker.namespace.udp(&format!("{}:0", attacker.address.ip));
    send(&honest, "fence", to);
    receiver.recv_from(&mut [0; 16]).unwrap();
    attacker.namespace.ip("address add 10.85.9.9/32 dev eth0");
    let forged = attacker.namespace.udp("10.85.9.9:0");
    let gateway = attacker.address.gateway;
    let via = |mac: &str| {
        attacker.namespace.ip(&format!("neigh replace {gateway} lladdr {mac} dev eth0"));
    };
    // 01 is never passed on; the kernel handles 00 (spanning tree) and 0e (LLDP) in ways of their own.
    let through = |last: &str| {
        let attack = || {
            via(&format!("01:80:c2:00:00:{last}"));
            send(&forged, "attack", to);
            via("0a:58:0a:55:00:01");
        };
        comes_through(&receiver, || send(&honest, "fence", to), attack)
    };
    for last in ["00", "01", "02", "03", "0f"] {
        assert!(!through(last), "01:80:c2:00:00:{last}");
    }
    only_the_table_stops(&machine, || through("0e"));
}

fn a_pod_without_ipv6_does_not_send_ipv6() {
    let machine = Machine::new();
    let (victim, attacker) = (machine.pod(&[]), machine.pod(&[]));
    for (pod, last) in [(&victim, 1), (&attacker, 2)] {
        pod.namespace.set("ipv6/conf/eth0/disable_ipv6", "0");
        pod.namespace.ip(&format!("address add fd99::{last}/64 dev eth0 nodad"));
    }
    let (mac, ip) = (mac_of(&victim), Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1));
    attacker.namespace.ip(&format!("neigh replace {ip} lladdr {mac} dev eth0"));
    let receiver = victim.namespace.udp("[::]:7000");
    let (forged, honest) = (attacker.namespace.udp("[::]:0"), attacker.namespace.udp("0.0.0.0:0"));
    let to = SocketAddr::from((victim.address.ip, 7000));
    let warm_up = || send(&honest, "fence", to);
    warm_up();
    receiver.recv_from(&mut [0; 16]).unwrap();
    only_the_table_stops(&machine, || {
        comes_through(&receiver, warm_up, || send(&forged, "attack", SocketAddr::from((ip, 7000))))
    });
}

/// Addresses are given out again; what the table says of the last pod that had one is gone.
fn a_pod_that_comes_back_sends_as_itself() {
    let mut machine = machine6();
    machine.settings.cidr = "10.86.0.0/30".parse().unwrap();
    machine.detach(&machine.pod(&[]));
    let keeps = machine.pod(&[]);
    machine.detach(&keeps);
    let pod = machine.pod(&[]);
    let listener = machine.namespace.listen("[::]:7000");
    pod.namespace.talk((gateway6(&pod), 7000), &listener);
    pod.namespace.talk((pod.address.gateway, 7000), &listener);
}
