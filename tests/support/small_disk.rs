//! A disk that fills quickly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory that only root can read, until it is dropped.
#[derive(Debug)]
#[must_use = "it is unmounted when this is dropped"]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of that size (`2m`, tmpfs(5)) on a directory, which is made.
    ///
    /// # Panics
    ///
    /// When it cannot be mounted.
    pub fn mount(directory: &Path, size: &str) -> Self {
        fs::create_dir_all(directory).expect("a directory for the disk");
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(directory)
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "a small disk");
        Self(directory.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status(); // nothing more can be done
    }
}
