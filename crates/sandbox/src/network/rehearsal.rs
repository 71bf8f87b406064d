//! A pod network tried out, out of everybody's way.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use super::attach::{attach, detach};
use super::error::NetworkError;
use super::interfaces::loopback_up;
use super::settings::{Egress, NetworkSettings, PodNetworkRequest};
use super::visit::visit;

/// How long a packet may take from one end of a link to the other.
const PATIENCE: Duration = Duration::from_secs(1);

/// Attaches a pod that does not exist to a network in a namespace of its own, sends a packet to
/// its gateway, and takes all of it away. The machine's own network is not touched; `directory` is
/// made and removed.
///
/// # Errors
///
/// [`NetworkError`] as [`attach`] and [`detach`] return it: what this kernel refuses, with a hint.
pub fn rehearse(directory: &Path) -> Result<(), NetworkError> {
    let directory = directory.to_owned();
    // On a thread of its own, which takes the namespaces with it.
    let thread = std::thread::spawn(move || {
        let outcome = try_out(&directory);
        let _ = std::fs::remove_dir_all(&directory); // a few bytes, should it fail
        outcome
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn try_out(directory: &Path) -> Result<(), NetworkError> {
    let pod = new_namespace("a pod's")?;
    let _machine = new_namespace("a machine's")?;
    loopback_up()?;
    let mut settings = NetworkSettings::new(directory);
    settings.ipv6 = "fd85:a55::/64".parse().ok();
    let request = PodNetworkRequest {
        pod_uid: "a pod that does not exist",
        namespace: pod.as_fd(),
        host_ports: &[],
        egress: Egress::All,
        resolvers: &[],
    };
    let address = attach(&settings, &request)?;
    let gateway = SocketAddr::from((address.gateway, DISCARD));
    let answer = visit(pod.as_fd(), || Ok(TcpStream::connect_timeout(&gateway, PATIENCE)));
    detach(&settings, request.pod_uid)?;
    match answer? {
        Err(error) if error.kind() != ErrorKind::ConnectionRefused => {
            Err(NetworkError::Unreachable { gateway: address.gateway, source: error })
        }
        _ => Ok(()), // nobody listens there, and the machine has said so
    }
}

/// Moves the thread to a new network namespace.
fn new_namespace(whose: &'static str) -> Result<File, NetworkError> {
    let enter = |source| NetworkError::Enter { whose, source };
    unshare(CloneFlags::CLONE_NEWNET).map_err(enter)?;
    File::open("/proc/thread-self/ns/net")
        .map_err(|source| enter(Errno::from_raw(source.raw_os_error().unwrap_or(libc::EIO))))
}

const DISCARD: u16 = 9;
