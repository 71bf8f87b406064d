//! Whether the machine's ports are free for a pod.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::errno::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::error::NetworkError;
use super::lease::Lease;
use super::settings::{HostPort, PodNetworkRequest, Protocol};

/// Refuses a request for a port that another pod or a process of the machine has.
pub(super) fn refuse_taken_ports(
    leases: &[Lease],
    request: &PodNetworkRequest<'_>,
) -> Result<(), NetworkError> {
    for port in request.host_ports {
        let holds = |lease: &&Lease| {
            lease.pod_uid != request.pod_uid
                && lease.host_ports.iter().any(|other| other.clashes_with(port))
        };
        if let Some(lease) = leases.iter().find(holds) {
            let owner = format!("pod {}", lease.pod_uid);
            return Err(NetworkError::HostPortTaken { port: *port, owner });
        }
        match try_bind(port) {
            Ok(()) => {}
            Err(Errno::EADDRINUSE) => {
                let owner = "a process of this machine".to_owned();
                return Err(NetworkError::HostPortTaken { port: *port, owner });
            }
            Err(source) => return Err(NetworkError::HostPort { port: *port, source }),
        }
    }
    Ok(())
}

/// Binds the port for a moment. The address translation comes before sockets, so nothing has to
/// be kept.
fn try_bind(port: &HostPort) -> Result<(), Errno> {
    let (kind, protocol) = match port.protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::SEQPACKET, ipproto::SCTP),
    };
    let ip = port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let family = if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = match rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))
    {
        // Without the protocol in the kernel nobody can be listening.
        Err(rustix::io::Errno::PROTONOSUPPORT | rustix::io::Errno::SOCKTNOSUPPORT)
            if port.protocol == Protocol::Sctp =>
        {
            return Ok(());
        }
        result => result.map_err(errno)?,
    };
    if port.protocol == Protocol::Tcp {
        // Connections that are being forgotten (TIME_WAIT) are no listeners: tcp(7).
        sockopt::set_socket_reuseaddr(&socket, true).map_err(errno)?;
    }
    rustix::net::bind(&socket, &SocketAddr::new(ip, port.host_port)).map_err(errno)
}

fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw(errno.raw_os_error())
}
