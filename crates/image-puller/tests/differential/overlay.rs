//! Layers as a container sees them: stacked by overlayfs, mounted nowhere.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd,
    fsconfig_set_string, fsmount, fsopen,
};

/// A mount that goes when its descriptor does.
#[derive(Debug)]
pub(crate) struct Overlay(OwnedFd);

impl Overlay {
    /// Stacks directories, bottom to top, with the options of containers; `scratch` is empty.
    pub(crate) fn mount(layers: &[PathBuf], scratch: &Path) -> Self {
        // Overlayfs wants at least two, or one to write to.
        let bottom = scratch.join("bottom");
        fs::create_dir(&bottom).expect("the place is empty");
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).expect("root may mount");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let bottom = Some(&bottom).filter(|_| layers.len() == 1);
        for layer in layers.iter().rev().chain(bottom) {
            let layer = open(layer, flags, Mode::empty()).expect("the layer is there");
            fsconfig_set_fd(&context, "lowerdir+", &layer).expect("up to 500 can be stacked");
        }
        for (key, value) in [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off")] {
            fsconfig_set_string(&context, key, value).expect("overlayfs knows it");
        }
        fsconfig_create(&context).expect("the layers can be stacked");
        let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
        Self(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, read_only).expect("it is stacked"))
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}
