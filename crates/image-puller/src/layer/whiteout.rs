//! Entries that hide something of the layers below (OCI image-spec, layer.md "Whiteouts"),
//! turned into what overlayfs understands.

use rustix::fs::{self, AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;

use super::rule::Rule;
use super::tree::{Place, Tree, WalkError, reopen};

const PREFIX: &[u8] = b".wh.";

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
    let mut path = parent.path.clone();
    path.push(hidden.to_vec());
    let stat = fs::statat(&parent.directory, hidden, AtFlags::SYMLINK_NOFOLLOW);
    match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Directory) => {
            let Some(place) = tree.enter(&path, super::tree::Missing::Report)? else {
                return Ok(());
            };
            make_opaque(tree, &place)?;
            tree.notes.replaced.insert(path);
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(Errno::NOENT) if tree.notes.opaque.contains(&parent.path) => Ok(()),
        Err(Errno::NOENT) => {
            let kind = FileType::CharacterDevice;
            fs::mknodat(&parent.directory, hidden, kind, Mode::empty(), 0)
                .map_err(WalkError::system("create the whiteout for"))
        }
        Err(errno) => Err(WalkError::system("look at")(errno)),
    }
}

/// Hides everything that the layers below have in this directory.
pub(crate) fn apply_opaque(tree: &mut Tree<'_>, directory: &Place) -> Result<(), WalkError> {
    make_opaque(tree, directory)
}

fn make_opaque(tree: &mut Tree<'_>, place: &Place) -> Result<(), WalkError> {
    tree.make_opaque(place)?;
    drop_plain_whiteouts(place)
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
        let stat = fs::statat(&readable, item.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(WalkError::system("look at"))?;
        if stat.st_rdev == 0 {
            fs::unlinkat(&readable, item.file_name(), AtFlags::empty())
                .map_err(WalkError::system("remove the whiteout for"))?;
        }
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
