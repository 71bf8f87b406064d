//! One netlink socket: send a batch, read the answers, give refusals in the kernel's own words.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::decode::{Message, find, messages};
use super::encode::Batch;
use crate::sys::netlink_options;

/// A step that the kernel refused, or a socket that failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel refused a request.
    #[error("cannot {doing}")]
    Refused {
        /// What was being asked for: "create the bridge minipod0".
        doing: String,
        /// The kernel's answer.
        source: KernelRefusal,
    },
    /// The socket itself failed.
    #[error("cannot {action} a netlink socket")]
    Socket {
        /// The step that failed.
        action: &'static str,
        /// What the system call returned.
        source: Errno,
    },
}

impl NetlinkError {
    /// Whether this is the kernel saying exactly this errno.
    pub(crate) fn is(&self, errno: Errno) -> bool {
        matches!(self, Self::Refused { source, .. } if source.errno == errno)
    }

    /// What the kernel said, of the request or of the socket.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Self::Refused { source, .. } => source.errno,
            Self::Socket { source, .. } => *source,
        }
    }
}

/// Why the kernel refused: the errno and, where the kernel gives one, its sentence
/// (`NLMSGERR_ATTR_MSG`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{errno}{}", explanation.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
pub struct KernelRefusal {
    /// The errno.
    pub errno: Errno,
    /// The kernel's sentence.
    pub explanation: Option<String>,
}

/// Which part of the kernel a socket talks to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Family {
    /// Links, addresses, routes: rtnetlink(7).
    Route,
    /// Firewall and address translation: nfnetlink.
    Netfilter,
}

/// A socket that belongs for ever to the network namespace it was opened in, wherever the process
/// goes afterwards (`network_namespaces(7)`).
#[derive(Debug)]
pub(crate) struct NetlinkSocket {
    descriptor: OwnedFd,
    buffer: Vec<u8>,
}

/// Larger than the 32 KiB that the kernel puts into one part of a dump.
const BUFFER: usize = 64 * 1024;

impl NetlinkSocket {
    /// Opens a socket in the network namespace of the calling thread.
    pub(crate) fn open(family: Family) -> Result<Self, NetlinkError> {
        let protocol = match family {
            Family::Route => None, // NETLINK_ROUTE is 0
            Family::Netfilter => Some(netlink::NETFILTER),
        };
        let (raw, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        let descriptor = rustix::net::socket_with(AddressFamily::NETLINK, raw, flags, protocol)
            .map_err(|errno| socket_error("open", errno))?;
        netlink_options::explain_refusals(descriptor.as_fd())
            .map_err(|source| NetlinkError::Socket { action: "configure", source })?;
        Ok(Self { descriptor, buffer: vec![0; BUFFER] })
    }

    /// Sends requests that return nothing but success; the first refusal is the error.
    pub(crate) fn execute(&mut self, batch: &Batch) -> Result<(), NetlinkError> {
        self.query(batch, |_| {})
    }

    /// Sends requests and hands each message of the answers to `each`.
    ///
    /// Requests carry `NLM_F_ACK`; for a dump, `NLMSG_DONE` counts as the acknowledgement.
    pub(crate) fn query(
        &mut self,
        batch: &Batch,
        mut each: impl FnMut(Message<'_>),
    ) -> Result<(), NetlinkError> {
        let sent = rustix::net::send(&self.descriptor, batch.bytes(), SendFlags::empty());
        sent.map_err(|errno| socket_error("send to", errno))?;
        let mut missing = batch.expected_acknowledgements();
        let mut refused = None;
        // The kernel works while this thread is in `send`, and for a dump in `recv`, so whatever
        // it has to say is there: an empty queue is the end of the answer.
        while let Some(length) = self.receive()? {
            for message in messages(&self.buffer[..length]) {
                match outcome(&message) {
                    Outcome::Data => each(message),
                    Outcome::Done => missing = missing.saturating_sub(1),
                    Outcome::Refused(why) => refused = refused.or(Some((message.sequence, why))),
                }
            }
        }
        match refused {
            Some((sequence, source)) => {
                Err(NetlinkError::Refused { doing: batch.doing(sequence).to_owned(), source })
            }
            None if missing > 0 => {
                Err(NetlinkError::Socket { action: "get an answer from", source: Errno::ENODATA })
            }
            None => Ok(()),
        }
    }

    /// The length of the next datagram, or nothing if the queue is empty.
    fn receive(&mut self) -> Result<Option<usize>, NetlinkError> {
        let flags = RecvFlags::DONTWAIT;
        match rustix::net::recv(&self.descriptor, self.buffer.as_mut_slice(), flags) {
            Ok((_, length)) => Ok(Some(length)),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(errno) => Err(socket_error("read from", errno)),
        }
    }
}

enum Outcome {
    Data,
    Done,
    Refused(KernelRefusal),
}

fn outcome(message: &Message<'_>) -> Outcome {
    match i32::from(message.kind) {
        libc::NLMSG_ERROR | libc::NLMSG_DONE => match refusal(message) {
            Some(refusal) => Outcome::Refused(refusal),
            None => Outcome::Done,
        },
        _ => Outcome::Data,
    }
}

/// Reads `struct nlmsgerr`: the negative errno, the header of our message, and attributes. The
/// message that ends a dump starts with the same negative errno.
pub(super) fn refusal(message: &Message<'_>) -> Option<KernelRefusal> {
    let errno = i32::from_ne_bytes(message.payload.get(..4)?.try_into().ok()?);
    if errno == 0 {
        return None;
    }
    let tail = message.payload.get(4 + super::encode::HEADER..).unwrap_or_default();
    let has_attributes = i32::from(message.flags) & libc::NLM_F_ACK_TLVS != 0;
    let explanation = find(if has_attributes { tail } else { &[] }, NLMSGERR_ATTR_MSG);
    Some(KernelRefusal {
        errno: Errno::from_raw(-errno),
        explanation: explanation.map(|attribute| attribute.text()),
    })
}

const NLMSGERR_ATTR_MSG: u16 = 1; // linux/netlink.h

fn socket_error(action: &'static str, errno: rustix::io::Errno) -> NetlinkError {
    NetlinkError::Socket { action, source: Errno::from_raw(errno.raw_os_error()) }
}
