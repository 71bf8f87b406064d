//! Where mounts come from: opened once, checked on the descriptor, cloned before the root changes.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, open, openat,
    statat,
};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::host_mounts;
use crate::mounts::{self, Detached};
use crate::overlay::Overlay;
use crate::plan::{MountPlan, MountSource, PathKind, Propagation, SubPath};
use crate::stage::report::StageError;
use crate::user_namespace::IdMap;

/// Opens the sources of the mounts, in their order. With ids to map, what root owns outside
/// belongs to the container's root in the mount.
pub(crate) fn open_all(
    plans: &[MountPlan],
    ids: Option<IdMap<'_>>,
) -> Result<Vec<Detached>, StageError> {
    plans.iter().map(|plan| open_one(plan, ids)).collect()
}

fn open_one(plan: &MountPlan, ids: Option<IdMap<'_>>) -> Result<Detached, StageError> {
    let failed = |error: io::Error| cannot_open(plan, error);
    let detached = match &plan.source {
        MountSource::Tmpfs { size, mode } => return new_tmpfs(*size, *mode).map_err(failed),
        MountSource::Image { layers, scratch, sub_path } => {
            return open_image(layers, scratch, sub_path.as_ref(), ids);
        }
        MountSource::Bind { path, kind, sub_path } => {
            let open = || open_bind(plan, (path, *kind), sub_path.as_ref());
            if plan.options.propagation == Propagation::Bidirectional {
                host_mounts::visit(|| host_mounts::require_shared(path).and_then(|()| open()))?
            } else {
                open()?
            }
        }
    };
    map_ids(&detached, ids).map_err(|error| cannot_map(plan, error))?;
    Ok(detached)
}

fn open_bind(
    plan: &MountPlan,
    (path, kind): (&Path, PathKind),
    sub_path: Option<&SubPath>,
) -> Result<Detached, StageError> {
    let source = open_checked(path, kind)?;
    let source = match sub_path {
        None => source,
        Some(below) => open_or_make(&source, below)?,
    };
    clone_open(source.as_fd(), true).map_err(|error| cannot_open(plan, error))
}

fn cannot_open(plan: &MountPlan, error: io::Error) -> StageError {
    StageError::prepare(format!("cannot open the source of {plan}"), error)
}

fn cannot_map(plan: &MountPlan, error: io::Error) -> StageError {
    let text = format!("cannot map the user ids of {plan} (its file system may not allow it)");
    StageError::prepare(text, error)
}

fn map_ids(detached: &Detached, ids: Option<IdMap<'_>>) -> io::Result<()> {
    ids.map_or(Ok(()), |ids| ids.apply_to(detached.mount.as_fd()))
}

/// Opens a path of the host. What is mounted is the very file whose kind is checked here.
fn open_checked(path: &Path, kind: PathKind) -> Result<OwnedFd, StageError> {
    let opened = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| fstat(&file).map(|status| (file, status.st_mode)));
    let (file, mode) = opened
        .map_err(|error| StageError::prepare(format!("cannot open {}", path.display()), error))?;
    if kind.is(mode) {
        return Ok(file);
    }
    let text = format!("hostPath type check failed: {} is not {kind}", path.display());
    Err(StageError::configure(text, io::Error::from_raw_os_error(libc::EINVAL)))
}

fn new_tmpfs(size: Option<u64>, mode: u32) -> io::Result<Detached> {
    let (size, mode) = (size.map(|size| size.to_string()), format!("{mode:o}"));
    let mut options = vec![("mode", mode.as_str())];
    options.extend(size.as_deref().map(|size| ("size", size)));
    let mount = mounts::new_filesystem("tmpfs", &options, rustix::mount::MountAttrFlags::empty())?;
    Ok(Detached { mount, is_directory: true })
}

/// The tree at a path of the host, once more and detached (`open_tree(2)`).
pub(crate) fn clone_tree(path: &Path, recursive: bool) -> io::Result<Detached> {
    let source = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    clone_open(source.as_fd(), recursive)
}

/// The tree that a descriptor refers to, once more and detached.
pub(crate) fn clone_open(source: BorrowedFd<'_>, recursive: bool) -> io::Result<Detached> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let mount = open_tree(source, "", flags)?;
    let kind = FileType::from_raw_mode(fstat(&mount)?.st_mode);
    Ok(Detached { mount, is_directory: kind == FileType::Directory })
}

/// An image as a volume: its layers under an empty one.
fn open_image(
    layers: &[PathBuf],
    scratch: &Path,
    sub_path: Option<&SubPath>,
    ids: Option<IdMap<'_>>,
) -> Result<Detached, StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot mount an image volume", error);
    let place = |name: &str| -> io::Result<PathBuf> {
        let path = scratch.join(name);
        fs::create_dir_all(&path).map(|()| path)
    };
    let (empty, root) = (place("empty").map_err(failed)?, place("root").map_err(failed)?);
    let mut all: Vec<PathBuf> = layers.to_vec();
    all.push(empty);
    let overlay = Overlay::open(&all, None, ids.map(|ids| (ids, scratch))).map_err(failed)?;
    let mount = overlay.mount(&root).map_err(failed)?;
    let Some(below) = sub_path else {
        return Ok(Detached { mount, is_directory: true });
    };
    // Part of a mount can only be cloned where the mount is attached (before Linux 6.15).
    mounts::attach(mount.as_fd(), CWD, &root).map_err(failed)?;
    let volume = open(&root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| failed(error.into()))?;
    let part = open_below(&volume, &below.path).map_err(|error| unusable(below, error))?;
    clone_open(part.as_fd(), false).map_err(failed)
}

const CONFINED: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// Opens a path below a volume that cannot lead out of it.
fn open_below(volume: &OwnedFd, below: &Path) -> rustix::io::Result<OwnedFd> {
    confined::open(volume, below, OFlags::PATH | OFlags::CLOEXEC, CONFINED)
}

/// The same, with what is missing made: directories with the mode of the volume itself.
fn open_or_make(volume: &OwnedFd, below: &SubPath) -> Result<OwnedFd, StageError> {
    match open_below(volume, &below.path) {
        Err(Errno::NOENT) => {}
        opened => return opened.map_err(|error| unusable(below, error)),
    }
    let made = fstat(volume)
        .map_err(io::Error::from)
        .and_then(|status| make_below(volume, &below.path, Mode::from_raw_mode(status.st_mode)));
    made.map_err(|error| {
        let text = format!("failed to create subPath directory for {}", below.owner);
        StageError::configure(text, error)
    })?;
    open_below(volume, &below.path).map_err(|error| unusable(below, error))
}

fn unusable(below: &SubPath, error: impl Into<io::Error>) -> StageError {
    StageError::configure(format!("failed to prepare subPath for {}", below.owner), error)
}

/// Makes each missing directory on the way, one component at a time.
fn make_below(volume: &OwnedFd, path: &Path, mode: Mode) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut current = openat(volume, ".", flags, Mode::empty())?;
    let mut so_far = PathBuf::new();
    for component in path.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        so_far.push(name);
        current = match confined::open(volume, &so_far, flags, CONFINED) {
            Err(Errno::NOENT) if statat(&current, name, AtFlags::SYMLINK_NOFOLLOW).is_err() => {
                mkdirat(&current, name, mode)?;
                let made = openat(&current, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
                fchmod(&made, mode)?; // the umask took some of it
                made
            }
            opened => opened?,
        };
    }
    Ok(())
}
