//! The host's end of a copy.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;

use thiserror::Error;

use super::receive::{self, Rules};
use super::{Note, Place, send};
use crate::client::{ClientError, answer, connect};
use crate::control::{CopyRequest, Reply, Request};
use crate::places::PodDir;

/// More complaints than this, in bytes, are not read out.
const MOST_COMPLAINTS: u64 = 256 * 1024;

/// Why files were not copied.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The supervisor.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file or directory of the host.
    #[error("cannot copy {}", path.display())]
    Host {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A pipe to the container's end.
    #[error("cannot talk to the container's end of the copy")]
    Stream(#[from] io::Error),
}

/// What became of a copy.
#[derive(Debug)]
pub struct Copied {
    /// What the container's end could not read or write, line by line, and why.
    pub complaints: Vec<String>,
    /// Whether it read or wrote everything.
    pub is_whole: bool,
}

/// Copies out of a container. A directory's content goes into a directory that exists; a file goes
/// into it under its own name; what does not exist yet is made.
pub fn from_container(
    dir: &PodDir,
    request: &CopyRequest,
    to: &Path,
    tell: &mut dyn FnMut(Note),
) -> Result<Copied, CopyError> {
    let null = OwnedFd::from(fs::File::open("/dev/null")?);
    let (content, far) = io::pipe()?;
    let copy = Copy::begin(dir, request, null, far.into())?;
    let name = Path::new(&request.path).file_name().map(PathBuf::from);
    let place = |is_directory: bool| host_place(to, name.filter(|_| !is_directory));
    let received = receive::receive(place, content, Rules::on_host(), tell);
    let ended = copy.end()?;
    received.map_err(|source| CopyError::Host { path: to.to_owned(), source })?;
    Ok(ended)
}

/// Copies into a container.
pub fn to_container(
    dir: &PodDir,
    request: &CopyRequest,
    from: &Path,
    tell: &mut dyn FnMut(Note),
) -> Result<Copied, CopyError> {
    let failed = |source| CopyError::Host { path: from.to_owned(), source };
    // "." and ".." have names, too.
    let from = if from.file_name().is_some() {
        from.to_owned()
    } else {
        fs::canonicalize(from).map_err(failed)?
    };
    let place = super::find(&from).map_err(failed)?;
    let null = OwnedFd::from(fs::OpenOptions::new().write(true).open("/dev/null")?);
    let (far, content) = io::pipe()?;
    let copy = Copy::begin(dir, request, far.into(), null)?;
    let sent = send::send(&place, content, tell);
    let ended = copy.end()?;
    match sent {
        // The other end stopped reading, and has said why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !ended.is_whole => Ok(ended),
        Err(error) => Err(failed(error)),
        Ok(()) => Ok(ended),
    }
}

/// Where something goes on the host. A link that the user names is followed: it is the user's.
fn host_place(to: &Path, name: Option<PathBuf>) -> io::Result<Place> {
    match fs::canonicalize(to) {
        Ok(real) if real.is_dir() => {
            let dir = super::open_directory(&real)?;
            Ok(Place { dir, name: name.unwrap_or_else(|| ".".into()).into() })
        }
        Ok(real) => super::find(&real),
        Err(_) => {
            fs::create_dir_all(super::or_here(to.parent().unwrap_or(Path::new("."))))?;
            super::find(to)
        }
    }
}

/// A copy whose other end runs.
struct Copy {
    socket: crate::packet::PacketSocket,
    complaints: thread::JoinHandle<String>,
}

impl Copy {
    fn begin(
        dir: &PodDir,
        request: &CopyRequest,
        stdin: OwnedFd,
        stdout: OwnedFd,
    ) -> Result<Self, CopyError> {
        let (complaints, far) = io::pipe()?;
        let socket = connect(dir).map_err(ClientError::Gone)?;
        let files = [stdin.as_fd(), stdout.as_fd(), far.as_fd()];
        let request = Request::Copy(request.clone());
        socket.send(&request, &files).map_err(ClientError::from)?;
        drop((stdin, stdout, far));
        answer(&socket)?;
        Ok(Self { socket, complaints: thread::spawn(move || read(complaints)) })
    }

    fn end(self) -> Result<Copied, CopyError> {
        let (Reply::Ended { code }, _) = answer(&self.socket)? else {
            return Err(ClientError::NoAnswer.into());
        };
        let text = self.complaints.join().unwrap_or_default();
        Ok(Copied { complaints: text.lines().map(str::to_owned).collect(), is_whole: code == 0 })
    }
}

/// Reads all, and keeps the beginning.
fn read(mut complaints: io::PipeReader) -> String {
    let mut text = Vec::new();
    let _ = (&mut complaints).take(MOST_COMPLAINTS).read_to_end(&mut text); // as far as it goes
    let _ = io::copy(&mut complaints, &mut io::sink()); // or the other end would wait
    String::from_utf8_lossy(&text).into_owned()
}
