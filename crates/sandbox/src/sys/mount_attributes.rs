//! Attributes of a mount that exists (`mount_setattr(2)`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::plan::Propagation;

/// What to change about a mount.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attributes<'a> {
    /// `MOUNT_ATTR_…` flags to set.
    pub(crate) set: u64,
    /// `MOUNT_ATTR_…` flags to clear.
    pub(crate) clear: u64,
    /// A user namespace: owners are mapped as ids in it are.
    pub(crate) ids: Option<BorrowedFd<'a>>,
    /// How mounts below it are to spread.
    pub(crate) propagation: Option<Propagation>,
    /// Whether everything mounted below changes too.
    pub(crate) recursive: bool,
}

/// Makes a mount read-only.
///
/// # Errors
///
/// Those of `mount_setattr(2)`.
pub fn read_only(mount: BorrowedFd<'_>) -> io::Result<()> {
    change(mount, Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() })
}

/// Changes the mount that the descriptor refers to.
pub(crate) fn change(mount: BorrowedFd<'_>, attributes: Attributes<'_>) -> io::Result<()> {
    let argument = libc::mount_attr {
        attr_set: attributes.set | attributes.ids.map_or(0, |_| libc::MOUNT_ATTR_IDMAP),
        attr_clr: attributes.clear,
        propagation: match attributes.propagation {
            None => 0,
            Some(Propagation::Private) => libc::MS_PRIVATE,
            Some(Propagation::HostToContainer) => libc::MS_SLAVE,
            Some(Propagation::Bidirectional) => libc::MS_SHARED,
        },
        userns_fd: attributes.ids.map_or(0, |file| u64::from(file.as_raw_fd().unsigned_abs())),
    };
    let recursive = if attributes.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, the structure is of the size that is passed with it, both
    // outlive the call, and the kernel only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const argument,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
