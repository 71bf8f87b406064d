//! Ports of the machine that lead to a pod.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use sandbox::network::{HostPort, Protocol};

use crate::Test;
use crate::lab::{INTERNET, MACHINE, Machine, fresh_uid, tcp};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("a_host_port_is_reached_from_everywhere", from_everywhere),
        ("a_udp_host_port_answers_from_where_it_was_asked", udp),
        ("a_udp_client_that_never_pauses_reaches_each_new_pod", udp_never_pauses),
        ("a_host_port_on_one_address_is_reached_there_only", on_one_address),
        ("a_port_published_for_the_machine_alone_is_not_reached_from_the_wire", loopback_only),
        ("a_pod_does_not_reach_the_machines_loopback_services", martians),
        ("a_port_that_another_pod_has_is_refused_with_its_name", taken_by_pod),
        ("a_port_that_a_process_listens_on_is_refused", taken_by_process),
        ("a_port_on_an_address_that_the_machine_does_not_have_is_refused", foreign_address),
        ("the_same_number_can_be_published_for_tcp_udp_and_on_two_addresses", same_number),
        ("a_withdrawn_host_port_is_free_for_another_pod", withdrawn),
    ]
}

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn from_everywhere() {
    let (machine, internet) = Machine::with_internet();
    let (pod, other) = (machine.pod(&[tcp(8080, 80)]), machine.pod(&[]));
    let listener = pod.namespace.listen("0.0.0.0:80");
    let gateway = pod.address.gateway;
    for (name, from, to, seen) in [
        ("the internet", &internet, MACHINE, INTERNET),
        ("the machine by its own address", &machine.namespace, MACHINE, MACHINE),
        ("the machine by loopback", &machine.namespace, LOOPBACK, gateway),
        ("another pod by the machine's address", &other.namespace, MACHINE, gateway),
        ("another pod by the bridge's address", &other.namespace, gateway, gateway),
        ("the pod itself", &pod.namespace, MACHINE, gateway),
    ] {
        assert_eq!(from.talk((to, 8080), &listener), seen, "from {name}");
    }
    assert_eq!(machine.namespace.fails_to_reach((LOOPBACK, 80)), ErrorKind::ConnectionRefused);
}

fn udp() {
    let (machine, internet) = Machine::with_internet();
    let pod = machine.pod(&[HostPort { protocol: Protocol::Udp, ..tcp(5353, 53) }]);
    let server = pod.namespace.udp("0.0.0.0:53");
    for (from, to) in [(&internet, MACHINE), (&machine.namespace, LOOPBACK)] {
        let client = from.udp("0.0.0.0:0");
        from.run(|| client.send_to(b"?", (to, 5353)).unwrap());
        let mut byte = [0];
        let (_, asker) = server.recv_from(&mut byte).unwrap();
        server.send_to(b"!", asker).unwrap();
        let (_, answerer) = client.recv_from(&mut byte).unwrap();
        assert_eq!((byte, answerer), (*b"!", SocketAddr::from((to, 5353))));
    }
}

/// The kernel remembers where a client's datagrams went and sends later ones the same way.
fn udp_never_pauses() {
    let (machine, internet) = Machine::with_internet();
    let _keeps_the_table = machine.pod(&[]);
    let client = internet.udp("0.0.0.0:0");
    let send = || client.send_to(b"?", (MACHINE, 5353)).unwrap();
    send(); // nobody is there yet
    for _ in 0..2 {
        let pod = machine.pod(&[HostPort { protocol: Protocol::Udp, ..tcp(5353, 53) }]);
        let server = pod.namespace.udp("0.0.0.0:53");
        send();
        assert_eq!(server.recv_from(&mut [0]).unwrap().1, client_address(&client));
        machine.detach(&pod);
    }
}

fn client_address(client: &UdpSocket) -> SocketAddr {
    SocketAddr::from((INTERNET, client.local_addr().unwrap().port()))
}

fn on_one_address() {
    let (machine, internet) = Machine::with_internet();
    let pod = machine.pod(&[HostPort { host_ip: Some(MACHINE.into()), ..tcp(8080, 80) }]);
    let listener = pod.namespace.listen("0.0.0.0:80");
    assert_eq!(internet.talk((MACHINE, 8080), &listener), INTERNET);
    assert_eq!(machine.namespace.talk((MACHINE, 8080), &listener), MACHINE);
    let refused = machine.namespace.fails_to_reach((LOOPBACK, 8080));
    assert_eq!(refused, ErrorKind::ConnectionRefused);
}

