//! Signals as a fresh process has them.

use std::io;

/// Gives every signal its default handling and lets every signal through (signal(7)), because
/// ignored and blocked ones survive execve(2).
pub(crate) fn reset() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is no function that could be called in a wrong context; for signals
        // that cannot be changed the call fails, which is what we want for them.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let none = nix::sys::signal::SigSet::empty();
    Ok(none.thread_set_mask()?)
}
