//! What can go wrong with a pod's network, and the way out.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use nix::errno::Errno;

use super::cidr::Ipv4Cidr;
use super::netlink::NetlinkError;
use super::settings::HostPort;

/// Why a pod did not get its network, or why it could not be taken away.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel refused a step.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The kernel lacks something of its firewall.
    #[error("this kernel lacks a part of nf_tables that pods need")]
    Firewall {
        /// What it refused.
        source: NetlinkError,
    },
    /// The calling thread could not go into a network namespace, or not back.
    #[error("cannot enter {whose} network namespace")]
    Enter {
        /// "the pod's" or "its own".
        whose: &'static str,
        /// What the system call returned.
        source: Errno,
    },
    /// A kernel setting below `/proc/sys` could not be read or written.
    #[error("cannot set {}", path.display())]
    Setting {
        /// The setting's file.
        path: PathBuf,
        /// What the system call returned.
        source: io::Error,
    },
    /// The lease directory or a file in it could not be used.
    #[error("cannot {action} {}", path.display())]
    Lease {
        /// The step that failed.
        action: &'static str,
        /// The directory or file.
        path: PathBuf,
        /// What the system call returned.
        source: io::Error,
    },
    /// Every address is leased.
    #[error("cannot give the pod an address: all {leased} of {cidr} are taken")]
    NoFreeAddress {
        /// The range.
        cidr: Ipv4Cidr,
        /// How many addresses pods have.
        leased: usize,
    },
    /// The machine already uses addresses of the range.
    #[error("cannot use {cidr} for pods: this machine has {existing}")]
    RangeTaken {
        /// The range.
        cidr: Ipv4Cidr,
        /// The route or address in the way: "the route 10.0.0.0/8 via tun0".
        existing: String,
    },
    /// There is a link with the bridge's name that minipod did not make.
    #[error("cannot use {name} as the pods' bridge: {found}")]
    ForeignLink {
        /// The name.
        name: String,
        /// What it is instead.
        found: String,
    },
    /// The network is in use with another range.
    #[error("cannot use {wanted} for pods: the bridge {bridge} serves {existing}")]
    OtherRange {
        /// The bridge.
        bridge: String,
        /// The range asked for.
        wanted: Ipv4Cidr,
        /// The range in use.
        existing: String,
    },
    /// Someone else has the port.
    #[error("cannot publish host port {port}: address already in use by {owner}")]
    HostPortTaken {
        /// The port.
        port: HostPort,
        /// "pod 5f1c…" or "a process of this machine".
        owner: String,
    },
    /// The machine does not have the address, or the port cannot be tried.
    #[error("cannot publish host port {port}")]
    HostPort {
        /// The port.
        port: HostPort,
        /// What bind(2) returned.
        source: Errno,
    },
    /// A pod does not reach its gateway, although every step succeeded.
    #[error("a pod does not reach its gateway {gateway}")]
    Unreachable {
        /// The bridge's address.
        gateway: Ipv4Addr,
        /// What connect(2) returned.
        source: io::Error,
    },
    /// The link that was just made is not there.
    #[error("cannot find the link {name}, which was made a moment ago")]
    LinkGone {
        /// The link.
        name: String,
    },
}

impl NetworkError {
    /// What the user can do about it, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::RangeTaken { .. } => {
                Some("choose another range with --pod-cidr, for example 172.30.0.0/16".to_owned())
            }
            Self::NoFreeAddress { .. } => {
                Some("delete pods, or choose a larger range with --pod-cidr".to_owned())
            }
            Self::OtherRange { existing, .. } => {
                Some(format!("use --pod-cidr {existing}, or delete the running pods first"))
            }
            Self::Setting { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Some("mount -o remount,rw /proc/sys, or docker run --privileged".to_owned())
            }
            Self::ForeignLink { name, .. } => Some(format!("rename or remove the link {name}")),
            Self::HostPortTaken { .. } => {
                Some("choose another hostPort, or stop whoever uses this one".to_owned())
            }
            Self::HostPort { port, source: Errno::EADDRNOTAVAIL } => Some(format!(
                "hostIP has to be an address of this machine, which {} is not",
                port.host_ip.map_or_else(String::new, |ip| ip.to_string())
            )),
            Self::Firewall { .. } => Some(DRIVERS.to_owned()),
            Self::Netlink(NetlinkError::Refused { source, .. }) => refusal_hint(source.errno),
            _ => None,
        }
    }
}

fn refusal_hint(errno: Errno) -> Option<String> {
    match errno {
        Errno::EPERM => Some("run minipod as root (CAP_NET_ADMIN is needed)".to_owned()),
        Errno::EOPNOTSUPP => Some(DRIVERS.to_owned()),
        _ => None,
    }
}

const DRIVERS: &str = "pods need bridge, veth and nf_tables for ip, ip6 and bridge with nat, ct \
    and fib (modprobe bridge veth nf_tables nft_chain_nat nft_nat nft_masq nft_ct nft_fib_inet); \
    or use hostNetwork: true";