fn loopback_only() {
    let (machine, internet) = Machine::with_internet();
    let local = HostPort { host_ip: Some(LOOPBACK.into()), ..tcp(8080, 80) };
    let pod = machine.pod(&[local, tcp(8081, 80)]);
    let listener = pod.namespace.listen("0.0.0.0:80");
    machine.namespace.talk((LOOPBACK, 8080), &listener);
    assert_eq!(internet.fails_to_reach((MACHINE, 8080)), ErrorKind::ConnectionRefused);
    // A neighbor who sends loopback addresses over the wire, to either port.
    internet.ip("link set lo down");
    internet.ip("address del 127.0.0.1/8 dev lo");
    internet.run(|| std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1")).unwrap();
    internet.ip(&format!("route add 127.0.0.0/8 via {MACHINE}"));
    for port in [8080, 8081] {
        assert_eq!(internet.fails_to_reach((LOOPBACK, port)), ErrorKind::TimedOut);
    }
}

fn martians() {
    let machine = Machine::new();
    let pod = machine.pod(&[tcp(8080, 80)]);
    let _private = machine.namespace.listen("127.0.0.1:9000");
    pod.namespace.ip("address del 127.0.0.1/8 dev lo");
    pod.namespace
        .run(|| std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1"))
        .unwrap();
    pod.namespace.ip(&format!("route add 127.0.0.0/8 via {}", pod.address.gateway));
    assert_eq!(pod.namespace.fails_to_reach((LOOPBACK, 9000)), ErrorKind::TimedOut);
}

fn taken_by_pod() {
    let machine = Machine::new();
    let pod = machine.pod(&[tcp(8080, 80)]);
    let before = machine.state();
    let wanted = HostPort { host_ip: Some(LOOPBACK.into()), ..tcp(8080, 90) };
    let error = machine.try_pod(&fresh_uid(), &[tcp(7070, 70), wanted]).err().unwrap();
    let expected = format!(
        "cannot publish host port 127.0.0.1:8080/tcp: address already in use by pod {}",
        pod.uid
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(machine.state(), before);
}

fn taken_by_process() {
    let machine = Machine::new();
    let before = machine.state();
    let _listener = machine.namespace.listen("127.0.0.1:8080");
    let error = machine.try_pod(&fresh_uid(), &[tcp(8080, 80)]).err().unwrap();
    let expected =
        "cannot publish host port 8080/tcp: address already in use by a process of this machine";
    assert_eq!(error.to_string(), expected);
    assert_eq!(machine.state(), before);
}

fn foreign_address() {
    let machine = Machine::new();
    let wanted = HostPort { host_ip: Some(INTERNET.into()), ..tcp(8080, 80) };
    let error = machine.try_pod(&fresh_uid(), &[wanted]).err().unwrap();
    assert_eq!(error.to_string(), "cannot publish host port 192.0.2.1:8080/tcp");
    assert!(error.hint().unwrap().contains("192.0.2.1 is not"), "{:?}", error.hint());
}

fn same_number() {
    let (machine, internet) = Machine::with_internet();
    let on = |ip: Ipv4Addr, port| HostPort { host_ip: Some(IpAddr::V4(ip)), ..tcp(53, port) };
    let udp = HostPort { protocol: Protocol::Udp, ..tcp(53, 5300) };
    let pod = machine.pod(&[on(MACHINE, 5301), on(LOOPBACK, 5302), udp]);
    let (wire, local) =
        (pod.namespace.listen("0.0.0.0:5301"), pod.namespace.listen("0.0.0.0:5302"));
    internet.talk((MACHINE, 53), &wire);
    machine.namespace.talk((LOOPBACK, 53), &local);
}

fn withdrawn() {
    let machine = Machine::new();
    let _keeps_the_table = machine.pod(&[]);
    machine.detach(&machine.pod(&[tcp(8080, 80)]));
    let refused = machine.namespace.fails_to_reach((LOOPBACK, 8080));
    assert_eq!(refused, ErrorKind::ConnectionRefused);
    let pod = machine.pod(&[tcp(8080, 81)]);
    let listener = pod.namespace.listen("0.0.0.0:81");
    machine.namespace.talk((LOOPBACK, 8080), &listener);
}
