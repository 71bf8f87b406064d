//! Messages with open files between processes of ours (unix(7), `SOCK_SEQPACKET`, `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most files that travel with one message.
const MOST_FILES: usize = 40;

/// Sends one message.
pub(crate) fn send(
    socket: impl AsFd,
    message: &[u8],
    files: &[BorrowedFd<'_>],
) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(rustix::io::Errno::TOOBIG);
    }
    let parts = [IoSlice::new(message)];
    retry_on_intr(|| sendmsg(&socket, &parts, &mut beside, SendFlags::NOSIGNAL)).map(drop)
}

/// Waits for one message; its length is 0 when the other end is gone.
pub(crate) fn receive(socket: impl AsFd, message: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        let mut parts = [IoSliceMut::new(message)];
        recvmsg(&socket, &mut parts, &mut beside, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut files = Vec::new();
    for one in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = one {
            files.extend(some);
        }
    }
    Ok((received.bytes, files))
}
