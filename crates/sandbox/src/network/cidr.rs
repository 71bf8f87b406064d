//! Ranges of addresses: parsed once, valid ever after.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A text that is no address range or protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not `address/prefix`, or bits are set behind the prefix, or the prefix leaves no room.
    #[error("cannot use {text:?} as a range of pod addresses: {problem}")]
    Cidr {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Not none, internet or all.
    #[error("cannot use {text:?} as what pods may reach: it has to be none, internet or all")]
    Egress {
        /// What was given.
        text: String,
    },
    /// Not tcp, udp or sctp.
    #[error("cannot use {text:?} as a protocol")]
    Protocol {
        /// What was given.
        text: String,
    },
}

/// A range of IPv4 addresses with room for a gateway and at least one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Cidr {
    network: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Cidr {
    /// A range that is known to be right when the program is written.
    pub(super) const fn constant(network: Ipv4Addr, prefix: u8) -> Self {
        Self { network, prefix }
    }

    /// A range from its first address and the length of its prefix (8 to 30).
    ///
    /// # Errors
    ///
    /// If the prefix is out of range or `network` has bits behind it.
    pub fn new(network: Ipv4Addr, prefix: u8) -> Result<Self, ParseError> {
        let problem = |problem| ParseError::Cidr { text: format!("{network}/{prefix}"), problem };
        if !(8..=30).contains(&prefix) {
            return Err(problem("the prefix has to be from 8 to 30"));
        }
        if network.to_bits() & !mask(prefix) != 0 {
            return Err(problem("bits are set behind the prefix"));
        }
        Ok(Self { network, prefix })
    }

    /// The first address, all host bits zero.
    pub fn network(self) -> Ipv4Addr {
        self.network
    }

    /// Length of the prefix in bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The bridge's own address: the first that a host may have.
    pub fn gateway(self) -> Ipv4Addr {
        self.host(1)
    }

    /// The address with this number in the range.
    pub(super) fn host(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() + number)
    }

    /// The numbers of the addresses that pods may have: all but network, gateway and broadcast.
    pub(super) fn pod_numbers(self) -> std::ops::RangeInclusive<u32> {
        2..=!mask(self.prefix) - 1
    }

    /// The number in the range of this address, if it is one.
    pub(super) fn number_of(self, address: Ipv4Addr) -> Option<u32> {
        self.contains(address).then(|| address.to_bits() - self.network.to_bits())
    }

    /// Whether the address belongs to the range.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.network.to_bits()
    }

    /// Whether some address belongs to both ranges; the other one may have any prefix.
    pub fn overlaps(self, network: Ipv4Addr, prefix: u8) -> bool {
        let common = mask(self.prefix.min(prefix));
        (self.network.to_bits() ^ network.to_bits()) & common == 0
    }

    /// The bits of the prefix as an address.
    pub(super) fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask(self.prefix))
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Ipv4Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.network, self.prefix)
    }
}

impl FromStr for Ipv4Cidr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (network, prefix) = split_cidr(text)?;
        Self::new(network, prefix)
    }
}

/// A range of IPv6 addresses with room for as many pods as any IPv4 range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Cidr {
    network: Ipv6Addr,
    prefix: u8,
}

impl Ipv6Cidr {
    /// A range from its first address and the length of its prefix (16 to 96).
    ///
    /// # Errors
    ///
    /// If the prefix is out of range or `network` has bits behind it.
    pub fn new(network: Ipv6Addr, prefix: u8) -> Result<Self, ParseError> {
        let problem = |problem| ParseError::Cidr { text: format!("{network}/{prefix}"), problem };
        if !(16..=96).contains(&prefix) {
            return Err(problem("the prefix has to be from 16 to 96"));
        }
        if network.to_bits() & !(u128::MAX << (128 - prefix)) != 0 {
            return Err(problem("bits are set behind the prefix"));
        }
        Ok(Self { network, prefix })
    }

    /// The first address, all host bits zero.
    pub fn network(self) -> Ipv6Addr {
        self.network
    }

    /// Length of the prefix in bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The bridge's own address.
    pub fn gateway(self) -> Ipv6Addr {
        self.host(1)
    }

    /// The address with this number in the range.
    pub(super) fn host(self, number: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.network.to_bits() + u128::from(number))
    }

    /// The bits of the prefix as an address.
    pub(super) fn mask(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(u128::MAX << (128 - self.prefix))
    }
}

impl fmt::Display for Ipv6Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.network, self.prefix)
    }
}

impl FromStr for Ipv6Cidr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (network, prefix) = split_cidr(text)?;
        Self::new(network, prefix)
    }
}

fn split_cidr<Address: FromStr>(text: &str) -> Result<(Address, u8), ParseError> {
    let problem = |problem| ParseError::Cidr { text: text.to_owned(), problem };
    let (network, prefix) =
        text.split_once('/').ok_or_else(|| problem("it has no prefix, as in 10.85.0.0/16"))?;
    let network = network.parse().map_err(|_| problem("the address is not one"))?;
    let prefix = prefix.parse().map_err(|_| problem("the prefix is no number"))?;
    Ok((network, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_an_address_and_a_prefix_with_room_for_a_pod() {
        for (text, problem) in [
            ("10.85.0.0/16", None),
            ("10.85.0.0/30", None),
            ("10.85.0.0", Some("it has no prefix, as in 10.85.0.0/16")),
            ("10.85.0/16", Some("the address is not one")),
            ("10.85.0.0/x", Some("the prefix is no number")),
            ("10.85.0.0/31", Some("the prefix has to be from 8 to 30")),
            ("0.0.0.0/0", Some("the prefix has to be from 8 to 30")),
            ("10.85.0.1/16", Some("bits are set behind the prefix")),
        ] {
            match (Ipv4Cidr::from_str(text), problem) {
                (Ok(cidr), None) => assert_eq!(cidr.to_string(), text),
                (Err(ParseError::Cidr { problem, .. }), Some(expected)) => {
                    assert_eq!(problem, expected, "{text}");
                }
                (result, _) => panic!("{text}: {result:?}"),
            }
        }
    }

    #[test]
    fn ranges_overlap_if_one_holds_the_other() {
        let cidr: Ipv4Cidr = "10.85.0.0/16".parse().unwrap();
        for (network, prefix, expected) in [
            ([10, 85, 3, 4], 32, true),
            ([10, 0, 0, 0], 8, true),
            ([10, 85, 0, 0], 16, true),
            ([0, 0, 0, 0], 0, true),
            ([10, 84, 0, 0], 16, false),
            ([10, 86, 0, 0], 24, false),
        ] {
            assert_eq!(cidr.overlaps(network.into(), prefix), expected, "{network:?}/{prefix}");
        }
    }

    #[test]
    fn pods_get_all_addresses_but_the_first_two_and_the_last() {
        let cidr: Ipv4Cidr = "192.168.7.8/29".parse().unwrap();
        let pods = cidr.pod_numbers().map(|number| cidr.host(number)).collect::<Vec<_>>();
        assert_eq!(
            pods,
            (10..=14).map(|last| Ipv4Addr::new(192, 168, 7, last)).collect::<Vec<_>>()
        );
        assert_eq!(cidr.gateway(), Ipv4Addr::new(192, 168, 7, 9));
        assert_eq!(cidr.number_of(Ipv4Addr::new(192, 168, 7, 16)), None);
    }
}
