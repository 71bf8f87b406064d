//! What a supervisor takes over from whoever created the pod, and what it does not.
//!
//! A supervisor lives as long as its pod, and containers get what it has. So it does not keep the
//! environment of its caller, which may be a build job with secrets in it (`/proc/PID/environ` shows
//! them to root for ever), and it does not keep the caller's resource limits (getrlimit(2)).

use std::env;
use std::ffi::{OsStr, OsString};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The variables that supervisors and what they start look at: where programs, credentials,
/// certificates and registries are configured, and the way to the network.
const KEPT: [&str; 20] = [
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DOCKER_CONFIG",
    "REGISTRY_AUTH_FILE",
    "CONTAINERS_REGISTRIES_CONF",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "TMPDIR",
    "RUST_BACKTRACE",
    "LLVM_PROFILE_FILE",
];

/// The variables of this process that a supervisor gets.
pub(crate) fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os().filter(|(name, _)| is_kept(name))
}

fn is_kept(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    KEPT.contains(&name.as_ref()) || name.starts_with("MINIPOD_")
}

const STACK: u64 = 8 << 20;
const LOCKED_MEMORY: u64 = 8 << 20;
const MESSAGE_QUEUES: u64 = 819_200;
/// No process uses more; the kernel's own bound is `fs.nr_open`.
const OPEN_FILES: u64 = 1 << 20;

/// Soft and hard limits as the kernel gives them to its first process, which a service has, too;
/// `None` is no limit. Of open files and of core dumps a container gets less.
const LIMITS: [(Resource, Option<u64>, Option<u64>); 15] = [
    (Resource::Cpu, None, None),
    (Resource::Fsize, None, None),
    (Resource::Data, None, None),
    (Resource::Stack, Some(STACK), None),
    (Resource::Core, Some(0), None),
    (Resource::Rss, None, None),
    (Resource::Nproc, None, None),
    (Resource::Nofile, Some(OPEN_FILES), Some(OPEN_FILES)),
    (Resource::Memlock, Some(LOCKED_MEMORY), Some(LOCKED_MEMORY)),
    (Resource::As, None, None),
    (Resource::Locks, None, None),
    (Resource::Msgqueue, Some(MESSAGE_QUEUES), Some(MESSAGE_QUEUES)),
    (Resource::Nice, Some(0), Some(0)),
    (Resource::Rtprio, Some(0), Some(0)),
    (Resource::Rttime, None, None),
];

/// Gives this process limits that do not depend on its caller, as far as the caller's hard limits
/// allow: raising those needs `CAP_SYS_RESOURCE`.
pub(crate) fn define_limits() {
    for (resource, soft, hard) in LIMITS {
        if setrlimit(resource, Rlimit { current: soft, maximum: hard }).is_err() {
            let maximum = getrlimit(resource).maximum;
            let current = least(soft, maximum);
            let _ = setrlimit(resource, Rlimit { current, maximum }); // lowering is always allowed
        }
    }
}

/// The lower of two limits, of which `None` is none.
fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// With fewer open files a supervisor cannot run a pod: for its own, and some for each container.
pub(crate) const FEWEST_FILES: u64 = 64;

/// The most files that a supervisor may have open, when they are too few for a pod.
pub(crate) fn too_few_files() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum.filter(|most| *most < FEWEST_FILES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_gets_what_it_needs_and_no_secret() {
        for kept in ["PATH", "https_proxy", "SSL_CERT_FILE", "MINIPOD_BACKOFF_SCALE"] {
            assert!(is_kept(OsStr::new(kept)), "{kept}");
        }
        for dropped in ["CI_JOB_TOKEN", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "NOTIFY_SOCKET"] {
            assert!(!is_kept(OsStr::new(dropped)), "{dropped}");
        }
    }

    #[test]
    fn no_limit_is_above_every_limit() {
        assert_eq!(least(None, None), None);
        assert_eq!(least(Some(3), None), Some(3));
        assert_eq!(least(Some(3), Some(2)), Some(2));
    }
}
