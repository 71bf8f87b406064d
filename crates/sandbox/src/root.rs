//! A container's root file system: built by descriptors, entered, and nothing else reachable.
//!
//! Nothing here resolves a path below the new root with an ordinary path call: an image or a
//! volume could have put a symbolic link there. Every target is opened with openat2(2) confined to
//! the root.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{
    MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags, mount_change, move_mount,
    unmount,
};
use rustix::process::{fchdir, pivot_root};

use crate::host_mounts;
use crate::mount_sources;
use crate::mounts;
use crate::overlay::{self, Overlay};
use crate::plan::{ContainerPlan, PidSharing, PodSandboxPlan, RootPlan};
use crate::stage::report::StageError;
use crate::standard_mounts;
use crate::sys::mount_attributes::{self, Attributes};
use crate::user_namespace::{self, IdMap};

/// capability.h
const SYS_ADMIN: u64 = 1 << 21;

/// A root that is built and not entered yet.
#[derive(Debug)]
pub(crate) struct BuiltRoot {
    root: OwnedFd,
    null: OwnedFd,
    readonly: bool,
}

/// Builds the container's root in this process's mount namespace.
pub(crate) fn build(
    plan: &ContainerPlan,
    pod: &PodSandboxPlan,
    ids: Option<IdMap<'_>>,
) -> Result<BuiltRoot, StageError> {
    separate_mounts()?;
    refuse_digging(plan)?;
    // Sources are opened before anything is mounted that could hide them.
    let sources = mount_sources::open_all(&plan.mounts, ids)?;
    let cgroups = mount_sources::open_all(&plan.cgroup_mounts, None)?;
    let shm = mount_sources::clone_tree(&pod.shm_dir, false)
        .map_err(|error| StageError::prepare("cannot open the pod's shared memory", error))?;
    let processes = (pod.pid == PidSharing::Pod)
        .then(|| mount_sources::clone_tree(&pod.proc_dir, false))
        .transpose()
        .map_err(|error| StageError::prepare("cannot open the pod's /proc", error))?;
    let root = mount_overlay(&plan.root, ids)?;
    let range = ids.map(|ids| ids.range);
    // Directories that are made here belong to the container's root.
    let null = user_namespace::with_files_of_root(range, || {
        volumes_of_image(&root, &plan.root)?;
        standard_mounts::mount_all(&root, plan, (processes, shm, range))?;
        let null = standard_mounts::null_device(&root)?; // before a volume could hide it
        mounts::attach_all(&root, &plan.cgroup_mounts, &cgroups)?;
        standard_mounts::name_cgroups(&root, &plan.cgroup_mounts)?;
        if !plan.privileged_mounts {
            standard_mounts::protect_cgroups(&root)?;
        }
        mounts::attach_all(&root, &plan.mounts, &sources)?;
        // What keeps it from being made keeps the process from entering it, and is told then.
        let _ = mounts::directory(&root, &plan.process.cwd);
        Ok(null)
    })?;
    standard_mounts::mask(&root, &plan.masked_paths, &null)?;
    standard_mounts::protect(&root, &plan.readonly_paths)?;
    Ok(BuiltRoot { root, null, readonly: plan.root.readonly })
}

impl BuiltRoot {
    /// Opens the container's null device, also when a volume hides it.
    pub(crate) fn open_null(&self) -> Result<OwnedFd, StageError> {
        let path = format!("/proc/self/fd/{}", self.null.as_raw_fd());
        open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| StageError::prepare("cannot open the null device", error))
    }

    /// Makes it the root of this process; the old root is gone afterwards.
    pub(crate) fn enter(self) -> Result<(), StageError> {
        if self.readonly {
            let attributes = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
            mount_attributes::change(self.root.as_fd(), attributes)
                .map_err(|error| StageError::prepare("cannot make the root read-only", error))?;
        }
        enter(&self.root).map_err(|error| StageError::prepare("cannot enter the root", error))
    }
}

/// Makes an empty directory that cannot be written the root of this process, which has a mount
/// namespace of its own.
pub(crate) fn enter_empty() -> Result<(), StageError> {
    separate_mounts()?;
    let failed = |error: io::Error| StageError::prepare("cannot enter an empty root", error);
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let root = mounts::new_filesystem("tmpfs", &[("size", "4k")], attributes).map_err(failed)?;
    mounts::attach(root.as_fd(), CWD, Path::new("/")).map_err(failed)?;
    enter(&root).map_err(|error| failed(error.into()))
}

/// Makes a mounted directory the root of this process. The old root is put on top of it and taken
/// away at once (`pivot_root(2)`, "`pivot_root(".", ".")`"), so no directory is needed for it.
fn enter(root: &OwnedFd) -> rustix::io::Result<()> {
    fchdir(root)?;
    match pivot_root(".", ".") {
        Ok(()) => {
            unmount(".", UnmountFlags::DETACH)?;
            rustix::process::chdir("/")
        }
        Err(Errno::INVAL) => cover(root),
        Err(error) => Err(error),
    }
}

