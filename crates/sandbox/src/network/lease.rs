//! Who has which address: one file per leased address, named by it.
//!
//! The first line is the pod's uid; the rest is what is needed to take the pod off the network
//! when nobody who knew it is alive. Whoever reads or changes leases holds the lock on the
//! directory, so a file without a uid can only come from a crash, and its address is free.
//!
//! See for yourself: `head /run/minipod/network/10.*`

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::cidr::Ipv4Cidr;
use super::error::NetworkError;
use super::settings::{HostPort, PodNetworkRequest, fingerprint};

/// Remembers the address given out last, so that the next pod gets another one.
const LAST: &str = "last-address";

/// One pod's address and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) ip: Ipv4Addr,
    pub(super) pod_uid: String,
    /// Name of the pod's link on the machine's side.
    pub(super) host_interface: String,
    pub(super) host_ports: Vec<HostPort>,
}

/// Whether pods use the network already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pods {
    /// This is the first one, and what is there may be half made.
    None,
    /// There are, so what is there is complete.
    Some,
}

/// The lease directory, locked until dropped.
#[derive(Debug)]
pub(super) struct LeaseBook {
    directory: PathBuf,
    _lock: File,
    leases: Vec<Lease>,
}

impl LeaseBook {
    /// Waits for the directory's lock and reads all leases.
    pub(super) fn open(directory: &Path) -> Result<Self, NetworkError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("create", directory))?;
        Self::read(directory)
    }

    /// As `open`, but nothing is made: without the directory there are no leases.
    pub(super) fn open_existing(directory: &Path) -> Result<Option<Self>, NetworkError> {
        match Self::read(directory) {
            Err(NetworkError::Lease { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    fn read(directory: &Path) -> Result<Self, NetworkError> {
        let lock = File::open(directory).map_err(failed("open", directory))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|errno| failed("lock", directory)(errno.into()))?;
        let mut leases = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed("list", directory))? {
            let entry = entry.map_err(failed("list", directory))?;
            let Some(ip) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let path = entry.path();
            let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
            match parse_lease(ip, &text) {
                Some(lease) => leases.push(lease),
                None => fs::remove_file(&path).map_err(failed("remove", &path))?,
            }
        }
        Ok(Self { directory: directory.to_owned(), _lock: lock, leases })
    }

    /// All leases, in no particular order.
    pub(super) fn leases(&self) -> &[Lease] {
        &self.leases
    }

    /// Whether there are any.
    pub(super) fn pods(&self) -> Pods {
        if self.leases.is_empty() { Pods::None } else { Pods::Some }
    }

    /// Whether no pod but this one has a lease.
    pub(super) fn is_last(&self, pod_uid: &str) -> bool {
        self.leases.iter().all(|lease| lease.pod_uid == pod_uid)
    }

    /// The pod's lease.
    pub(super) fn of_pod(&self, pod_uid: &str) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.pod_uid == pod_uid)
    }

    /// Leases an address to the pod: the one it has already, or the next free one after the one
    /// given out last.
    pub(super) fn take(
        &mut self,
        cidr: Ipv4Cidr,
        request: &PodNetworkRequest<'_>,
    ) -> Result<Lease, NetworkError> {
        let (ip, host_interface) = match self.of_pod(request.pod_uid) {
            Some(lease) if cidr.contains(lease.ip) => (lease.ip, lease.host_interface.clone()),
            _ => (self.next_free(cidr)?, self.free_link_name(request.pod_uid)),
        };
        let lease = Lease {
            ip,
            pod_uid: request.pod_uid.to_owned(),
            host_interface,
            host_ports: request.host_ports.to_vec(),
        };
        for (name, text) in [(ip.to_string(), lease_text(&lease)), (LAST.into(), ip.to_string())] {
            let path = self.directory.join(name);
            fs::write(&path, text).map_err(failed("write", &path))?;
        }
        self.leases.retain(|other| other.pod_uid != lease.pod_uid);
        self.leases.push(lease.clone());
        Ok(lease)
    }

    /// Ends the pod's lease, if it has one.
    pub(super) fn release(&mut self, pod_uid: &str) -> Result<(), NetworkError> {
        let Some(place) = self.leases.iter().position(|lease| lease.pod_uid == pod_uid) else {
            return Ok(());
        };
        let path = self.directory.join(self.leases[place].ip.to_string());
        fs::remove_file(&path).map_err(failed("remove", &path))?;
        self.leases.swap_remove(place);
        Ok(())
    }

    fn next_free(&self, cidr: Ipv4Cidr) -> Result<Ipv4Addr, NetworkError> {
        let numbers = cidr.pod_numbers();
        let last = fs::read_to_string(self.directory.join(LAST))
            .ok()
            .and_then(|text| cidr.number_of(text.trim().parse().ok()?))
            .filter(|number| numbers.contains(number));
        let (first, end) = (*numbers.start(), *numbers.end());
        let start = last.map_or(first, |last| last + 1);
        (start..=end)
            .chain(first..start)
            .map(|number| cidr.host(number))
            .find(|ip| !self.leases.iter().any(|lease| lease.ip == *ip))
            .ok_or(NetworkError::NoFreeAddress { cidr, leased: self.leases.len() })
    }

    /// `mp` and the uid's first eight hex digits, or, should a pod with the same digits have
    /// that name, eight digits that are made of the whole uid.
    fn free_link_name(&self, pod_uid: &str) -> String {
        let taken = |name: &String| self.leases.iter().any(|lease| lease.host_interface == *name);
        let plain = pod_uid.get(..8).filter(|start| start.bytes().all(|b| b.is_ascii_hexdigit()));
        let mut name = format!("mp{}", plain.unwrap_or_default().to_lowercase());
        let mut digits = fingerprint(pod_uid);
        while name == "mp" || taken(&name) {
            name = format!("mp{digits:08x}");
            digits = digits.wrapping_add(1);
        }
        name
    }
}

fn lease_text(lease: &Lease) -> String {
    let mut text = format!("{}\nlink {}\n", lease.pod_uid, lease.host_interface);
    for port in &lease.host_ports {
        let HostPort { host_ip, host_port, container_port, protocol } = port;
        let ip = host_ip.map_or_else(|| "*".to_owned(), |ip| ip.to_string());
        let _ = writeln!(text, "port {protocol} {ip} {host_port} {container_port}"); // a String takes all
    }
    text
}

/// Reads a lease; nothing if the file was not written to its end.
fn parse_lease(ip: Ipv4Addr, text: &str) -> Option<Lease> {
    let mut lines = text.strip_suffix('\n')?.lines();
    let pod_uid = lines.next().filter(|uid| !uid.is_empty())?.to_owned();
    let host_interface = lines.next()?.strip_prefix("link ")?.to_owned();
    let host_ports = lines.map(parse_port).collect::<Option<_>>()?;
    Some(Lease { ip, pod_uid, host_interface, host_ports })
}

fn parse_port(line: &str) -> Option<HostPort> {
    let mut words = line.strip_prefix("port ")?.split(' ');
    let protocol = words.next()?.parse().ok()?;
    let host_ip = match words.next()? {
        "*" => None,
        ip => Some(ip.parse().ok()?),
    };
    let host_port = words.next()?.parse().ok()?;
    let container_port = words.next()?.parse().ok()?;
    Some(HostPort { host_ip, host_port, container_port, protocol })
}

/// The error for a step with a file of the lease directory.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NetworkError {
    let path = path.to_owned();
    move |source| NetworkError::Lease { action, path, source }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
