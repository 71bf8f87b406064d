//! Layers as one tree (overlayfs, kernel documentation `filesystems/overlayfs.rst`).

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, unmount,
};

use crate::mount_sources;
use crate::mounts;
use crate::user_namespace::IdMap;

/// The directories of an overlay, open, so that their number and the length of their paths do not
/// matter.
pub(crate) struct Overlay {
    /// The lowest first.
    layers: Vec<OwnedFd>,
    /// What is written goes to the first; the second is overlayfs' own.
    writable: Option<(OwnedFd, OwnedFd)>,
}

/// An image must not steer overlayfs through extended attributes.
const OPTIONS: [(&str, &str); 3] =
    [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off")];

impl Overlay {
    /// Opens the directories. With ids to map, each layer is mounted once more below the scratch
    /// directory, with its owners mapped.
    pub(crate) fn open(
        layers: &[impl AsRef<Path>],
        writable: Option<(&Path, &Path)>,
        ids: Option<(IdMap<'_>, &Path)>,
    ) -> io::Result<Self> {
        let layer = |(at, path): (usize, &_)| match ids {
            None => open_directory(AsRef::as_ref(path)),
            Some((ids, scratch)) => {
                mapped_layer(AsRef::as_ref(path), ids, &scratch.join(at.to_string()))
            }
        };
        let pair = |(upper, work): (&Path, &Path)| -> io::Result<_> {
            Ok((open_directory(upper)?, open_directory(work)?))
        };
        Ok(Self {
            layers: layers.iter().enumerate().map(layer).collect::<io::Result<_>>()?,
            writable: writable.map(pair).transpose()?,
        })
    }

    /// Mounts it, detached. The place is where it is mounted for a moment on kernels that cannot
    /// do without.
    pub(crate) fn mount(&self, place: &Path) -> io::Result<OwnedFd> {
        // Before Linux 6.13 overlayfs takes no descriptors.
        self.mount_by_descriptor().or_else(|_| self.mount_by_path(place))
    }

    fn mount_by_descriptor(&self) -> io::Result<OwnedFd> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for layer in self.layers.iter().rev() {
            fsconfig_set_fd(&context, "lowerdir+", layer)?;
        }
        for (key, value) in OPTIONS {
            fsconfig_set_string(&context, key, value)?;
        }
        if let Some((upper, work)) = &self.writable {
            fsconfig_set_fd(&context, "upperdir", upper)?;
            fsconfig_set_fd(&context, "workdir", work)?;
            fsconfig_set_flag(&context, "volatile")?; // the upper layer need not survive a crash
        }
        fsconfig_create(&context)?;
        Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
    }

    fn mount_by_path(&self, place: &Path) -> io::Result<OwnedFd> {
        let path = |file: &OwnedFd| format!("/proc/self/fd/{}", file.as_raw_fd());
        let layers: Vec<String> = self.layers.iter().rev().map(path).collect();
        let mut options = format!("lowerdir={}", layers.join(":"));
        if let Some((upper, work)) = &self.writable {
            let (upper, work) = (path(upper), path(work));
            options.push_str(&format!(",upperdir={upper},workdir={work},volatile"));
        }
        for (key, value) in OPTIONS {
            options.push_str(&format!(",{key}={value}"));
        }
        let options = CString::new(options)?;
        mount("overlay", place, "overlay", MountFlags::empty(), options.as_c_str())?;
        let clone = mount_sources::clone_tree(place, false)?;
        unmount(place, UnmountFlags::DETACH)?;
        Ok(clone.mount)
    }
}

/// Why overlayfs cannot write to a directory, and the way out, by the kind of its file system
/// (kernel documentation, overlayfs.rst "Upper and Lower").
pub(crate) fn unfit_for_writing(directory: &Path) -> Option<String> {
    let kind = match rustix::fs::statfs(directory).ok()?.f_type {
        libc::OVERLAYFS_SUPER_MAGIC => "overlayfs, as the files of a container are",
        libc::NFS_SUPER_MAGIC => "NFS",
        libc::SMB_SUPER_MAGIC => "SMB",
        libc::FUSE_SUPER_MAGIC => "FUSE",
        _ => return None,
    };
    Some(format!(
        "{} is on {kind}, where nothing can be written through overlayfs: --data-dir, or \
         MINIPOD_DATA_DIR, with a directory on a volume, a disk or a tmpfs",
        directory.display()
    ))
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

fn mapped_layer(path: &Path, ids: IdMap<'_>, place: &Path) -> io::Result<OwnedFd> {
    fs::create_dir_all(place)?;
    let layer = mount_sources::clone_tree(path, false)?;
    ids.apply_to(layer.mount.as_fd())?;
    mounts::attach(layer.mount.as_fd(), CWD, place)?;
    open_directory(place)
}
