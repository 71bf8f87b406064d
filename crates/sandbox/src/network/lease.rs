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
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::cidr::Ipv4Cidr;
use super::error::NetworkError;
use super::settings::{Egress, HostPort, NetworkSettings, PodNetworkRequest, fingerprint};
use crate::locks;

/// Remembers the address given out last, so that the next pod gets another one.
const LAST: &str = "last-address";

/// One pod's address and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) ip: Ipv4Addr,
    pub(super) ipv6: Option<Ipv6Addr>,
    pub(super) pod_uid: String,
    /// Name of the pod's link on the machine's side.
    pub(super) host_interface: String,
    pub(super) host_ports: Vec<HostPort>,
    pub(super) egress: Egress,
    /// Name servers that the pod may ask wherever they are.
    pub(super) resolvers: Vec<IpAddr>,
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
    damaged: bool,
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
            Err(NetworkError::Lease { source, .. })
                if matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    fn read(directory: &Path) -> Result<Self, NetworkError> {
        let lock = File::open(directory).map_err(failed("open", directory))?;
        locks::lock(&lock, Instant::now() + locks::PATIENCE).map_err(failed("lock", directory))?;
        let (mut leases, mut damaged) = (Vec::new(), false);
        for entry in fs::read_dir(directory).map_err(failed("list", directory))? {
            let entry = entry.map_err(failed("list", directory))?;
            let Some(ip) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let path = entry.path();
            let text = fs::read_to_string(&path).ok();
            if let Some(lease) = text.and_then(|text| parse_lease(ip, &text)) {
                leases.push(lease);
                continue;
            }
            damaged = true;
            fs::remove_file(&path)
                .or_else(|_| fs::remove_dir_all(&path))
                .map_err(failed("remove", &path))?;
        }
        Ok(Self { directory: directory.to_owned(), _lock: lock, leases, damaged })
    }

    /// All leases, in no particular order.
    pub(super) fn leases(&self) -> &[Lease] {
        &self.leases
    }

    /// Whether a lease could not be read: somebody else changed it, or a crash cut it off. What
    /// belonged to it may still be there.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Whether a pod has a link of this name.
    pub(super) fn is_taken(&self, link: &str) -> bool {
        self.leases.iter().any(|lease| lease.host_interface == link)
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
        settings: &NetworkSettings,
        request: &PodNetworkRequest<'_>,
    ) -> Result<Lease, NetworkError> {
        let cidr = settings.cidr;
        let (ip, host_interface) = match self.of_pod(request.pod_uid) {
            Some(lease) if cidr.contains(lease.ip) => (lease.ip, lease.host_interface.clone()),
            _ => (self.next_free(cidr)?, self.free_link_name(request.pod_uid)),
        };
        let number = cidr.number_of(ip).expect("the address is of this range");
        let lease = Lease {
            ip,
            ipv6: settings.ipv6.map(|cidr| cidr.host(number)),
            pod_uid: request.pod_uid.to_owned(),
            host_interface,
            host_ports: request.host_ports.to_vec(),
            egress: request.egress,
            resolvers: request.resolvers.to_vec(),
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
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.map_err(failed("remove", &path))?,
        }
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
        let free = |name: &String| !self.is_taken(name);
        let mut digits = fingerprint(pod_uid);
        let others = std::iter::repeat_with(|| {
            let name = format!("mp{digits:08x}");
            digits = digits.wrapping_add(1);
            name
        });
        let mut names = plain_link_name(pod_uid).into_iter().chain(others);
        names.find(free).expect("there are fewer pods than names")
    }
}

/// The name that a pod's link has on the machine unless another pod has it.
pub(super) fn plain_link_name(pod_uid: &str) -> Option<String> {
    let start = pod_uid.get(..8).filter(|start| start.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some(format!("mp{}", start.to_lowercase()))
}

fn lease_text(lease: &Lease) -> String {
    let Lease { pod_uid, host_interface, egress, .. } = lease;
    let mut text = format!("{pod_uid}\nlink {host_interface}\negress {egress}\n");
    if let Some(ip) = lease.ipv6 {
        let _ = writeln!(text, "ipv6 {ip}"); // a String takes all
    }
    for server in &lease.resolvers {
        let _ = writeln!(text, "resolver {server}");
    }
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
    let mut lease = Lease {
        ip,
        ipv6: None,
        pod_uid,
        host_interface,
        host_ports: Vec::new(),
        egress: Egress::All,
        resolvers: Vec::new(),
    };
    for line in lines {
        match line.split_once(' ')? {
            ("egress", value) => lease.egress = value.parse().ok()?,
            ("ipv6", value) => lease.ipv6 = Some(value.parse().ok()?),
            ("resolver", value) => lease.resolvers.push(value.parse().ok()?),
            ("port", value) => lease.host_ports.push(parse_port(value)?),
            _ => return None,
        }
    }
    Some(lease)
}

fn parse_port(text: &str) -> Option<HostPort> {
    let mut words = text.split(' ');
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
