//! Who can talk to whom.

use std::net::{IpAddr, SocketAddr};

use crate::Test;
use crate::lab::{INTERNET, MACHINE, Machine, Namespace};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("pods_reach_each_other_under_their_own_addresses", pods_reach_each_other),
        ("the_machine_and_its_pod_reach_each_other", the_machine_and_its_pod),
        ("the_internet_sees_the_machines_address_instead_of_the_pods", nat),
        ("a_pod_reaches_itself_by_its_own_address_and_by_loopback", itself),
        ("nobody_outside_reaches_a_port_that_is_not_published", unpublished),
        ("a_packet_passes_at_once_after_attach", at_once),
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
