//! A thread that unpacks a layer can change files below the layer's directory and nowhere else (landlock(7)).
//!
//! Paths are resolved safely without it; this holds even where that has a fault.

use std::os::fd::BorrowedFd;

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus,
};

/// Confines this thread for good. Returns whether the kernel enforces it: before Linux 5.19 it cannot, because it would
/// refuse every hard link to another directory (`LANDLOCK_ACCESS_FS_REFER`).
pub(super) fn change_only_below(directory: BorrowedFd<'_>) -> Result<bool, RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::from_write(ABI::V2))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(ABI::V5))?
        .create()?
        .add_rule(PathBeneath::new(directory, AccessFs::from_write(ABI::V5)))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;
    use std::thread;

    use super::*;

    #[test]
    fn a_confined_thread_changes_nothing_outside_of_its_directory() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("file"), "kept").unwrap();
        symlink(outside.path(), inside.path().join("link")).unwrap();
        let confined = thread::scope(|scope| {
            let confined = scope.spawn(|| {
                let directory = File::open(inside.path()).unwrap();
                let is_enforced = change_only_below(directory.as_fd()).unwrap();
                let new = |name: &str| fs::write(inside.path().join(name), "new");
                new("here").unwrap();
                fs::create_dir(inside.path().join("below")).unwrap();
                fs::hard_link(inside.path().join("here"), inside.path().join("below/linked"))
                    .unwrap();
                (
                    is_enforced,
                    [
                        new("link/file"),
                        new("link/other"),
                        fs::remove_file(outside.path().join("file")),
                    ],
                )
            });
            confined.join().unwrap()
        });
        let (is_enforced, refused) = confined;
        for result in refused {
            // An old kernel enforces nothing, and then everything succeeds.
            assert_eq!(
                result.err().map(|error| error.kind()),
                is_enforced.then_some(ErrorKind::PermissionDenied)
            );
        }
        assert_eq!(fs::read_to_string(outside.path().join("file")).is_ok(), is_enforced);
        fs::write(outside.path().join("free"), "other threads are free").unwrap();
    }
}
