//! A container's root file system: built by descriptors, entered, and nothing else reachable.
//!
//! Nothing here resolves a path below the new root with an ordinary path call: an image or a
//! volume could have put a symbolic link there. Every target is opened with openat2(2) confined to
//! the root.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    mount, mount_change, unmount,
};
use rustix::process::{fchdir, pivot_root};

use crate::mounts;
use crate::plan::{ContainerPlan, RootPlan};
use crate::stage::report::StageError;
use crate::standard_mounts;
use crate::sys::mount_attributes::{self, Attributes};

/// A root that is built and not entered yet.
#[derive(Debug)]
pub(crate) struct BuiltRoot {
    root: OwnedFd,
    readonly: bool,
}

/// Builds the container's root in this process's mount namespace.
pub(crate) fn build(plan: &ContainerPlan, shm_dir: &Path) -> Result<BuiltRoot, StageError> {
    separate_mounts()?;
    // Sources are opened before anything is mounted that could hide them.
    let sources = mounts::open_sources(&plan.mounts)?;
    let cgroups = mounts::open_sources(&plan.cgroup_mounts)?;
    let shm = mounts::clone_tree(shm_dir, false)
        .map_err(|error| StageError::prepare("cannot open the pod's shared memory", error))?;
    let root = mount_overlay(&plan.root)?;
    standard_mounts::mount_all(&root, plan, shm)?;
    mounts::attach_all(&root, &plan.cgroup_mounts, cgroups)?;
    if !plan.privileged_mounts {
        standard_mounts::protect_cgroups(&root)?;
    }
    mounts::attach_all(&root, &plan.mounts, sources)?;
    standard_mounts::mask(&root, &plan.masked_paths)?;
    standard_mounts::protect(&root, &plan.readonly_paths)?;
    Ok(BuiltRoot { root, readonly: plan.root.readonly })
}

impl BuiltRoot {
    /// Makes it the root of this process; the old root is gone afterwards.
    pub(crate) fn enter(self) -> Result<(), StageError> {
        if self.readonly {
            let attributes = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
            mount_attributes::change(self.root.as_fd(), attributes)
                .map_err(|error| StageError::prepare("cannot make the root read-only", error))?;
        }
        let failed = |error: rustix::io::Errno| StageError::prepare("cannot enter the root", error);
        // The old root is put on top of the new one and taken away at once (pivot_root(2),
        // "pivot_root(".", ".")"), so no directory is needed for it.
        fchdir(&self.root).map_err(failed)?;
        pivot_root(".", ".").map_err(failed)?;
        unmount(".", UnmountFlags::DETACH).map_err(failed)?;
        rustix::process::chdir("/").map_err(failed)
    }
}

/// What is mounted here from now on stays here.
fn separate_mounts() -> Result<(), StageError> {
    let down = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", down)
        .map_err(|error| StageError::prepare("cannot separate the mounts", error))
}

/// Mounts the image's layers with a writable one on top and returns the root directory.
fn mount_overlay(plan: &RootPlan) -> Result<OwnedFd, StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot mount the root", error);
    for name in ["upper", "work", "root"] {
        match fs::create_dir(plan.writable.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
    }
    let parts = OverlayParts::open(plan).map_err(failed)?;
    let target = plan.writable.join("root");
    match parts.mount_by_descriptor() {
        Ok(overlay) => mounts::attach(overlay.as_fd(), CWD, &target).map_err(failed)?,
        // Before Linux 6.13 overlayfs takes no descriptors.
        Err(_) => parts.mount_by_path(&target).map_err(failed)?,
    }
    open(&target, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| failed(error.into()))
}

/// The directories of an overlay, open, so that their number and the length of their paths do not
/// matter.
struct OverlayParts {
    layers: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
}

/// How minipod uses overlayfs: the upper layer need not survive a crash (`volatile`), and an image
/// must not steer it through extended attributes.
const OPTIONS: [(&str, &str); 3] =
    [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off")];

impl OverlayParts {
    fn open(plan: &RootPlan) -> io::Result<Self> {
        let directory = |path: &Path| -> io::Result<OwnedFd> {
            let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
            let opened = open(path, flags, Mode::empty())?;
            Ok(opened)
        };
        Ok(Self {
            layers: plan.layers.iter().map(|path| directory(path)).collect::<Result<_, _>>()?,
            upper: directory(&plan.writable.join("upper"))?,
            work: directory(&plan.writable.join("work"))?,
        })
    }

    fn mount_by_descriptor(&self) -> io::Result<OwnedFd> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for layer in self.layers.iter().rev() {
            fsconfig_set_fd(&context, "lowerdir+", layer)?;
        }
        fsconfig_set_fd(&context, "upperdir", &self.upper)?;
        fsconfig_set_fd(&context, "workdir", &self.work)?;
        for (key, value) in OPTIONS {
            fsconfig_set_string(&context, key, value)?;
        }
        fsconfig_set_flag(&context, "volatile")?;
        fsconfig_create(&context)?;
        Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
    }

    fn mount_by_path(&self, target: &Path) -> io::Result<()> {
        let path = |file: &OwnedFd| format!("/proc/self/fd/{}", file.as_raw_fd());
        let layers: Vec<String> = self.layers.iter().rev().map(path).collect();
        let mut options = format!(
            "lowerdir={},upperdir={},workdir={},volatile",
            layers.join(":"),
            path(&self.upper),
            path(&self.work)
        );
        for (key, value) in OPTIONS {
            options.push_str(&format!(",{key}={value}"));
        }
        let options = std::ffi::CString::new(options)?;
        Ok(mount("overlay", target, "overlay", MountFlags::empty(), options.as_c_str())?)
    }
}
