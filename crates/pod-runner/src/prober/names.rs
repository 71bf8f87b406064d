//! The name of a host, looked up while the machine's files can be seen.
//!
//! A prober asks one host and has an empty root by then, so an unprivileged process that is gone
//! again has looked the name up before ([`look_up`]).

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::OnceLock;

static KNOWN: OnceLock<(String, Vec<IpAddr>)> = OnceLock::new();

/// Whether a host is a name, which has to be looked up.
pub(super) fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
}

/// The addresses of a host; none when nobody knows it.
pub(super) fn look_up(host: &str) -> Vec<IpAddr> {
    let found = (host, 0).to_socket_addrs().into_iter().flatten();
    found.map(|address| address.ip()).collect()
}

/// From now on these are this process's addresses of that host.
pub(super) fn remember(host: &str, addresses: Vec<IpAddr>) {
    let _ = KNOWN.set((host.to_owned(), addresses)); // one question has one host
}

/// Where a port of a host is.
pub(super) fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match KNOWN.get() {
        Some((known, addresses)) if known == host => {
            Ok(addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
        }
        _ => Ok((host, port).to_socket_addrs()?.collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_looked_up_and_a_remembered_one_not_again() {
        assert!(is_name("localhost") && is_name("example.org"));
        assert!(!is_name("127.0.0.1") && !is_name("::1"));
        assert!(look_up("localhost").iter().all(IpAddr::is_loopback));
        let ip = IpAddr::from([192, 0, 2, 7]);
        remember("name.invalid", vec![ip]);
        assert_eq!(addresses("name.invalid", 80).unwrap(), [SocketAddr::new(ip, 80)]);
        assert_eq!(addresses("192.0.2.8", 1).unwrap().len(), 1);
    }
}
