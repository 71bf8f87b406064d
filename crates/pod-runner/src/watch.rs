//! Waits for files to change (inotify(7)), so that no view ever polls or sleeps.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// Watches directories and files. It tells that something changed, not what: whoever waits reads
/// again what it follows.
#[derive(Debug)]
pub struct Watcher {
    inotify: OwnedFd,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something that is watched changed.
    Changed,
    /// The other descriptor became readable.
    Interrupted,
    /// The deadline came.
    TimedOut,
}

impl Watcher {
    /// A watcher that watches nothing yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self { inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)? })
    }

    /// Watches a file or directory; one that does not exist is an error. Watching it twice is
    /// harmless.
    pub fn add(&self, path: &Path) -> io::Result<()> {
        let what = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MODIFY
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVE_SELF
            | WatchFlags::CLOSE_WRITE;
        inotify::add_watch(&self.inotify, path, what)?;
        Ok(())
    }

    /// Waits for a change, for `interrupt` to become readable, or for the deadline.
    pub fn wait(
        &self,
        interrupt: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
    ) -> io::Result<Woken> {
        let mut polled = vec![PollFd::new(&self.inotify, PollFlags::IN)];
        polled.extend(interrupt.map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN)));
        let ready = wait_for(&mut polled, deadline)?;
        let interrupted = polled.get(1).is_some_and(|file| !file.revents().is_empty());
        if interrupted {
            return Ok(Woken::Interrupted);
        }
        self.drain();
        Ok(if ready { Woken::Changed } else { Woken::TimedOut })
    }

    /// Forgets the changes so far; the next wait is for new ones.
    fn drain(&self) {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut space);
        while reader.next().is_ok() {}
    }
}

/// Waits until the descriptor is readable; after the deadline that is an error.
pub(crate) fn wait_readable(file: &impl AsFd, deadline: Instant) -> io::Result<()> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    if wait_for(&mut polled, Some(deadline))? {
        Ok(())
    } else {
        Err(io::ErrorKind::TimedOut.into())
    }
}

fn wait_for(polled: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let timeout = deadline.map(|deadline| {
            let wait = deadline.saturating_duration_since(Instant::now());
            Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() }
        });
        match poll(polled, timeout.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_watcher_wakes_for_a_change_an_interrupt_and_a_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let watcher = Watcher::new().unwrap();
        watcher.add(dir.path()).unwrap();
        let soon = || Some(Instant::now() + Duration::from_secs(10));
        std::fs::write(dir.path().join("pod.json"), "{}").unwrap();
        assert_eq!(watcher.wait(None, soon()).unwrap(), Woken::Changed);
        assert_eq!(watcher.wait(None, Some(Instant::now())).unwrap(), Woken::TimedOut);
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"!").unwrap();
        assert_eq!(watcher.wait(Some(reader.as_fd()), soon()).unwrap(), Woken::Interrupted);
    }
}
