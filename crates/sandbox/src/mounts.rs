//! Mounts by descriptor: each is made detached, its target is found inside the container's root.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, mkdirat, mknodat, openat,
    readlinkat, statat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::plan::Propagation;
use crate::plan::{MountOptions, MountPlan};
use crate::stage::report::StageError;
use crate::sys::mount_attributes::{self, Attributes};

/// A mount that is in no directory yet, and whether it is a directory itself.
#[derive(Debug)]
pub(crate) struct Detached {
    pub(crate) mount: OwnedFd,
    pub(crate) is_directory: bool,
}

/// Puts each detached mount at its place in the root. Those in which mount points may be made
/// become read-only last.
pub(crate) fn attach_all(
    root: &OwnedFd,
    plans: &[MountPlan],
    sources: &[Detached],
) -> Result<(), StageError> {
    let cannot_mount = |plan: &MountPlan| {
        let text = format!("cannot mount {plan}");
        move |error: io::Error| StageError::prepare(text.clone(), error)
    };
    for (plan, source) in plans.iter().zip(sources) {
        let failed = cannot_mount(plan);
        set_options(source, plan.options).map_err(&failed)?;
        let target = target(root, plan, source)?;
        check_target(root, &target, &plan.target).map_err(&failed)?;
        attach_to(source.mount.as_fd(), target.as_fd()).map_err(&failed)?;
    }
    for (plan, source) in plans.iter().zip(sources) {
        if plan.options.readonly && plan.options.mount_points {
            let attributes = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
            mount_attributes::change(source.mount.as_fd(), attributes)
                .map_err(cannot_mount(plan))?;
        }
    }
    Ok(())
}

/// Opens what a mount is put over: a directory for a directory, a file for a file.
fn target(root: &OwnedFd, plan: &MountPlan, source: &Detached) -> Result<OwnedFd, StageError> {
    let (kind, mismatch) =
        if source.is_directory { ("a directory", libc::ENOTDIR) } else { ("a file", libc::EISDIR) };
    let failed = |error: io::Error| {
        let is_mismatch = error.raw_os_error() == Some(mismatch);
        let more =
            if is_mismatch { format!(", {kind}, over what is there") } else { String::new() };
        StageError::prepare(format!("cannot mount {plan}{more}"), error)
    };
    if source.is_directory {
        return directory(root, &plan.target).map_err(failed);
    }
    let target = file(root, &plan.target).map_err(failed)?;
    let stat = fstat(&target).map_err(|error| failed(error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(failed(io::Error::from_raw_os_error(mismatch)));
    }
    Ok(target)
}

/// Files of `/proc` that may be replaced; they only tell numbers.
const REPLACEABLE: [&str; 8] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
];

