//! Owner, mode, attributes and times of what was unpacked.
//!
//! The order matters: chown clears set-user-id bits and file capabilities (chown(2)), so it comes
//! first, then the mode, then the attributes, and the times last.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{
    self, AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::entry::Metadata;
use super::header::Time;
use super::rule::Rule;
use super::tree::WalkError;

/// `XATTR_SIZE_MAX` of the kernel.
const XATTR_LIMIT: usize = 65536;

/// More is not told of a layer.
const SKIPPED_LIMIT: usize = 100;
/// `XATTR_NAME_MAX`: whatever is longer is no name, and not told as a whole.
const XATTR_NAME_LIMIT: usize = 255;

/// What was left out, to be told once per layer.
#[derive(Debug, Default)]
pub(crate) struct Skipped(BTreeSet<String>);

impl Skipped {
    pub(crate) fn note(&mut self, what: &str) {
        if self.0.len() < SKIPPED_LIMIT {
            self.0.insert(what.to_owned());
        } else if !self.0.contains(what) {
            self.0.insert("more of the kind".to_owned());
        }
    }

    fn note_xattr(&mut self, name: &str, why: &str) {
        let name: String = name.chars().take(XATTR_NAME_LIMIT).collect();
        self.note(&format!("extended attribute {}{why}", name.escape_debug()));
    }

    pub(crate) fn into_reasons(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}

/// Applies everything to an open file or directory.
pub(crate) fn apply(
    file: &OwnedFd,
    metadata: &Metadata,
    skipped: &mut Skipped,
) -> Result<(), WalkError> {
    apply_to_new(file, metadata, New::default(), skipped)
}

/// What a new file has without being told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct New {
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
}

impl New {
    /// What this process gives to a file that it makes in a directory of its own with that mode.
    pub(crate) fn made_by(process: Maker, mode: u32) -> Self {
        Self { owner: Some(process.owner), mode: Some(mode & !process.umask) }
    }
}

/// This process, as far as new files depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maker {
    owner: (u32, u32),
    umask: u32,
}

impl Maker {
    /// Looks it up; if the umask is unknown, every mode is set.
    pub(crate) fn this_process() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        let umask = line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { owner, umask: umask.unwrap_or(0o7777) }
    }
}

/// Applies everything that a new file does not have already: most belong to root and have a mode
/// that no umask changes, and two calls less per file is a tenth of the time for small ones.
pub(crate) fn apply_to_new(
    file: &OwnedFd,
    metadata: &Metadata,
    new: New,
    skipped: &mut Skipped,
) -> Result<(), WalkError> {
    if new.owner != Some((metadata.uid, metadata.gid)) {
        let (uid, gid) = owner(metadata);
        fs::fchown(file, uid, gid).map_err(WalkError::system("change the owner of"))?;
    }
    // Special bits are not given at creation, and changing the owner may take them away.
    if new.mode != Some(metadata.mode) || metadata.mode > 0o777 {
        fs::fchmod(file, Mode::from_raw_mode(metadata.mode))
            .map_err(WalkError::system("change the mode of"))?;
    }
    apply_xattrs(file, &metadata.xattrs, skipped)?;
    set_times(file, metadata.modified)
}

/// Sets the time of an open file or directory.
pub(crate) fn set_times(file: &OwnedFd, modified: Time) -> Result<(), WalkError> {
    fs::futimens(file, &times(modified)).map_err(WalkError::system("set the times of"))
}

/// When something was last changed.
pub(crate) fn modified(stat: &Stat) -> Time {
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    Time { seconds: stat.st_mtime, nanoseconds }
}

/// Applies everything by name, to what cannot be opened: devices and FIFOs.
pub(crate) fn apply_to_node(
    (directory, name): (&OwnedFd, &[u8]),
    metadata: &Metadata,
    skipped: &mut Skipped,
) -> Result<(), WalkError> {
    let (uid, gid) = owner(metadata);
    fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(WalkError::system("change the owner of"))?;
    // Just created by us under this name with O_EXCL semantics, so it is no link.
    fs::chmodat(directory, name, Mode::from_raw_mode(metadata.mode), AtFlags::empty())
        .map_err(WalkError::system("change the mode of"))?;
    apply_xattrs_at((directory, name), &metadata.xattrs, skipped)?;
    set_times_at(directory, name, metadata.modified)
}

