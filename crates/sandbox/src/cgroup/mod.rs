//! Cgroups of a pod: membership, limits, accounting (cgroups(7)).
//!
//! On cgroup v2 a process is born in its cgroup. On v1, and on machines that have both, a new
//! process moves itself before its program runs: a thread that moves itself alone, by writing 0 to
//! `tasks`, is spared the RCU grace period (5 to 20 ms, in which nobody on the machine can fork
//! or end) that a write to `cgroup.procs` waits for.

mod devices;
mod files;
mod hierarchies;
mod killing;
mod limits;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use hierarchies::{Hierarchies, Version};
pub use limits::Limits;

/// Why a cgroup cannot be used.
#[derive(Debug, Error)]
pub enum CgroupError {
    /// No hierarchy is mounted that could be written.
    #[error("no cgroup hierarchy can be written")]
    Unavailable,
    /// A file or directory of a hierarchy.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// What was being done.
        verb: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The cgroups of a pod, one directory per hierarchy.
#[derive(Debug)]
pub struct PodCgroup {
    version: Version,
    directories: Vec<Directory>,
    limits: Limits,
    warnings: Vec<String>,
}

/// A directory in one hierarchy with the controllers that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) controllers: Vec<String>,
}

impl Directory {
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|one| one == controller)
    }
}

/// The name below which all of minipod's cgroups are.
const TOP: &str = "minipod";

impl PodCgroup {
    /// Creates the pod's cgroup in every hierarchy that is useful.
    pub fn create(
        hierarchies: &Hierarchies,
        pod_uid: &str,
        limits: &Limits,
    ) -> Result<Self, CgroupError> {
        let mut warnings = hierarchies.missing();
        let mut directories = Vec::new();
        for hierarchy in hierarchies.usable() {
            let top = hierarchy.path.join(TOP);
            let path = top.join(pod_uid);
            let made = files::create(&path).and_then(|()| match hierarchies.version() {
                Version::V2 => {
                    let paths = [hierarchy.path.as_path(), &top, &path];
                    files::enable_controllers(&paths, &hierarchy.controllers)
                }
                Version::V1 if hierarchy.has("cpuset") => {
                    files::inherit_cpuset(&top).and_then(|()| files::inherit_cpuset(&path))
                }
                Version::V1 => Ok(()),
            });
            match made {
                Ok(()) => {
                    let controllers = hierarchy.controllers.clone();
                    directories.push(Directory { path, controllers });
                }
                Err(error) => {
                    let _ = fs::remove_dir(&path).and_then(|()| fs::remove_dir(&top)); // if made
                    warnings.push(limits::chain(&error));
                }
            }
        }
        if directories.is_empty() {
            return Err(CgroupError::Unavailable);
        }
        let version = hierarchies.version();
        warnings.extend(limits::apply(version, &directories, limits));
        Ok(Self { version, directories, limits: limits.clone(), warnings })
    }

    /// The cgroups that a pod left behind, if there are any. On version 1 they are below the cgroup
    /// of whoever created the pod, which need not be this process's.
    pub fn open(pod_uid: &str) -> Result<Option<Self>, CgroupError> {
        let hierarchies = Hierarchies::detect();
        let name = Path::new(TOP).join(pod_uid);
        let mut directories = Vec::new();
        for hierarchy in hierarchies.mounted() {
            for path in files::find_below(&hierarchy.path, &name) {
                directories.push(Directory { path, controllers: hierarchy.controllers.clone() });
            }
        }
        if directories.is_empty() {
            return Ok(None);
        }
        let (limits, warnings) = (Limits::default(), Vec::new());
        Ok(Some(Self { version: hierarchies.version(), directories, limits, warnings }))
    }

    /// What could not be set up, as sentences.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A cgroup for one container of the pod.
    pub fn container(&self, name: &str, limits: &Limits) -> Result<ContainerCgroup, CgroupError> {
        let mut directories = Vec::new();
        for directory in &self.directories {
            let path = directory.path.join(directory_name(name));
            files::create(&path)?;
            if self.version == Version::V1 && directory.has("cpuset") {
                files::inherit_cpuset(&path)?;
            }
            directories.push(Directory { path, controllers: directory.controllers.clone() });
        }
        let mut warnings = limits::apply(self.version, &directories, limits);
        let v2 = match (self.version, directories.first()) {
            (Version::V2, Some(directory)) => Some(files::open_directory(&directory.path)?),
            _ => None,
        };
        let confined = match &v2 {
            Some(_) if limits.all_devices => Ok(false),
            Some(v2) => devices::confine(v2.as_fd()).map(|()| true),
            None => Ok(devices::is_confined(&directories)),
        };
        let confines_devices = confined.unwrap_or_else(|error| {
            warnings.push(format!("cannot limit devices: {error}"));
            false
        });
        let kills_before = files::oom_kills(self.version, &directories);
        let version = self.version;
        Ok(ContainerCgroup { version, directories, v2, warnings, kills_before, confines_devices })
    }

