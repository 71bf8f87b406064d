//! The host's mount namespace, for volumes whose mounts spread both ways (`mountPropagation:
//! Bidirectional`).
//!
//! A supervisor has a mount namespace of its own that hears of the host's mounts and tells it
//! nothing. A copy that is to tell has to be made in the host's namespace itself.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::sched::{CloneFlags, setns};

use crate::stage::report::StageError;

const OWN: &str = "/proc/self/ns/mnt";

static HOST: OnceLock<OwnedFd> = OnceLock::new();

/// Remembers the mount namespace that this process is in as the host's. A supervisor does so
/// before it makes its own; its children have what it remembers.
///
/// # Errors
///
/// When the namespace cannot be opened.
pub fn remember_host_mounts() -> io::Result<()> {
    let host = File::open(OWN)?;
    let _ = HOST.set(host.into()); // whoever comes second finds the same
    Ok(())
}

/// The host's mount namespace, if it is remembered.
pub(crate) fn namespace() -> Option<BorrowedFd<'static>> {
    HOST.get().map(AsFd::as_fd)
}

/// Does a job in the host's mount namespace, and comes back. Only for a process that has not
/// entered a root of its own: the host's becomes its root (setns(2)).
pub(crate) fn visit<T>(job: impl FnOnce() -> Result<T, StageError>) -> Result<T, StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot visit the host's mounts", error);
    let Some(host) = HOST.get() else {
        return job();
    };
    let own = File::open(OWN).map_err(failed)?;
    setns(host, CloneFlags::CLONE_NEWNS).map_err(|error| failed(error.into()))?;
    let done = job();
    setns(&own, CloneFlags::CLONE_NEWNS).map_err(|error| failed(error.into()))?;
    done
}

/// Requires that mounts below a path spread to others.
pub(crate) fn require_shared(path: &Path) -> Result<(), StageError> {
    let failed = |error: io::Error| StageError::prepare("cannot look at the host's mounts", error);
    let real = fs::canonicalize(path).map_err(failed)?;
    let table = fs::read_to_string("/proc/self/mountinfo").map_err(failed)?;
    let (mount, is_shared) = mount_of(&table, &real);
    if is_shared {
        return Ok(());
    }
    let text = format!(
        "path \"{}\" is mounted on \"{}\" but it is not a shared mount",
        path.display(),
        mount.display()
    );
    Err(StageError::prepare(text, io::Error::from_raw_os_error(libc::EINVAL)))
}

/// The mount that a path is on, and whether it is shared (`proc_pid_mountinfo(5)`).
fn mount_of(table: &str, path: &Path) -> (PathBuf, bool) {
    let mounts = table.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let point = PathBuf::from(unescaped(fields.nth(4)?));
        let mut optional = fields.skip(1).take_while(|field| *field != "-");
        Some((point, optional.any(|field| field.starts_with("shared:"))))
    });
    let above = mounts.filter(|(point, _)| path.starts_with(point));
    // Of several at one place the last one is on top.
    let depth = |mount: &(PathBuf, bool)| mount.0.components().count();
    above.max_by_key(depth).unwrap_or((PathBuf::from("/"), false))
}

/// Whether the root is the initial RAM file system, which cannot be unmounted.
fn is_initial_root(table: &str) -> bool {
    let roots = table.lines().filter(|line| line.split(' ').nth(4) == Some("/"));
    let mut kinds = roots.filter_map(|line| line.split_once(" - ")?.1.split(' ').next());
    kinds.next() == Some("rootfs")
}

/// Where something is mounted below the root in this process's mount namespace, as paths from there, in order; nothing if
/// the root is not the initial RAM file system.
pub(crate) fn below_initial_root() -> Option<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    is_initial_root(&table).then(|| below_root(&table))
}

fn below_root(table: &str) -> Vec<PathBuf> {
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    let below = places.filter_map(|place| place.strip_prefix('/').filter(|path| !path.is_empty()));
    below.map(|path| PathBuf::from(unescaped(path))).collect()
}

/// Blanks and the like are written as octal numbers.
fn unescaped(text: &str) -> String {
    let plain = text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
    plain.replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_the_deepest_mount_above_it() {
        let table = "1 0 8:1 / / rw - ext4 /dev/vda rw\n\
                     2 1 0:5 / /srv rw shared:7 master:1 - tmpfs tmpfs rw\n\
                     3 2 0:6 / /srv/a\\040b rw master:7 - tmpfs tmpfs rw\n";
        for (path, mount, is_shared) in [
            ("/etc", "/", false),
            ("/srv", "/srv", true),
            ("/srvx", "/", false),
            ("/srv/x/y", "/srv", true),
            ("/srv/a b/c", "/srv/a b", false),
        ] {
            assert_eq!(mount_of(table, Path::new(path)), (mount.into(), is_shared), "{path}");
        }
    }

    #[test]
    fn an_initial_root_is_known_with_all_that_is_mounted_below_it() {
        let table = "1 1 0:2 / / rw - rootfs rootfs rw\n\
                     2 1 0:5 / /proc rw - proc proc rw\n\
                     3 1 0:6 / /a\\040b rw - tmpfs tmpfs rw\n";
        assert!(is_initial_root(table));
        assert_eq!(below_root(table), ["proc", "a b"].map(PathBuf::from));
        assert!(!is_initial_root("1 0 8:1 / / rw - ext4 /dev/vda rw\n"));
    }
}
