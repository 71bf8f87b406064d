//! Whole messages and open files over a Unix socket.
//!
//! The socket keeps message borders (`SOCK_SEQPACKET`, unix(7)), so one message is one JSON value;
//! open files travel beside it (`SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::sockopt;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::process::Signal;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest message; the kernel's default socket buffer would take twice as much.
const LARGEST: usize = 128 * 1024;
/// The most files that travel with one message.
const MOST_FILES: usize = 3;

/// Takes connections at a path.
#[derive(Debug)]
pub struct PacketListener(OwnedFd);

/// One end of a connection.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

/// What a connection has to say.
#[derive(Debug)]
pub enum Incoming<T> {
    /// A message and the files that came with it.
    Message(T, Vec<OwnedFd>),
    /// Nothing yet.
    Nothing,
    /// The other end is gone.
    Closed,
}

impl PacketListener {
    /// Listens at a path. The socket appears there when it listens, so one that refuses has nobody
    /// any more.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let socket = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        let aside = path.with_extension("new");
        let (address, _directory) = address(&aside)?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, 64)?;
        std::fs::rename(&aside, path)?;
        Ok(Self(socket))
    }

    /// Takes one waiting connection, if there is one.
    pub fn accept(&self) -> io::Result<Option<PacketSocket>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match rustix::net::accept_with(&self.0, flags) {
            Ok(socket) => Ok(Some(PacketSocket(socket))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl PacketSocket {
    /// Connects to a listener; reads and writes of this end wait.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = new_socket(SocketFlags::CLOEXEC)?;
        let (address, _directory) = address(path)?;
        rustix::net::connect(&socket, &address)?;
        Ok(Self(socket))
    }

    /// Another handle of the same end.
    /// Ends the connection for both ends (shutdown(2)), also for whoever waits at this one.
    pub fn shut_down(&self) {
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both); // it may be over
    }

    /// Another handle of it.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Lets a wait for a message end with [`Incoming::Nothing`] after that time.
    pub fn limit_waiting(&self, limit: Option<Duration>) -> io::Result<()> {
        Ok(sockopt::set_socket_timeout(&self.0, sockopt::Timeout::Recv, limit)?)
    }

    /// Kills the process that listens at the other end.
    pub fn kill_peer(&self) -> io::Result<()> {
        let peer = sockopt::socket_peercred(&self.0)?.pid;
        Ok(rustix::process::kill_process(peer, Signal::KILL)?)
    }

    /// Sends one message with some open files. That the other end is gone is always
    /// [`io::ErrorKind::BrokenPipe`].
    pub fn send(&self, message: &impl Serialize, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        if text.len() > LARGEST {
            let text = "the request is longer than 128 KiB";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(files));
        }
        let parts = [IoSlice::new(&text)];
        match rustix::net::sendmsg(&self.0, &parts, &mut beside, SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            // A listener that closes before it took the connection resets it.
            Err(rustix::io::Errno::CONNRESET) => Err(rustix::io::Errno::PIPE.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Receives one message.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Incoming<T>> {
        let mut text = vec![0; LARGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut text)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = match rustix::net::recvmsg(&self.0, &mut parts, &mut beside, flags) {
            Ok(received) => received.bytes,
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Incoming::Nothing),
            Err(rustix::io::Errno::CONNRESET) => return Ok(Incoming::Closed),
            Err(error) => return Err(error.into()),
        };
        if received == 0 {
            return Ok(Incoming::Closed);
        }
        let files = beside
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(files) => Some(files),
                _ => None,
            })
            .flatten()
            .collect();
        Ok(Incoming::Message(serde_json::from_slice(&text[..received])?, files))
    }
}

impl AsFd for PacketListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An address has room for 108 bytes (unix(7)), and a pod's name alone may have 253. So the address
/// leads through the directory, which has to stay open for that long.
fn address(path: &Path) -> io::Result<(SocketAddrUnix, OwnedFd)> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let directory = rustix::fs::open(directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let name = path.file_name().unwrap_or_default();
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((SocketAddrUnix::new(&short)?, directory))
}

fn new_socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_message_arrives_whole_and_with_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("long".repeat(40));
        std::fs::create_dir(&long).unwrap();
        let path = long.join("control.sock");
        let listener = PacketListener::bind(&path).unwrap();
        assert!(listener.accept().unwrap().is_none());
        let client = PacketSocket::connect(&path).unwrap();
        let server = listener.accept().unwrap().unwrap();
        assert!(matches!(server.receive::<String>().unwrap(), Incoming::Nothing));
        let (mut reader, writer) = io::pipe().unwrap();
        client.send(&"hello", &[writer.as_fd()]).unwrap();
        drop(writer);
        let Incoming::Message(text, mut files) = server.receive::<String>().unwrap() else {
            panic!("no message")
        };
        assert_eq!((text.as_str(), files.len()), ("hello", 1));
        std::fs::File::from(files.remove(0)).write_all(b"through").unwrap();
        let mut through = String::new();
        reader.read_to_string(&mut through).unwrap();
        assert_eq!(through, "through");
        drop(client);
        assert!(matches!(server.receive::<String>().unwrap(), Incoming::Closed));
    }
}
