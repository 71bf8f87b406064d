//! This program, opened so that nobody can write to it through the processes that run it.
//!
//! On its way to being a container, minipod is a process in the container for a moment, and
//! `/proc/<pid>/exe` of such a process leads to minipod's own file; a command that begins with
//! `#!/proc/self/exe` even makes the kernel run it there (CVE-2019-5736). So supervisors, and with
//! them everything they start, run from a mount of that one file that is read-only and in no
//! directory: it cannot be opened for writing, and there is nothing to remount.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{CWD, MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::mount::{OpenTreeFlags, open_tree};
use sandbox::read_only;

/// The program of this process.
#[derive(Debug)]
pub(crate) struct OwnProgram(OwnedFd);

impl OwnProgram {
    /// Opens it: through a read-only mount, or, where the program's own mount cannot be cloned
    /// (it is in another mount namespace), as a sealed copy in memory.
    pub(crate) fn open() -> io::Result<Self> {
        mounted().or_else(|_| copied()).map(Self)
    }

    /// A path by which it can be executed as long as this value lives.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

const PATH: &str = "/proc/self/exe";

fn mounted() -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, PATH, flags)?;
    read_only(mount.as_fd())?;
    Ok(mount)
}

fn copied() -> io::Result<OwnedFd> {
    let copy = memfd_create("minipod", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    io::copy(&mut File::open(PATH)?, &mut copy)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&copy, seals)?;
    Ok(copy.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_copy_is_the_program_and_cannot_be_changed() {
        let copy = copied().unwrap();
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let mut start = [0; 4];
        File::open(&path).unwrap().read_exact(&mut start).unwrap();
        assert_eq!(&start, b"\x7fELF");
        let written = File::options().write(true).open(&path).and_then(|mut file| {
            use std::io::Write;
            file.write_all(b"x")
        });
        assert!(written.is_err());
    }
}
