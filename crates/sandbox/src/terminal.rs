//! Terminals made inside a container (pty(7)).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::plan::TerminalSize;

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

/// Makes the terminal the controlling one of this session, which must have none yet.
pub(crate) fn make_controlling(far: impl AsFd) -> io::Result<()> {
    Ok(rustix::process::ioctl_tiocsctty(far)?)
}

/// Sets the size that programs on the terminal see.
pub(crate) fn set_size(near: &OwnedFd, size: TerminalSize) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(near, size)?)
}
