//! Paths of `/proc` and `/sys` that a container must not see or change.

use std::fs;

/// Hidden: they tell about the host or let one change it.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Read-only: writing there changes the host.
const READONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The paths that show nothing, the throttling counters of this machine's processors included.
pub fn masked() -> Vec<String> {
    let mut paths: Vec<String> = MASKED.iter().map(|path| (*path).to_owned()).collect();
    let cpus = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let throttles = cpus.map(|cpu| cpu.path().join("thermal_throttle"));
    let mut throttles: Vec<String> =
        throttles.filter(|path| path.is_dir()).map(|path| path.display().to_string()).collect();
    throttles.sort();
    paths.extend(throttles);
    paths
}

/// The paths that cannot be written.
pub fn readonly() -> Vec<String> {
    READONLY.iter().map(|path| (*path).to_owned()).collect()
}
