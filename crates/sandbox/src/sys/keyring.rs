//! Session keyrings (keyrings(7)).

use std::ffi::CStr;
use std::io;

/// Joins a new session keyring of that name, so that the host's keys are out of reach.
pub(crate) fn join_new_session_keyring(name: &CStr) -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: the name is a C string that outlives the call; the kernel only reads it.
    let result =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
