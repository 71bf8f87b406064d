//! What the kernel has, and what this process may do with it.

use std::path::Path;

use sandbox::app_armor::{self, Support};

use super::{Finding, read, sysctl};
use pod_api::settings::is_root;

/// The oldest kernel that has everything: `mount_setattr(2)` came with 5.12, the `kill` file of
/// cgroups with 5.14.
const OLDEST: (u32, u32) = (5, 14);

/// The first that maps ids on tmpfs, which a pod with a user namespace of its own has mounts of.
const MAPPED_MEMORY: (u32, u32) = (6, 3);

/// What starting a pod needs, by number (capability.h).
const NEEDED: [u32; 8] = [6, 7, 8, 12, 13, 18, 21, 27];

pub(super) fn version() -> Finding {
    let release = release();
    if number_of(&release) >= OLDEST {
        return Finding::ok("kernel", format!("Linux {release}"));
    }
    let (major, minor) = OLDEST;
    let way_out = format!("use Linux {major}.{minor} or later: mounts by descriptor need it");
    Finding::missing("kernel", format!("Linux {release}"), way_out)
}

fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The first two numbers of a release.
fn number_of(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

pub(super) fn root() -> Finding {
    if is_root() {
        return Finding::ok("root", "running as root");
    }
    Finding::missing("root", "not running as root", "sudo minipod …")
}

pub(super) fn capabilities() -> Finding {
    let held = sandbox::capabilities::of_this_host();
    let names = |numbers: &[u32]| {
        let lacking = numbers.iter().filter(|number| held & (1 << **number) == 0);
        lacking.map(|number| sandbox::capabilities::name(*number)).collect::<Vec<_>>().join(", ")
    };
    let way_out = "start minipod with these: docker run --privileged, or --cap-add for each";
    let (needed, useful) = (names(&NEEDED), names(&[24]));
    match (needed.is_empty(), useful.is_empty()) {
        (false, _) => Finding::missing("capabilities", format!("without {needed}"), way_out),
        (true, false) => Finding::limited(
            "capabilities",
            format!("without {useful}: limits cannot be raised, OOM scores not lowered"),
            way_out,
        ),
        (true, true) => Finding::ok("capabilities", "everything that pods need"),
    }
}

pub(super) fn namespaces() -> Finding {
    let wanted = ["net", "ipc", "uts", "pid", "mnt", "cgroup"];
    let has = |name: &&str| Path::new("/proc/self/ns").join(name).exists();
    let missing: Vec<&str> = wanted.iter().filter(|name| !has(name)).copied().collect();
    let closed: Vec<&str> = ["net", "ipc", "uts", "pid", "mnt", "cgroup"]
        .into_iter()
        .filter(|name| sysctl(&format!("user/max_{name}_namespaces")) == Some(0))
        .collect();
    match (missing.as_slice(), closed.as_slice()) {
        ([], []) => Finding::ok("namespaces", wanted.join(" ")),
        ([], [name, ..]) => Finding::missing(
            "namespaces",
            format!("none may be made: {}", closed.join(" ")),
            format!("sysctl -w user.max_{name}_namespaces=10000"),
        ),
        (missing, _) => Finding::missing(
            "namespaces",
            format!("without {}", missing.join(" ")),
            "use a kernel with all namespaces",
        ),
    }
}

pub(super) fn user_namespaces() -> Finding {
    let name = "user namespaces";
    if !Path::new("/proc/self/ns/user").exists() {
        return Finding::limited(name, "not in this kernel", "leave hostUsers unset");
    }
    match sysctl("user/max_user_namespaces") {
        Some(0) => Finding::limited(
            name,
            "none may be made, so hostUsers: false does not work",
            "sysctl -w user.max_user_namespaces=10000",
        ),
        _ if number_of(&release()) < MAPPED_MEMORY => Finding::limited(
            name,
            "memory file systems cannot be id-mapped, so hostUsers: false does not work",
            "use Linux 6.3 or later, or leave hostUsers unset",
        ),
        _ => Finding::ok(name, "for hostUsers: false"),
    }
}

pub(super) fn seccomp() -> Finding {
    let actions = read(Path::new("/proc/sys/kernel/seccomp/actions_avail"));
    if actions.split_whitespace().any(|action| action == "errno") {
        return Finding::ok("seccomp", "filters, so that RuntimeDefault holds");
    }
    Finding::missing(
        "seccomp",
        "no filters in this kernel",
        "use a kernel with CONFIG_SECCOMP_FILTER, or seccompProfile: {type: Unconfined}",
    )
}

pub(super) fn app_armor() -> Finding {
    let name = "AppArmor";
    match app_armor::load_default().map(|()| app_armor::support()) {
        Ok(Support::Off) => Finding::ok(name, "off in this kernel: containers have no profile"),
        Ok(_) => {
            Finding::ok(name, format!("containers get the profile {}", app_armor::DEFAULT_PROFILE))
        }
        Err(error) => Finding::limited(
            name,
            format!("on, but containers have no profile: apparmor_parser: {error}"),
            "apt-get install apparmor; where it is installed, run minipod outside of other containers",
        ),
    }
}

pub(super) fn overlay() -> Finding {
    let known = read(Path::new("/proc/filesystems"));
    if known.lines().any(|line| line.split_whitespace().last() == Some("overlay")) {
        return Finding::ok("overlayfs", "in the kernel");
    }
    Finding::missing("overlayfs", "not in the kernel yet", "modprobe overlay")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        assert_eq!(number_of("6.1.0-56-cloud-amd64"), (6, 1));
        assert_eq!(number_of("5.15-rc3+"), (5, 15));
        assert!(number_of("6.18.44") > MAPPED_MEMORY);
        assert_eq!(number_of("unknown"), (0, 0));
    }
}
