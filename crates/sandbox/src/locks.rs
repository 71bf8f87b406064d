//! Locks between processes (flock(2)), which nobody waits for without a limit: whoever may open the file can hold
//! its lock for as long as he likes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, poll};
use rustix::fs::{FlockOperation, flock, major, minor};
use rustix::io::Errno;

/// How long somebody else may hold a lock that is held for some milliseconds by everybody who means well.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often is asked for a lock that somebody else has: flock(2) knows no deadline.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// Takes the lock of the file for this process alone. That somebody else still has it at the deadline is an error,
/// which names him.
pub fn lock(file: &File, deadline: Instant) -> io::Result<()> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                let _ = poll(&mut [], Some(&PAUSE)); // whoever waits asks again
            }
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, held(file)));
            }
            taken => return Ok(taken?),
        }
    }
}

fn held(file: &File) -> String {
    let who = holder(file).map_or("another process".to_owned(), |pid| format!("process {pid}"));
    format!("{who} holds its lock")
}

/// Who holds the lock of the file (`proc_locks(5)`); nobody knows when that is in another process namespace.
fn holder(file: &File) -> Option<i32> {
    let of = file.metadata().ok()?;
    let place = format!("{:02x}:{:02x}:{}", major(of.dev()), minor(of.dev()), of.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pids = locks.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, locked, ..] = words[..] else {
            return None; // who waits has an arrow in the second place
        };
        (locked == place).then(|| pid.parse().ok()).flatten()
    });
    pids.into_iter().find(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_lock_gives_up_at_the_deadline_and_names_the_holder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(file.path()).unwrap();
        let holding = open();
        lock(&holding, Instant::now()).unwrap();
        let begin = Instant::now();
        let error = lock(&open(), begin + Duration::from_millis(20)).unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), format!("process {} holds its lock", std::process::id()));
        drop(holding);
        lock(&open(), Instant::now()).unwrap();
    }
}