/// Covers the old root where it cannot be taken away, because it is the initial RAM file system
/// (`pivot_root(2)`, EINVAL): the new one is moved over it, as `switch_root(8)` does. Nothing leads
/// below it: `..` and the root of the namespace both end at what is on top. What else was mounted
/// goes before that, so that nothing but the empty-handed initial root is left underneath.
fn cover(root: &OwnedFd) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let old = open("/", flags, Mode::empty())?;
    let below = host_mounts::below_initial_root().ok_or(Errno::INVAL)?;
    match move_mount(root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH) {
        Ok(()) | Err(Errno::LOOP) => {} // it is there already
        Err(error) => return Err(error),
    }
    fchdir(&old)?;
    for place in below {
        match unmount(&place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // One that was below another, or that has just been moved.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    fchdir(root)?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")
}

/// Who may unmount could take the root away that covers the initial one, and enter the mount namespace
/// anew (setns(2)), whose root is the machine's then.
fn refuse_digging(plan: &ContainerPlan) -> Result<(), StageError> {
    let may_unmount = plan.process.capabilities.bounding & SYS_ADMIN != 0;
    if plan.privileged_mounts || !may_unmount || host_mounts::below_initial_root().is_none() {
        return Ok(());
    }
    Err(StageError::configure(
        "the capability SYS_ADMIN needs pivot_root(2), which the root of this machine, the initial \
         RAM file system, does not have; start the machine from another root (switch_root(8))",
        Errno::INVAL,
    ))
}

/// What is mounted here from now on stays here.
pub(crate) fn separate_mounts() -> Result<(), StageError> {
    let down = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", down)
        .map_err(|error| StageError::prepare("cannot separate the mounts", error))
}

/// Mounts the image's layers with a writable one on top and returns the root directory.
fn mount_overlay(plan: &RootPlan, ids: Option<IdMap<'_>>) -> Result<OwnedFd, StageError> {
    let failed = |error: io::Error| {
        let unfit = overlay::unfit_for_writing(&plan.writable).filter(|_| is_refusal(&error));
        let why = unfit.map_or_else(String::new, |kind| format!(" ({kind})"));
        StageError::prepare(format!("cannot mount the root{why}"), error)
    };
    let place = |name: &str| plan.writable.join(name);
    for name in ["upper", "work"] {
        match fs::create_dir(place(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
    }
    // Nobody but this process sees what is mounted there, so it can be on top of its own parts.
    let (upper, work, root) = (place("upper"), place("work"), plan.writable.clone());
    let first = ids.as_ref().map_or(0, |IdMap { range, .. }| range.first);
    dress_root(&upper, plan.layers.last(), first).map_err(failed)?;
    let layers = place("layers");
    let mapped = ids.map(|ids| (ids, layers.as_path()));
    let overlay = Overlay::open(&plan.layers, Some((&upper, &work)), mapped).map_err(failed)?;
    let mount = overlay.mount(&root).map_err(failed)?;
    if plan.nodev {
        let attributes = Attributes { set: libc::MOUNT_ATTR_NODEV, ..Attributes::default() };
        mount_attributes::change(mount.as_fd(), attributes).map_err(failed)?;
    }
    mounts::attach(mount.as_fd(), CWD, &root).map_err(failed)?;
    open(&root, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| failed(error.into()))
}

/// Makes the image's volumes. In a read-only root each is one more mount of the same directory, which
/// stays writable: what is written goes to the container's own layer, and is gone with it.
fn volumes_of_image(root: &OwnedFd, plan: &RootPlan) -> Result<(), StageError> {
    for path in &plan.volumes {
        let failed = |error: io::Error| {
            StageError::prepare(format!("cannot make the image's volume {path}"), error)
        };
        let directory = mounts::directory(root, path).map_err(failed)?;
        if plan.readonly && !mounts::is_same_file(root, &directory).map_err(failed)? {
            let volume = mount_sources::clone_open(directory.as_fd(), false).map_err(failed)?;
            mounts::attach_to(volume.mount.as_fd(), directory.as_fd()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Whether overlayfs does not take the directories.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}

/// Gives the writable layer the owner and the mode of the image's root, as its root is the one
/// that is seen (kernel documentation, overlayfs.rst "Merged directories").
fn dress_root(upper: &Path, top: Option<&PathBuf>, first: u32) -> io::Result<()> {
    let image = top.map(fs::metadata).transpose()?;
    let (uid, gid) = image.as_ref().map_or((0, 0), |root| (root.uid(), root.gid()));
    chown(upper, Some(first.saturating_add(uid)), Some(first.saturating_add(gid)))?;
    let mode = image.map_or(0o755, |root| root.mode() & 0o7777);
    fs::set_permissions(upper, fs::Permissions::from_mode(mode))
}
