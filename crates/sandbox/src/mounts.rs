//! Mounts by descriptor: sources are cloned before the root changes, targets are found inside it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, statat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::plan::{MountOptions, MountPlan, MountSource, Propagation};
use crate::stage::report::StageError;
use crate::sys::mount_attributes::{self, Attributes};

/// A mount that is in no directory yet, and whether it is a directory itself.
#[derive(Debug)]
pub(crate) struct Detached {
    pub(crate) mount: OwnedFd,
    pub(crate) is_directory: bool,
}

/// Opens the sources of the mounts, in their order.
pub(crate) fn open_sources(mounts: &[MountPlan]) -> Result<Vec<Detached>, StageError> {
    mounts
        .iter()
        .map(|plan| {
            open_source(plan).map_err(|error| {
                StageError::prepare(format!("cannot open the source of {plan}"), error)
            })
        })
        .collect()
}

fn open_source(plan: &MountPlan) -> io::Result<Detached> {
    match &plan.source {
        MountSource::Tmpfs { size, mode } => new_tmpfs(*size, *mode),
        MountSource::Bind { path, sub_path: None } => clone_tree(path, true),
        MountSource::Bind { path, sub_path: Some(below) } => {
            let volume = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let source = open_below(&volume, below)?;
            clone_open(source.as_fd(), true)
        }
    }
}

fn new_tmpfs(size: Option<u64>, mode: u32) -> io::Result<Detached> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    if let Some(size) = size {
        fsconfig_set_string(&context, "size", size.to_string())?;
    }
    fsconfig_set_string(&context, "mode", format!("{mode:o}"))?;
    fsconfig_create(&context)?;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    Ok(Detached { mount, is_directory: true })
}

/// The tree at a path of the host, once more and detached (`open_tree(2)`).
pub(crate) fn clone_tree(path: &Path, recursive: bool) -> io::Result<Detached> {
    let source = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    clone_open(source.as_fd(), recursive)
}

fn clone_open(source: BorrowedFd<'_>, recursive: bool) -> io::Result<Detached> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let mount = open_tree(source, "", flags)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&mount)?.st_mode);
    Ok(Detached { mount, is_directory: kind == FileType::Directory })
}

/// Opens a path below a volume that cannot lead out of it; a missing one is created.
fn open_below(volume: &OwnedFd, below: &Path) -> io::Result<OwnedFd> {
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let open = || openat2(volume, below, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), confined);
    match open() {
        Err(rustix::io::Errno::NOENT) => {
            let mode = Mode::from_raw_mode(rustix::fs::fstat(volume)?.st_mode);
            make_directories(volume.as_fd(), below, mode, confined)?;
            Ok(open()?)
        }
        opened => Ok(opened?),
    }
}

/// Puts each detached mount at its place in the root.
pub(crate) fn attach_all(
    root: &OwnedFd,
    plans: &[MountPlan],
    sources: Vec<Detached>,
) -> Result<(), StageError> {
    for (plan, source) in plans.iter().zip(sources) {
        let failed = |error: io::Error| StageError::prepare(format!("cannot mount {plan}"), error);
        set_options(&source, plan.options).map_err(failed)?;
        let target = if source.is_directory {
            directory(root, &plan.target)
        } else {
            file(root, &plan.target)
        };
        attach_to(source.mount.as_fd(), target.map_err(failed)?.as_fd()).map_err(failed)?;
    }
    Ok(())
}

fn set_options(source: &Detached, options: MountOptions) -> io::Result<()> {
    let spread = Attributes { set: 0, propagation: Some(options.propagation), recursive: true };
    if options.propagation != Propagation::Bidirectional {
        mount_attributes::change(source.mount.as_fd(), spread)?;
    }
    let mut set = 0;
    for (wanted, flag) in [
        (options.readonly, libc::MOUNT_ATTR_RDONLY),
        (options.nosuid, libc::MOUNT_ATTR_NOSUID),
        (options.nodev, libc::MOUNT_ATTR_NODEV),
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
    let attributes = Attributes { set, propagation: None, recursive };
    mount_attributes::change(source.mount.as_fd(), attributes)
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
    openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), IN_ROOT)
}

/// Opens a directory of the container, created if missing.
pub(crate) fn directory(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat2(root, path, flags, Mode::empty(), IN_ROOT) {
        Err(rustix::io::Errno::NOENT) => {
            make_directories(root.as_fd(), Path::new(path), Mode::from_raw_mode(0o755), IN_ROOT)?;
            Ok(openat2(root, path, flags, Mode::empty(), IN_ROOT)?)
        }
        opened => Ok(opened?),
    }
}

/// Opens a file of the container, created empty if missing.
fn file(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    match find(root, path) {
        Err(rustix::io::Errno::NOENT) => {}
        opened => return Ok(opened?),
    }
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = directory(root, if parent.is_empty() { "/" } else { parent })?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&parent, name, flags, Mode::from_raw_mode(0o644)) {
        // A dangling link: what it points to is created, inside the root.
        Err(rustix::io::Errno::LOOP) => {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            openat2(root, path, flags, Mode::from_raw_mode(0o644), IN_ROOT)?;
        }
        opened => drop(opened?),
    }
    Ok(find(root, path)?)
}

/// Makes each missing directory on the way, one component at a time.
fn make_directories(
    base: BorrowedFd<'_>,
    path: &Path,
    mode: Mode,
    resolve: ResolveFlags,
) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut current = openat(base, ".", flags, Mode::empty())?;
    let mut so_far = std::path::PathBuf::new();
    for component in path.components() {
        let std::path::Component::Normal(name) = component else {
            continue;
        };
        so_far.push(name);
        let next = match openat2(base, &so_far, flags, Mode::empty(), resolve) {
            Err(rustix::io::Errno::NOENT) => {
                if statat(&current, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_err() {
                    mkdirat(&current, name, mode)?;
                }
                openat2(base, &so_far, flags, Mode::empty(), resolve)?
            }
            opened => opened?,
        };
        current = next;
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
