//! What the caller decides about the pod network, as valid values.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::str::FromStr;

use super::cidr::{Ipv4Cidr, Ipv6Cidr, ParseError};

/// The bridge when nothing else is asked for.
pub const DEFAULT_BRIDGE: &str = "minipod0";
/// The range of pod addresses when nothing else is asked for.
pub const DEFAULT_POD_CIDR: Ipv4Cidr = Ipv4Cidr::constant(Ipv4Addr::new(10, 85, 0, 0), 16);

/// One pod network: a bridge, a range of addresses, and where its leases are.
///
/// Two networks on one machine (say, of two state directories) need different bridges, ranges
/// and lease directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Name of the bridge, at most 15 bytes.
    pub bridge: String,
    /// The pods' IPv4 addresses; the first one is the bridge's own.
    pub cidr: Ipv4Cidr,
    /// Directory with one file per leased address; made if it is missing.
    pub lease_dir: PathBuf,
    /// The pods' IPv6 addresses, if they are to have any; the first one is the bridge's own.
    pub ipv6: Option<Ipv6Cidr>,
    /// What to use instead, in this order, where the machine uses addresses of `cidr` itself.
    pub alternatives: Vec<PodRange>,
}

/// The addresses of a pod network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodRange {
    /// IPv4 addresses.
    pub cidr: Ipv4Cidr,
    /// IPv6 addresses, if pods are to have any.
    pub ipv6: Option<Ipv6Cidr>,
}

impl NetworkSettings {
    /// The default network with its leases in `lease_dir`.
    pub fn new(lease_dir: impl Into<PathBuf>) -> Self {
        Self {
            bridge: DEFAULT_BRIDGE.to_owned(),
            cidr: DEFAULT_POD_CIDR,
            lease_dir: lease_dir.into(),
            ipv6: None,
            alternatives: Vec::new(),
        }
    }

    /// Every range that the network may have, the best one first.
    pub(super) fn ranges(&self) -> Vec<PodRange> {
        let first = PodRange { cidr: self.cidr, ipv6: self.ipv6 };
        [&[first][..], &self.alternatives].concat()
    }

    /// The same network for a machine that cannot have IPv6.
    pub(super) fn without_ipv6(mut self) -> Self {
        self.ipv6 = None;
        self.alternatives.iter_mut().for_each(|range| range.ipv6 = None);
        self
    }

    /// The same network with this range and no other.
    pub(super) fn with_range(&self, PodRange { cidr, ipv6 }: PodRange) -> Self {
        Self { cidr, ipv6, alternatives: Vec::new(), ..self.clone() }
    }

    /// A bridge name for a network other than the default one: the same for the same `place`
    /// (for instance the path of a state directory), different for different places.
    pub fn bridge_for(place: &str) -> String {
        format!("minipod-{:06x}", fingerprint(place) & 0x00ff_ffff)
    }

    /// Name of the nftables table: `minipod`, with the bridge's name unless it is the default.
    pub fn table(&self) -> String {
        if self.bridge == DEFAULT_BRIDGE {
            "minipod".to_owned()
        } else {
            format!("minipod_{}", self.bridge)
        }
    }
}

/// FNV-1a: short names out of long ones. Who relies on it has to handle equal results.
pub(super) fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// What a pod needs from the network.
#[derive(Debug, Clone, Copy)]
pub struct PodNetworkRequest<'a> {
    /// The pod's uid: who the lease belongs to.
    pub pod_uid: &'a str,
    /// The pod's network namespace, as opened from `/proc/<pid>/ns/net`.
    pub namespace: BorrowedFd<'a>,
    /// Ports of this machine that lead to the pod.
    pub host_ports: &'a [HostPort],
    /// Where the pod may send packets.
    pub egress: Egress,
    /// Name servers that a pod with [`Egress::Internet`] may ask, wherever they are.
    pub resolvers: &'a [IpAddr],
}

/// Where a pod may send packets, besides answers to whoever asked it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// To other pods of its network.
    None,
    /// To other pods and to public addresses: to no private, shared or link-local network, no
    /// metadata service, and not to this machine.
    Internet,
    /// Everywhere.
    #[default]
    All,
}

impl fmt::Display for Egress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Internet => "internet",
            Self::All => "all",
        })
    }
}

impl FromStr for Egress {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        [Self::None, Self::Internet, Self::All]
            .into_iter()
            .find(|egress| text == egress.to_string())
            .ok_or_else(|| ParseError::Egress { text: text.to_owned() })
    }
}

/// A port of this machine that leads to a port of the pod (`ports[].hostPort`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort {
    /// Only on this address of the machine; on every address if not set.
    pub host_ip: Option<IpAddr>,
    /// The machine's port.
    pub host_port: u16,
    /// The pod's port.
    pub container_port: u16,
    /// Which transport.
    pub protocol: Protocol,
}

impl HostPort {
    /// The address to be bound, or nothing for every address, however that is written.
    pub(super) fn specific_ip(&self) -> Option<IpAddr> {
        self.host_ip.filter(|ip| !ip.is_unspecified())
    }

    /// Whether both want the same packets.
    pub(super) fn clashes_with(&self, other: &Self) -> bool {
        let same_address = match (self.specific_ip(), other.specific_ip()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        same_address && self.host_port == other.host_port && self.protocol == other.protocol
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(formatter, "[{ip}]:")?,
            Some(ip) => write!(formatter, "{ip}:")?,
            None => {}
        }
        write!(formatter, "{}/{}", self.host_port, self.protocol)
    }
}

/// Transport protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The number in the IP header.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        [Self::Tcp, Self::Udp, Self::Sctp]
            .into_iter()
            .find(|protocol| text.eq_ignore_ascii_case(&protocol.to_string()))
            .ok_or_else(|| ParseError::Protocol { text: text.to_owned() })
    }
}
