//! A short visit of the calling thread to another network namespace.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use super::error::NetworkError;

/// Runs `work` with the calling thread in `namespace` and comes back, whatever happens.
///
/// setns(2) moves one thread only; other threads of the process stay where they are.
pub(super) fn visit<Answer>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<Answer, NetworkError>,
) -> Result<Answer, NetworkError> {
    let home = File::open("/proc/thread-self/ns/net").map_err(|source| NetworkError::Enter {
        whose: "its own",
        source: Errno::from_raw(source.raw_os_error().unwrap_or(libc::EIO)),
    })?;
    enter(namespace, "the pod's")?;
    let mut way_back = WayBack { home: Some(home) };
    let answer = work();
    way_back.take()?;
    answer
}

/// Leads home, also when the work panics.
struct WayBack {
    home: Option<File>,
}

impl WayBack {
    fn take(&mut self) -> Result<(), NetworkError> {
        self.home.take().map_or(Ok(()), |home| enter(home.as_fd(), "its own"))
    }
}

impl Drop for WayBack {
    fn drop(&mut self) {
        let _ = self.take(); // unwinding already: nobody is left to tell
    }
}

fn enter(namespace: BorrowedFd<'_>, whose: &'static str) -> Result<(), NetworkError> {
    setns(namespace, CloneFlags::CLONE_NEWNET)
        .map_err(|source| NetworkError::Enter { whose, source })
}
