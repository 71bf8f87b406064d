//! Who can talk to whom.

use std::net::{IpAddr, SocketAddr};

use crate::Test;
use crate::lab::{INTERNET, MACHINE, Machine, Namespace, tcp};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("pods_reach_each_other_under_their_own_addresses", pods_reach_each_other),
        ("the_machine_and_its_pod_reach_each_other", the_machine_and_its_pod),
        ("the_internet_sees_the_machines_address_instead_of_the_pods", nat),
        ("a_pod_reaches_itself_by_its_own_address_and_by_loopback", itself),
        ("nobody_outside_reaches_a_port_that_is_not_published", unpublished),
        ("a_packet_passes_at_once_after_attach", at_once),
        (
            "with_ipv6_pods_reach_each_other_and_the_internet_and_are_published",
            with_ipv6_pods_reach_each_other_and_the_internet_and_are_published,
        ),
        ("without_ipv6_nobody_on_the_bridge_has_an_ipv6_address", no_ipv6),
    ]
}

fn pods_reach_each_other() {
    let machine = Machine::new();
    let (one, two) = (machine.pod(&[]), machine.pod(&[]));
    let listener = two.namespace.listen("0.0.0.0:80");
    assert_eq!(one.namespace.talk((two.address.ip, 80), &listener), one.address.ip);
}

fn the_machine_and_its_pod() {
    let machine = Machine::new();
    let pod = machine.pod(&[]);
    let inside = pod.namespace.listen("0.0.0.0:80");
    assert_eq!(machine.namespace.talk((pod.address.ip, 80), &inside), pod.address.gateway);
    let outside = machine.namespace.listen("0.0.0.0:81");
    assert_eq!(pod.namespace.talk((pod.address.gateway, 81), &outside), pod.address.ip);
}

fn nat() {
    let (machine, internet) = Machine::with_internet();
    let pod = machine.pod(&[]);
    let listener = internet.listen("0.0.0.0:443");
    assert_eq!(pod.namespace.talk((INTERNET, 443), &listener), MACHINE);
    let mtu = pod.namespace.ip("-o link show eth0");
    assert!(mtu.contains("mtu 1400"), "the pod's link takes over the wire's size: {mtu}");
}

fn itself() {
    let machine = Machine::new();
    let pod = machine.pod(&[]);
    let listener = pod.namespace.listen("0.0.0.0:80");
    assert_eq!(pod.namespace.talk((pod.address.ip, 80), &listener), pod.address.ip);
    let home = IpAddr::from([127, 0, 0, 1]);
    assert_eq!(pod.namespace.talk((home, 80), &listener), home);
}

fn unpublished() {
    let (machine, internet) = Machine::with_internet();
    let pod = machine.pod(&[]);
    let _listener = pod.namespace.listen("0.0.0.0:80");
    internet.ip(&format!("route add {} via {MACHINE}", machine.settings.cidr));
    internet.fails_to_reach((pod.address.ip, 80));
}

/// A lost first packet would cost a second: that is when the kernel tries again.
fn at_once() {
    let machine = Machine::new();
    for _ in 0..20 {
        let namespace = Namespace::bare();
        let uid = crate::lab::fresh_uid();
        let address = machine.attach(&uid, &namespace, &[]).unwrap();
        let to = SocketAddr::from((address.gateway, 9));
        let before = std::time::Instant::now();
        assert_eq!(namespace.fails_to_reach(to), std::io::ErrorKind::ConnectionRefused);
        assert!(before.elapsed().as_millis() < 100, "the refusal took {:?}", before.elapsed());
    }
}

fn with_ipv6_pods_reach_each_other_and_the_internet_and_are_published() {
    let (machine, internet) = Machine::with_internet6();
    let before = machine.state();
    let (one, two) = (machine.pod(&[]), machine.pod(&[tcp(8080, 80)]));
    let (first, second) = (one.address.ipv6.clone().unwrap(), two.address.ipv6.clone().unwrap());
    let listener = two.namespace.listen("[::]:80");
    assert_eq!(one.namespace.talk((second.ip, 80), &listener), IpAddr::from(first.ip));
    assert_eq!(machine.namespace.talk((second.ip, 80), &listener), IpAddr::from(first.gateway));
    let machines_own: IpAddr = "fd00::2".parse().unwrap();
    let the_internet: IpAddr = "fd00::1".parse().unwrap();
    assert_eq!(internet.talk((machines_own, 8080), &listener), the_internet);
    let home: IpAddr = "::1".parse().unwrap();
    let refused = machine.namespace.fails_to_reach((home, 8080));
    assert_eq!(refused, std::io::ErrorKind::ConnectionRefused, "and not after a while");
    let outside = internet.listen("[::]:443");
    assert_eq!(one.namespace.talk((the_internet, 443), &outside), machines_own);
    for pod in [one, two] {
        machine.detach(&pod);
    }
    assert_eq!(machine.state(), before);
}

fn no_ipv6() {
    let machine = Machine::new();
    let pod = machine.pod(&[]);
    for (end, link) in [
        (&*machine.namespace, machine.settings.bridge.as_str()),
        (&machine.namespace, &pod.address.host_interface),
        (&pod.namespace, "eth0"),
    ] {
        assert_eq!(end.ip(&format!("-6 -o address show dev {link}")), "", "{link}");
    }
}