    /// Kills every process in the pod's cgroups and waits until they are gone.
    pub fn kill(&self) -> Result<(), CgroupError> {
        self.directories.iter().for_each(|directory| killing::let_end(&directory.path));
        self.directories.iter().try_for_each(|directory| killing::kill_all(&directory.path))
    }

    /// Takes back the processor time that the pod was given for the end of a container that was killed.
    pub fn limit_again(&self) {
        limits::apply_again(self.version, &self.directories, &self.limits);
    }

    /// Removes the pod's cgroups with whatever is left in them, and minipod's own when they are
    /// empty. Waits for what is left to end.
    pub fn remove(&self) -> Result<(), CgroupError> {
        self.remove_each(files::remove_tree)
    }

    /// The same without waiting: what is left is killed, and the cgroups can be removed later.
    pub fn try_remove(&self) -> Result<(), CgroupError> {
        self.remove_each(files::try_remove_tree)
    }

    fn remove_each(
        &self,
        remove: impl Fn(&Path) -> Result<(), CgroupError>,
    ) -> Result<(), CgroupError> {
        let mut outcome = Ok(());
        for directory in &self.directories {
            // One hierarchy that fails must not keep the others.
            outcome = outcome.and(remove(&directory.path));
            if let Some(top) = directory.path.parent() {
                let _ = fs::remove_dir(top); // other pods may be in it
            }
        }
        outcome
    }
}

/// What a container's cgroup is called: on version 1 every cgroup has a file of the name `tasks`,
/// which a container may have, too; the names of other files are no names of containers.
fn directory_name(container: &str) -> &str {
    if container == "tasks" { "tasks_" } else { container }
}

/// The cgroups of one container.
#[derive(Debug)]
pub struct ContainerCgroup {
    version: Version,
    directories: Vec<Directory>,
    v2: Option<OwnedFd>,
    warnings: Vec<String>,
    kills_before: u64,
    confines_devices: bool,
}

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time so far, in nanoseconds.
    pub cpu_nanoseconds: u64,
    /// Memory in use without what could be dropped at once (working set), in bytes.
    pub memory_bytes: u64,
}

impl ContainerCgroup {
    /// The directory for `CLONE_INTO_CGROUP`, on cgroup v2.
    pub(crate) fn v2_dir(&self) -> Option<BorrowedFd<'_>> {
        self.v2.as_ref().map(AsFd::as_fd)
    }

    /// Files through which a process with one thread gets into the cgroup by writing 0, unless it
    /// was born in it.
    pub(crate) fn tasks_files(&self) -> Result<Vec<File>, CgroupError> {
        if self.v2.is_some() {
            return Ok(Vec::new());
        }
        let paths = self.directories.iter().map(|directory| directory.path.join("tasks"));
        let open = |path: PathBuf| {
            let opened = File::options().write(true).open(&path);
            opened.map_err(|source| CgroupError::File { verb: "open", path, source })
        };
        paths.map(open).collect()
    }

    /// The container's directories with the name under which each is shown in the container.
    pub fn views(&self) -> Vec<(PathBuf, String)> {
        let name = |directory: &Directory| match self.version {
            Version::V2 => String::new(),
            Version::V1 => directory.controllers.join(","),
        };
        self.directories.iter().map(|one| (one.path.clone(), name(one))).collect()
    }

    /// Kills every process in it, without waiting. It has no limit of processor time then, nor has its pod, and it can
    /// make no process, until the limits are set again ([`PodCgroup::container`], [`PodCgroup::limit_again`]).
    pub fn kill(&self) {
        for Directory { path, .. } in &self.directories {
            killing::let_end(path);
            path.parent().into_iter().for_each(killing::give_time);
        }
        // A process joins the first one first.
        if let Some(Directory { path, .. }) = self.directories.first() {
            let _ = killing::kill_now(path); // who is not killed here ends with the first process
        }
    }

    /// What could not be limited, as sentences.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether the kernel keeps the container from opening devices.
    pub fn confines_devices(&self) -> bool {
        self.confines_devices
    }

    /// What the container uses now.
    pub fn usage(&self) -> Usage {
        files::usage(self.version, &self.directories)
    }

    /// How many processes the kernel has killed for the memory limit since this start.
    pub fn oom_kills(&self) -> u64 {
        files::oom_kills(self.version, &self.directories).saturating_sub(self.kills_before)
    }
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), CgroupError> {
    fs::write(path, text).map_err(|source| CgroupError::File {
        verb: "write",
        path: path.to_owned(),
        source,
    })
}

pub(crate) fn open(path: &Path) -> Result<File, CgroupError> {
    File::open(path).map_err(|source| CgroupError::File {
        verb: "open",
        path: path.to_owned(),
        source,
    })
}
