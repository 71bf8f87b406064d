//! How much disk a directory takes, whatever a container has put there.

use std::collections::BTreeSet;
use std::path::Path;

use confined::walk::walk;
use rustix::fs::{Mode, OFlags, fstat, open};

/// The bytes that the files below take on their disk, each file once however many names it has.
/// Links are not followed and other file systems not entered; what vanishes meanwhile counts
/// nothing. A directory that is not there takes nothing.
pub(crate) fn of(path: &Path) -> u64 {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(directory) = open(path, flags, Mode::empty()) else {
        return 0;
    };
    let Ok(device) = fstat(&directory).map(|status| status.st_dev) else {
        return 0;
    };
    let (mut bytes, mut seen) = (0, BTreeSet::new());
    // What was counted before an error counts.
    let _ = walk(&directory, |entry| {
        let status = entry.status;
        if status.st_dev != device {
            return Ok(false);
        }
        if entry.is_directory() || status.st_nlink < 2 || seen.insert(status.st_ino) {
            bytes += u64::try_from(status.st_blocks).unwrap_or(0) * 512;
        }
        Ok(true)
    });
    bytes
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
