//! What this kernel and host allow, and the way out where they do not.

use std::fs;
use std::path::Path;

use sandbox::capabilities;
use sandbox::cgroup::{Hierarchies, Version};

use crate::settings::is_root;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub name: &'static str,
    /// Whether it is as minipod needs or likes it.
    pub is_fine: bool,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub way_out: Option<String>,
}

/// Looks at this machine; nothing is changed.
pub fn examine() -> Vec<Finding> {
    vec![kernel(), root(), missing_capabilities(), namespaces(), overlay(), cgroups(), firewall()]
}

fn kernel() -> Finding {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Finding {
        name: "kernel",
        is_fine: version >= (5, 14),
        detail: release,
        way_out: Some("use Linux 5.14 or later: mounts by descriptor, pidfds and clone3".into()),
    }
}

fn root() -> Finding {
    let is_fine = is_root();
    let detail = if is_fine { "running as root" } else { "not running as root" };
    Finding { name: "root", is_fine, detail: detail.into(), way_out: Some("sudo minipod".into()) }
}

fn missing_capabilities() -> Finding {
    let all = [12, 13, 18, 21, 24, 27, 7, 6, 8].map(|number| (number, 1_u64 << number));
    let held = capabilities::of_this_host();
    let missing: Vec<&str> = all
        .iter()
        .filter(|(_, mask)| held & mask == 0)
        .map(|(number, _)| capabilities::name(*number))
        .collect();
    let detail = if missing.is_empty() {
        "everything that pods need".to_owned()
    } else {
        format!("without {}", missing.join(", "))
    };
    // Without SYS_RESOURCE pods run; limits cannot be raised and scores not be lowered.
    let is_fine = missing.iter().all(|name| *name == "SYS_RESOURCE");
    let way_out = Some("start minipod with these capabilities".to_owned());
    Finding { name: "capabilities", is_fine, detail, way_out }
}

fn namespaces() -> Finding {
    let wanted = ["net", "ipc", "uts", "pid", "mnt", "cgroup"];
    let missing: Vec<&str> =
        wanted.into_iter().filter(|name| !Path::new("/proc/self/ns").join(name).exists()).collect();
    let is_fine = missing.is_empty();
    let detail = if is_fine { wanted.join(" ") } else { format!("without {}", missing.join(" ")) };
    let way_out = Some("use a kernel with all namespaces".to_owned());
    Finding { name: "namespaces", is_fine, detail, way_out }
}

fn overlay() -> Finding {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_fine = known.lines().any(|line| line.trim_end().ends_with("overlay"));
    let detail = if is_fine { "in the kernel" } else { "not in the kernel yet" };
    let way_out = Some("modprobe overlay".to_owned());
    Finding { name: "overlayfs", is_fine, detail: detail.into(), way_out }
}

fn cgroups() -> Finding {
    let found = Hierarchies::detect();
    let kind = match found.version() {
        Version::V1 => "v1 or hybrid",
        Version::V2 => "v2",
    };
    let missing = found.missing();
    let is_fine = missing.is_empty();
    let detail = if is_fine { kind.to_owned() } else { format!("{kind}: {}", missing.join("; ")) };
    let way_out = Some("mount cgroup v2 with the controllers cpu, memory and pids".to_owned());
    Finding { name: "cgroups", is_fine, detail, way_out }
}

fn firewall() -> Finding {
    let forwards = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
    let detail = match forwards.trim() {
        "1" => "forwarding is on",
        _ => "forwarding is off; minipod turns it on while there are pods",
    };
    Finding { name: "network", is_fine: true, detail: detail.into(), way_out: None }
}
