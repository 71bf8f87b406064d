//! What a layer unpacked alone cannot know: the owner and mode of directories that its archive
//! only implies, and links in the layers below on the way to its files.

use std::os::fd::OwnedFd;

use rustix::fs::OFlags;

use super::entry::{EntryPath, Metadata};
use super::hard_link::{metadata_of, read_xattrs};
use super::metadata::{self, Skipped};
use super::tree::{Missing, Tree, WalkError, reopen};
use super::view::{Node, View};
use super::{UnpackError, whiteout};

/// What of an unpacked layer is for the layers below to decide.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    /// Directories that the archive only implied; the layer below knows their owner and mode.
    /// Without those that replaced something, so that nothing below matters.
    pub(crate) implied: Vec<EntryPath>,
    /// Further names on the way to something that this layer did not have: a link of that name in
    /// a layer below would have led elsewhere.
    pub(crate) assumed: Vec<EntryPath>,
    /// What the layer hides, unless there is nothing below to be hidden.
    pub(crate) whiteouts: Vec<EntryPath>,
    /// The first entry that cannot be applied without the layers below, for example a hard link
    /// to something that only they can have: the result is not complete, unpack again.
    pub(crate) needs_lower: Option<String>,
    /// The root is opaque: nothing of the layers below is to be seen.
    pub(crate) hides_all: bool,
}

impl Unsettled {
    /// True if the layer is the same whatever is below it.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { implied, assumed, whiteouts, needs_lower, hides_all } = self;
        let is_plain = implied.is_empty() && assumed.is_empty() && whiteouts.is_empty();
        is_plain && needs_lower.is_none() && !hides_all
    }
}

/// What the layers below say about a layer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Implied directories that exist there took over owner, mode, attributes and times.
    Fitting,
    /// Something below may lead elsewhere: unpack again, knowing the layers below.
    UnpackAgain,
}

/// Compares an unpacked layer with the layers below, and makes of it what applying the layers in
/// order would leave. If no entry was for the root, it is like an implied directory.
pub(crate) fn settle(
    root: OwnedFd,
    (unsettled, root_given): (&Unsettled, bool),
    lower: &View,
) -> Result<Settled, UnpackError> {
    let own = EntryPath::default();
    let root_implied = Some(&own).filter(|_| !root_given);
    let implied = root_implied.into_iter().chain(&unsettled.implied);
    let paths = unsettled.assumed.iter().map(|path| (path, false));
    let paths = paths.chain(implied.map(|path| (path, true)));
    let mut tree = Tree::new(root, None);
    for (path, is_implied) in paths {
        let below = find_below(path, lower);
        let settled = below.and_then(|below| match below {
            Below::Other => Ok(Settled::UnpackAgain),
            Below::Directory(metadata) if is_implied => {
                take_over(&mut tree, path, &metadata).map(|()| Settled::Fitting)
            }
            Below::Directory(_) | Below::Nothing => Ok(Settled::Fitting),
        });
        match settled.map_err(|error| UnpackError::from_walk(&path.joined(), error))? {
            Settled::Fitting => {}
            Settled::UnpackAgain => return Ok(Settled::UnpackAgain),
        }
    }
    let covered = if unsettled.hides_all { whiteout::cover(&mut tree, lower) } else { Ok(()) };
    covered
        .and_then(|()| whiteout::drop_useless(&mut tree, &unsettled.whiteouts, lower))
        .map_err(|error| UnpackError::from_walk(b"", error))?;
    Ok(Settled::Fitting)
}

/// What the layers below have where this one has a directory or had nothing.
enum Below {
    Nothing,
    /// A link leads elsewhere; anything else may be hidden from another path, or is in the way.
    Other,
    Directory(Metadata),
}

fn find_below(path: &EntryPath, lower: &View) -> Result<Below, WalkError> {
    let system = |source| WalkError::System { action: "look into the layers below at", source };
    match lower.at(path).map_err(system)? {
        None => Ok(Below::Nothing),
        Some(Node::Leaf { .. }) => Ok(Below::Other),
        Some(Node::Directory { path, top }) => {
            let directory = OFlags::RDONLY | OFlags::DIRECTORY;
            let below = lower.open(&path, top.layer, directory).map_err(system)?;
            Ok(Below::Directory(Metadata { xattrs: read_xattrs(&below)?, ..metadata_of(&top) }))
        }
    }
}

fn take_over(tree: &mut Tree<'_>, path: &EntryPath, metadata: &Metadata) -> Result<(), WalkError> {
    let Some(place) = tree.enter(&path.0, Missing::Report)? else { return Ok(()) };
    metadata::apply(&reopen(&place.directory)?, metadata, &mut Skipped::default())
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
