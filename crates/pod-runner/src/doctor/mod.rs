//! What this kernel and host allow, and the way out where they do not.

mod host;
mod kernel;
mod network;
mod tries;

use std::fs;
use std::path::Path;

use serde::Serialize;

use pod_api::settings::{Settings, is_root};

/// How it is with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As minipod needs or likes it.
    Ok,
    /// Pods run, but not everything in a manifest takes effect, or something may go wrong.
    Limited,
    /// Without it no pod runs.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub name: &'static str,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    pub way_out: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, detail: detail.into(), way_out: None }
    }

    fn limited(name: &'static str, detail: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { name, level: Level::Limited, detail: detail.into(), way_out: Some(way_out.into()) }
    }

    fn missing(name: &'static str, detail: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { name, level: Level::Missing, detail: detail.into(), way_out: Some(way_out.into()) }
    }
}

/// Looks at this machine and tries what cannot be seen; nothing is changed.
pub fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings =
        vec![kernel::version(), kernel::root(), kernel::capabilities(), kernel::app_armor()];
    if is_root() {
        findings.extend(tries::all(settings));
    } else {
        // Nothing can be tried; what can be read is better than nothing.
        findings.extend([
            kernel::namespaces(),
            kernel::user_namespaces(),
            kernel::seccomp(),
            kernel::overlay(),
        ]);
    }
    findings.extend(host::cgroups());
    findings.extend([
        network::pod_network(),
        network::pod_addresses(settings),
        network::other_firewalls(settings),
        host::forwarding(),
        host::resolver(),
        host::limits(),
        host::directories(settings),
    ]);
    findings
}

/// A setting below `/proc/sys`, as a number.
fn sysctl(name: &str) -> Option<u64> {
    read(&Path::new("/proc/sys").join(name)).trim().parse().ok()
}

/// A file's text; nothing of one that cannot be read.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
