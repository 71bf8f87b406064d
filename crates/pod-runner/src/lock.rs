//! Tells whether a pod's supervisor lives, without asking it.
//!
//! Whoever creates a pod locks its lock file (flock(2)) and hands the open file to the supervisor
//! as its standard input. The lock belongs to the open file, so it is held from before the
//! supervisor starts until its very end, however it ends.

use std::fs::{File, OpenOptions};
use std::io;

use rustix::fs::{FlockOperation, flock};

use crate::places::PodDir;

/// Locks the pod's lock file for a supervisor that is about to start.
pub fn take(dir: &PodDir) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.lock())?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Whether a supervisor holds the lock.
pub fn is_held(dir: &PodDir) -> bool {
    let Ok(file) = File::open(dir.lock()) else {
        return false;
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => false,
        Err(error) => error == rustix::io::Errno::WOULDBLOCK,
    }
}

/// Waits until no supervisor holds the lock.
pub fn wait_until_free(dir: &PodDir) -> io::Result<()> {
    match File::open(dir.lock()) {
        Ok(file) => Ok(flock(&file, FlockOperation::LockShared)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_its_last_holder_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = PodDir::at(dir.path().to_owned());
        assert!(!is_held(&dir));
        let _ = std::fs::create_dir_all(dir.path());
        let held = take(&dir).unwrap();
        let inherited = held.try_clone().unwrap();
        assert!(take(&dir).is_err());
        drop(held);
        assert!(is_held(&dir));
        drop(inherited);
        assert!(!is_held(&dir));
        let _ = std::fs::remove_dir_all(dir.path());
    }
}
