//! Limits by Kubernetes' formulas, written as each interface wants them.

use super::{Directory, Version, devices, write};

/// What a cgroup is limited to; nothing where absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The share of processors asked for, in thousandths of one.
    pub cpu_request_milli: Option<u64>,
    /// The most processor time, in thousandths of one processor.
    pub cpu_limit_milli: Option<u64>,
    /// The most memory, in bytes.
    pub memory_max: Option<u64>,
    /// Whether all processes are killed when the memory runs out, and not only one.
    pub killed_together: bool,
    /// The most processes and threads.
    pub pids_max: Option<u64>,
    /// Whether every device may be used.
    pub all_devices: bool,
}

/// The scheduling period in microseconds (Kubernetes: 100 ms).
const PERIOD: u64 = 100_000;

impl Limits {
    /// cpu.shares: 1024 for one processor, at least 2.
    fn shares(&self) -> u64 {
        let milli = self.cpu_request_milli.unwrap_or(0);
        (milli * 1024 / 1000).clamp(2, 262_144)
    }

    /// The quota in microseconds per period, at least a millisecond.
    fn quota(&self) -> Option<u64> {
        self.cpu_limit_milli.filter(|milli| *milli > 0).map(|milli| (milli * 100).max(1000))
    }
}

/// cpu.weight for cpu.shares, so that 1024 becomes 100 and the ends meet.
fn weight(shares: u64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "shares are at most 262144")]
    let logarithm = (shares as f64).log2();
    let exponent = (logarithm * logarithm + 125.0 * logarithm) / 612.0 - 7.0 / 34.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 10000")]
    let weight = 10_f64.powf(exponent).ceil() as u64;
    weight.clamp(1, 10_000)
}

/// Files that not every kernel has: swap is not always accounted for.
const OPTIONAL: [&str; 2] = ["memory.memsw.limit_in_bytes", "memory.swap.max"];

/// Writes the limits and returns what could not be written, as sentences.
pub(super) fn apply(version: Version, directories: &[Directory], limits: &Limits) -> Vec<String> {
    let mut warnings = Vec::new();
    for directory in directories {
        for controller in &directory.controllers {
            for (file, text) in settings(version, controller, limits) {
                let path = directory.path.join(file);
                if OPTIONAL.contains(&file) && !path.exists() {
                    continue;
                }
                if let Err(error) = write(&path, &text) {
                    warnings.push(chain(&error));
                }
            }
        }
    }
    warnings
}

/// Writes the limits of processor time once more.
pub(super) fn apply_again(version: Version, directories: &[Directory], limits: &Limits) {
    for directory in directories.iter().filter(|directory| directory.has("cpu")) {
        for (file, text) in settings(version, "cpu", limits) {
            let _ = write(&directory.path.join(file), &text); // told when it was written first
        }
    }
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// The files of a controller and what is written to each.
fn settings(version: Version, controller: &str, limits: &Limits) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    match (version, controller) {
        (Version::V1, "memory") => {
            if let Some(max) = limits.memory_max {
                settings.push(("memory.limit_in_bytes", max.to_string()));
                // Memory and swap together: no swap beside the memory.
                settings.push(("memory.memsw.limit_in_bytes", max.to_string()));
            }
        }
        (Version::V2, "memory") => {
            if let Some(max) = limits.memory_max {
                settings.push(("memory.max", max.to_string()));
                settings.push(("memory.swap.max", "0".to_owned()));
                let together = u8::from(limits.killed_together);
                settings.push(("memory.oom.group", together.to_string()));
            }
        }
        (Version::V1, "cpu") => {
            settings.push(("cpu.shares", limits.shares().to_string()));
            if let Some(quota) = limits.quota() {
                settings.push(("cpu.cfs_period_us", PERIOD.to_string()));
                settings.push(("cpu.cfs_quota_us", quota.to_string()));
            }
        }
        (Version::V2, "cpu") => {
            settings.push(("cpu.weight", weight(limits.shares()).to_string()));
            settings.extend(limits.quota().map(|quota| ("cpu.max", format!("{quota} {PERIOD}"))));
        }
        (_, "pids") => settings.extend(limits.pids_max.map(|max| ("pids.max", max.to_string()))),
        (Version::V1, "devices") if !limits.all_devices => {
            settings.push(("devices.deny", "a *:* rwm".to_owned()));
            settings.extend(devices::allowed().map(|device| ("devices.allow", device)));
        }
        _ => {}
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_requests_become_shares_and_weights() {
        let shares = |milli| Limits { cpu_request_milli: milli, ..Limits::default() }.shares();
        assert_eq!([shares(None), shares(Some(250)), shares(Some(1000))], [2, 256, 1024]);
        assert_eq!([weight(2), weight(1024), weight(262_144)], [1, 100, 10_000]);
    }

    #[test]
    fn processor_limits_become_quotas() {
        let quota = |milli| Limits { cpu_limit_milli: Some(milli), ..Limits::default() }.quota();
        assert_eq!([quota(0), quota(1), quota(500)], [None, Some(1000), Some(50_000)]);
    }

    #[test]
    fn each_interface_gets_its_own_files() {
        let limits = Limits {
            memory_max: Some(1 << 20),
            killed_together: true,
            pids_max: Some(10),
            ..Limits::default()
        };
        assert_eq!(
            settings(Version::V1, "memory", &limits),
            [
                ("memory.limit_in_bytes", "1048576".to_owned()),
                ("memory.memsw.limit_in_bytes", "1048576".to_owned()),
            ]
        );
        assert_eq!(
            settings(Version::V2, "memory", &limits),
            [
                ("memory.max", "1048576".to_owned()),
                ("memory.swap.max", "0".to_owned()),
                ("memory.oom.group", "1".to_owned()),
            ]
        );
        assert_eq!(settings(Version::V2, "pids", &limits), [("pids.max", "10".to_owned())]);
    }
}
