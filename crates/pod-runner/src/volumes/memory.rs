//! What a pod keeps in memory: volumes with `medium: Memory`, secrets, `/dev/shm`, network files.
//!
//! The mounts are in the supervisor's own mount namespace, so that they are gone with it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};
use sandbox::{PidSharing, PodSandboxPlan, Sharing};

use crate::plan::PlanInput;

/// How memory is mounted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) mode: u32,
    /// In bytes; the kernel's default is half of the machine's memory.
    pub(super) size: Option<u64>,
    pub(super) attributes: MountAttrFlags,
}

/// Mounts memory at a directory, unless there is a mount already: what is in it must survive a
/// new sandbox. Whether it was mounted now.
pub(super) fn mount(path: &Path, memory: Memory) -> io::Result<bool> {
    fs::create_dir_all(path)?;
    if is_mounted(path)? {
        return Ok(false);
    }
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "mode", format!("{:o}", memory.mode))?;
    if let Some(size) = memory.size {
        fsconfig_set_string(&context, "size", size.to_string())?;
    }
    let _ = fsconfig_set_flag(&context, "noswap"); // since Linux 6.4
    fsconfig_create(&context)?;
    let mounted = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, memory.attributes)?;
    move_mount(&mounted, "", rustix::fs::CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    Ok(true)
}

fn is_mounted(path: &Path) -> io::Result<bool> {
    let above = path.parent().unwrap_or(path);
    Ok(fs::symlink_metadata(path)?.dev() != fs::symlink_metadata(above)?.dev())
}

/// Takes the memory away; containers that still use theirs keep it.
pub(super) fn unmount_at(path: &Path) {
    let _ = unmount(path, UnmountFlags::DETACH); // it may never have been mounted
}

/// Mounts the pod's `/dev/shm`, which all its containers share.
pub(crate) fn set_up_shared_memory(input: &PlanInput<'_>, plan: &PodSandboxPlan) -> io::Result<()> {
    if plan.ipc == Sharing::Host {
        return Ok(());
    }
    unmount_at(&input.dir.shared_memory());
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let memory = Memory { mode: 0o1777, size: Some(plan.shm_size), attributes };
    mount(&plan.shm_dir, memory).map(drop)
}

/// Mounts the place of the pod's `hosts`, `resolv.conf` and `hostname`, which containers can write:
/// there is room for so much, and the machine's own memory for nothing.
pub(crate) fn set_up_network_files(input: &PlanInput<'_>, size: u64) -> io::Result<()> {
    let path = input.dir.network_files();
    unmount_at(&path); // an earlier sandbox's, with what was written to it
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount(&path, Memory { mode: 0o755, size: Some(size), attributes }).map(drop)
}

/// Makes the directory where the `/proc` of a shared process namespace is mounted. What an earlier
/// sandbox mounted there goes.
pub(crate) fn set_up_processes(input: &PlanInput<'_>, plan: &PodSandboxPlan) -> io::Result<()> {
    if plan.pid != PidSharing::Pod {
        return Ok(());
    }
    unmount_at(&input.dir.processes());
    fs::create_dir_all(&plan.proc_dir)
}

/// Unmounts what the pod's containers share; those that still use theirs keep it.
pub(crate) fn take_down_shared(input: &PlanInput<'_>) {
    unmount_at(&input.dir.shared_memory());
    unmount_at(&input.dir.processes());
}