/// Applies owner, attributes and times to a symbolic link; links have no mode.
pub(crate) fn apply_to_symlink(
    (directory, name): (&OwnedFd, &[u8]),
    metadata: &Metadata,
    skipped: &mut Skipped,
) -> Result<(), WalkError> {
    let (uid, gid) = owner(metadata);
    fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(WalkError::system("change the owner of"))?;
    apply_xattrs_at((directory, name), &metadata.xattrs, skipped)?;
    set_times_at(directory, name, metadata.modified)
}

fn set_times_at(directory: &OwnedFd, name: &[u8], time: Time) -> Result<(), WalkError> {
    fs::utimensat(directory, name, &times(time), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(WalkError::system("set the times of"))
}

fn owner(metadata: &Metadata) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(metadata.uid)), Some(Gid::from_raw(metadata.gid)))
}

fn times(modified: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: modified.seconds,
            tv_nsec: modified.nanoseconds.into(),
        },
    }
}

fn apply_xattrs(
    file: &OwnedFd,
    xattrs: &[(String, Vec<u8>)],
    skipped: &mut Skipped,
) -> Result<(), WalkError> {
    apply_xattrs_by(xattrs, skipped, |name, value| {
        fs::fsetxattr(file, name, value, XattrFlags::empty())
    })
}

/// For what cannot be opened.
fn apply_xattrs_at(
    (directory, name): (&OwnedFd, &[u8]),
    xattrs: &[(String, Vec<u8>)],
    skipped: &mut Skipped,
) -> Result<(), WalkError> {
    if xattrs.is_empty() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = fs::openat(directory, name, flags, Mode::empty())
        .map_err(WalkError::system("set an extended attribute of"))?;
    apply_xattrs_by(xattrs, skipped, |name, value| {
        // Those of users are for files and directories (xattr(7)).
        if name.starts_with("user.") {
            return Err(Errno::OPNOTSUPP);
        }
        fs::setxattr(itself(&node), name, value, XattrFlags::empty())
    })
}

/// A path that leads to the open object itself, even to a link: with it attributes can be seen and
/// set through a descriptor that was opened with `O_PATH`, which `fsetxattr` does not take.
pub(crate) fn itself(object: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", object.as_raw_fd())
}

fn apply_xattrs_by(
    xattrs: &[(String, Vec<u8>)],
    skipped: &mut Skipped,
    set: impl Fn(&str, &[u8]) -> Result<(), Errno>,
) -> Result<(), WalkError> {
    for (name, value) in xattrs {
        if !is_allowed(name) || value.len() > XATTR_LIMIT {
            skipped.note_xattr(name, "");
            continue;
        }
        if name == "security.capability" && !is_capability(value) {
            return Err(WalkError::Refused(Rule::Capability));
        }
        match set(name, value) {
            Ok(()) => {}
            // It cannot be held here: the image works without it, except capabilities.
            Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::TOOBIG)
                if !name.starts_with("security.") =>
            {
                skipped.note_xattr(name, " (not supported here)");
            }
            Err(errno) => return Err(WalkError::system("set an extended attribute of")(errno)),
        }
    }
    Ok(())
}

/// What an archive may set. `trusted.overlay.*` and `user.overlay.*` would steer overlayfs,
/// security labels belong to the host's policy.
fn is_allowed(name: &str) -> bool {
    match name {
        "security.capability" => true,
        "system.posix_acl_access" | "system.posix_acl_default" => true,
        _ => name.starts_with("user.") && !name.starts_with("user.overlay."),
    }
}

/// `struct vfs_cap_data` versions 2 (20 bytes) and 3 (24 bytes): capabilities(7). Version 3 counts in
/// the user namespace whose root has the id in it, and means nothing elsewhere.
fn is_capability(value: &[u8]) -> bool {
    let revision = value.get(3).copied();
    matches!((revision, value.len()), (Some(2), 20) | (Some(3), 24))
}
