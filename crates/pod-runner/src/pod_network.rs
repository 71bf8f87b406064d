//! The pod network that a supervisor's settings describe.

use std::net::{IpAddr, UdpSocket};

use pod_api::Places;
use pod_api::settings::{AUTO, Settings};
pub use sandbox::network::ParseError;
use sandbox::network::{Egress, Ipv4Cidr, Ipv6Cidr, NetworkSettings, PodRange};

/// The ranges that pods get addresses from where nothing was said: the first that the machine does
/// not use itself.
pub const DEFAULT_RANGES: [&str; 4] =
    ["10.85.0.0/16", "10.185.0.0/16", "172.29.0.0/16", "192.168.208.0/20"];

/// The pod network these settings describe.
pub fn described(settings: &Settings) -> Result<NetworkSettings, ParseError> {
    let texts = match settings.pod_cidr.as_deref() {
        Some(text) => vec![text],
        None => DEFAULT_RANGES.to_vec(),
    };
    let ranges = texts.into_iter().map(|text| {
        let cidr = text.parse()?;
        let ipv6 = match settings.pod_cidr6.as_deref() {
            Some(AUTO) => Some(ipv6_range(cidr)?),
            Some(text) => Some(text.parse()?),
            None => None,
        };
        Ok(PodRange { cidr, ipv6 })
    });
    let mut ranges = ranges.collect::<Result<Vec<_>, ParseError>>()?;
    let first = ranges.remove(0);
    let mut network = to_leave(settings);
    (network.cidr, network.ipv6, network.alternatives) = (first.cidr, first.ipv6, ranges);
    Ok(network)
}

/// The pod network as far as a pod needs it that leaves: its name and where its leases are,
/// which does not depend on anything that could be wrong.
pub fn to_leave(settings: &Settings) -> NetworkSettings {
    let places = &settings.places;
    let mut network = NetworkSettings::new(places.leases());
    if places.state != Places::default().state {
        network.bridge = NetworkSettings::bridge_for(&places.state.display().to_string());
    }
    network
}

/// Where the pods of these settings may send packets.
pub fn egress(settings: &Settings) -> Result<Egress, ParseError> {
    settings.pod_egress.as_deref().map_or(Ok(Egress::All), str::parse)
}

/// The address under which other machines reach this one: the source address of the default
/// route. Nothing is sent to find it.
pub fn host_address() -> IpAddr {
    let ask = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect("192.0.2.1:9")?; // TEST-NET-1 (RFC 5737): never a local network
        socket.local_addr()
    };
    ask().map_or(IpAddr::from([127, 0, 0, 1]), |address: std::net::SocketAddr| address.ip())
}

/// The IPv6 addresses that go with a range of IPv4 addresses.
fn ipv6_range(cidr: Ipv4Cidr) -> Result<Ipv6Cidr, ParseError> {
    let [a, b, c, d] = cidr.network().octets().map(u16::from);
    format!("fd85:{:x}:{:x}::/64", a << 8 | b, c << 8 | d).parse()
}

/// Whether this machine has a way to other machines by IPv6. Nothing is sent to find it.
pub fn reaches_ipv6() -> bool {
    let ask = || UdpSocket::bind("[::]:0")?.connect("[2001:db8::1]:9"); // RFC 3849: nobody's address
    ask().is_ok()
}

/// Checks where pods may send packets.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_pod_egress(text: &str) -> Result<(), ParseError> {
    text.parse::<Egress>().map(drop)
}

/// Checks a range of IPv4 addresses for pods.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_pod_cidr(text: &str) -> Result<(), ParseError> {
    text.parse::<Ipv4Cidr>().map(drop)
}

/// Checks a range of IPv6 addresses for pods.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_pod_cidr6(text: &str) -> Result<(), ParseError> {
    text.parse::<Ipv6Cidr>().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_may_have_ipv6_addresses_too() {
        let settings = Settings::of_this_machine();
        assert_eq!(described(&settings).unwrap().ipv6, None);
        let with = |range: &str| Settings { pod_cidr6: Some(range.into()), ..settings.clone() };
        let prefix = |network: NetworkSettings| network.ipv6.map(Ipv6Cidr::prefix);
        assert_eq!(prefix(described(&with("fd85:a55:0::/72")).unwrap()), Some(72));
        let network = described(&with(AUTO)).unwrap();
        assert_eq!(network.ipv6.unwrap().to_string(), "fd85:a55::/64");
        let second = network.alternatives[0].ipv6.unwrap();
        assert_eq!(second.to_string(), "fd85:ab9::/64", "it goes with the IPv4 range");
        assert!(described(&with("x")).is_err());
    }
}
