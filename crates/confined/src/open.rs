//! Opens paths that must not lead out of a directory (openat2(2)).

use std::iter;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// How often a look-up is tried. Who renames without end may spoil a third of the tries.
const MOST_TRIES: usize = 1000;

/// Opens what is at the path, as the flags confine it.
///
/// Any mount and any renaming on the machine can make the kernel give up on a `..` (`EAGAIN`),
/// because it cannot tell whether the path has left the directory meanwhile. It is then looked up
/// again.
///
/// # Errors
///
/// Those of openat2(2); `EAGAIN` only when it does not cease.
pub fn open(
    directory: impl AsFd,
    path: impl AsRef<Path>,
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    #[expect(clippy::disallowed_methods, reason = "this is where it is tried again")]
    let once = || openat2(&directory, path.as_ref(), flags, Mode::empty(), resolve);
    let mut tries = iter::repeat_with(once).take(MOST_TRIES);
    tries.find(|opened| !matches!(opened, Err(Errno::AGAIN))).unwrap_or(Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::fs::{CWD, open as open_plain};

    use super::*;

    /// How many look-ups the kernel has to give up until the test has seen enough.
    const GIVEN_UP: usize = 20;

    #[test]
    fn who_renames_meanwhile_spoils_no_look_up() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (place.path().join("one"), place.path().join("other"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(place.path().join("here")).unwrap();
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let root = open_plain(place.path(), flags, Mode::empty()).unwrap();
        let path = "here/../here/../here/../here";
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    fs::rename(&one, &other).unwrap();
                    fs::rename(&other, &one).unwrap();
                }
            });
            let deadline = Instant::now() + Duration::from_mins(1);
            let (mut given_up, mut failed) = (0, None);
            while given_up < GIVEN_UP && failed.is_none() && Instant::now() < deadline {
                failed = open(&root, path, flags, ResolveFlags::IN_ROOT).err();
                #[expect(clippy::disallowed_methods, reason = "what the kernel does by itself")]
                let plain = openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT);
                given_up += usize::from(plain.is_err());
            }
            is_over.store(true, Ordering::Relaxed);
            assert_eq!((failed, given_up), (None, GIVEN_UP));
        });
        assert!(open(CWD, one.join("missing"), flags, ResolveFlags::empty()).is_err());
    }
}
