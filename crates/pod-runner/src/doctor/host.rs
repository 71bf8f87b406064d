//! How the machine around the kernel is set up.

use std::net::IpAddr;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;
use rustix::fs::inotify::{self, CreateFlags};
use sandbox::cgroup::{Hierarchies, Version};

use super::{Finding, sysctl};
use pod_api::MaxPodDisk;
use pod_api::roots;
use pod_api::settings::{Settings, is_root};
use pod_api::text::chain;

/// Fewer inotify instances than these and a handful of `-w` commands use them up.
const FEW_INSTANCES: u64 = 128;
/// A minimum of bytes for a few images.
const LITTLE_SPACE: u64 = 1 << 30;

/// One finding per controller that limits need.
pub(super) fn cgroups() -> Vec<Finding> {
    let found = Hierarchies::detect();
    let missing = found.missing();
    let mode = match found.version() {
        Version::V1 => "cgroup v1 (or hybrid)",
        Version::V2 => "cgroup v2",
    };
    let way_out = match found.version() {
        Version::V1 => "boot with systemd.unified_cgroup_hierarchy=1, or mount the controller",
        Version::V2 => "add the controller to cgroup.subtree_control of the root",
    };
    [
        ("cgroup memory", "memory", "memory limits, OOMKilled"),
        ("cgroup cpu", "cpu", "CPU requests and limits"),
        ("cgroup pids", "pids", "the limit on processes"),
    ]
    .into_iter()
    .map(|(name, controller, use_)| {
        if missing.iter().any(|text| text.contains(&format!(" {controller} "))) {
            let detail = format!("{mode}: not available, so {use_} do not take hold");
            return Finding::limited(name, detail, way_out);
        }
        Finding::ok(name, format!("{mode}: {use_}"))
    })
    .chain([device_filter(&found)])
    .collect()
}

/// Whether the kernel keeps containers from opening devices.
fn device_filter(found: &Hierarchies) -> Finding {
    let name = "cgroup devices";
    if !is_root() {
        return Finding::limited(name, "only root may ask", "sudo minipod doctor");
    }
    match found.lacks_device_filter() {
        None => Finding::ok(name, "containers open no device but those of their own /dev"),
        Some(why) => Finding::limited(
            name,
            format!(
                "{why}; containers have no capability MKNOD, their mounts are nodev, and SYS_ADMIN \
                 is refused"
            ),
            "mount the controller, or start minipod with CAP_SYS_ADMIN and CAP_BPF",
        ),
    }
}

pub(super) fn forwarding() -> Finding {
    let detail = match sysctl("net/ipv4/ip_forward") {
        Some(1) => "on",
        _ => "off; minipod turns it on while there are pods",
    };
    Finding::ok("forwarding", detail)
}

/// Whether pods will find names.
pub(super) fn resolver() -> Finding {
    let name = "DNS";
    let text = crate::network_files::node_resolver(false);
    let servers: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver"))
        .map(str::trim)
        .filter(|server| !server.is_empty())
        .collect();
    if servers.is_empty() {
        let way_out = "name a server in /etc/resolv.conf, or use dnsPolicy: None with dnsConfig";
        return Finding::limited(name, "no name server in /etc/resolv.conf", way_out);
    }
    let is_local = |server: &&str| server.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if servers.iter().all(is_local) {
        return Finding::limited(
            name,
            format!("only {}, which pods cannot reach", servers.join(", ")),
            "dnsPolicy: None with dnsConfig.nameservers, or a server with an address of its own",
        );
    }
    Finding::ok(name, servers.join(", "))
}

/// Limits of the kernel's that pods and watchers use up.
pub(super) fn limits() -> Finding {
    let instances = sysctl("fs/inotify/max_user_instances").unwrap_or(u64::MAX);
    let processes = sysctl("kernel/pid_max").unwrap_or(u64::MAX);
    let detail = format!("{instances} inotify instances, {processes} process ids");
    if inotify::init(CreateFlags::CLOEXEC).is_err() {
        let detail = format!(
            "root has all of its {instances} inotify instances in use: what is watched is looked \
             at ten times a second instead"
        );
        let way_out = format!("sysctl -w fs.inotify.max_user_instances={}", FEW_INSTANCES * 8);
        return Finding::limited("limits", detail, way_out);
    }
    if instances < FEW_INSTANCES {
        let way_out = format!("sysctl -w fs.inotify.max_user_instances={}", FEW_INSTANCES * 8);
        return Finding::limited("limits", detail, way_out);
    }
    Finding::ok("limits", detail)
}

/// Whether minipod can write where it has to, and there is room for images and volumes.
pub(super) fn directories(settings: &Settings) -> Finding {
    let name = "disk";
    let places = &settings.places;
    let options =
        [("--state-dir", &places.state), ("--data-dir", &places.data), ("--log-dir", &places.logs)];
    for (option, path) in options {
        if let Some(problem) = unusable(path) {
            let way_out = format!("{option} with a directory that can be written");
            return Finding::missing(name, problem, way_out);
        }
    }
    if is_root()
        && let Some(flaw) = roots::flaws(places).next()
    {
        return Finding::missing(name, chain(&flaw), flaw.hint().unwrap_or_default());
    }
    let free = rustix::fs::statvfs(existing(&places.data))
        .map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    let evicts = match &settings.max_pod_disk {
        MaxPodDisk::Unlimited => "a pod may fill it".to_owned(),
        MaxPodDisk::Auto => "below 10 % the pod that has written most is evicted".to_owned(),
        MaxPodDisk::Limit(most) => format!("a pod that has written more than {most} is evicted"),
    };
    let detail = format!("{} GiB free below {}; {evicts}", free >> 30, places.data.display());
    if free < LITTLE_SPACE {
        return Finding::limited(name, detail, "minipod image prune, or --data-dir");
    }
    Finding::ok(name, detail)
}

/// Why no directory can be made or used at that path.
fn unusable(path: &Path) -> Option<String> {
    let above = existing(path);
    match rustix::fs::statvfs(above) {
        Err(error) => Some(format!("{} cannot be looked at: {error}", path.display())),
        Ok(_) if !above.is_dir() => Some(format!("{} is no directory", above.display())),
        Ok(found) if found.f_flag.contains(StatVfsMountFlags::RDONLY) => {
            Some(format!("{} is on a file system that is read-only", path.display()))
        }
        Ok(_) => None,
    }
}

/// The path, or what exists nearest above it.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_below_a_file_is_unusable() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(unusable(&directory.path().join("new/one")), None);
        assert_eq!(
            unusable(&file.join("data")),
            Some(format!("{} is no directory", file.display()))
        );
    }
}
