use super::*;
use crate::network::firewall::pins;
use crate::network::settings::{Egress, Protocol};

fn lease(host_ports: Vec<HostPort>, ipv6: Option<&str>) -> Lease {
    Lease {
        ip: [10, 85, 0, 7].into(),
        ipv6: ipv6.map(|ip| ip.parse().unwrap()),
        pod_uid: "pod".to_owned(),
        host_interface: "mp0".to_owned(),
        host_ports,
        egress: Egress::Internet,
        resolvers: vec![[192, 0, 2, 53].into(), "fd00::53".parse().unwrap()],
    }
}

#[test]
fn a_port_on_every_address_has_protocol_and_port_as_its_key() {
    for (host_ip, versions) in [(None, [1, 1]), (Some("0.0.0.0"), [1, 0]), (Some("::"), [0, 1])] {
        let host_ip = host_ip.map(|ip: &str| ip.parse().unwrap());
        let port =
            HostPort { host_ip, host_port: 0x1234, container_port: 80, protocol: Protocol::Udp };
        let lease = lease(vec![port], Some("fd85::7"));
        let found = [Version::V4, Version::V6].map(|version| elements(version, &lease));
        assert_eq!([found[0].len(), found[1].len()], versions, "{host_ip:?}");
        for element in found.iter().flatten() {
            assert_eq!(
                (element.set, &*element.key),
                (ON_ANY, &[17, 0, 0, 0, 0x12, 0x34, 0, 0][..])
            );
        }
        if let Some(element) = found[0].first() {
            assert_eq!(element.value.as_deref(), Some(&[10, 85, 0, 7, 0, 80, 0, 0][..]));
        }
        if let Some(element) = found[1].first() {
            let pod = "fd85::7".parse::<std::net::Ipv6Addr>().unwrap();
            assert_eq!(element.value, Some([&pod.octets()[..], &[0, 80, 0, 0]].concat()));
        }
    }
}

#[test]
fn a_port_on_one_address_has_that_address_in_its_key() {
    let host_ip = Some([192, 0, 2, 2].into());
    let port = HostPort { host_ip, host_port: 80, container_port: 80, protocol: Protocol::Tcp };
    let found = elements(Version::V4, &lease(vec![port], None));
    let key = vec![192, 0, 2, 2, 6, 0, 0, 0, 0, 80, 0, 0];
    let (family, value) = (Version::V4.family(), Some(vec![10, 85, 0, 7, 0, 80, 0, 0]));
    assert_eq!(found, [Element { family, set: ON_ONE, key, value }]);
}

#[test]
fn keys_and_values_are_as_long_as_their_sets_say() {
    let settings = NetworkSettings::new("leases");
    let port = |host_ip: Option<&str>| HostPort {
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_port: 1,
        container_port: 2,
        protocol: Protocol::Sctp,
    };
    let ports = vec![port(None), port(Some("192.0.2.2")), port(Some("fd00::1"))];
    let lease = lease(ports, Some("fd85::7"));
    let of_version = |version| {
        let elements = [elements(version, &lease), egress::elements(version, &lease)].concat();
        (ruleset(version, &settings), elements, 5)
    };
    let frames = (pins::ruleset(&settings), pins::elements(&lease), 3);
    for (ruleset, found, count) in [of_version(Version::V4), of_version(Version::V6), frames] {
        assert_eq!(found.len(), count);
        for element in found {
            assert_eq!(element.family, ruleset.family);
            let set = ruleset.sets.iter().find(|set| set.name == element.set).unwrap();
            assert_eq!(element.key.len(), set.key.length as usize, "{element:?}");
            let value = element.value.map(|value| value.len());
            assert_eq!(value, set.value.map(|value| value.length as usize));
        }
    }
}

#[test]
fn every_chain_is_there_before_it_is_jumped_to() {
    let settings = NetworkSettings::new("leases");
    let rulesets = [
        ruleset(Version::V4, &settings),
        ruleset(Version::V6, &settings),
        pins::ruleset(&settings),
    ];
    for Ruleset { chains, .. } in rulesets {
        for (place, chain) in chains.iter().enumerate() {
            for expression in chain.rules.iter().flatten() {
                if let Jump { chain: target } = expression {
                    assert!(chains[..place].iter().any(|earlier| earlier.name == *target));
                }
            }
        }
    }
}
