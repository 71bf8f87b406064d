//! What a supervisor is told beside the pod: where things are and how the node behaves.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

pub use sandbox::network::{Egress, ParseError};
use sandbox::network::{Ipv4Cidr, Ipv6Cidr, NetworkSettings, PodRange};
use serde::{Deserialize, Serialize};

use crate::disk_pressure::MaxPodDisk;
use crate::places::{Places, PodDir};
use crate::record::{RecordError, write_by_rename};

/// The ranges that pods get addresses from where nothing was said: the first that the machine does
/// not use itself.
pub const DEFAULT_RANGES: [&str; 4] =
    ["10.85.0.0/16", "10.185.0.0/16", "172.29.0.0/16", "192.168.208.0/20"];

/// In place of a range of IPv6 addresses: unique local addresses (RFC 4193) that go with the IPv4
/// range.
pub const AUTO: &str = "auto";

/// The settings of one pod's supervisor, kept beside the pod's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Where state, data and logs are.
    pub places: Places,
    /// The network that pods get their addresses from, in CIDR notation; else one of
    /// [`DEFAULT_RANGES`].
    #[serde(default)]
    pub pod_cidr: Option<String>,
    /// The network that pods get IPv6 addresses from, if they get any: [`AUTO`], or in CIDR notation.
    #[serde(default)]
    pub pod_cidr6: Option<String>,
    /// Where pods may send packets.
    #[serde(default)]
    pub pod_egress: Egress,
    /// Factor on crash-loop and image-pull back-off; 1 is Kubernetes' own timing.
    pub backoff_scale: f64,
    /// How much a pod may write to the disk.
    #[serde(default)]
    pub max_pod_disk: MaxPodDisk,
    /// The node's name in events and status.
    pub node_name: String,
    /// What `run` wants of the pod that it has started.
    #[serde(default)]
    pub of_run: Option<OfRun>,
}

/// What the supervisor sees to for `run`, whatever becomes of that process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfRun {
    /// The process that started the supervisor.
    pub client: u32,
    /// Whether the pod is removed when it has ended.
    pub is_removed: bool,
    /// When the pod is deleted, counted from the supervisor's start.
    pub timeout: Option<Duration>,
}

impl Settings {
    /// The settings of a machine where nothing was said.
    pub fn of_this_machine() -> Self {
        Self {
            places: Places::default(),
            pod_cidr: None,
            pod_cidr6: None,
            pod_egress: Egress::All,
            backoff_scale: 1.0,
            max_pod_disk: MaxPodDisk::Auto,
            node_name: node_name(),
            of_run: None,
        }
    }

    /// The pod network these settings describe.
    pub fn network(&self) -> Result<NetworkSettings, ParseError> {
        let texts = match self.pod_cidr.as_deref() {
            Some(text) => vec![text],
            None => DEFAULT_RANGES.to_vec(),
        };
        let ranges = texts.into_iter().map(|text| {
            let cidr = text.parse()?;
            let ipv6 = match self.pod_cidr6.as_deref() {
                Some(AUTO) => Some(ipv6_range(cidr)?),
                Some(text) => Some(text.parse()?),
                None => None,
            };
            Ok(PodRange { cidr, ipv6 })
        });
        let mut ranges = ranges.collect::<Result<Vec<_>, ParseError>>()?;
        let first = ranges.remove(0);
        let mut network = self.network_to_leave();
        (network.cidr, network.ipv6, network.alternatives) = (first.cidr, first.ipv6, ranges);
        Ok(network)
    }

    /// The pod network as far as a pod needs it that leaves: its name and where its leases are,
    /// which does not depend on anything that could be wrong.
    pub fn network_to_leave(&self) -> NetworkSettings {
        let places = &self.places;
        let mut network = NetworkSettings::new(places.leases());
        if places.state != Places::default().state {
            network.bridge = NetworkSettings::bridge_for(&places.state.display().to_string());
        }
        network
    }

    /// Writes the settings into the pod's directory.
    pub fn save(&self, dir: &PodDir) -> Result<(), RecordError> {
        let path = dir.settings();
        let text = serde_json::to_vec(self)
            .map_err(|source| RecordError::Garbled { path: path.clone(), source })?;
        write_by_rename(&path, &text)
    }

    /// Reads the settings from the pod's directory.
    pub fn load(dir: &PodDir) -> Result<Self, RecordError> {
        let path = dir.settings();
        let text = fs::read(&path).map_err(|source| RecordError::File {
            verb: "read",
            path: path.clone(),
            source,
        })?;
        serde_json::from_slice(&text).map_err(|source| RecordError::Garbled { path, source })
    }
}

/// The machine's host name, in lower case as Kubernetes names nodes.
fn node_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if name.is_empty() { "localhost".into() } else { name }
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

/// Whether this process has root's user id.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_may_have_ipv6_addresses_too() {
        let settings = Settings::of_this_machine();
        assert_eq!(settings.network().unwrap().ipv6, None);
        let with = |range: &str| Settings { pod_cidr6: Some(range.into()), ..settings.clone() };
        let prefix = |network: NetworkSettings| network.ipv6.map(Ipv6Cidr::prefix);
        assert_eq!(prefix(with("fd85:a55:0::/72").network().unwrap()), Some(72));
        let network = with(AUTO).network().unwrap();
        assert_eq!(network.ipv6.unwrap().to_string(), "fd85:a55::/64");
        let second = network.alternatives[0].ipv6.unwrap();
        assert_eq!(second.to_string(), "fd85:ab9::/64", "it goes with the IPv4 range");
        assert!(with("x").network().is_err());
    }
}
