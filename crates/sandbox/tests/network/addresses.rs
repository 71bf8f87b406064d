//! Who gets which address.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

use sandbox::network::{NetworkError, interfaces};

use crate::Test;
use crate::lab::{Machine, Namespace, fresh_uid};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("a_pod_has_loopback_and_its_address_on_eth0", a_pod_has),
        ("twenty_pods_at_once_get_twenty_addresses", twenty_at_once),
        ("an_address_is_not_given_out_again_at_once", not_again_at_once),
        ("a_pod_attached_again_keeps_its_address", keeps_its_address),
        ("pods_whose_uids_start_alike_have_links_of_their_own", alike),
        ("a_full_range_is_named_in_the_error", full),
        ("a_range_that_the_machine_uses_is_refused_with_the_way_out", taken),
        ("a_range_other_than_the_one_in_use_is_refused", other_range),
        ("a_bridge_that_is_not_minipods_is_left_alone", foreign_bridge),
        ("a_lease_that_a_crash_left_half_written_is_free", half_written),
    ]
}

fn a_pod_has() {
    let machine = Machine::new();
    let pod = machine.pod(&[]);
    assert_eq!(pod.address.ip, Ipv4Addr::new(10, 85, 0, 2));
    assert_eq!(pod.address.gateway, Ipv4Addr::new(10, 85, 0, 1));
    assert_eq!(pod.address.host_interface, format!("mp{}", &pod.uid[..8]));
    let found = interfaces(pod.namespace.as_fd()).unwrap();
    let usable = found.iter().filter(|interface| interface.up).collect::<Vec<_>>();
    let summary = usable.iter().map(|i| (i.name.as_str(), i.addresses.clone())).collect::<Vec<_>>();
    let home = vec![(IpAddr::from([127, 0, 0, 1]), 8), ("::1".parse().unwrap(), 128)];
    assert_eq!(summary, [("lo", home), ("eth0", vec![(pod.address.ip.into(), 16)])]);
    assert_eq!(usable[1].mac, Some(pod.address.mac));
    assert_eq!(usable[1].mtu, 1500);
    let route = pod.namespace.ip("route show default");
    assert_eq!(route.trim(), "default via 10.85.0.1 dev eth0");
}

fn twenty_at_once() {
    let machine = Machine::new();
    let pods = std::thread::scope(|scope| {
        let starts = [(); 20].map(|()| scope.spawn(|| machine.pod(&[])));
        starts.map(|start| start.join().unwrap())
    });
    let addresses = pods.iter().map(|pod| pod.address.ip).collect::<BTreeSet<_>>();
    assert_eq!(addresses.len(), 20);
    let listener = pods[19].namespace.listen("0.0.0.0:80");
    for pod in &pods[..19] {
        assert_eq!(pod.namespace.talk((pods[19].address.ip, 80), &listener), pod.address.ip);
    }
}

fn not_again_at_once() {
    let machine = Machine::new();
    let first = machine.pod(&[]);
    machine.detach(&first);
    let second = machine.pod(&[]);
    assert_ne!(first.address.ip, second.address.ip);
}

fn keeps_its_address() {
    let machine = Machine::new();
    let first = machine.pod(&[]);
    let namespace = Namespace::bare();
    let again = machine.attach(&first.uid, &namespace, &[]).unwrap();
    assert_eq!(again, first.address);
    let listener = namespace.listen("0.0.0.0:80");
    machine.namespace.talk((again.ip, 80), &listener);
}

fn alike() {
    let machine = Machine::new();
    let one = machine.try_pod("12345678-1111-4000-8000-000000000000", &[]).unwrap();
    let two = machine.try_pod("12345678-2222-4000-8000-000000000000", &[]).unwrap();
    let odd = machine.try_pod("not a uuid, \u{fc}berhaupt", &[]).unwrap();
    let names = [&one, &two, &odd].map(|pod| pod.address.host_interface.clone());
    assert_eq!(BTreeSet::from(names.clone()).len(), 3, "{names:?}");
    assert!(names.iter().all(|name| name.len() == 10 && name.starts_with("mp")), "{names:?}");
    for pod in [one, two, odd] {
        machine.detach(&pod);
    }
}

fn full() {
    let mut machine = Machine::new();
    machine.settings.cidr = "10.86.0.0/29".parse().unwrap();
    let _pods = [(); 5].map(|()| machine.pod(&[]));
    let before = machine.state();
    let error = machine.try_pod(&fresh_uid(), &[]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "cannot give the pod an address: all 5 of 10.86.0.0/29 are taken"
    );
    assert_eq!(machine.state(), before);
}

fn taken() {
    for (given, found) in [
        ("address add 10.85.3.4/24 dev lo", "the address 10.85.3.4/24 on lo"),
        ("address add 10.85.3.4/8 dev lo", "the address 10.85.3.4/8 on lo"),
        ("route add 10.85.0.0/16 dev wire", "the route 10.85.0.0/16 via wire"),
        ("route add blackhole 10.85.128.0/17", "the route 10.85.128.0/17"),
    ] {
        let (machine, _internet) = Machine::with_internet();
        machine.namespace.ip(given);
        let before = machine.state();
        let error = machine.try_pod(&fresh_uid(), &[]).err().unwrap();
        let expected = format!("cannot use 10.85.0.0/16 for pods: this machine has {found}");
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().unwrap().contains("--pod-cidr"));
        assert_eq!(machine.state(), before);
    }
}

fn other_range() {
    let mut machine = Machine::new();
    let pod = machine.pod(&[]);
    machine.settings.cidr = "10.86.0.0/16".parse().unwrap();
    let error = machine.try_pod(&fresh_uid(), &[]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "cannot use 10.86.0.0/16 for pods: the bridge minipod0 serves 10.85.0.0/16"
    );
    machine.detach(&pod);
    let moved = machine.pod(&[]);
    assert_eq!(moved.address.gateway, Ipv4Addr::new(10, 86, 0, 1));
}

fn foreign_bridge() {
    let machine = Machine::new();
    machine.namespace.ip("link add minipod0 type bridge");
    let before = machine.state();
    let error = machine.try_pod(&fresh_uid(), &[]).err().unwrap();
    assert!(matches!(error, NetworkError::ForeignLink { .. }), "{error}");
    assert_eq!(machine.state(), before);
}

fn half_written() {
    let machine = Machine::new();
    std::fs::create_dir(&machine.settings.lease_dir).unwrap();
    std::fs::write(machine.settings.lease_dir.join("10.85.0.2"), "").unwrap();
    let pod = machine.pod(&[]);
    assert_eq!(pod.address.ip, Ipv4Addr::new(10, 85, 0, 2));
}
