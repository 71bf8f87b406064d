//! Entries that hide something of the layers below (OCI image-spec, layer.md "Whiteouts"),
//! turned into what overlayfs understands.

use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;

use super::entry::EntryPath;
use super::metadata;
use super::remove;
use super::rule::Rule;
use super::tree::{Missing, Place, Tree, WalkError, reopen};
use super::view::{Node, View};

/// What the name of a whiteout starts with.
pub(crate) const PREFIX: &[u8] = b".wh.";

/// What an entry's name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Ordinary,
    /// `.wh.<name>`: `<name>` of the layers below is gone.
    Whiteout(Vec<u8>),
    /// `.wh..wh..opq`: everything in this directory of the layers below is gone.
    Opaque,
    /// Other names of AUFS' own, which no layer should contain.
    Ignored,
}

/// Reads the meaning off the name.
pub(crate) fn name(parents: &[Vec<u8>], base: &[u8]) -> Result<Name, Rule> {
    if let Some(parent) = parents.iter().find_map(|parent| parent.strip_prefix(PREFIX)) {
        return if parent.starts_with(PREFIX) {
            Ok(Name::Ignored)
        } else {
            Err(Rule::WhiteoutAsDirectory)
        };
    }
    match base.strip_prefix(PREFIX) {
        None => Ok(Name::Ordinary),
        Some(b"" | b"." | b"..") => Err(Rule::Whiteout),
        Some(b".wh..opq") => Ok(Name::Opaque),
        Some(rest) if rest.starts_with(PREFIX) => Ok(Name::Ignored),
        Some(hidden) => Ok(Name::Whiteout(hidden.to_vec())),
    }
}

/// Hides a name of the layers below. What this layer itself has there stays: a whiteout never
/// applies to its own layer, whatever the order.
pub(crate) fn apply(tree: &mut Tree<'_>, parent: &Place, hidden: &[u8]) -> Result<(), WalkError> {
    let path = parent.child(hidden);
    let stat = fs::statat(&parent.directory, hidden, AtFlags::SYMLINK_NOFOLLOW);
    match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Directory) if tree.notes.replaced.contains(&path) => Ok(()), // done before
        Ok(FileType::Directory) => {
            if only_hides(tree, &path)? {
                tree.forget(&path);
                remove::remove_at(&parent.directory, hidden)
                    .map_err(|source| WalkError::System { action: "replace", source })?;
                return make(tree, parent, path);
            }
            let Some(place) = tree.enter(&path, Missing::Report)? else {
                return Ok(());
            };
            make_opaque(tree, &place)?;
            tree.notes.replaced.insert(path);
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(Errno::NOENT) => make(tree, parent, path),
        Err(errno) => Err(WalkError::system("look at")(errno)),
    }
}

fn make(tree: &mut Tree<'_>, parent: &Place, path: Vec<Vec<u8>>) -> Result<(), WalkError> {
    if tree.notes.opaque.contains(&*parent.path) {
        return Ok(()); // hidden with all others
    }
    let hidden = path.last().map_or(&[][..], Vec::as_slice);
    fs::mknodat(&parent.directory, hidden, FileType::CharacterDevice, Mode::empty(), 0)
        .map_err(WalkError::system("create the whiteout for"))?;
    tree.notes.note_whiteout(path);
    Ok(())
}

/// True if this layer has nothing in a directory but whiteouts, and directories that were only
/// needed for these.
fn only_hides(tree: &mut Tree<'_>, path: &[Vec<u8>]) -> Result<bool, WalkError> {
    for directory in tree.notes.implied_below(path) {
        let Some(place) = tree.enter(&directory, Missing::Report)? else { continue };
        let readable = reopen(&place.directory)?;
        for item in Dir::read_from(&readable).map_err(WalkError::system("list"))? {
            let item = item.map_err(WalkError::system("list"))?;
            let name = item.file_name().to_bytes();
            let hides = match item.file_type() {
                _ if name == b"." || name == b".." => true,
                FileType::Directory => tree.notes.implied.contains(&place.child(name)),
                FileType::CharacterDevice => is_whiteout(&readable, name)?,
                _ => false,
            };
            if !hides {
                return Ok(false);
            }
        }
    }
    Ok(tree.notes.implied.contains(path))
}

/// Hides everything that the layers below have in this directory.
pub(crate) fn apply_opaque(tree: &mut Tree<'_>, directory: &Place) -> Result<(), WalkError> {
    make_opaque(tree, directory)
}

