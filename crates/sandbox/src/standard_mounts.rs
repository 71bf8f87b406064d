//! What every container finds mounted: `/proc`, `/sys`, `/dev` and what is in it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, mkdirat, mknodat, openat, symlinkat};
use rustix::mount::MountAttrFlags;

use crate::mounts::{self, Detached};
use crate::plan::{ContainerPlan, DevicesPlan, MountPlan};
use crate::stage::report::StageError;
use crate::sys::mount_attributes::{self, Attributes};
use crate::user_namespace::IdRange;

/// Names, major and minor numbers of the devices in a container's `/dev` (mem(4), tty(4)).
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// How many pseudo-terminals a container may have: the machine has `kernel.pty.max` for all, 4096
/// where nobody says otherwise, and keeps a part of them for itself (pty(7)).
pub(crate) const MOST_TERMINALS: u32 = 256;

/// Where programs look for their cgroups (cgroups(7)).
const CGROUPS: &str = "/sys/fs/cgroup";

const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
const NODEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
const NOEXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
const RDONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// Mounts them all, parents first. Where the pod shares its processes their file system is there
/// already.
pub(crate) fn mount_all(
    root: &OwnedFd,
    plan: &ContainerPlan,
    (processes, shm, ids): (Option<Detached>, Detached, Option<IdRange>),
) -> Result<(), StageError> {
    let all = NOSUID | NODEV | NOEXEC;
    match processes {
        Some(mount) => attach_processes(root, &mount)?,
        None => mount_kernel(root, "/proc", ("proc", &[]), all)?,
    }
    let sys = if plan.privileged_mounts { all } else { all | RDONLY };
    mount_kernel(root, "/sys", ("sysfs", &[]), sys)?;
    // Version 2 is mounted on the directory itself, hierarchies of version 1 below it.
    if plan.cgroup_mounts.iter().all(|mount| mount.target.trim_end_matches('/') != CGROUPS) {
        mount_kernel(root, CGROUPS, ("tmpfs", &[("mode", "755"), ("size", "64k")]), all)?;
    }
    let owner = ids.map_or(0, |ids| ids.first).to_string();
    let dev = [("mode", "755"), ("size", "65536k"), ("uid", &owner), ("gid", &owner)];
    mount_kernel(root, "/dev", ("tmpfs", &dev), NOSUID)?;
    fill_dev(root, plan.devices)?;
    let tty = ids.map_or(5, |ids| ids.outside(5)).to_string();
    let most = MOST_TERMINALS.to_string();
    let pts = [
        ("newinstance", ""),
        ("ptmxmode", "0666"),
        ("mode", "0620"),
        ("gid", &tty),
        ("max", &most),
    ];
    mount_kernel(root, "/dev/pts", ("devpts", &pts), NOSUID | NOEXEC)?;
    mount_kernel(root, "/dev/mqueue", ("mqueue", &[]), all)?;
    let failed = |error: io::Error| StageError::prepare("cannot mount /dev/shm", error);
    let target = mounts::directory(root, "/dev/shm").map_err(failed)?;
    mounts::attach_to(shm.mount.as_fd(), target.as_fd()).map_err(failed)
}

/// Mounts the processes of this process's pid namespace at a directory of the host.
pub(crate) fn mount_processes(path: &Path) -> io::Result<()> {
    let mount = mounts::new_filesystem("proc", &[], NOSUID | NODEV | NOEXEC)?;
    mounts::attach(mount.as_fd(), rustix::fs::CWD, path)
}

fn attach_processes(root: &OwnedFd, processes: &Detached) -> Result<(), StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot mount proc on /proc", error);
    let place = mounts::ordinary_directory(root, "/proc").map_err(failed)?;
    mounts::attach_to(processes.mount.as_fd(), place.as_fd()).map_err(failed)
}

/// A kind of file system with its options.
type Filesystem<'a> = (&'a str, &'a [(&'a str, &'a str)]);

fn mount_kernel(
    root: &OwnedFd,
    target: &str,
    (kind, options): Filesystem<'_>,
    attributes: MountAttrFlags,
) -> Result<(), StageError> {
    let failed =
        |error: io::Error| StageError::prepare(format!("cannot mount {kind} on {target}"), error);
    let place = mounts::ordinary_directory(root, target).map_err(failed)?;
    let mount = mounts::new_filesystem(kind, options, attributes).map_err(failed)?;
    mounts::attach_to(mount.as_fd(), place.as_fd()).map_err(failed)
}

fn fill_dev(root: &OwnedFd, devices: DevicesPlan) -> Result<(), StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot fill /dev", error);
    let dev = open_directory(root, "/dev").map_err(failed)?;
    let before = rustix::process::umask(Mode::empty()); // or the devices would not get their mode
    let filled = fill(&dev, devices);
    rustix::process::umask(before);
    filled.map_err(failed)
}

fn fill(dev: &OwnedFd, devices: DevicesPlan) -> io::Result<()> {
    let everybody = Mode::from_raw_mode(0o666);
    for (name, major, minor) in DEVICES {
        let number = rustix::fs::makedev(major, minor);
        mknodat(dev, name, FileType::CharacterDevice, everybody, number)?;
    }
    for (name, target) in LINKS {
        symlinkat(target, dev, name)?;
    }
    for name in ["pts", "shm", "mqueue"] {
        mkdirat(dev, name, Mode::from_raw_mode(0o755))?;
    }
    if devices == DevicesPlan::Host {
        copy_devices(Path::new("/dev"), dev)?;
    }
    Ok(())
}

