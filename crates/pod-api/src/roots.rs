//! The three root directories belong to root alone.
//!
//! Volumes keep the modes that Kubernetes gives them, and images hold set-user-id programs; that no
//! other user reaches them is up to the directories above. So every command goes through
//! [`secure`] before it reads or writes anything below.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::places::Places;

/// Groups below this number are the system's own (login.defs(5), `SYS_GID_MAX`): the `syslog` of
/// a `/var/log` is no stranger.
const FIRST_GROUP_OF_PEOPLE: u32 = 1000;
const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Why a root directory cannot be used.
#[derive(Debug, Error)]
pub enum RootError {
    /// It cannot be made or looked at.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// What was being done.
        verb: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another user could put files of their own there, or exchange those that are there.
    #[error("{} is not safe for minipod's files: {reason}", root.display())]
    Unsafe {
        /// The root directory.
        root: PathBuf,
        /// What is wrong, of which directory.
        reason: String,
        /// The option that moves it.
        option: &'static str,
    },
}

impl RootError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { .. } => None,
            Self::Unsafe { option, .. } => {
                Some(format!("{option} with a directory that only root can write"))
            }
        }
    }
}

/// Makes the directories of state, data and logs, or verifies that they are root's alone. One that
/// others may only read is closed to them.
///
/// # Errors
///
/// When another user owns one, can write it, or can exchange it for another.
pub fn secure(places: &Places) -> Result<(), RootError> {
    roots(places).iter().try_for_each(Root::secure)
}

/// What minipod has below its state directory.
const STATE: fn(&str) -> bool = |name| {
    let is_aside = |word: &str| name.split_once('-').is_some_and(|(kind, _)| kind == word);
    matches!(name, "pods" | "leases" | "ids" | "journal" | "kubeconfig")
        || ["new", "removed", "kubeconfig"].into_iter().any(is_aside)
};
/// What is below its data directory.
const DATA: fn(&str) -> bool = |name| {
    matches!(name, "images" | "pods" | "objects" | "claims" | "seccomp" | "skeleton")
        || name.starts_with("removed-")
};
/// Logs are as a kubelet has them: `<namespace>_<pod>_<uid>`.
const LOGS: fn(&str) -> bool = |name| name.matches('_').count() == 2;

/// What is wrong with a root directory, of those that [`secure`] refuses. Nothing is made or changed.
pub fn flaws(places: &Places) -> impl Iterator<Item = RootError> {
    roots(places).into_iter().filter_map(|root| root.check().err())
}

/// A root directory with the option that moves it and what minipod has in it.
struct Root<'a> {
    path: &'a Path,
    option: &'static str,
    is_ours: fn(&str) -> bool,
}

fn roots(places: &Places) -> [Root<'_>; 3] {
    let root = |path, option, is_ours| Root { path, option, is_ours };
    [
        root(&places.state, "--state-dir", STATE),
        root(&places.data, "--data-dir", DATA),
        root(&places.logs, "--log-dir", LOGS),
    ]
}

/// Whether a directory is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// Others may read it.
    Open,
    Closed,
}

