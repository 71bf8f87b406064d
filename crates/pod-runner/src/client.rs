//! Talks to a pod's supervisor.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::inotify;
use rustix::termios::Winsize;
use thiserror::Error;

use crate::control::{ContainerUsage, ExecRequest, Refusal, Reply, Request, TerminalSize};
use crate::lock;
use crate::packet::{Incoming, PacketSocket};
use crate::places::PodDir;

/// How long a supervisor may take from its start until it listens.
const STARTS_WITHIN: Duration = Duration::from_secs(5);

/// Why a request was not served.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is no supervisor to ask.
    #[error("the pod's supervisor does not answer")]
    Gone(#[source] io::Error),
    /// The connection broke.
    #[error("cannot talk to the pod's supervisor")]
    Connection(#[from] io::Error),
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

/// Connects to the supervisor, waiting for its socket when it has only just been started.
pub(crate) fn connect(dir: &PodDir) -> io::Result<PacketSocket> {
    let first = match PacketSocket::connect(&dir.socket()) {
        Ok(socket) => return Ok(socket),
        Err(error) => error,
    };
    if !lock::is_held(dir) {
        return Err(first);
    }
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, dir.path(), inotify::WatchFlags::CREATE)?;
    let deadline = Instant::now() + STARTS_WITHIN;
    loop {
        match PacketSocket::connect(&dir.socket()) {
            Ok(socket) => return Ok(socket),
            Err(error) if !lock::is_held(dir) || Instant::now() >= deadline => return Err(error),
            Err(_) => crate::watch::wait_readable(&watch, deadline)?,
        }
        let mut seen = [std::mem::MaybeUninit::uninit(); 1024];
        let _ = inotify::Reader::new(&watch, &mut seen).next(); // only that something happened
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

fn answer(socket: &PacketSocket) -> Result<(Reply, Vec<OwnedFd>), ClientError> {
    match socket.receive::<Reply>()? {
        Incoming::Message(Reply::Refused { kind, message }, _) => {
            Err(ClientError::Refused { kind, message })
        }
        Incoming::Message(reply, files) => Ok((reply, files)),
        Incoming::Nothing | Incoming::Closed => Err(ClientError::NoAnswer),
    }
}

/// The near ends of a command's streams.
#[derive(Debug, Default)]
pub struct Streams {
    /// Written by the user, read by the command.
    pub stdin: Option<File>,
    /// What the command writes.
    pub stdout: Option<File>,
    /// What the command writes as errors.
    pub stderr: Option<File>,
    /// The near end of the command's terminal, instead of the three.
    pub terminal: Option<File>,
}

/// A command that runs in a container.
#[derive(Debug)]
pub struct Session {
    socket: PacketSocket,
}

/// Starts a command in a container and hands out the near ends of its streams.
pub fn exec(
    dir: &PodDir,
    request: &ExecRequest,
    with_stdin: bool,
) -> Result<(Session, Streams), ClientError> {
    let socket = connect(dir).map_err(ClientError::Gone)?;
    if request.terminal.is_some() {
        socket.send(&Request::Exec(request.clone()), &[])?;
        let (_, files) = answer(&socket)?;
        let terminal = files.into_iter().next().map(File::from);
        return Ok((Session { socket }, Streams { terminal, ..Streams::default() }));
    }
    let (streams, far) = pipes(with_stdin)?;
    let far: Vec<BorrowedFd<'_>> = far.iter().map(AsFd::as_fd).collect();
    socket.send(&Request::Exec(request.clone()), &far)?;
    drop(far);
    answer(&socket)?;
    Ok((Session { socket }, streams))
}

impl Session {
    /// Waits for the command's end and returns its exit code.
    pub fn wait(&self) -> Result<i32, ClientError> {
        match answer(&self.socket)? {
            (Reply::Ended { code }, _) => Ok(code),
            _ => Err(ClientError::NoAnswer),
        }
    }
}

/// Tells a terminal how large the window is that shows it.
pub fn resize(terminal: &File, size: TerminalSize) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Pipes for a command: near ends for us, far ends in the order stdin, stdout, stderr.
fn pipes(with_stdin: bool) -> io::Result<(Streams, Vec<OwnedFd>)> {
    let (stdin, near_stdin) = if with_stdin {
        let (far, near) = io::pipe()?;
        (OwnedFd::from(far), Some(File::from(OwnedFd::from(near))))
    } else {
        (OwnedFd::from(File::open("/dev/null")?), None)
    };
    let (stdout, far_stdout) = io::pipe()?;
    let (stderr, far_stderr) = io::pipe()?;
    let streams = Streams {
        stdin: near_stdin,
        stdout: Some(File::from(OwnedFd::from(stdout))),
        stderr: Some(File::from(OwnedFd::from(stderr))),
        terminal: None,
    };
    Ok((streams, vec![stdin, far_stdout.into(), far_stderr.into()]))
}
