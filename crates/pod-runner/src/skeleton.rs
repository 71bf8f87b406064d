//! The lowest layer of every container's root: what something is mounted at in every container.
//!
//! Without it each start would make these in its writable layer. Making a file is slow on a disk
//! that many files have just been deleted from, as ext4 does not use their inodes again for a while.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

const DIRECTORIES: [&str; 4] = ["dev", "etc", "proc", "sys"];
const FILES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// The layer, made if it is missing. It is on the same file system as images are, so that files of
/// a container do not seem to be on two.
pub(crate) fn layer(data: &Path) -> io::Result<PathBuf> {
    let layer = data.join("skeleton");
    let [.., last] = FILES;
    if layer.join(last).exists() {
        return Ok(layer);
    }
    for directory in DIRECTORIES {
        fs::create_dir_all(layer.join(directory))?;
    }
    for file in FILES {
        OpenOptions::new().create(true).append(true).open(layer.join(file))?;
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_half_made_is_completed() {
        let data = tempfile::TempDir::new().unwrap();
        fs::create_dir_all(data.path().join("skeleton/etc")).unwrap();
        let first = layer(data.path()).unwrap();
        assert!(FILES.iter().all(|file| first.join(file).is_file()));
        assert!(DIRECTORIES.iter().all(|directory| first.join(directory).is_dir()));
        assert_eq!(layer(data.path()).unwrap(), first);
    }
}
