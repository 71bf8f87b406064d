//! Options of netlink sockets, which no library wraps.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// Asks the kernel to explain refusals in words (`NETLINK_EXT_ACK`) and not to send our own
/// messages back with them (`NETLINK_CAP_ACK`). See netlink(7), "Socket options".
///
/// # Errors
///
/// The errno of setsockopt(2): `ENOPROTOOPT` on kernels before 4.12.
pub(crate) fn explain_refusals(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        let on: libc::c_int = 1;
        // SAFETY: the kernel reads exactly the given four bytes, which live until the call has
        // returned; nothing is written to our memory and the descriptor is borrowed, so open.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                (&raw const on).cast(),
                4,
            )
        };
        Errno::result(result)?;
    }
    Ok(())
}
