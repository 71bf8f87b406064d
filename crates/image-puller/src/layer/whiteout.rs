//! Entries that hide something of the layers below (OCI image-spec, layer.md "Whiteouts"),
//! turned into what overlayfs understands.

use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::entry::EntryPath;
use super::metadata;
use super::rule::Rule;
use super::tree::{Missing, Place, Tree, WalkError, reopen, take_from};
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
    tree.notes.note_hollow(&parent.path);
    let stat = fs::statat(&parent.directory, hidden, AtFlags::SYMLINK_NOFOLLOW);
    match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Directory) => {
            drop_copied(tree, &path)?;
            drop_below(tree, &path)?;
            if remove_needless(tree, &path)? {
                return make(tree, parent, path);
            }
            if tree.notes.replaced.contains(&path) {
                return Ok(()); // done before
            }
            let Some(place) = tree.enter(&path, Missing::Report)? else {
                return Ok(());
            };
            apply_opaque(tree, &place)?;
            tree.notes.replaced.insert(path);
            Ok(())
        }
        Ok(_) if tree.notes.copied.contains(&path) => {
            drop_copied(tree, &path)?;
            make(tree, parent, path)
        }
        Ok(_) => Ok(()),
        Err(Errno::NOENT) => make(tree, parent, path),
        Err(errno) => Err(WalkError::system("look at")(errno)),
    }
}

fn make(tree: &mut Tree<'_>, parent: &Place, path: Vec<Vec<u8>>) -> Result<(), WalkError> {
    if tree.hides_lower(&path) {
        return Ok(()); // hidden with all others
    }
    let hidden = path.last().map_or(&[][..], Vec::as_slice);
    fs::mknodat(&parent.directory, hidden, FileType::CharacterDevice, Mode::empty(), 0)
        .map_err(WalkError::system("create the whiteout for"))?;
    tree.notes.note_whiteout(path);
    Ok(())
}

/// Removes what was only made to hide something below a path, where nothing is left to be hidden:
/// whiteouts, which would show up in listings, and the directories that have nothing else in them.
fn drop_below(tree: &mut Tree<'_>, path: &[Vec<u8>]) -> Result<(), WalkError> {
    for whiteout in take_from(&mut tree.notes.whiteouts, path) {
        let Some((name, parent)) = whiteout.split_last() else { continue };
        if let Some(place) = tree.enter(parent, Missing::Report)? {
            remove(&place.directory, name)?;
        }
    }
    let hollow = take_from(&mut tree.notes.hollow, path);
    for directory in hollow.iter().rev() {
        let mut directory = &directory[..];
        while directory.len() > path.len() && remove_needless(tree, directory)? {
            directory = &directory[..directory.len() - 1];
        }
    }
    Ok(())
}

/// Removes what was only copied from the layers below, at or below a path. Other names of it stay.
fn drop_copied(tree: &mut Tree<'_>, path: &[Vec<u8>]) -> Result<(), WalkError> {
    for copied in take_from(&mut tree.notes.copied, path) {
        let Some((name, parents)) = copied.split_last() else { continue };
        let Some(parent) = tree.enter(parents, Missing::Report)? else { continue };
        fs::unlinkat(&parent.directory, name.as_slice(), AtFlags::empty())
            .map_err(WalkError::system("replace"))?;
        let mut directory = parents;
        while directory.len() > path.len() && remove_needless(tree, directory)? {
            directory = &directory[..directory.len() - 1];
        }
    }
    Ok(())
}

/// Removes a directory that no entry is for if it is empty.
fn remove_needless(tree: &mut Tree<'_>, path: &[Vec<u8>]) -> Result<bool, WalkError> {
    let Some((name, parents)) = path.split_last() else { return Ok(false) };
    if !tree.notes.implied.contains(path) {
        return Ok(false);
    }
    let Some(parent) = tree.enter(parents, Missing::Report)? else { return Ok(false) };
    match fs::unlinkat(&parent.directory, name.as_slice(), AtFlags::REMOVEDIR) {
        Ok(()) => {
            tree.forget(path);
            Ok(true)
        }
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(WalkError::system("replace")(errno)),
    }
}

/// Hides everything that the layers below have in this directory.
pub(crate) fn apply_opaque(tree: &mut Tree<'_>, place: &Place) -> Result<(), WalkError> {
    if !tree.notes.opaque.contains(&*place.path) {
        tree.make_opaque(place)?;
    }
    drop_copied(tree, &place.path)?;
    drop_below(tree, &place.path)?;
    tree.notes.note_hollow(&place.path);
    Ok(())
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
