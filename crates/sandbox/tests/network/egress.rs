//! Pods that may not send packets everywhere.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use sandbox::network::Egress;

use crate::Test;
use crate::lab::{INTERNET, MACHINE, Machine, tcp};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        (
            "a_pod_without_egress_reaches_other_pods_only",
            a_pod_without_egress_reaches_other_pods_only,
        ),
        (
            "a_pod_with_internet_egress_reaches_public_addresses_only",
            a_pod_with_internet_egress_reaches_public_addresses_only,
        ),
        (
            "a_pod_with_internet_egress_reaches_its_private_name_server",
            a_pod_with_internet_egress_reaches_its_private_name_server,
        ),
        ("egress_holds_for_ipv6", egress_holds_for_ipv6),
        (
            "a_pod_that_asks_from_elsewhere_does_not_get_around_its_egress",
            a_pod_that_asks_from_elsewhere_does_not_get_around_its_egress,
        ),
        ("what_a_pod_may_reach_ends_with_it", what_a_pod_may_reach_ends_with_it),
    ]
}

/// Private networks behind the machine's wire, and the metadata service of a cloud.
const PRIVATE: [&str; 5] =
    ["10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"];

fn machine_with_private_networks() -> (Machine, crate::lab::Namespace) {
    let (machine, internet) = Machine::with_internet();
    for ip in PRIVATE {
        internet.ip(&format!("address add {ip}/32 dev lo"));
        machine.namespace.ip(&format!("route add {ip}/32 via {INTERNET}"));
    }
    (machine, internet)
}

fn a_pod_without_egress_reaches_other_pods_only() {
    let (machine, internet) = machine_with_private_networks();
    let pod = machine.confined_pod(Egress::None, &[INTERNET.into()]);
    let other = machine.pod(&[tcp(8081, 81)]);
    let _outside = internet.listen("0.0.0.0:53");
    let _machines = machine.namespace.listen("0.0.0.0:443");
    for ip in [INTERNET, MACHINE, pod.address.gateway, PRIVATE[3].parse().unwrap()] {
        for port in [53, 443] {
            assert_eq!(
                pod.namespace.fails_to_reach((ip, port)),
                ErrorKind::TimedOut,
                "{ip}:{port}"
            );
        }
    }
    // Other pods, also by their host ports.
    let listener = other.namespace.listen("0.0.0.0:81");
    pod.namespace.talk((other.address.ip, 81), &listener);
    pod.namespace.talk((MACHINE, 8081), &listener);
    // Whoever asks the pod is answered.
    let inside = pod.namespace.listen("0.0.0.0:80");
    assert_eq!(internet.talk((MACHINE, 8080), &inside), INTERNET);
    machine.namespace.talk((pod.address.ip, 80), &inside);
    other.namespace.talk((pod.address.ip, 80), &inside);
}

fn a_pod_with_internet_egress_reaches_public_addresses_only() {
    let (machine, internet) = machine_with_private_networks();
    let pod = machine.confined_pod(Egress::Internet, &[]);
    let free = machine.pod(&[]);
    let listener = internet.listen("0.0.0.0:443");
    assert_eq!(pod.namespace.talk((INTERNET, 443), &listener), MACHINE);
    let machines = machine.namespace.listen("0.0.0.0:443");
    for ip in PRIVATE {
        let to: (IpAddr, u16) = (ip.parse().unwrap(), 443);
        assert_eq!(pod.namespace.fails_to_reach(to), ErrorKind::TimedOut, "{ip}");
        free.namespace.talk(to, &listener); // it is there for who may
    }
    for ip in [MACHINE, pod.address.gateway] {
        assert_eq!(pod.namespace.fails_to_reach((ip, 443)), ErrorKind::TimedOut, "{ip}");
        free.namespace.talk((ip, 443), &machines);
    }
    let inside = pod.namespace.listen("0.0.0.0:80");
    assert_eq!(internet.talk((MACHINE, 8080), &inside), INTERNET);
}

fn a_pod_with_internet_egress_reaches_its_private_name_server() {
    let (machine, internet) = machine_with_private_networks();
    let servers: [IpAddr; 2] = ["192.168.1.1".parse().unwrap(), MACHINE.into()];
    let pod = machine.confined_pod(Egress::Internet, &servers);
    let [outside, here] = [&internet, &*machine.namespace].map(|end| end.listen("0.0.0.0:53"));
    pod.namespace.talk((servers[0], 53), &outside);
    pod.namespace.talk((servers[1], 53), &here);
    let _others = [internet.listen("0.0.0.0:80"), machine.namespace.listen("0.0.0.0:80")];
    for (ip, port) in [
        (servers[0], 80),
        (servers[1], 80),
        ("10.1.2.3".parse().unwrap(), 53),
        (pod.address.gateway.into(), 53),
    ] {
        assert_eq!(pod.namespace.fails_to_reach((ip, port)), ErrorKind::TimedOut, "{ip}:{port}");
    }
}

fn egress_holds_for_ipv6() {
    let (machine, internet) = Machine::with_internet6();
    internet.ip("address add 2600::1/128 dev lo nodad");
    internet.ip("address add 2002:a01:203::1/128 dev lo nodad");
    machine.namespace.ip("-6 route add 2000::/3 via fd00::1");
    let listener = internet.listen("[::]:443");
    let _machines = machine.namespace.listen("[::]:443");
    let (public, private) = (machine.confined_pod(Egress::Internet, &[]), ["fd00::1", "fd00::2"]);
    let nowhere = machine.confined_none_without_ports();
    let to = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 443);
    public.namespace.talk(to("2600::1"), &listener);
    let gateway = public.address.ipv6.as_ref().unwrap().gateway.to_string();
    for ip in [private[0], private[1], &gateway, "2002:a01:203::1"] {
        assert_eq!(public.namespace.fails_to_reach(to(ip)), ErrorKind::TimedOut, "{ip}");
    }
    for ip in ["2600::1", private[0], private[1], &gateway] {
        assert_eq!(nowhere.namespace.fails_to_reach(to(ip)), ErrorKind::TimedOut, "{ip}");
    }
    let inside = public.namespace.listen("[::]:80");
    internet.talk(SocketAddr::new("fd00::2".parse().unwrap(), 8080), &inside);
}

fn a_pod_that_asks_from_elsewhere_does_not_get_around_its_egress() {
    let (machine, internet) = machine_with_private_networks();
    let pod = machine.confined_pod(Egress::None, &[]);
    let _listener: TcpListener = internet.listen("0.0.0.0:443");
    // An address of nobody's, which no rule about the pod names.
    pod.namespace.ip("address add 10.85.77.77/32 dev eth0");
    pod.namespace.ip("route replace default via 10.85.0.1 dev eth0 src 10.85.77.77");
    assert_eq!(pod.namespace.fails_to_reach((INTERNET, 443)), ErrorKind::TimedOut);
}

fn what_a_pod_may_reach_ends_with_it() {
    let (mut machine, internet) = Machine::with_internet();
    machine.settings.cidr = "10.86.0.0/29".parse().unwrap();
    let _keeps_the_table = machine.pod(&[]);
    let confined = machine.confined_pod(Egress::None, &[]);
    let address: Ipv4Addr = confined.address.ip;
    machine.detach(&confined);
    let listener = internet.listen("0.0.0.0:443");
    let later = [(); 4].map(|()| machine.pod(&[]));
    let same = later.iter().find(|pod| pod.address.ip == address).unwrap();
    same.namespace.talk((INTERNET, 443), &listener);
}
