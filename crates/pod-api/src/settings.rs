//! What a supervisor is told beside the pod: where things are and how the node behaves.

use std::fs;
use std::str::FromStr;
use std::time::Duration;

use pod_model::Quantity;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::places::{Places, PodDir};
use crate::record::{RecordError, write_by_rename};

/// In place of a range of IPv6 addresses: unique local addresses (RFC 4193) that go with the IPv4
/// range.
pub const AUTO: &str = "auto";

/// The settings of one pod's supervisor, kept beside the pod's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Where state, data and logs are.
    pub places: Places,
    /// The network that pods get their addresses from, in CIDR notation; without one, the
    /// supervisor takes a range that the machine does not use.
    #[serde(default)]
    pub pod_cidr: Option<String>,
    /// The network that pods get IPv6 addresses from, if they get any: [`AUTO`] or in CIDR notation.
    #[serde(default)]
    pub pod_cidr6: Option<String>,
    /// Where pods may send packets: `none`, `internet` or `all`; without it, everywhere.
    #[serde(default)]
    pub pod_egress: Option<String>,
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
            pod_egress: None,
            backoff_scale: 1.0,
            max_pod_disk: MaxPodDisk::Auto,
            node_name: node_name(),
            of_run: None,
        }
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

/// Whether this process has root's user id.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How much a pod may write: `--max-pod-disk`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaxPodDisk {
    /// What the disk has; when that becomes little, the pod that has written most is evicted.
    #[default]
    Auto,
    /// Whatever there is.
    Unlimited,
    /// So many bytes, as the quantity that was given; besides, as `Auto`.
    Limit(String),
}

/// What is no such limit.
#[derive(Debug, Error)]
#[error("{text:?} is neither a quantity like 10Gi, nor auto, nor none")]
pub struct NoDiskLimit {
    text: String,
}

impl FromStr for MaxPodDisk {
    type Err = NoDiskLimit;

    fn from_str(text: &str) -> Result<Self, NoDiskLimit> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::Unlimited),
            _ if Quantity::parse(text).is_ok_and(|bytes| bytes.value() > 0) => {
                Ok(Self::Limit(text.to_owned()))
            }
            _ => Err(NoDiskLimit { text: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_quantity_or_a_word() {
        assert_eq!("auto".parse::<MaxPodDisk>().unwrap(), MaxPodDisk::Auto);
        assert_eq!("none".parse::<MaxPodDisk>().unwrap(), MaxPodDisk::Unlimited);
        assert_eq!("10Gi".parse::<MaxPodDisk>().unwrap(), MaxPodDisk::Limit("10Gi".into()));
        for wrong in ["", "0", "-1Gi", "much"] {
            let error = wrong.parse::<MaxPodDisk>().unwrap_err().to_string();
            assert!(error.contains("neither a quantity"), "{error}");
        }
    }
}
