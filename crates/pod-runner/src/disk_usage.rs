//! How much disk a directory takes, whatever a container has put there.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, open, openat, statat};

/// The bytes that the files below take on their disk, each file once however many names it has.
/// Links are not followed and other file systems not entered; what vanishes meanwhile counts
/// nothing. A directory that is not there takes nothing.
pub(crate) fn of(path: &Path) -> u64 {
    let mut seen = BTreeSet::new();
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(directory) = open(path, flags, Mode::empty()) else {
        return 0;
    };
    below(&directory, &mut seen).unwrap_or(0)
}

fn below(directory: &OwnedFd, seen: &mut BTreeSet<u64>) -> io::Result<u64> {
    let device = rustix::fs::fstat(directory)?.st_dev;
    let mut bytes = 0;
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let Ok(status) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if status.st_dev != device || (status.st_nlink > 1 && !seen.insert(status.st_ino)) {
            continue;
        }
        bytes += u64::try_from(status.st_blocks).unwrap_or(0) * 512;
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(inner) = openat(directory, name, flags, Mode::empty()) {
                bytes += below(&inner, seen)?;
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_once_and_a_link_leads_nowhere() {
        let directory = tempfile::TempDir::new().unwrap();
        let (inner, elsewhere) = (directory.path().join("a/b"), tempfile::TempDir::new().unwrap());
        std::fs::create_dir_all(&inner).unwrap();
        let empty = of(directory.path());
        std::fs::write(inner.join("file"), vec![1; 1 << 20]).unwrap();
        std::fs::hard_link(inner.join("file"), inner.join("again")).unwrap();
        std::fs::write(elsewhere.path().join("big"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), inner.join("link")).unwrap();
        let taken = of(directory.path()) - empty;
        assert!((1 << 20..(1 << 20) + 65536).contains(&taken), "{taken}");
        assert_eq!(of(&directory.path().join("missing")), 0);
    }
}
