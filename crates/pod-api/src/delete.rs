//! Deletes a pod from outside: by its supervisor while that lives, without it otherwise.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::claims;
use crate::cleanup::{self, CleanupError};
use crate::control::{Reply, Request};
use crate::lock;
use crate::machine::Machine;
use crate::packet::{Incoming, PacketSocket};
use crate::places::PodDir;
use crate::settings::Settings;
use crate::watch;

/// A supervisor answers at once; one that takes longer than this has been stopped or hangs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// One that has said that it is done, and others who clean up after it, end after so long.
const ENDS_WITHIN: Duration = Duration::from_mins(2);

/// Why a pod was not deleted.
#[derive(Debug, Error)]
pub enum DeleteError {
    /// Something of it is left.
    #[error("cannot remove what is left of the pod")]
    Cleanup(#[from] CleanupError),
    /// The supervisor lives and does not listen.
    #[error("cannot talk to the pod's supervisor")]
    Supervisor(#[source] io::Error),
    /// The supervisor lives and does nothing.
    #[error("the pod's supervisor does not answer")]
    NoAnswer,
}

impl DeleteError {
    /// Whether the supervisor is on its end and asks for nothing but to be waited for.
    fn is_of_one_that_ends(&self) -> bool {
        let Self::Supervisor(error) = self else {
            return false;
        };
        matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::BrokenPipe)
    }
}

/// A deletion that has been asked for.
#[derive(Debug)]
pub struct Deletion {
    dir: PodDir,
    /// The lock file of the pod that is meant: meanwhile another one may take its place.
    lock: Option<File>,
    settings: Settings,
    socket: Option<PacketSocket>,
}

impl Deletion {
    /// Asks for the pod's deletion; `grace` in seconds, or the pod's own. Without any grace a
    /// supervisor that does not answer is killed. `settings` are for a pod whose own ones cannot
    /// be read.
    pub fn request(
        dir: PodDir,
        grace: Option<u64>,
        settings: &Settings,
    ) -> Result<Self, DeleteError> {
        let lock = lock::open(&dir).map_err(CleanupError::Lock)?;
        let socket = match ask(&dir, grace) {
            Ok(socket) => Some(socket),
            Err(error) if error.is_of_one_that_ends() || !lock::is_held(&dir) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { dir, lock, settings: settings.clone(), socket })
    }

    /// Does not wait for a supervisor to do it; what has none is removed at once.
    pub fn leave(self, machine: &dyn Machine) -> Result<(), DeleteError> {
        if self.socket.is_none() { self.clean_up(None, machine) } else { Ok(()) }
    }

    /// Waits until nothing of the pod is left. A supervisor that dies meanwhile, or was dead
    /// before, does not stop it.
    pub fn wait(self, machine: &dyn Machine) -> Result<(), DeleteError> {
        self.wait_until(None, machine).map(drop)
    }

    /// The same, but not longer than until the deadline; whether nothing is left.
    pub fn wait_until(
        self,
        deadline: Option<Instant>,
        machine: &dyn Machine,
    ) -> Result<bool, DeleteError> {
        if let Some(socket) = &self.socket {
            loop {
                let is_late = |deadline| watch::wait_readable(socket, deadline).is_err();
                if deadline.is_some_and(is_late) {
                    return Ok(false);
                }
                if !matches!(socket.receive::<Reply>(), Ok(Incoming::Message(..))) {
                    break;
                }
            }
        }
        match self.clean_up(deadline, machine) {
            Err(DeleteError::Cleanup(CleanupError::Lock(error)))
                if deadline.is_some() && error.kind() == io::ErrorKind::TimedOut =>
            {
                Ok(false)
            }
            done => done.map(|()| true),
        }
    }

    fn clean_up(self, deadline: Option<Instant>, machine: &dyn Machine) -> Result<(), DeleteError> {
        if let Some(lock) = self.lock {
            let deadline = deadline.unwrap_or_else(|| Instant::now() + ENDS_WITHIN);
            cleanup::after_dead_supervisor(&self.dir, lock, deadline, &self.settings, machine)?;
        }
        // The supervisor may have been killed at its very last step.
        cleanup::finish_removals(&self.settings.places);
        claims::finish_deletions(&self.settings.places);
        Ok(())
    }
}

/// A supervisor that has only just started does not listen yet: its pod's lock tells that it
/// lives, and the socket's appearance is waited for.
fn ask(dir: &PodDir, grace: Option<u64>) -> Result<PacketSocket, DeleteError> {
    let socket = crate::client::connect(dir).map_err(DeleteError::Supervisor)?;
    socket.send(&Request::Delete { grace }, &[]).map_err(DeleteError::Supervisor)?;
    socket.limit_waiting(Some(ANSWERS_WITHIN)).map_err(DeleteError::Supervisor)?;
    match socket.receive::<Reply>() {
        Ok(Incoming::Nothing) if grace == Some(0) => {
            socket.kill_peer().map_err(DeleteError::Supervisor)?;
        }
        Ok(Incoming::Nothing) => return Err(DeleteError::NoAnswer),
        _ => {}
    }
    socket.limit_waiting(None).map_err(DeleteError::Supervisor)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::packet::PacketListener;

    /// Moments that differ a little: the listener goes before or after the request is sent.
    const ROUNDS: usize = 200;

    #[test]
    fn a_supervisor_on_its_end_is_waited_for_and_not_an_error() {
        for _ in 0..ROUNDS {
            let place = tempfile::tempdir().unwrap();
            let dir = PodDir::at(place.path().to_owned());
            let _lives = lock::take(&dir).unwrap();
            let listener = PacketListener::bind(&dir.socket()).unwrap();
            let supervisor = thread::spawn(move || {
                let deadline = Instant::now() + ANSWERS_WITHIN;
                watch::wait_readable(&listener, deadline) // and does not take the connection
            });
            let settings = Settings::of_this_machine();
            Deletion::request(dir, None, &settings).unwrap();
            supervisor.join().unwrap().unwrap();
        }
    }
}
