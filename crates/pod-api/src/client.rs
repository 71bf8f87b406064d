//! Talks to a pod's supervisor.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::control::{ContainerUsage, Refusal, Reply, Request};
use crate::lock;
use crate::packet::{Incoming, PacketSocket};
use crate::places::PodDir;
use crate::watch::Watcher;

/// How long a supervisor may take from its start until it listens.
const STARTS_WITHIN: Duration = Duration::from_secs(5);
/// How often it is asked whether there still is one that starts.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Why a request was not served.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is no supervisor to ask.
    #[error("the pod's supervisor does not answer")]
    Gone(#[source] io::Error),
    /// The connection broke.
    #[error("cannot talk to the pod's supervisor")]
    Connection(#[source] io::Error),
    /// The supervisor refused.
    #[error("{message}")]
    Refused {
        /// What kind of refusal.
        kind: Refusal,
        /// Why.
        message: String,
    },
    /// The supervisor ended before it answered.
    #[error("the pod's supervisor ended before it answered")]
    NoAnswer,
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NoAnswer,
            _ => Self::Connection(error),
        }
    }
}

/// Connects to the supervisor, waiting for its socket when it has only just been started. A socket
/// that refuses is that of a supervisor on its end, which will not listen again.
pub fn connect(dir: &PodDir) -> io::Result<PacketSocket> {
    let is_coming = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let first = match PacketSocket::connect(&dir.socket()) {
        Err(error) if is_coming(&error) && lock::is_held(dir) => error,
        result => return result,
    };
    let watcher = Watcher::new();
    watcher.add(dir.path()).map_err(|_| first)?;
    let deadline = Instant::now() + STARTS_WITHIN;
    loop {
        match PacketSocket::connect(&dir.socket()) {
            Err(error) if is_coming(&error) && lock::is_held(dir) && Instant::now() < deadline => {
                // Nobody tells when a lock is given up, as by a supervisor that cannot begin.
                let again = deadline.min(Instant::now() + LOOK_AGAIN);
                let _ = watcher.wait(None, Some(again));
            }
            result => return result,
        }
    }
}

/// Sends a request that has one answer.
pub fn ask(dir: &PodDir, request: &Request) -> Result<Reply, ClientError> {
    let socket = connect(dir).map_err(ClientError::Gone)?;
    socket.send(request, &[])?;
    answer(&socket).map(|(reply, _)| reply)
}

/// What each container of the pod uses now.
pub fn usage(dir: &PodDir) -> Result<BTreeMap<String, ContainerUsage>, ClientError> {
    match ask(dir, &Request::Usage)? {
        Reply::Usage(usage) => Ok(usage),
        _ => Err(ClientError::NoAnswer),
    }
}

/// The supervisor's answer, with the files that come along.
pub fn answer(socket: &PacketSocket) -> Result<(Reply, Vec<OwnedFd>), ClientError> {
    match socket.receive::<Reply>()? {
        Incoming::Message(Reply::Refused { kind, message }, _) => {
            Err(ClientError::Refused { kind, message })
        }
        Incoming::Message(reply, files) => Ok((reply, files)),
        Incoming::Nothing | Incoming::Closed => Err(ClientError::NoAnswer),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::packet::PacketListener;

    #[test]
    fn a_supervisor_is_waited_for_at_its_start_and_not_at_its_end() {
        let place = tempfile::tempdir().unwrap();
        let dir = PodDir::at(place.path().join("default_web"));
        std::fs::create_dir(dir.path()).unwrap();
        assert_eq!(connect(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
        let _lock = lock::take(&dir).unwrap();
        let client = thread::spawn({
            let dir = dir.clone();
            move || connect(&dir).map(drop)
        });
        let listener = PacketListener::bind(&dir.socket()).unwrap();
        client.join().unwrap().unwrap();
        drop(listener);
        assert_eq!(connect(&dir).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_supervisor_that_ends_before_it_took_the_connection_gives_no_answer() {
        let place = tempfile::tempdir().unwrap();
        let dir = PodDir::at(place.path().to_owned());
        let listener = PacketListener::bind(&dir.socket()).unwrap();
        let socket = connect(&dir).unwrap();
        drop(listener);
        let error = socket.send(&Request::Usage, &[]).unwrap_err();
        assert!(matches!(ClientError::from(error), ClientError::NoAnswer));
    }
}
