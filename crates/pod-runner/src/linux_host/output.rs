//! Pipes whose reading end never waits.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};

/// Whoever writes without end must not keep the supervisor from everything else, so that after
/// this many bytes others have their turn.
const MOST_AT_ONCE: usize = 1 << 20;

/// What a read found after the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drained {
    /// More may come.
    Open,
    /// Every writing end is closed.
    Ended,
}

/// A pipe: the end that the supervisor reads, without waiting, and the end that a child writes.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    set_nonblocking(&reader)?;
    Ok((reader, writer))
}

/// Makes reads from the descriptor return instead of wait.
pub(super) fn set_nonblocking(file: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    Ok(rustix::fs::fcntl_setfl(file, flags | rustix::fs::OFlags::NONBLOCK)?)
}

/// Reads what is there and hands it on.
pub(super) fn drain(file: &impl AsFd, mut take: impl FnMut(&[u8])) -> Drained {
    let mut buffer = [0_u8; 64 * 1024];
    let mut taken = 0;
    while taken < MOST_AT_ONCE {
        match rustix::io::read(file, &mut buffer) {
            Ok(0) => return Drained::Ended,
            Ok(count) => {
                take(&buffer[..count]);
                taken += count;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Drained::Open,
            // A terminal whose other end is closed answers EIO (pty(7)).
            Err(_) => return Drained::Ended,
        }
    }
    Drained::Open
}
