//! Connections from this machine to ports of a pod.
//!
//! Each connection has two threads of its own, in the pod's network namespace: what they connect
//! to is the pod's loopback, so that servers are reached that listen nowhere else.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use nix::sched::{CloneFlags, setns};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::{ClientError, answer, connect};
use crate::control::Request;
use crate::packet::PacketSocket;
use crate::places::PodDir;
use crate::session::wait_for_close;

/// More connections at a time than this wait until others end.
const MOST_CONNECTIONS: usize = 4096;
/// What else a process has open.
const OTHER_FILES: usize = 64;
/// A thread that copies needs little.
const STACK: usize = 256 * 1024;

/// The network of a running pod.
#[derive(Debug)]
pub struct PodNetwork {
    namespace: Option<OwnedFd>,
    socket: PacketSocket,
    open: Mutex<usize>,
    ended: Condvar,
    most: usize,
}

/// Something that a forwarded port has to tell.
#[derive(Debug)]
pub enum Event {
    /// Somebody has connected to this local port.
    Handling(u16),
    /// A connection from this local port to that port of the pod failed.
    Failed(u16, u16, String),
    /// No more connections can be taken.
    Stopped(io::Error),
}

impl PodNetwork {
    /// Gets hold of a pod's network.
    pub fn of(dir: &PodDir) -> Result<Self, ClientError> {
        let socket = connect(dir).map_err(ClientError::Gone)?;
        socket.send(&Request::Network, &[])?;
        let (_, files) = answer(&socket)?;
        Ok(Self {
            namespace: files.into_iter().next(),
            socket,
            open: Mutex::new(0),
            ended: Condvar::new(),
            most: most_connections(),
        })
    }

    /// Waits until the pod's network is gone.
    pub fn wait_until_gone(&self) {
        wait_for_close(&self.socket);
    }

    /// Takes connections for a port of the pod, for as long as this process lives.
    pub fn forward(
        self: &Arc<Self>,
        listener: &TcpListener,
        remote: u16,
        tell: &Arc<dyn Fn(Event) + Send + Sync>,
    ) {
        let local = listener.local_addr().map_or(0, |address| address.port());
        loop {
            self.wait_for_room(self.most);
            let client = match listener.accept() {
                Ok((client, _)) => client,
                // The client has gone already (accept(2)).
                Err(error) if is_of_the_client(&error) => continue,
                Err(error) => return tell(Event::Stopped(error)),
            };
            tell(Event::Handling(local));
            *self.open.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            let (network, teller) = (Arc::clone(self), Arc::clone(tell));
            let serving = thread::Builder::new().stack_size(STACK).spawn(move || {
                if let Err(error) = network.serve(client, remote) {
                    teller(Event::Failed(local, remote, error));
                }
                network.connection_ended();
            });
            if let Err(error) = serving {
                self.connection_ended();
                tell(Event::Failed(local, remote, crate::text::words(&error.to_string())));
            }
        }
    }

    fn wait_for_room(&self, most: usize) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ended.wait_while(open, |open| *open >= most);
        drop(waited); // only that there is room matters
    }

    fn connection_ended(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.ended.notify_all();
    }

    /// A connection to a port of the pod, for whoever passes its bytes on.
    ///
    /// # Errors
    ///
    /// Why there is none, as a sentence.
    pub fn connect(self: &Arc<Self>, port: u16) -> Result<TcpStream, String> {
        let network = Arc::clone(self);
        let dialling = thread::Builder::new().stack_size(STACK).spawn(move || {
            network.enter()?;
            dial(port)
        });
        let dialled = dialling.map_err(|error| error.to_string())?.join();
        dialled.unwrap_or_else(|_| Err("the server failed".to_owned()))
    }

    /// Moves this thread into the pod's network.
    fn enter(&self) -> Result<(), String> {
        self.namespace.as_ref().map_or(Ok(()), |namespace| {
            setns(namespace, CloneFlags::CLONE_NEWNET)
                .map_err(|errno| format!("cannot enter the pod's network: {}", errno.desc()))
        })
    }

    /// One connection, until both sides have said everything.
    fn serve(&self, client: TcpStream, remote: u16) -> Result<(), String> {
        self.enter()?;
        let pod = dial(remote)?;
        let (client, pod) = (Arc::new(client), Arc::new(pod));
        let up = (Arc::clone(&client), Arc::clone(&pod));
        let upward = thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || pass(&up.0, &up.1))
            .map_err(|error| error.to_string())?;
        pass(&pod, &client);
        let _ = upward.join(); // it reports nothing
        Ok(())
    }
}

/// Connects to the pod's loopback, of either version.
fn dial(port: u16) -> Result<TcpStream, String> {
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port);
    TcpStream::connect(v4).or_else(|error| {
        TcpStream::connect(v6).map_err(|_| {
            let errno = error.raw_os_error().map(nix::errno::Errno::from_raw);
            let text = errno.map_or_else(|| error.to_string(), |one| one.desc().to_lowercase());
            format!("dial tcp4 {v4}: connect: {text}")
        })
    })
}

/// Copies one direction to its end, and ends it at the other side, too. When the connection
/// breaks, so does the other direction.
fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write); // the other side may have gone
                return;
            }
            Ok(count) if to.write_all(&buffer[..count]).is_ok() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

/// Each connection is two files; as many as this process may have.
fn most_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    (files.saturating_sub(OTHER_FILES) / 2).clamp(1, MOST_CONNECTIONS)
}