/// Nothing is mounted over the root itself, and nothing in `/proc`: who sets up or joins the
/// container has to trust what it reads and writes there.
fn check_target(root: &OwnedFd, target: &OwnedFd, path: &str) -> io::Result<()> {
    let is_proc = fstatfs(target)?.f_type == libc::PROC_SUPER_MAGIC;
    if is_same_file(root, target)? || is_proc && !REPLACEABLE.contains(&path) {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    Ok(())
}

/// Whether two descriptors refer to the same file.
pub(crate) fn is_same_file(one: &OwnedFd, other: &OwnedFd) -> io::Result<bool> {
    let (one, other) = (fstat(one)?, fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// Opens a directory of the container that is reached without any link, created if missing: what
/// the kernel shows there must be where everybody looks for it.
pub(crate) fn ordinary_directory(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let plain = IN_ROOT | ResolveFlags::NO_SYMLINKS;
    match confined::open(root, path, flags, plain) {
        Err(Errno::NOENT) => {
            make_directories(root, Path::new(path))?;
            Ok(confined::open(root, path, flags, plain)?)
        }
        opened => Ok(opened?),
    }
}

fn set_options(source: &Detached, options: MountOptions) -> io::Result<()> {
    let propagation = Some(options.propagation);
    let spread = Attributes { propagation, recursive: true, ..Attributes::default() };
    if options.propagation != Propagation::Bidirectional {
        mount_attributes::change(source.mount.as_fd(), spread)?;
    }
    if options.nodev {
        // A host path brings the mounts below it along.
        let set = libc::MOUNT_ATTR_NODEV;
        let attributes = Attributes { set, recursive: true, ..Attributes::default() };
        mount_attributes::change(source.mount.as_fd(), attributes)?;
    }
    // What is below it becomes read-only here, before mounts of the container are below it, too.
    let is_late = options.readonly && options.mount_points;
    let mut set = 0;
    for (wanted, flag) in [
        (options.readonly && (!is_late || options.recursive_readonly), libc::MOUNT_ATTR_RDONLY),
        (options.nosuid, libc::MOUNT_ATTR_NOSUID),
        (options.noexec, libc::MOUNT_ATTR_NOEXEC),
    ] {
        if wanted {
            set |= flag;
        }
    }
    if set == 0 {
        return Ok(());
    }
    let recursive = options.recursive_readonly;
    let attributes = Attributes { set, recursive, ..Attributes::default() };
    mount_attributes::change(source.mount.as_fd(), attributes)?;
    if is_late && recursive {
        let attributes = Attributes { clear: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        mount_attributes::change(source.mount.as_fd(), attributes)?;
    }
    Ok(())
}

/// Attaches a detached mount at a path.
pub(crate) fn attach(mount: BorrowedFd<'_>, at: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    Ok(move_mount(mount, "", at, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Attaches a detached mount on what a descriptor refers to.
pub(crate) fn attach_to(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", target, "", flags)?)
}

/// Resolution of a path of the container: `/` and `..` mean the container's root.
const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Opens a path of the container.
pub(crate) fn find(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    confined::open(root, path, OFlags::PATH | OFlags::CLOEXEC, IN_ROOT)
}

/// Opens a directory of the container, created if missing.
pub(crate) fn directory(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match confined::open(root, path, flags, IN_ROOT) {
        Err(Errno::NOENT) => {
            let path = without_links(root, Path::new(path))?;
            make_directories(root, &path)?;
            Ok(confined::open(root, &path, flags, IN_ROOT)?)
        }
        opened => Ok(opened?),
    }
}

/// Opens a file of the container, created empty if missing. Nothing is opened for writing: what a
/// container could put there in the meantime might make that wait.
fn file(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    match find(root, path) {
        Err(Errno::NOENT) => {}
        opened => return Ok(opened?),
    }
    let path = without_links(root, Path::new(path))?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    };
    make_directories(root, parent)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let at = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = confined::open(root, at, flags, IN_ROOT)?;
    match mknodat(&parent, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0) {
        Err(Errno::EXIST) => {} // somebody was faster
        made => made?,
    }
    Ok(confined::open(root, &path, OFlags::PATH | OFlags::CLOEXEC, IN_ROOT)?)
}

/// As many links as the kernel follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Where a path leads whose end does not exist yet, links that lead nowhere included. What is
/// found out here may change at once; what is made of it is confined to the root all the same.
fn without_links(root: &OwnedFd, path: &Path) -> io::Result<PathBuf> {
    let mut rest: VecDeque<OsString> =
        path.components().map(|one| one.as_os_str().to_owned()).collect();
    let (mut real, mut links) = (PathBuf::new(), 0);
    while let Some(name) = rest.pop_front() {
        match Path::new(&name).components().next() {
            Some(Component::RootDir) => real.clear(),
            Some(Component::ParentDir) => drop(real.pop()),
            Some(Component::Normal(name)) => real.push(name),
            _ => {}
        }
        let Some(target) = link_at(root, &real)? else {
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        real.pop();
        for part in target.components().rev() {
            rest.push_front(part.as_os_str().to_owned());
        }
    }
    Ok(real)
}

/// Where the link of that path points; nothing when it is no link, or not there.
fn link_at(root: &OwnedFd, path: &Path) -> io::Result<Option<PathBuf>> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = match confined::open(root, path, flags, IN_ROOT) {
        Err(Errno::NOENT) => return Ok(None),
        found => found?,
    };
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::Symlink {
        return Ok(None);
    }
    let target = readlinkat(&found, c"", Vec::new())?;
    Ok(Some(PathBuf::from(OsString::from_vec(target.into_bytes()))))
}

/// Makes each missing directory on the way, one component at a time.
fn make_directories(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut current = openat(root, ".", flags, Mode::empty())?;
    let mut so_far = PathBuf::new();
    for component in path.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        so_far.push(name);
        current = match confined::open(root, &so_far, flags, IN_ROOT) {
            Err(Errno::NOENT) => {
                if statat(&current, name, AtFlags::SYMLINK_NOFOLLOW).is_err() {
                    mkdirat(&current, name, Mode::from_raw_mode(0o755))?;
                }
                confined::open(root, &so_far, flags, IN_ROOT)?
            }
            opened => opened?,
        };
    }
    Ok(())
}

/// A mount of a kernel file system, detached.
pub(crate) fn new_filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&context, *key)?;
        } else {
            fsconfig_set_string(&context, *key, *value)?;
        }
    }
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}
