//! What a supervisor is told beside the pod: where things are and how the node behaves.

use std::fs;
use std::net::{IpAddr, UdpSocket};

use sandbox::network::{NetworkSettings, ParseError};
use serde::{Deserialize, Serialize};

use crate::places::{Places, PodDir};
use crate::record::{RecordError, write_by_rename};

/// The settings of one pod's supervisor, kept beside the pod's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Where state, data and logs are.
    pub places: Places,
    /// The network that pods get their addresses from, in CIDR notation.
    pub pod_cidr: String,
    /// The network that pods get IPv6 addresses from, if they get any.
    #[serde(default)]
    pub pod_cidr6: Option<String>,
    /// Factor on crash-loop and image-pull back-off; 1 is Kubernetes' own timing.
    pub backoff_scale: f64,
    /// The node's name in events and status.
    pub node_name: String,
}

impl Settings {
    /// The settings of a machine where nothing was said.
    pub fn of_this_machine() -> Self {
        Self {
            places: Places::default(),
            pod_cidr: "10.85.0.0/16".into(),
            pod_cidr6: None,
            backoff_scale: 1.0,
            node_name: node_name(),
        }
    }

    /// The pod network these settings describe.
    pub fn network(&self) -> Result<NetworkSettings, ParseError> {
        let places = &self.places;
        let mut network = NetworkSettings::new(places.leases());
        network.cidr = self.pod_cidr.parse()?;
        network.ipv6 = self.pod_cidr6.as_deref().map(str::parse).transpose()?;
        if places.state != Places::default().state {
            network.bridge = NetworkSettings::bridge_for(&places.state.display().to_string());
        }
        Ok(network)
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

/// A range of IPv6 addresses for the pods of an IPv4 range, where this machine has a way to other
/// machines by IPv6: unique local addresses (RFC 4193) that go with that range.
pub fn ipv6_range(pod_cidr: &str) -> Option<String> {
    let ask = || UdpSocket::bind("[::]:0")?.connect("[2001:db8::1]:9"); // RFC 3849: nobody's address
    ask().ok()?;
    let cidr: sandbox::network::Ipv4Cidr = pod_cidr.parse().ok()?;
    let [a, b, c, d] = cidr.network().octets().map(u16::from);
    Some(format!("fd85:{:x}:{:x}::/64", a << 8 | b, c << 8 | d))
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
        let cidr = Some("fd85:a55:0::/64".to_owned());
        let network = Settings { pod_cidr6: cidr, ..settings.clone() }.network().unwrap();
        assert_eq!(network.ipv6.map(sandbox::network::Ipv6Cidr::prefix), Some(64));
        assert!(Settings { pod_cidr6: Some("x".into()), ..settings }.network().is_err());
    }
}
