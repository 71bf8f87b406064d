//! Terminals made inside a container (pty(7)).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{FileType, Mode, OFlags, fstatfs, mknodat, openat};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::plan::TerminalSize;
use crate::{mount_sources, mounts};

/// What fstatfs(2) calls the file system of pseudo-terminals (`DEVPTS_SUPER_MAGIC`).
const DEVPTS: libc::c_long = 0x1cd1;

/// Opens a pair: the near end for whoever shows the terminal, the far end for the program. Both
/// come from the `/dev/pts` that this process sees, and neither by a path that the container
/// could have changed.
pub(crate) fn open_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let near: OwnedFd = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_CLOEXEC)
        .open("/dev/pts/ptmx")?
        .into();
    unlockpt(&near)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let far = ioctl_tiocgptpeer(&near, flags)?;
    Ok((near, far))
}

/// Shows the far end as `/dev/console`, where that is the container's own: in a `/dev` that a volume
/// brings, the name stays what it is there. What is mounted is the very terminal that was opened.
pub(crate) fn mount_console(root: &OwnedFd, far: &OwnedFd) -> io::Result<()> {
    if fstatfs(far)?.f_type != DEVPTS {
        return Err(Errno::NOTTY.into());
    }
    let dev = mounts::ordinary_directory(root, "/dev")?;
    if fstatfs(&dev)?.f_type != libc::TMPFS_MAGIC {
        return Ok(());
    }
    match mknodat(&dev, "console", FileType::RegularFile, Mode::from_raw_mode(0o600), 0) {
        Err(Errno::EXIST) => {}
        Err(Errno::ROFS) => return Ok(()),
        made => made?,
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = openat(&dev, "console", flags, Mode::empty())?;
    let console = mount_sources::clone_open(far.as_fd(), false)?;
    mounts::attach_to(console.mount.as_fd(), place.as_fd())
}

/// Makes the terminal the controlling one of this session, which must have none yet.
pub(crate) fn make_controlling(far: impl AsFd) -> io::Result<()> {
    Ok(rustix::process::ioctl_tiocsctty(far)?)
}

/// Sets the size that programs on the terminal see.
pub(crate) fn set_size(near: &OwnedFd, size: TerminalSize) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(near, size)?)
}