impl Root<'_> {
    fn secure(&self) -> Result<(), RootError> {
        let mut found = self.check()?;
        if found == Found::Nothing {
            make_directory(self.path).map_err(self.failed("create"))?;
            found = self.check()?; // in a directory like /tmp somebody else may have been faster
        }
        if found == Found::Closed {
            return Ok(());
        }
        fs::set_permissions(self.path, Permissions::from_mode(0o700)).map_err(self.failed("close"))
    }

    fn check(&self) -> Result<Found, RootError> {
        let refused = |reason| {
            let (root, option) = (self.path.to_owned(), self.option);
            Err(RootError::Unsafe { root, reason, option })
        };
        if let Some(reason) = weakness_above(self.path).map_err(self.failed("look at"))? {
            return refused(reason);
        }
        let found = match fs::symlink_metadata(self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            found => found.map_err(self.failed("look at"))?,
        };
        let mode = found.mode() & 0o7777;
        if found.is_symlink() {
            return refused("it is a symbolic link".to_owned());
        }
        if !found.is_dir() {
            return refused("it is no directory".to_owned());
        }
        if found.uid() != 0 {
            return refused(format!("it belongs to user {}", found.uid()));
        }
        if mode & (WRITABLE_BY_GROUP | WRITABLE_BY_OTHERS) != 0 {
            return refused(format!("others may write it (its mode is {mode:04o})"));
        }
        if mode.trailing_zeros() >= 6 {
            return Ok(Found::Closed);
        }
        // Who names a directory of the machine's by mistake must not find it closed to everybody.
        match self.stranger().map_err(self.failed("list"))? {
            None => Ok(Found::Open),
            Some(name) => refused(format!(
                "others may read it (its mode is {mode:04o}), and it stays so, because {name:?} \
                 in it is not minipod's"
            )),
        }
    }

    /// The name of something in the directory that is not minipod's.
    fn stranger(&self) -> io::Result<Option<String>> {
        for entry in fs::read_dir(self.path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !(self.is_ours)(&name) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn failed(&self, verb: &'static str) -> impl Fn(io::Error) -> RootError {
        let path = self.path.to_owned();
        move |source| RootError::File { verb, path: path.clone(), source }
    }
}

/// What another user could do to the directories above, on the path as it is written and as it is
/// without symbolic links; those that are missing are made by root.
fn weakness_above(root: &Path) -> io::Result<Option<String>> {
    let above = root.ancestors().skip(1).filter(|path| fs::symlink_metadata(path).is_ok());
    let above: Vec<&Path> = above.collect();
    let Some(nearest) = above.first() else {
        return Ok(None);
    };
    let real = fs::canonicalize(nearest)?;
    for path in above.iter().copied().chain(real.ancestors()) {
        if let Some(what) = weakness(&fs::symlink_metadata(path)?) {
            return Ok(Some(format!("{} {what}", path.display())));
        }
    }
    Ok(None)
}

/// Who but root can exchange what is in that directory, or the link itself.
fn weakness(found: &Metadata) -> Option<String> {
    let mode = found.mode();
    if found.uid() != 0 {
        return Some(format!("belongs to user {}", found.uid()));
    }
    // In a sticky directory only the owner of a file can exchange it (unlink(2)).
    if found.is_symlink() || mode & STICKY != 0 {
        return None;
    }
    let by_group = mode & WRITABLE_BY_GROUP != 0 && found.gid() >= FIRST_GROUP_OF_PEOPLE;
    if by_group || mode & WRITABLE_BY_OTHERS != 0 {
        return Some(format!("can be written by others (its mode is {:04o})", mode & 0o7777));
    }
    None
}

/// Makes a directory of minipod's own and those above it.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// How a file of minipod's own is opened to be written: nobody else can open it, whatever the
/// umask; one who could open a lock's file could hold the lock.
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// Writes a file of minipod's own.
pub fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    io::Write::write_all(&mut create(path)?, text)
}

/// Makes an empty file of minipod's own.
pub fn create(path: &Path) -> io::Result<File> {
    private_file().truncate(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    /// Root alone can make what others own.
    fn is_root() -> bool {
        crate::settings::is_root()
    }

    fn at(path: &Path) -> Result<(), String> {
        let root = Root { path, option: "--data-dir", is_ours: DATA };
        root.secure().map_err(|error| error.to_string())
    }

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_root_is_made_closed_and_one_that_others_may_read_is_closed() {
        if !is_root() {
            return;
        }
        let top = tempfile::tempdir().unwrap();
        let new = top.path().join("a/b");
        assert_eq!(at(&new), Ok(()));
        assert_eq!((mode_of(&new), mode_of(&top.path().join("a"))), (0o700, 0o700));
        fs::set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(new.join("images")).unwrap();
        assert_eq!(at(&new), Ok(()));
        assert_eq!(mode_of(&new), 0o700);
        // Somebody meant another directory.
        fs::set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
        fs::write(new.join("passwd"), "").unwrap();
        let refused = at(&new).unwrap_err();
        assert!(refused.contains("others may read it (its mode is 0755)"), "{refused}");
        assert!(refused.contains("\"passwd\" in it is not minipod's"), "{refused}");
        assert_eq!(mode_of(&new), 0o755);
    }

    #[test]
    fn a_root_that_somebody_else_could_exchange_is_refused() {
        if !is_root() {
            return;
        }
        let top = tempfile::tempdir().unwrap();
        let make = |name: &str, mode: u32, (owner, group): (u32, u32)| {
            let path = top.path().join(name);
            fs::create_dir(&path).unwrap();
            chown(&path, Some(owner), Some(group)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        };
        let open = make("open", 0o777, (0, 0));
        assert!(at(&open).unwrap_err().ends_with("others may write it (its mode is 0777)"));
        assert!(at(&open.join("below")).unwrap_err().contains("can be written by others"));
        assert!(at(&make("group", 0o770, (0, 1000))).unwrap_err().contains("others may write it"));
        let theirs = make("theirs", 0o700, (1000, 0));
        assert!(at(&theirs).unwrap_err().ends_with("it belongs to user 1000"));
        assert!(at(&theirs.join("below")).unwrap_err().contains("belongs to user 1000"));
        let link = top.path().join("link");
        symlink(make("good", 0o700, (0, 0)), &link).unwrap();
        assert!(at(&link).unwrap_err().ends_with("it is a symbolic link"));
        // A link on the way leads where nobody else can lead it, or is refused.
        assert_eq!(at(&link.join("below")), Ok(()));
        std::os::unix::fs::lchown(&link, Some(1000), None).unwrap();
        assert!(at(&link.join("below")).unwrap_err().contains("belongs to user 1000"));
        // As /tmp, and as Ubuntu's /var/log.
        assert_eq!(at(&make("sticky", 0o1777, (0, 0)).join("below")), Ok(()));
        assert_eq!(at(&make("log", 0o775, (0, 104)).join("below")), Ok(()));
    }
}