fn make_opaque(tree: &mut Tree<'_>, place: &Place) -> Result<(), WalkError> {
    if tree.notes.opaque.contains(&*place.path) {
        return Ok(());
    }
    tree.make_opaque(place)?;
    drop_plain_whiteouts(place)
}

/// Hides everything that the layers below have, name by name, in a layer whose root is opaque.
pub(crate) fn cover(tree: &mut Tree<'_>, lower: &View) -> Result<(), WalkError> {
    let system = |source| WalkError::System { action: "list the layers below", source };
    let Some(root) = tree.enter(&[], Missing::Report)? else { return Ok(()) };
    let names = lower.root_names().map_err(system)?;
    keeping_times(&root, || names.iter().try_for_each(|name| apply(tree, &root, name)))
}

/// Removes whiteouts from directories that the layers below do not have: such a directory is not
/// merged, and overlayfs lists the names in it as they are.
pub(crate) fn drop_useless(
    tree: &mut Tree<'_>,
    whiteouts: &[EntryPath],
    lower: &View,
) -> Result<(), WalkError> {
    let system = |source| WalkError::System { action: "look into the layers below", source };
    let mut known: Option<(&[Vec<u8>], bool)> = None;
    for EntryPath(path) in whiteouts {
        let Some((name, parent)) = path.split_last() else { continue };
        let is_merged = match known {
            Some((path, is_merged)) if path == parent => is_merged,
            _ => {
                let below = lower.at(&EntryPath(parent.to_vec())).map_err(system)?;
                matches!(below, Some(Node::Directory { .. }))
            }
        };
        known = Some((parent, is_merged));
        let Some(place) = tree.enter(parent, Missing::Report)?.filter(|_| !is_merged) else {
            continue;
        };
        keeping_times(&place, || remove(&place.directory, name))?;
    }
    Ok(())
}

/// Changes what is in a directory that is otherwise complete.
fn keeping_times(
    place: &Place,
    change: impl FnOnce() -> Result<(), WalkError>,
) -> Result<(), WalkError> {
    let directory = reopen(&place.directory)?;
    let stat = fs::fstat(&directory).map_err(WalkError::system("look at"))?;
    change()?;
    metadata::set_times(&directory, metadata::modified(&stat))
}

/// Removes a whiteout; anything else stays.
fn remove(directory: &OwnedFd, name: &[u8]) -> Result<(), WalkError> {
    if !is_whiteout(directory, name)? {
        return Ok(());
    }
    fs::unlinkat(directory, name, AtFlags::empty())
        .map_err(WalkError::system("remove the whiteout for"))
}

fn is_whiteout(directory: &OwnedFd, name: &[u8]) -> Result<bool, WalkError> {
    match fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode).is_char_device() && stat.st_rdev == 0),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(WalkError::system("look at")(errno)),
    }
}

/// Plain whiteouts in an opaque directory would show up in listings.
fn drop_plain_whiteouts(place: &Place) -> Result<(), WalkError> {
    let readable = reopen(&place.directory)?;
    let listing = Dir::read_from(&readable).map_err(WalkError::system("list"))?;
    for item in listing {
        let item = item.map_err(WalkError::system("list"))?;
        if item.file_type() != FileType::CharacterDevice {
            continue;
        }
        remove(&readable, item.file_name().to_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_hidden() {
        let rows: [(&str, Result<Name, Rule>); 10] = [
            ("plain", Ok(Name::Ordinary)),
            (".wh", Ok(Name::Ordinary)),
            (".wh.gone", Ok(Name::Whiteout(b"gone".to_vec()))),
            (".wh..hidden", Ok(Name::Whiteout(b".hidden".to_vec()))),
            (".wh..wh..opq", Ok(Name::Opaque)),
            (".wh..wh.aufs", Ok(Name::Ignored)),
            (".wh.", Err(Rule::Whiteout)),
            (".wh..", Err(Rule::Whiteout)),
            (".wh...", Err(Rule::Whiteout)),
            (".wh....", Ok(Name::Whiteout(b"...".to_vec()))),
        ];
        for (text, expected) in rows {
            assert_eq!(name(&[], text.as_bytes()), expected, "{text}");
        }
        assert_eq!(name(&[b".wh.x".to_vec()], b"y"), Err(Rule::WhiteoutAsDirectory));
        assert_eq!(name(&[b".wh..wh.plnk".to_vec()], b"y"), Ok(Name::Ignored));
    }
}
