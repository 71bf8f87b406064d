//! Installs a system call filter (seccomp(2)).

use std::io;

use crate::seccomp::Program;

/// Installs the filter for this process and whatever it becomes. It needs `CAP_SYS_ADMIN` or
/// `no_new_privs`.
pub(crate) fn install(program: &Program) -> io::Result<()> {
    let mut filter: Vec<libc::sock_filter> = program
        .instructions
        .iter()
        .map(|one| libc::sock_filter { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
        .collect();
    let length = u16::try_from(filter.len())
        .map_err(|_| io::Error::other("the seccomp filter is too long"))?;
    let argument = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
    // SAFETY: the program points to `len` instructions that outlive the call; the kernel copies
    // and checks them.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const argument)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
