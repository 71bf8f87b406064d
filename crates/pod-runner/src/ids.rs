//! Which user ids the pods with user namespaces of their own have (`hostUsers: false`).
//!
//! Each has 65536 ids that no other pod of this machine has. One file per lease, named by the
//! range's number, holds the pod's uid; the lock on the directory keeps two pods from taking the
//! same one. See for yourself: `head /run/minipod/ids/*`.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Instant;

use sandbox::{ID_COUNT, IdRange, locks};

use pod_api::roots;

/// The first range begins here (Kubernetes: the first 65536 ids are the machine's own).
const FIRST: u32 = ID_COUNT;
/// How many ranges there are: a kubelet's default for a node, 110 pods, and as many again.
const RANGES: u32 = 220;

/// The range that a plan shows: the first one, since which one it will be is decided when the pod
/// is created.
pub(crate) fn first_range() -> IdRange {
    range(0)
}

fn range(number: u32) -> IdRange {
    IdRange { first: FIRST + number * ID_COUNT }
}

/// The pod's range: the one it has, or the first free one.
pub(crate) fn take(directory: &Path, uid: &str) -> io::Result<IdRange> {
    roots::make_directory(directory)?;
    let _lock = lock(directory)?;
    let mut free = None;
    for number in 0..RANGES {
        match fs::read_to_string(directory.join(number.to_string())) {
            Ok(owner) if owner == uid => return Ok(range(number)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => free = free.or(Some(number)),
            Err(error) => return Err(error),
        }
    }
    let number = free.ok_or_else(|| {
        io::Error::other(format!("all {RANGES} ranges of user ids are in use by other pods"))
    })?;
    roots::write(&directory.join(number.to_string()), uid.as_bytes())?;
    Ok(range(number))
}

/// Gives the pod's range back, if it has one.
pub(crate) fn release(directory: &Path, uid: &str) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let _lock = lock(directory)?;
    for entry in entries {
        let path = entry?.path();
        if fs::read_to_string(&path).is_ok_and(|owner| owner == uid) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn lock(directory: &Path) -> io::Result<File> {
    let file = File::open(directory)?;
    locks::lock(&file, Instant::now() + locks::PATIENCE)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_pods_have_ids_in_common_and_a_range_that_is_given_back_is_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let take = |uid| take(directory.path(), uid).unwrap().first;
        assert_eq!((take("a"), take("b"), take("a")), (65536, 131_072, 65536));
        release(directory.path(), "a").unwrap();
        assert_eq!((take("c"), take("d")), (65536, 196_608));
    }
}
