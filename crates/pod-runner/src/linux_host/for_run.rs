//! What `run` leaves to the supervisor: a pod that is removed at its end, and one that may only
//! live for some time. Both hold when that process is killed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use pod_model::Uptime;
use rustix::process::{PidfdFlags, getppid, pidfd_open};

use pod_api::settings::OfRun;

/// The process that has started the pod's supervisor, and what it wants.
#[derive(Debug, Default)]
pub(super) struct ForRun {
    /// The process, as long as it lives.
    client: Option<OwnedFd>,
    is_removed: bool,
    has_ended: bool,
    is_asked: bool,
    timeout: Option<Duration>,
}

impl ForRun {
    pub(super) fn new(wanted: Option<&OfRun>) -> Self {
        let Some(wanted) = wanted else {
            return Self::default();
        };
        // It may have ended already.
        let client = wanted.is_removed.then(|| parent(wanted.client).ok()).flatten();
        Self { client, is_removed: wanted.is_removed, timeout: wanted.timeout, ..Self::default() }
    }

    pub(super) fn is_removed(&self) -> bool {
        self.is_removed
    }

    /// The pod has ended; its client may want to see what is left of it first.
    pub(super) fn ends(&mut self) {
        self.has_ended = true;
    }

    /// Its end is only waited for once it matters.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().filter(|_| self.has_ended).map(AsFd::as_fd)
    }

    /// The client is gone.
    pub(super) fn client_ends(&mut self) {
        self.client = None;
    }

    /// When there is something to do because time has passed.
    pub(super) fn deadline(&self) -> Option<Uptime> {
        let timeout = self.timeout.filter(|_| !self.is_asked);
        timeout.map(|timeout| Uptime::START + timeout)
    }

    /// Whether the pod is to be deleted now, once.
    pub(super) fn deletes(&mut self, now: Uptime) -> bool {
        let is_late = self.deadline().is_some_and(|deadline| deadline <= now);
        let is_left = self.is_removed && self.has_ended && self.client.is_none();
        let deletes = (is_late || is_left) && !self.is_asked;
        self.is_asked |= deletes;
        deletes
    }
}

/// The process that is our parent under that number. The number alone could be another's by now:
/// a parent that is still ours afterwards was there when its descriptor was opened.
fn parent(client: u32) -> io::Result<OwnedFd> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let parent = getppid().filter(|pid| pid.as_raw_nonzero().get().cast_unsigned() == client);
    let descriptor = pidfd_open(parent.ok_or_else(gone)?, PidfdFlags::empty())?;
    if getppid() == parent { Ok(descriptor) } else { Err(gone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Uptime {
        Uptime::START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_pod_is_deleted_once_when_its_time_is_over() {
        let timeout = Some(Duration::from_secs(5));
        let mut for_run = ForRun { timeout, ..ForRun::default() };
        assert_eq!(for_run.deadline(), Some(at(5)));
        assert!(!for_run.deletes(at(4)));
        assert!(for_run.deletes(at(5)));
        assert!(!for_run.deletes(at(6)), "it has been asked for");
        assert_eq!(for_run.deadline(), None);
    }

    #[test]
    fn a_pod_is_removed_at_its_end_once_its_client_is_gone() {
        let client = std::fs::File::open("/dev/null").ok().map(OwnedFd::from);
        let mut for_run = ForRun { is_removed: true, client, ..ForRun::default() };
        assert!(for_run.watched().is_none() && !for_run.deletes(at(1)), "it goes on");
        for_run.ends();
        assert!(for_run.watched().is_some() && !for_run.deletes(at(2)), "the client sees to it");
        for_run.client_ends();
        assert!(for_run.deletes(at(3)));
        assert!(!for_run.deletes(at(4)));
    }

    #[test]
    fn a_client_that_is_not_the_parent_is_gone() {
        assert!(parent(1_u32.wrapping_sub(2)).is_err());
        let own =
            getppid().map(rustix::process::Pid::as_raw_nonzero).unwrap().get().cast_unsigned();
        assert!(parent(own).is_ok());
    }
}
