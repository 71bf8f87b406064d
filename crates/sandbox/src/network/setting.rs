//! Kernel settings below `/proc/sys/net`, which always means the calling thread's namespace.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::error::NetworkError;
use super::lease::failed;
use crate::locks;

/// Whether packets are passed on between links.
const FORWARD_IPV4: &str = "/proc/sys/net/ipv4/ip_forward";
const FORWARD_IPV6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";

/// The file whose lock keeps the switches from others: one of the same network namespace that only root can open, so
/// that no other user holds it.
const LOCK: &str = "/proc/sys/net/ipv4/tcp_fastopen_key";

const IPV6_SETTINGS: &str = "/proc/sys/net/ipv6/conf";
const ACCEPT_RA: &str = "accept_ra";

/// The switches that make a machine pass packets on, held against others who would turn them.
///
/// Several pod networks (of several state directories) share these switches, so the lock is beside them.
#[derive(Debug)]
pub(super) struct Forwarding {
    _lock: File,
}

impl Forwarding {
    /// Waits until no other minipod has hold of the switches.
    pub(super) fn lock() -> Result<Self, NetworkError> {
        let open = || -> io::Result<File> {
            let lock = File::open(LOCK).or_else(|_| File::open(FORWARD_IPV4))?;
            locks::lock(&lock, Instant::now() + locks::PATIENCE)?;
            Ok(lock)
        };
        let lock = open().map_err(failed("lock", Path::new(LOCK)))?;
        Ok(Self { _lock: lock })
    }

    /// What the switches say now, and which links take their IPv6 routes from routers. A machine
    /// that passes packets on is a router itself and forgets such routes, unless it is told not to
    /// (`accept_ra` 2 in Documentation/networking/ip-sysctl.rst).
    #[expect(clippy::unused_self, reason = "who asks has to hold the lock")]
    pub(super) fn read(&self) -> Result<Switches, NetworkError> {
        let (ipv4, ipv6) = (is_on(FORWARD_IPV4)?, is_on(FORWARD_IPV6)?);
        let accept_ra = if ipv6 { Vec::new() } else { links_with_accept_ra("1") };
        Ok(Switches { ipv4, ipv6, accept_ra })
    }

    /// Makes the machine pass packets on without losing a route of its own.
    pub(super) fn turn_on(&self, now: &Switches, ipv6: bool) -> Result<(), NetworkError> {
        if ipv6 {
            for link in &now.accept_ra {
                write_if_present(&ipv6_setting(link, ACCEPT_RA), "2")?;
            }
        }
        self.write(true, now.ipv6 || ipv6)
    }

    /// Turns the switches back.
    pub(super) fn turn_back(&self, before: &Switches) -> Result<(), NetworkError> {
        self.write(before.ipv4, before.ipv6)?;
        let ours = links_with_accept_ra("2").into_iter();
        for link in ours.filter(|link| !before.ipv6 && before.accept_ra.contains(link)) {
            write_if_present(&ipv6_setting(&link, ACCEPT_RA), "1")?;
        }
        Ok(())
    }

    /// Turns the switches. Nothing is written where the value is right already, because writing
    /// `ip_forward` resets the per-link switches (Documentation/networking/ip-sysctl.rst).
    #[expect(clippy::unused_self, reason = "who turns has to hold the lock")]
    fn write(&self, ipv4: bool, ipv6: bool) -> Result<(), NetworkError> {
        if is_on(FORWARD_IPV4)? != ipv4 {
            write(Path::new(FORWARD_IPV4), digit(ipv4))?;
        }
        if is_on(FORWARD_IPV6)? != ipv6 {
            write_if_present(Path::new(FORWARD_IPV6), digit(ipv6))?;
        }
        Ok(())
    }
}

/// Which protocols are passed on, and what depends on that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Switches {
    pub(super) ipv4: bool,
    pub(super) ipv6: bool,
    /// Links with `accept_ra` 1: they take routes from routers as long as IPv6 is not passed on.
    pub(super) accept_ra: Vec<String>,
}

/// The links of the machine whose `accept_ra` has this value.
fn links_with_accept_ra(value: &str) -> Vec<String> {
    let links = fs::read_dir(IPV6_SETTINGS).into_iter().flatten().flatten();
    let names = links.filter_map(|link| link.file_name().into_string().ok());
    let is_link = |name: &String| name != "all" && name != "default" && name != "lo";
    let has_value = |name: &String| {
        fs::read_to_string(ipv6_setting(name, ACCEPT_RA)).is_ok_and(|text| text.trim() == value)
    };
    names.filter(is_link).filter(has_value).collect()
}

/// Whether the kernel has IPv6 for the calling thread's network namespace (`ipv6.disable=1` and a
/// kernel built without it have none).
pub(super) fn has_ipv6() -> bool {
    Path::new(IPV6_SETTINGS).exists()
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
    write_if_present(&ipv6_setting(link, ACCEPT_RA), "0")?;
    write_if_present(&ipv6_setting(link, "accept_dad"), "0")
}

fn ipv6_setting(link: &str, name: &str) -> PathBuf {
    Path::new(IPV6_SETTINGS).join(link).join(name)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn no_other_user_can_hold_the_lock_of_the_switches() {
        let lock = fs::metadata(LOCK).unwrap();
        assert_eq!((lock.uid(), lock.mode() & 0o077), (0, 0));
    }
}
