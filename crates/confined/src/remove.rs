//! Removes trees of any depth with a fixed number of descriptors and no recursion.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// Removes whatever has this name; nothing there is fine.
///
/// # Errors
///
/// Those of the file system.
pub fn remove_at(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    let parent = parent.as_fd();
    match fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    loop {
        match fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let directory = open_directory(parent, name)?;
        empty(&directory)?;
    }
}

/// Removes a tree by path, of which only what is below the last name may come from an image or from a
/// container; a link of that name is removed itself. Nothing there is fine. Nobody may write below it
/// any more.
///
/// # Errors
///
/// Those of the file system.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = fs::open(parent, flags, Mode::empty())?;
    remove_at(&parent, std::os::unix::ffi::OsStrExt::as_bytes(name))
}

/// Removes everything in a directory. A directory inside that is not empty hands its own
/// directories up, so that depth turns into breadth.
fn empty(directory: &OwnedFd) -> io::Result<()> {
    let mut round = 0_u64;
    loop {
        let mut left = 0_u64;
        for item in Dir::read_from(directory)? {
            let item = item?;
            let name = item.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if item.file_type() != FileType::Directory {
                fs::unlinkat(directory, name, AtFlags::empty())?;
            } else if fs::unlinkat(directory, name, AtFlags::REMOVEDIR).is_err() {
                left += 1;
                let child = open_directory(directory, name.to_bytes())?;
                lift_directories(directory, &child, (round, left))?;
                let _ = fs::unlinkat(directory, name, AtFlags::REMOVEDIR); // else: next round
            }
        }
        if left == 0 {
            return Ok(());
        }
        round += 1;
    }
}

fn lift_directories(
    parent: &OwnedFd,
    child: &OwnedFd,
    (round, number): (u64, u64),
) -> io::Result<()> {
    let mut index = 0_u64;
    for item in Dir::read_from(child)? {
        let item = item?;
        let name = item.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if item.file_type() != FileType::Directory {
            fs::unlinkat(child, name, AtFlags::empty())?;
        } else if fs::unlinkat(child, name, AtFlags::REMOVEDIR).is_err() {
            loop {
                index += 1;
                let lifted = format!(".lifted-{round}-{number}-{index}");
                // Whoever made the tree may have taken the name.
                match fs::renameat_with(child, name, parent, lifted, RenameFlags::NOREPLACE) {
                    Err(Errno::EXIST) => {}
                    moved => break moved?,
                }
            }
        }
    }
    Ok(())
}

fn open_directory(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(parent, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_removal_would_use_may_be_taken() {
        let scratch = tempfile::tempdir().unwrap();
        for taken in [".lifted-0-1-1", ".lifted-0-2-1", "d/.lifted-0-1-1", "d/e/f"] {
            std::fs::create_dir_all(scratch.path().join("top").join(taken).join("x/y/z")).unwrap();
        }
        remove_tree(&scratch.path().join("top")).unwrap();
        assert!(!scratch.path().join("top").exists());
    }

    #[test]
    fn a_tree_deeper_than_the_path_limit_goes_away() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().join("top");
        std::fs::create_dir(&top).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut here = fs::open(&top, flags, Mode::empty()).unwrap();
        for _ in 0..3000 {
            fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
            fs::mkdirat(&here, "side", Mode::RWXU).unwrap();
            let file = OFlags::CREATE | OFlags::WRONLY;
            drop(fs::openat(&here, "side/f", file, Mode::RWXU).unwrap());
            here = fs::openat(&here, "d", flags, Mode::empty()).unwrap();
        }
        drop(here);
        remove_tree(&top).unwrap();
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