/// Makes every device of the host in the container too, directories included.
fn copy_devices(from: &Path, to: &OwnedFd) -> io::Result<()> {
    for entry in fs::read_dir(from)?.flatten() {
        let name = entry.file_name();
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else {
            continue; // devices come and go
        };
        let kind = metadata.file_type();
        let is_ours = matches!(name.to_str(), Some("pts" | "shm" | "mqueue" | "fd" | "console"));
        if is_ours || rustix::fs::statat(to, &name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            continue;
        }
        let mode = Mode::from_raw_mode(metadata.mode());
        if kind.is_char_device() {
            mknodat(to, &name, FileType::CharacterDevice, mode, metadata.rdev())?;
        } else if kind.is_block_device() {
            mknodat(to, &name, FileType::BlockDevice, mode, metadata.rdev())?;
        } else if kind.is_dir() {
            mkdirat(to, &name, mode)?;
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = openat(to, &name, flags, Mode::empty())?;
            copy_devices(&entry.path(), &below)?;
        }
    }
    Ok(())
}

fn open_directory(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let place = mounts::directory(root, path)?;
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(openat(&place, ".", flags, Mode::empty())?)
}

/// Makes paths show nothing: a file becomes the null device, a directory an empty one. Paths that
/// do not exist are passed over.
pub(crate) fn mask(root: &OwnedFd, paths: &[String], null: &OwnedFd) -> Result<(), StageError> {
    let mut covered: Option<&str> = None;
    for path in paths {
        let failed = |error: io::Error| StageError::prepare(format!("cannot mask {path}"), error);
        let Some(place) = find_existing(root, path).map_err(failed)? else {
            continue;
        };
        let kind = rustix::fs::fstat(&place).map_err(|error| failed(error.into()))?.st_mode;
        let cover = if FileType::from_raw_mode(kind) == FileType::Directory {
            // One file system covers them all: taking many away makes ending slow.
            let cover = covered.map_or_else(empty_directory, |first| clone_at(root, first));
            covered = covered.or(Some(path));
            cover
        } else {
            clone_of(null.as_fd())
        };
        let cover = cover.map_err(failed)?;
        mounts::attach_to(cover.as_fd(), place.as_fd()).map_err(failed)?;
    }
    Ok(())
}

fn clone_at(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    clone_of(mounts::find(root, path)?.as_fd())
}

/// What covers a secret must be what it seems: the null device, not what an image put there.
pub(crate) fn null_device(root: &OwnedFd) -> Result<OwnedFd, StageError> {
    let failed = |error| StageError::prepare("cannot find the null device", error);
    let file = mounts::find(root, "/dev/null").map_err(failed)?;
    let status = rustix::fs::fstat(&file).map_err(failed)?;
    let is_device = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice;
    if is_device && status.st_rdev == rustix::fs::makedev(1, 3) {
        return Ok(file);
    }
    Err(failed(rustix::io::Errno::NODEV))
}

fn empty_directory() -> io::Result<OwnedFd> {
    let options = [("mode", "555"), ("nr_blocks", "1"), ("nr_inodes", "1")];
    let mount = mounts::new_filesystem("tmpfs", &options, NOSUID | NODEV | NOEXEC | RDONLY)?;
    Ok(mount)
}

/// Makes paths read-only. Paths that do not exist are passed over.
pub(crate) fn protect(root: &OwnedFd, paths: &[String]) -> Result<(), StageError> {
    for path in paths {
        let failed =
            |error: io::Error| StageError::prepare(format!("cannot protect {path}"), error);
        let Some(place) = find_existing(root, path).map_err(failed)? else {
            continue;
        };
        let cover = clone_of(place.as_fd()).map_err(failed)?;
        let attributes = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        mount_attributes::change(cover.as_fd(), attributes).map_err(failed)?;
        mounts::attach_to(cover.as_fd(), place.as_fd()).map_err(failed)?;
    }
    Ok(())
}

/// Makes each controller of a hierarchy that has several known by its own name, too: `cpu` and
/// `cpuacct` lead to `cpu,cpuacct`, where programs look for them.
pub(crate) fn name_cgroups(root: &OwnedFd, mounts: &[MountPlan]) -> Result<(), StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot name the cgroups", error);
    let names =
        mounts.iter().filter_map(|mount| mount.target.strip_prefix(CGROUPS)?.strip_prefix('/'));
    let mut several = names.filter(|name| name.contains(',')).peekable();
    if several.peek().is_none() {
        return Ok(());
    }
    let place = mounts::ordinary_directory(root, CGROUPS).map_err(failed)?;
    for name in several {
        for controller in name.split(',') {
            symlinkat(name, &place, controller).map_err(|error| failed(error.into()))?;
        }
    }
    Ok(())
}

/// Makes the directory above the cgroups read-only, once they are in it.
pub(crate) fn protect_cgroups(root: &OwnedFd) -> Result<(), StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot protect the cgroups", error);
    let place = mounts::find(root, CGROUPS).map_err(|error| failed(error.into()))?;
    let attributes = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
    mount_attributes::change(place.as_fd(), attributes).map_err(failed)
}

fn clone_of(place: std::os::fd::BorrowedFd<'_>) -> io::Result<OwnedFd> {
    use rustix::mount::{OpenTreeFlags, open_tree};
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(open_tree(place, "", flags)?)
}

fn find_existing(root: &OwnedFd, path: &str) -> io::Result<Option<OwnedFd>> {
    match mounts::find(root, path) {
        Ok(place) => Ok(Some(place)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
