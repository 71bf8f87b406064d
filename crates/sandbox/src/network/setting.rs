//! Kernel settings below `/proc/sys/net`, which always means the calling thread's namespace.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::NetworkError;

/// Whether packets are passed on between links.
const FORWARD_IPV4: &str = "/proc/sys/net/ipv4/ip_forward";
const FORWARD_IPV6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";

/// The switches that make a machine pass packets on, held against others who would turn them.
///
/// Several pod networks (of several state directories) share these switches, so the lock is on
/// the switch itself.
#[derive(Debug)]
pub(super) struct Forwarding {
    _switch: File,
}

impl Forwarding {
    /// Waits until no other minipod has hold of the switches.
    pub(super) fn lock() -> Result<Self, NetworkError> {
        let open = || -> io::Result<File> {
            let switch = File::open(FORWARD_IPV4)?;
            flock(&switch, FlockOperation::LockExclusive)?;
            Ok(switch)
        };
        let switch =
            open().map_err(|source| NetworkError::Setting { path: FORWARD_IPV4.into(), source })?;
        Ok(Self { _switch: switch })
    }

    /// What the switches say now.
    #[expect(clippy::unused_self, reason = "who asks has to hold the lock")]
    pub(super) fn read(&self) -> Result<ForwardingState, NetworkError> {
        Ok(ForwardingState { ipv4: is_on(FORWARD_IPV4)?, ipv6: is_on(FORWARD_IPV6)? })
    }

    /// Turns the switches. Nothing is written where the value is right already, because writing
    /// `ip_forward` resets the per-link switches (Documentation/networking/ip-sysctl.rst).
    pub(super) fn write(&self, wanted: ForwardingState) -> Result<(), NetworkError> {
        let now = self.read()?;
        if now.ipv4 != wanted.ipv4 {
            write(Path::new(FORWARD_IPV4), digit(wanted.ipv4))?;
        }
        if now.ipv6 != wanted.ipv6 {
            write(Path::new(FORWARD_IPV6), digit(wanted.ipv6))?;
        }
        Ok(())
    }
}

/// Which protocols are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ForwardingState {
    pub(super) ipv4: bool,
    pub(super) ipv6: bool,
}

/// Switches IPv6 off on one link, so that nobody on the bridge can talk the pod into addresses
/// and routes that nobody planned. `::1` stays. A kernel without IPv6 has nothing to switch off.
pub(super) fn disable_ipv6(link: &str) -> Result<(), NetworkError> {
    write_if_present(&ipv6_setting(link, "disable_ipv6"), "1")
}

/// Prepares a link for planned IPv6 addresses: it may have some even if the machine's default is
/// none, it ignores router advertisements, and it uses its addresses at once instead of asking for
/// a second whether somebody else has them.
pub(super) fn trust_own_ipv6(link: &str) -> Result<(), NetworkError> {
    write_if_present(&ipv6_setting(link, "disable_ipv6"), "0")?;
    write_if_present(&ipv6_setting(link, "accept_ra"), "0")?;
    write_if_present(&ipv6_setting(link, "accept_dad"), "0")
}

fn ipv6_setting(link: &str, name: &str) -> PathBuf {
    Path::new("/proc/sys/net/ipv6/conf").join(link).join(name)
}

fn is_on(path: &str) -> Result<bool, NetworkError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim() != "0"),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(NetworkError::Setting { path: path.into(), source }),
    }
}

fn digit(on: bool) -> &'static str {
    if on { "1" } else { "0" }
}

fn write(path: &Path, value: &str) -> Result<(), NetworkError> {
    fs::write(path, value).map_err(|source| NetworkError::Setting { path: path.to_owned(), source })
}

fn write_if_present(path: &Path, value: &str) -> Result<(), NetworkError> {
    match write(path, value) {
        Err(NetworkError::Setting { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
