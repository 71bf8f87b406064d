use super::*;
use crate::network::settings::Protocol;

fn lease(host_ports: Vec<HostPort>) -> Lease {
    let ip = [10, 85, 0, 7].into();
    Lease { ip, pod_uid: "pod".to_owned(), host_interface: "mp0".to_owned(), host_ports }
}

#[test]
fn a_port_on_every_address_has_protocol_and_port_as_its_key() {
    let settings = NetworkSettings::new("leases");
    for (host_ip, versions) in [(None, [1, 1]), (Some("0.0.0.0"), [1, 0]), (Some("::"), [0, 1])] {
        let settings =
            NetworkSettings { ipv6: Some("fd85::/64".parse().unwrap()), ..settings.clone() };
        let host_ip = host_ip.map(|ip: &str| ip.parse().unwrap());
        let port =
            HostPort { host_ip, host_port: 0x1234, container_port: 80, protocol: Protocol::Udp };
        let lease = lease(vec![port]);
        let found = [Version::V4, Version::V6].map(|version| elements(version, &settings, &lease));
        assert_eq!([found[0].len(), found[1].len()], versions, "{host_ip:?}");
        for element in found.iter().flatten() {
            assert_eq!(
                (element.map, &*element.key),
                (ON_ANY, &[17, 0, 0, 0, 0x12, 0x34, 0, 0][..])
            );
        }
        if let Some(element) = found[0].first() {
            assert_eq!(element.value, [10, 85, 0, 7, 0, 80, 0, 0]);
        }
        if let Some(element) = found[1].first() {
            let pod = "fd85::7".parse::<std::net::Ipv6Addr>().unwrap();
            assert_eq!(element.value, [&pod.octets()[..], &[0, 80, 0, 0]].concat());
        }
    }
}

#[test]
fn a_port_on_one_address_has_that_address_in_its_key() {
    let settings = NetworkSettings::new("leases");
    let host_ip = Some([192, 0, 2, 2].into());
    let port = HostPort { host_ip, host_port: 80, container_port: 80, protocol: Protocol::Tcp };
    let found = elements(Version::V4, &settings, &lease(vec![port]));
    let key = vec![192, 0, 2, 2, 6, 0, 0, 0, 0, 80, 0, 0];
    assert_eq!(found, [Element { map: ON_ONE, key, value: vec![10, 85, 0, 7, 0, 80, 0, 0] }]);
}

#[test]
fn keys_and_values_are_as_long_as_their_maps_say() {
    let settings = NetworkSettings {
        ipv6: Some("fd85::/64".parse().unwrap()),
        ..NetworkSettings::new("leases")
    };
    let port = |host_ip: Option<&str>| HostPort {
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_port: 1,
        container_port: 2,
        protocol: Protocol::Sctp,
    };
    let lease = lease(vec![port(None), port(Some("192.0.2.2")), port(Some("fd00::1"))]);
    for version in [Version::V4, Version::V6] {
        let found = elements(version, &settings, &lease);
        assert_eq!(found.len(), 2);
        for element in found {
            let map = port_maps(version).into_iter().find(|map| map.name == element.map).unwrap();
            assert_eq!(element.key.len(), map.key_length as usize);
            assert_eq!(element.value.len(), map.value_length as usize);
        }
    }
}

#[test]
fn every_chain_is_there_before_it_is_jumped_to() {
    let settings = NetworkSettings::new("leases");
    let chains = chains(Version::V4, &settings);
    for (place, chain) in chains.iter().enumerate() {
        for expression in chain.rules.iter().flatten() {
            if let Jump { chain: target } = expression {
                assert!(chains[..place].iter().any(|earlier| earlier.name == *target));
            }
        }
    }
}
