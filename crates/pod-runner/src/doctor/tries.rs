//! What a pod does, done once and for nothing: whether it works is better tried than read.

use std::path::Path;

use sandbox::cgroup::{Hierarchies, Limits, PodCgroup};
use sandbox::{IdRange, trial};

use super::{Finding, Level, kernel};
use crate::plan;
use pod_api::settings::Settings;
use pod_api::text::chain;

/// Some ids for a user namespace that is gone at once.
const IDS: IdRange = IdRange { first: 1 << 30 };

/// Tries everything. Only root may.
pub(super) fn all(settings: &Settings) -> Vec<Finding> {
    let data = existing(&settings.places.data);
    vec![namespaces(), root(), overlay(data), seccomp(), user_namespace(data), sysctls(), limits()]
}

fn namespaces() -> Finding {
    let name = "namespaces";
    match trial::namespaces() {
        Ok(()) => Finding::ok(name, "made: net ipc uts pid mnt cgroup, known by a pidfd"),
        Err(error) => Finding::missing(
            name,
            format!("{error}, so no pod starts"),
            "docker run --privileged, or CAP_SYS_ADMIN and sysctl user.max_…_namespaces",
        ),
    }
}

fn root() -> Finding {
    let name = "own root";
    match trial::enter_root() {
        Ok(()) => Finding::ok(name, "a process has entered a root of its own"),
        Err(error) => Finding::missing(
            name,
            format!("{error}, so no container starts"),
            "start minipod where it may mount: outside of a chroot, with CAP_SYS_ADMIN and without \
             an AppArmor profile that forbids it",
        ),
    }
}

fn overlay(data: &Path) -> Finding {
    let name = "overlayfs";
    match trial::overlay(data) {
        Ok(()) => Finding::ok(name, format!("mounted and written below {}", data.display())),
        Err(error) => Finding::missing(
            name,
            format!("{error}, so no container starts"),
            "modprobe overlay; --data-dir with a directory on a volume, a disk or a tmpfs",
        ),
    }
}

fn seccomp() -> Finding {
    let name = "seccomp";
    match trial::seccomp_filter() {
        Ok(()) => Finding::ok(name, "a process has the filter of RuntimeDefault"),
        Err(error) => Finding::missing(
            name,
            format!("{error}, so only pods without it start"),
            "use a kernel with CONFIG_SECCOMP_FILTER, or seccompProfile: {type: Unconfined}",
        ),
    }
}

fn user_namespace(data: &Path) -> Finding {
    let name = "user namespaces";
    let known = kernel::user_namespaces();
    if known.level != Level::Ok {
        return known;
    }
    match trial::user_namespace(data, IDS) {
        Ok(()) => {
            Finding::ok(name, format!("made, and ids mapped in a mount of {}", data.display()))
        }
        Err(error) => Finding::limited(
            name,
            format!("{error}, so pods with hostUsers: false do not start"),
            "sysctl -w user.max_user_namespaces=10000; --data-dir on ext4, xfs or btrfs; or leave \
             hostUsers unset",
        ),
    }
}

fn sysctls() -> Finding {
    let name = "pod sysctls";
    match trial::sysctls(&plan::conveniences(plan::EVERY_GROUP)) {
        Ok(()) => Finding::ok(name, "set in a network namespace: ping and low ports for everybody"),
        Err(error) => Finding::limited(
            name,
            format!(
                "{error}, so in pods only processes with capabilities may ping (NET_RAW) or serve \
                 ports below 1024 (NET_BIND_SERVICE)"
            ),
            "mount -o remount,rw /proc/sys; docker run --privileged; or a user namespace with more \
             groups",
        ),
    }
}

fn limits() -> Finding {
    let name = "cgroup limits";
    let limits = Limits {
        cpu_limit_milli: Some(100),
        memory_max: Some(64 << 20),
        pids_max: Some(16),
        ..Limits::default()
    };
    let way_out =
        "mount cgroups so that they can be written: docker run --privileged --cgroupns=private";
    let pod = match PodCgroup::create(&Hierarchies::detect(), &pod_api::random::uid(), &limits) {
        Ok(pod) => pod,
        Err(error) => {
            let detail = format!("{}, so nothing in resources takes hold", chain(&error));
            return Finding::limited(name, detail, way_out);
        }
    };
    let container = pod.container("try", &limits).map(|one| one.warnings().to_vec());
    let removed = pod.remove();
    let mut problems = pod.warnings().to_vec();
    match container {
        Ok(warnings) => problems.extend(warnings),
        Err(error) => problems.push(chain(&error)),
    }
    problems.extend(removed.err().map(|error| chain(&error)));
    if problems.is_empty() {
        return Finding::ok(name, "a cgroup with limits and a device filter was made and removed");
    }
    let detail = format!("{}, so that limit does not take hold", problems.join("; "));
    Finding::limited(name, detail, way_out)
}

/// The path, or what exists nearest above it.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}
