//! Which range of addresses the pods get.

use std::net::IpAddr;

use super::cidr::Ipv4Cidr;
use super::error::NetworkError;
use super::netlink::{Family, NetlinkSocket};
use super::route;
use super::settings::{NetworkSettings, PodRange};

/// The range that the first pod's network will have: the first that this machine does not use.
/// Links of the network itself do not count.
///
/// # Errors
///
/// [`NetworkError::RangeTaken`] about the first one if the machine uses all of them.
pub fn free_range(settings: &NetworkSettings) -> Result<PodRange, NetworkError> {
    choose(&mut NetlinkSocket::open(Family::Route)?, settings, &settings.ranges())
}

/// The first of these ranges that this machine does not use.
pub(super) fn choose(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
    ranges: &[PodRange],
) -> Result<PodRange, NetworkError> {
    let mut first_problem = None;
    for range in ranges {
        match conflict(socket, settings, range.cidr)? {
            None => return Ok(*range),
            Some(existing) => {
                let cidr = range.cidr;
                first_problem.get_or_insert(NetworkError::RangeTaken { cidr, existing });
            }
        }
    }
    Err(first_problem.expect("a network has a range"))
}

/// An address or route of the machine's that would be in the way. The kernel takes the longest
/// prefix, so a route that is broader than the range is not (a VPN's 0.0.0.0/1): only the pods'
/// addresses are no longer reached by it.
fn conflict(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
    cidr: Ipv4Cidr,
) -> Result<Option<String>, NetworkError> {
    let links = route::links(socket)?;
    let via = |index: u32| {
        links.iter().find(|link| link.index == index).map_or("?", |link| link.name.as_str())
    };
    let is_in_the_way = |ip, prefix| prefix >= cidr.prefix() && cidr.overlaps(ip, prefix);
    for address in route::addresses(socket)? {
        if let IpAddr::V4(ip) = address.ip
            && via(address.link) != settings.bridge
            && (cidr.contains(ip) || is_in_the_way(ip, address.prefix))
        {
            let (prefix, link) = (address.prefix, via(address.link));
            return Ok(Some(format!("the address {ip}/{prefix} on {link}")));
        }
    }
    for route in route::routes(socket)? {
        let link = route.link.map(via);
        if link != Some(&settings.bridge) && is_in_the_way(route.destination, route.prefix) {
            let (to, prefix) = (route.destination, route.prefix);
            let out = link.map_or(String::new(), |link| format!(" via {link}"));
            return Ok(Some(format!("the route {to}/{prefix}{out}")));
        }
    }
    Ok(None)
}
