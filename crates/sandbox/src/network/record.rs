//! What has to be known to leave the machine as it was before the first pod.
//!
//! The bridge carries the record in its alias (`ip link` shows it), so that it lives exactly as
//! long as what it records: both go with the last pod, and both are lost in a reboot. A copy lies
//! beside the leases, for the case that somebody removes the bridge under the pods.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::NetworkError;
use super::lease::failed;
use super::setting::Switches;

/// The longest alias that a link can have (`IFALIASZ`), with the byte that ends it.
const LONGEST_ALIAS: usize = 256;

/// Which range a bridge serves, and what the switches said before there was a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) cidr: String,
    pub(super) before: Switches,
}

impl Record {
    /// The record as a bridge's alias.
    pub(super) fn text(&self) -> String {
        let Self { cidr, before: Switches { ipv4, ipv6, accept_ra } } = self;
        let (ipv4, ipv6) = (u8::from(*ipv4), u8::from(*ipv6));
        let mut text = format!("minipod: pods {cidr}, forwarding was ipv4={ipv4} ipv6={ipv6}");
        for link in accept_ra {
            // Of very many links some are not turned back, which changes nothing without
            // forwarding.
            if text.len() + link.len() + ACCEPT_RA.len() < LONGEST_ALIAS {
                text.push_str(ACCEPT_RA);
                text.push_str(link);
            }
        }
        text
    }

    /// Reads an alias; nothing if it is not one of minipod's.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (cidr, before) =
            text.strip_prefix("minipod: pods ")?.split_once(", forwarding was ")?;
        let mut parts = before.split(ACCEPT_RA);
        let (ipv4, ipv6) = parts.next()?.strip_prefix("ipv4=")?.split_once(" ipv6=")?;
        let accept_ra = parts.map(str::to_owned).collect();
        let before = Switches { ipv4: ipv4 == "1", ipv6: ipv6 == "1", accept_ra };
        Some(Self { cidr: cidr.to_owned(), before })
    }

    /// Writes the copy beside the leases.
    pub(super) fn save(&self, lease_dir: &Path) -> Result<(), NetworkError> {
        let path = copy_in(lease_dir);
        let text = format!("{}\n{}", self.text(), boot_id()?);
        fs::write(&path, text).map_err(failed("write", &path))
    }

    /// Reads the copy; nothing if there is none, or if it tells of the time before a reboot.
    pub(super) fn load(lease_dir: &Path) -> Result<Option<Self>, NetworkError> {
        let path = copy_in(lease_dir);
        // A copy that cannot be read is none: nothing depends on it but the switches.
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let boot_id = boot_id()?;
        let of_this_boot = text.split_once('\n').filter(|(_, boot)| *boot == boot_id);
        Ok(of_this_boot.and_then(|(record, _)| Self::parse(record)))
    }

    /// Removes the copy; none is fine.
    pub(super) fn forget(lease_dir: &Path) -> Result<(), NetworkError> {
        let path = copy_in(lease_dir);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(()),
            result => result.map_err(failed("remove", &path)),
        }
    }
}

/// Before the name of each link that took routes from router advertisements.
const ACCEPT_RA: &str = " accept_ra=";

fn copy_in(lease_dir: &Path) -> PathBuf {
    lease_dir.join("forwarding-before")
}

/// A name that the kernel gives itself anew at each start: random(4).
fn boot_id() -> Result<String, NetworkError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    fs::read_to_string(path).map_err(failed("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_but_not_after_a_reboot() {
        let directory = tempfile::TempDir::new().unwrap();
        let accept_ra = vec!["eth0".to_owned(), "wlan0".to_owned()];
        let before = Switches { ipv4: false, ipv6: true, accept_ra };
        let record = Record { cidr: "10.85.0.0/16".to_owned(), before };
        assert_eq!(Record::load(directory.path()).unwrap(), None);
        record.save(directory.path()).unwrap();
        assert_eq!(Record::load(directory.path()).unwrap(), Some(record.clone()));
        let of_another_boot = format!("{}\nanother boot", record.text());
        fs::write(copy_in(directory.path()), of_another_boot).unwrap();
        assert_eq!(Record::load(directory.path()).unwrap(), None);
        Record::forget(directory.path()).unwrap();
        Record::forget(directory.path()).unwrap();
        assert_eq!(Record::load(directory.path()).unwrap(), None);
    }

    #[test]
    fn an_alias_that_somebody_else_gave_is_no_record() {
        for text in ["", "minipod", "my bridge", "minipod: pods 10.85.0.0/16"] {
            assert_eq!(Record::parse(text), None, "{text}");
        }
    }
}
