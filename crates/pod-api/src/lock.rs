//! Tells whether a pod's supervisor lives, without asking it.
//!
//! Whoever creates a pod locks its lock file (flock(2)) and hands the open file to the supervisor
//! as its standard input. The lock belongs to the open file, so it is held from before the
//! supervisor starts until its very end, however it ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use rustix::fs::{FlockOperation, flock};

use crate::places::PodDir;
use crate::roots;

/// Locks the pod's lock file for a supervisor that is about to start.
pub fn take(dir: &PodDir) -> io::Result<File> {
    let file = roots::private_file().open(dir.lock())?;
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

/// The lock file of the pod that is there now, to take over later; nothing when there is no pod.
pub fn open(dir: &PodDir) -> io::Result<Option<File>> {
    let open = |or_create| roots::private_file().create(or_create).open(dir.lock());
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match open(false) {
        // Somebody may be emptying the directory, in which nothing must be made then. It has
        // another name by that time; one that has this name has lost its lock's file.
        Err(error) if is_missing(&error) && !dir.path().exists() => Ok(None),
        Err(error) if is_missing(&error) => open(true).map(Some),
        opened => opened.map(Some),
    }
}

/// Waits until no supervisor holds that lock, and holds it then, so that only one cleans up.
/// Nothing when the pod is gone by then, even if there is a new one of the same name. That it is
/// still held at the deadline is an error.
pub fn take_over(dir: &PodDir, file: File, deadline: Instant) -> io::Result<Option<File>> {
    let file = wait(file, &dir.lock(), deadline)?;
    match std::fs::metadata(dir.lock()) {
        Ok(there) => Ok((there.ino() == file.metadata()?.ino()).then_some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until nobody else holds the lock on that file, and holds it then. That it is still held at
/// the deadline is an error.
pub fn wait(file: File, path: &Path, deadline: Instant) -> io::Result<File> {
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return Ok(file);
    }
    let late = |_| {
        let text = format!("something still holds {}", path.display());
        io::Error::new(io::ErrorKind::TimedOut, text)
    };
    let (sender, receiver) = mpsc::channel();
    // flock(2) knows no deadline. A thread that is left behind lets go of what it gets.
    thread::spawn(move || sender.send(wait_for(&file).map(|()| file)));
    let left = deadline.saturating_duration_since(Instant::now());
    receiver.recv_timeout(left).map_err(late)?
}

fn wait_for(file: &File) -> io::Result<()> {
    while let Err(error) = flock(file, FlockOperation::LockExclusive) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[test]
    fn who_waits_for_a_lock_gets_nothing_when_the_pod_has_been_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let pod = PodDir::at(dir.path().join("default_web"));
        std::fs::create_dir(pod.path()).unwrap();
        let opened = || open(&pod).unwrap().expect("the pod is there");
        let soon = || Instant::now() + Duration::from_secs(10);
        assert!(take_over(&pod, opened(), soon()).unwrap().is_some(), "nobody else is there");
        let held = take(&pod).unwrap();
        let now = Instant::now();
        assert_eq!(take_over(&pod, opened(), now).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (waits, late) = (opened(), opened());
        let waiting = thread::spawn({
            let pod = pod.clone();
            move || take_over(&pod, waits, soon()).unwrap().is_some()
        });
        while !waits_for_a_lock(waiting.thread()) {
            thread::yield_now();
        }
        std::fs::rename(pod.path(), dir.path().join("removed")).unwrap();
        std::fs::create_dir(pod.path()).unwrap();
        let _new = take(&pod).unwrap();
        drop(held);
        assert!(!waiting.join().unwrap());
        assert!(
            take_over(&pod, late, soon()).unwrap().is_none(),
            "whoever comes late waits for nobody"
        );
        std::fs::remove_dir_all(pod.path()).unwrap();
        assert!(open(&pod).unwrap().is_none());
    }

    /// A thread that waits in flock(2) shows in `/proc/locks`; it is enough that some thread of
    /// ours does.
    fn waits_for_a_lock(_thread: &thread::Thread) -> bool {
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let own = format!(" {} ", std::process::id());
        locks.lines().any(|line| line.contains("->") && line.contains(&own))
    }
}
