use std::os::fd::AsFd;

use tempfile::TempDir;

use super::*;
use crate::network::settings::Protocol;

fn take(book: &mut LeaseBook, cidr: &str, pod_uid: &str, host_ports: &[HostPort]) -> Lease {
    let namespace = File::open("/proc/self/ns/net").unwrap();
    let settings = NetworkSettings {
        cidr: cidr.parse().unwrap(),
        ipv6: Some("fd85::/64".parse().unwrap()),
        ..NetworkSettings::new("leases")
    };
    let request = PodNetworkRequest {
        pod_uid,
        namespace: namespace.as_fd(),
        host_ports,
        egress: Egress::Internet,
        resolvers: &[[192, 0, 2, 53].into()],
    };
    book.take(&settings, &request).unwrap()
}

#[test]
fn a_lease_is_read_as_it_was_written() {
    let directory = TempDir::new().unwrap();
    let port = |host_ip: Option<&str>, protocol| HostPort {
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_port: 8080,
        container_port: 80,
        protocol,
    };
    let ports = [
        port(None, Protocol::Tcp),
        port(Some("127.0.0.1"), Protocol::Udp),
        port(Some("fd85::1"), Protocol::Sctp),
    ];
    let written = {
        let mut book = LeaseBook::open(directory.path()).unwrap();
        take(&mut book, "10.85.0.0/16", "0ddba11c-0000-4000-8000-000000000000", &ports)
    };
    let book = LeaseBook::open(directory.path()).unwrap();
    assert_eq!(book.leases(), std::slice::from_ref(&written));
    assert_eq!(written.host_interface, "mp0ddba11c");
    let text = fs::read_to_string(directory.path().join("10.85.0.2")).unwrap();
    let expected = "0ddba11c-0000-4000-8000-000000000000\nlink mp0ddba11c\negress internet\n\
                    ipv6 fd85::2\nresolver 192.0.2.53\nport tcp * 8080 80\n\
                    port udp 127.0.0.1 8080 80\nport sctp fd85::1 8080 80\n";
    assert_eq!(text, expected);
}

#[test]
fn a_file_that_was_not_written_to_its_end_is_no_lease() {
    let ip = Ipv4Addr::new(10, 85, 0, 2);
    let whole = "uid\nlink mp00000000\nport tcp * 8080 80\n";
    assert!(parse_lease(ip, whole).is_some());
    for end in 0..whole.len() {
        let part = &whole[..end];
        let complete_line = part == "uid\nlink mp00000000\n";
        assert_eq!(parse_lease(ip, part).is_some(), complete_line, "{part:?}");
    }
}

#[test]
fn addresses_are_given_out_in_turn_and_start_again_at_the_end() {
    let directory = TempDir::new().unwrap();
    let mut book = LeaseBook::open(directory.path()).unwrap();
    let mut given = Vec::new();
    for number in 0..7 {
        let uid = format!("pod {number}");
        given.push(take(&mut book, "10.86.0.0/29", &uid, &[]).ip.octets()[3]);
        if number != 1 {
            book.release(&uid).unwrap();
        }
    }
    assert_eq!(given, [2, 3, 4, 5, 6, 2, 4]); // 3 is still leased to pod 1
}

#[test]
fn without_a_directory_there_are_no_leases_and_none_is_made() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing");
    assert!(LeaseBook::open_existing(&missing).unwrap().is_none());
    assert!(!missing.exists());
}
