//! Waits for files to change (inotify(7)).
//!
//! The kernel counts inotify instances and watches by user, and a container of user 0 is root: it
//! can take all of them. Then a watcher looks again now and then, and works as before.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Watches directories and files.
#[derive(Debug)]
pub struct Watcher {
    /// None where the machine has no instance left.
    inotify: Option<OwnedFd>,
    /// Not everything could be watched.
    is_incomplete: Cell<bool>,
    /// What has changed since it was asked for last.
    seen: RefCell<Seen>,
}

/// A file or directory that is watched. One that has none may have changed at any time.
pub type WatchId = Option<i32>;

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// These, and in directories the names.
    changes: BTreeSet<(i32, OsString)>,
    /// Anything else may have changed, too.
    is_incomplete: bool,
}

impl Seen {
    /// Whether anything may have changed, because the kernel could not tell of all.
    pub fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Whether that may have changed.
    pub fn has(&self, watched: WatchId) -> bool {
        let (Some(id), false) = (watched, self.is_incomplete) else {
            return true;
        };
        self.changes.range((id, OsString::new())..).next().is_some_and(|(found, _)| *found == id)
    }

    /// The names in a directory that have changed; nothing when it may be any.
    pub fn names(&self, watched: WatchId) -> Option<impl Iterator<Item = &OsStr>> {
        let id = watched.filter(|_| !self.is_incomplete)?;
        let from = self.changes.range((id, OsString::new())..);
        Some(from.take_while(move |(found, _)| *found == id).map(|(_, name)| name.as_os_str()))
    }
}

/// How often a watcher says that something may have changed when the kernel does not tell.
const LOOKS_AGAIN: Duration = Duration::from_millis(100);

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
    pub fn new() -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        let is_incomplete = Cell::new(inotify.is_none());
        Self { is_incomplete, inotify, seen: RefCell::default() }
    }

    /// Watches a file or directory; one that does not exist is an error. Watching it twice is
    /// harmless.
    pub fn add(&self, path: &Path) -> io::Result<WatchId> {
        let what = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MODIFY
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVE_SELF
            | WatchFlags::CLOSE_WRITE;
        self.add_for(path, what)
    }

    /// Watches a directory for names that come and go.
    pub fn add_directory(&self, path: &Path) -> io::Result<WatchId> {
        self.add_for(path, WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO)
    }

    /// Watches a file for being written, but not for being opened and closed.
    pub fn add_written(&self, path: &Path) -> io::Result<WatchId> {
        self.add_for(path, WatchFlags::MODIFY | WatchFlags::DELETE_SELF)
    }

    /// Watches a file for the end of whoever had it open to write.
    pub fn add_closed(&self, path: &Path) -> io::Result<WatchId> {
        self.add_for(path, WatchFlags::CLOSE_WRITE)
    }

    fn add_for(&self, path: &Path, what: WatchFlags) -> io::Result<WatchId> {
        let Some(inotify) = &self.inotify else {
            return std::fs::symlink_metadata(path).map(|_| None);
        };
        match inotify::add_watch(inotify, path, what) {
            // All watches of the user, or all memory for them (inotify_add_watch(2)).
            Err(Errno::NOSPC | Errno::NOMEM) => {
                self.is_incomplete.set(true);
                Ok(None)
            }
            added => Ok(Some(added?)),
        }
    }

    /// What has changed since the last call, as far as a wait has noticed.
    pub fn seen(&self) -> Seen {
        let mut seen = self.seen.take();
        seen.is_incomplete |= self.is_incomplete.get();
        seen
    }

    /// Waits for a change, for `interrupt` to become readable, or for the deadline.
    pub fn wait(
        &self,
        interrupt: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
    ) -> io::Result<Woken> {
        let readable = |file| PollFd::from_borrowed_fd(file, PollFlags::IN);
        let mut polled: Vec<PollFd<'_>> = interrupt.into_iter().map(readable).collect();
        polled.extend(self.inotify.as_ref().map(|inotify| readable(inotify.as_fd())));
        let again = Instant::now() + LOOKS_AGAIN;
        let is_last = deadline.is_some_and(|deadline| deadline <= again);
        let until = if self.is_incomplete.get() && !is_last { Some(again) } else { deadline };
        let is_ready = wait_for(&mut polled, until)?;
        if interrupt.is_some() && polled.first().is_some_and(|file| !file.revents().is_empty()) {
            return Ok(Woken::Interrupted);
        }
        self.drain();
        Ok(if is_ready || until != deadline { Woken::Changed } else { Woken::TimedOut })
    }

    /// Notes the changes so far; the next wait is for new ones.
    fn drain(&self) {
        let Some(inotify) = &self.inotify else {
            return;
        };
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(inotify, &mut space);
        let mut seen = self.seen.borrow_mut();
        while let Ok(event) = reader.next() {
            seen.is_incomplete |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            seen.changes.insert((event.wd(), name.unwrap_or_default().to_owned()));
        }
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
    }
}

/// Waits until the descriptor is readable; after the deadline that is an error.
pub fn wait_readable(file: &impl AsFd, deadline: Instant) -> io::Result<()> {
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
            Err(Errno::INTR) => {}
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
        let watcher = Watcher::new();
        let watched = watcher.add(dir.path()).unwrap();
        let soon = || Some(Instant::now() + Duration::from_secs(10));
        std::fs::write(dir.path().join("pod.json"), "{}").unwrap();
        assert_eq!(watcher.wait(None, soon()).unwrap(), Woken::Changed);
        let seen = watcher.seen();
        assert!(seen.has(watched) && !seen.has(Some(-1)));
        assert!(seen.names(watched).unwrap().any(|name| name == "pod.json"));
        assert!(!watcher.seen().has(watched), "it was asked for");
        assert_eq!(watcher.wait(None, Some(Instant::now())).unwrap(), Woken::TimedOut);
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"!").unwrap();
        assert_eq!(watcher.wait(Some(reader.as_fd()), soon()).unwrap(), Woken::Interrupted);
    }

    #[test]
    fn a_watcher_without_inotify_looks_again_and_wakes_for_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let watcher =
            Watcher { inotify: None, is_incomplete: Cell::new(true), seen: RefCell::default() };
        watcher.add(dir.path()).unwrap();
        assert!(watcher.add(&dir.path().join("missing")).is_err());
        let soon = || Some(Instant::now() + Duration::from_secs(10));
        assert_eq!(watcher.wait(None, None).unwrap(), Woken::Changed);
        assert_eq!(watcher.wait(None, soon()).unwrap(), Woken::Changed);
        assert_eq!(watcher.wait(None, Some(Instant::now())).unwrap(), Woken::TimedOut);
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"!").unwrap();
        assert_eq!(watcher.wait(Some(reader.as_fd()), soon()).unwrap(), Woken::Interrupted);
    }
}
