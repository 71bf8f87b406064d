//! Which cgroup hierarchies this machine has, and which controllers are where.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Directory, devices};

/// The controllers that minipod uses. Nothing is limited by `cpuset`, but a Java virtual machine that
/// does not find it next to the others in a container ignores every limit on version 1.
const USEFUL: [&str; 6] = ["memory", "cpu", "cpuacct", "cpuset", "pids", "devices"];

/// Which of the two interfaces has the controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// The hierarchies that this process can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchies {
    version: Version,
    mounted: Vec<Directory>,
    usable: Vec<Directory>,
}

impl Hierarchies {
    /// Looks at what is mounted here.
    pub fn detect() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::of(&mounts, &own, |path| fs::read_to_string(path).ok())
    }

    /// The same, from the content of the files.
    fn of(mounts: &str, own: &str, read: impl Fn(&Path) -> Option<String>) -> Self {
        let found: Vec<(String, PathBuf, Vec<String>)> =
            mounts.lines().filter_map(cgroup_mount).collect();
        let v2 = found.iter().find(|(kind, ..)| kind == "cgroup2").and_then(|(_, path, _)| {
            let controllers = read(&path.join("cgroup.controllers"))?;
            let controllers = useful(controllers.split_whitespace());
            Some(Directory { path: path.clone(), controllers })
        });
        let v1 = found.into_iter().filter(|(kind, ..)| kind == "cgroup");
        let mounted: Vec<Directory> = v1
            .map(|(_, path, options)| Directory {
                path,
                controllers: useful(options.iter().map(String::as_str)),
            })
            .filter(|hierarchy| !hierarchy.controllers.is_empty())
            .collect();
        // A kernel may lack any controller (`cgroup_disable=memory`); the others do without it.
        let is_chosen = |v2: &Directory| v2.has("memory") || mounted.is_empty();
        if let Some(v2) = v2.filter(is_chosen) {
            return Self { version: Version::V2, mounted: vec![v2.clone()], usable: vec![v2] };
        }
        let below = |hierarchy: &Directory| Directory {
            path: own_v1(hierarchy, own),
            controllers: hierarchy.controllers.clone(),
        };
        let usable = mounted.iter().map(below).collect();
        Self { version: Version::V1, mounted, usable }
    }

    /// Which interface it is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where this process may make cgroups.
    pub(crate) fn usable(&self) -> &[Directory] {
        &self.usable
    }

    /// Where the same hierarchies begin.
    pub(crate) fn mounted(&self) -> &[Directory] {
        &self.mounted
    }

    /// Why the kernel cannot keep containers from opening devices here, if it cannot.
    pub fn lacks_device_filter(&self) -> Option<String> {
        match self.version {
            Version::V1 => {
                let has = |one: &Directory| one.controllers.iter().any(|name| name == "devices");
                let text = "the cgroup controller devices is not available";
                (!self.usable.iter().any(has)).then(|| text.to_owned())
            }
            Version::V2 => devices::are_filters_possible()
                .err()
                .map(|error| format!("the kernel takes no device filter (bpf): {error}")),
        }
    }

    /// Controllers that limits need and this machine does not offer, as sentences.
    pub fn missing(&self) -> Vec<String> {
        ["memory", "cpu", "pids"]
            .into_iter()
            .filter(|wanted| {
                !self.usable.iter().any(|one| one.controllers.iter().any(|c| c == wanted))
            })
            .map(|wanted| format!("the cgroup controller {wanted} is not available"))
            .collect()
    }
}

fn useful<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.filter(|name| USEFUL.contains(name)).map(str::to_owned).collect()
}

/// File system type, mount point and super options of a cgroup mount (`proc_pid_mountinfo(5)`).
fn cgroup_mount(line: &str) -> Option<(String, PathBuf, Vec<String>)> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let kind = after.next().filter(|kind| kind.starts_with("cgroup"))?;
    let options = after.nth(1)?.split(',').map(str::to_owned).collect();
    let path = before.split(' ').nth(4)?;
    Some((kind.to_owned(), PathBuf::from(path), options))
}

/// Where this process is in a v1 hierarchy, as far as that can be seen below the mount.
fn own_v1(hierarchy: &Directory, own: &str) -> PathBuf {
    let Directory { path: mount, controllers } = hierarchy;
    let line = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let mut names = parts.next()?.split(',');
        let path = parts.next()?;
        names.any(|name| controllers.iter().any(|one| one == name)).then_some(path)
    });
    let below = line.unwrap_or("/").trim_start_matches('/');
    // A supervisor started from a container of minipod's own pods is not put below that pod.
    let candidate = mount.join(below.split("minipod").next().unwrap_or_default());
    if candidate.is_dir() { candidate } else { mount.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
";

    #[test]
    fn on_a_hybrid_machine_the_controllers_decide() {
        let found = Hierarchies::of(HYBRID, "", |_| Some("hugetlb".into()));
        assert_eq!(found.version(), Version::V1);
        let paths: Vec<&Path> = found.usable().iter().map(|one| one.path.as_path()).collect();
        let expected = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct"];
        assert_eq!(paths, expected.map(Path::new));
        assert_eq!(found.missing(), ["the cgroup controller pids is not available"]);
        let devices = "the cgroup controller devices is not available";
        assert_eq!(found.lacks_device_filter().as_deref(), Some(devices));
        assert_eq!(found.mounted(), found.usable());
    }

    #[test]
    fn on_version_1_pods_are_below_the_cgroup_of_who_creates_them() {
        let mounts = "32 30 0:28 / /proc rw - cgroup cgroup rw,memory\n";
        let found = Hierarchies::of(mounts, "7:memory:/self\n0::/\n", |_| None);
        assert_eq!(found.usable()[0].path, Path::new("/proc/self"));
        assert_eq!(found.mounted()[0].path, Path::new("/proc"));
    }

    #[test]
    fn a_unified_hierarchy_with_controllers_is_used_alone() {
        let mounts = "31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Hierarchies::of(mounts, "", |_| Some("cpuset cpu io memory pids\n".into()));
        assert_eq!(found.version(), Version::V2);
        assert_eq!(found.usable()[0].controllers, ["cpuset", "cpu", "memory", "pids"]);
        assert!(found.missing().is_empty());
    }

    #[test]
    fn a_unified_hierarchy_without_memory_is_used_for_the_rest() {
        let mounts = "31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Hierarchies::of(mounts, "", |_| Some("cpu io pids\n".into()));
        assert_eq!(found.version(), Version::V2);
        assert_eq!(found.missing(), ["the cgroup controller memory is not available"]);
    }

    #[test]
    fn a_unified_hierarchy_beside_others_is_used_when_it_has_the_memory() {
        let mounts = "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      32 30 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let version =
            |has: &str| Hierarchies::of(mounts, "8:pids:/\n", |_| Some(has.into())).version();
        assert_eq!([version(""), version("cpu memory")], [Version::V1, Version::V2]);
    }
}
