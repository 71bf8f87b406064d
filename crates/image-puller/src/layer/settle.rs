//! What a layer unpacked alone cannot know: the owner and mode of directories that its archive
//! only implies, and links in the layers below on the way to its files.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, OFlags};

use super::entry::{EntryPath, Metadata};
use super::hard_link::{metadata_of, read_xattrs};
use super::metadata::{self, Skipped};
use super::tree::{Missing, Tree, WalkError, reopen};
use super::view::{Node, View};
use super::{Rule, UnpackError};

/// What the layers below say about a layer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Implied directories that exist there took over owner, mode, attributes and times.
    Fitting,
    /// A link below leads elsewhere: unpack again, knowing the layers below.
    UnpackAgain,
}

/// Compares the implied directories of an unpacked layer with the layers below, and gives them
/// the metadata that applying the layers in order would leave.
pub(crate) fn settle(
    root: OwnedFd,
    implied: &[EntryPath],
    lower: &View,
) -> Result<Settled, UnpackError> {
    let mut tree = Tree::new(root, None);
    for path in implied {
        let outcome = settle_directory(&mut tree, path, lower)
            .map_err(|error| UnpackError::from_walk(&path.joined(), error))?;
        if outcome == Settled::UnpackAgain {
            return Ok(outcome);
        }
    }
    Ok(Settled::Fitting)
}

fn settle_directory(
    tree: &mut Tree<'_>,
    path: &EntryPath,
    lower: &View,
) -> Result<Settled, WalkError> {
    let system = |source| WalkError::System { action: "look into the layers below at", source };
    match lower.at(path).map_err(system)? {
        None => Ok(Settled::Fitting),
        Some(Node::Leaf { at, .. }) => {
            if FileType::from_raw_mode(at.stat.st_mode).is_symlink() {
                Ok(Settled::UnpackAgain)
            } else {
                Err(WalkError::Refused(Rule::ParentNotDirectory))
            }
        }
        Some(Node::Directory { path, top }) => {
            let directory = OFlags::RDONLY | OFlags::DIRECTORY;
            let below = lower.open(&path, top.layer, directory).map_err(system)?;
            let metadata = Metadata { xattrs: read_xattrs(&below)?, ..metadata_of(&top) };
            let Some(place) = tree.enter(&path.0, Missing::Report)? else {
                return Ok(Settled::Fitting);
            };
            metadata::apply(&reopen(&place.directory)?, &metadata, &mut Skipped::new())?;
            Ok(Settled::Fitting)
        }
    }
}

/// True if the root of the layers below is what a layer without an entry for its root gets
/// anyway: 0755, owned by root, without attributes.
pub(crate) fn root_is_plain(lower: &View) -> Result<bool, UnpackError> {
    let look = || -> std::io::Result<bool> {
        let Some(Node::Directory { path, top }) = lower.at(&EntryPath::default())? else {
            return Ok(true);
        };
        let plain = (top.stat.st_mode & 0o7777, top.stat.st_uid, top.stat.st_gid) == (0o755, 0, 0);
        let root = lower.open(&path, top.layer, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let xattrs = read_xattrs(&root).map_err(|_| std::io::ErrorKind::Other)?;
        Ok(plain && xattrs.iter().all(|(name, _)| name.starts_with("trusted.overlay.")))
    };
    look().map_err(|source| UnpackError::System {
        action: "look into the layers below at",
        entry: String::new(),
        source,
    })
}
