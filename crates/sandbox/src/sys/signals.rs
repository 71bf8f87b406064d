//! Signals: as a fresh process has them, and those that have only a number.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What `rt_sigaction(2)` takes for `SIG_DFL`: no handler, no flags, no restorer, an empty mask.
/// The kernel's structure has no more than that on any architecture.
const DEFAULT: [u64; 4] = [0; 4];

/// The kernel's signal sets have 64 bits.
const SET_SIZE: usize = 8;

/// Gives every signal its default handling and lets every signal through (signal(7)), because
/// ignored and blocked ones survive execve(2).
pub(crate) fn reset() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the kernel reads at most as much as the array holds, and no function is
        // installed that could be called in a wrong context. The C library's own call refuses the
        // signals that it keeps for its threads (32 and 33), which are inherited all the same; for
        // signals that cannot be changed the call fails, which is what we want for them.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT.as_ptr(),
                std::ptr::null_mut::<u64>(),
                SET_SIZE,
            )
        };
    }
    let none = nix::sys::signal::SigSet::empty();
    Ok(none.thread_set_mask()?)
}

/// Sends a signal to the process of a pidfd (`pidfd_send_signal(2)`), real-time signals included, for
/// which no crate has a type.
pub(crate) fn send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: the kernel checks the descriptor and the number, and reads nothing through a null
    // pointer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
