//! Hard links, whose target may be in this layer or in one below.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::entry::{EntryPath, Metadata};
use super::metadata::{self, Skipped};
use super::rule::Rule;
use super::tree::{Missing, Place, Tree, WalkError};
use super::view::{Located, Node, View};

/// An existing object of this layer.
#[derive(Debug)]
pub(crate) struct Target {
    directory: Rc<OwnedFd>,
    parent_path: Rc<Vec<Vec<u8>>>,
    name: Vec<u8>,
}

impl Target {
    /// True if this very name is meant.
    pub(crate) fn is_at(&self, parent: &Place, base: &[u8]) -> bool {
        self.parent_path == parent.path && self.name == base
    }

    /// True if the link would take the place of a directory that the target is in.
    pub(crate) fn is_below(&self, parent: &Place, base: &[u8]) -> bool {
        let length = parent.path.len();
        self.parent_path.starts_with(&parent.path)
            && self.parent_path.get(length).is_some_and(|name| name == base)
    }

    pub(crate) fn link(&self, directory: &OwnedFd, base: &[u8]) -> Result<(), Errno> {
        let from = self.name.as_slice();
        fs::linkat(&self.directory, from, directory, base, AtFlags::empty())
    }
}

/// Finds the target in this layer, or copies it up from the layers below. `None` means that it
/// can only be in a layer below and those are not known yet. `own` is the path of the link, which
/// is not copied: a link to itself changes nothing.
pub(crate) fn find_target(
    tree: &mut Tree<'_>,
    path: &EntryPath,
    own: &[Vec<u8>],
) -> Result<Option<Target>, WalkError> {
    let Some((name, parents)) = path.0.split_last() else {
        return Err(WalkError::Refused(Rule::HardLinkDirectory));
    };
    if let Some(place) = tree.enter(parents, Missing::Report)? {
        let stat = fs::statat(&place.directory, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW);
        match stat.map(|stat| (FileType::from_raw_mode(stat.st_mode), stat.st_rdev)) {
            Ok((FileType::Directory, _)) => {
                return Err(WalkError::Refused(Rule::HardLinkDirectory));
            }
            Ok((FileType::CharacterDevice, 0)) => {
                return Err(WalkError::Refused(Rule::HardLinkMissing));
            }
            Ok(_) => return Ok(Some(target(place, name))),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(WalkError::system("look at")(errno)),
        }
    }
    let Some(lower) = tree.lower() else { return Ok(None) };
    copy_up(tree, lower, (path, own)).map(Some)
}

fn target(place: Place, name: &[u8]) -> Target {
    Target { directory: place.directory, parent_path: place.path, name: name.to_vec() }
}

/// Brings the target into this layer, so that both names can share it.
fn copy_up(
    tree: &mut Tree<'_>,
    lower: &View,
    (path, own): (&EntryPath, &[Vec<u8>]),
) -> Result<Target, WalkError> {
    let system = |source| WalkError::System { action: "look into the layers below", source };
    let missing = || WalkError::Refused(Rule::HardLinkMissing);
    let (name, parents) = path.0.split_last().ok_or_else(missing)?;
    let parents = tree.shown_below(parents)?.ok_or_else(missing)?;
    let real = EntryPath(parents.iter().chain([name]).cloned().collect());
    let at = match lower.at(&real).map_err(system)? {
        Some(Node::Leaf { at, .. }) => at,
        Some(Node::Directory { .. }) => return Err(WalkError::Refused(Rule::HardLinkDirectory)),
        None => return Err(missing()),
    };
    let place = tree.enter(&parents, Missing::Create)?.ok_or_else(missing)?;
    if real.0 != own {
        copy_object(lower, (&real, &at), &place.directory, name)?;
        tree.notes.note_copied(real.0);
    }
    Ok(target(place, name))
}

fn copy_object(
    lower: &View,
    (path, at): (&EntryPath, &Located),
    directory: &OwnedFd,
    name: &[u8],
) -> Result<(), WalkError> {
    let system = |source| WalkError::System { action: "copy from a layer below", source };
    let kind = FileType::from_raw_mode(at.stat.st_mode);
    let metadata = || -> Result<Metadata, WalkError> {
        let object = lower.open(path, at.layer, OFlags::PATH).map_err(system)?;
        Ok(Metadata { xattrs: read_xattrs(&object)?, ..metadata_of(at) })
    };
    match kind {
        FileType::RegularFile => {
            let mut from =
                lower.open(path, at.layer, OFlags::RDONLY | OFlags::NONBLOCK).map_err(system)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let to = fs::openat(directory, name, flags, Mode::from_raw_mode(0o600))
                .map_err(WalkError::system("copy from a layer below"))?;
            let mut to = File::from(to);
            io::copy(&mut from, &mut to).map_err(system)?;
            metadata::apply(&to.into(), &metadata()?, &mut Skipped::default())
        }
        FileType::Symlink => {
            let link = lower.read_link_at(path, at).map_err(system)?;
            fs::symlinkat(link.as_slice(), directory, name)
                .map_err(WalkError::system("copy from a layer below"))?;
            metadata::apply_to_symlink((directory, name), &metadata()?, &mut Skipped::default())
        }
        _ => {
            fs::mknodat(directory, name, kind, Mode::from_raw_mode(0o600), at.stat.st_rdev)
                .map_err(WalkError::system("copy from a layer below"))?;
            metadata::apply_to_node((directory, name), &metadata()?, &mut Skipped::default())
        }
    }
}

/// Owner, mode and time of an object, without attributes.
pub(crate) fn metadata_of(at: &Located) -> Metadata {
    Metadata {
        mode: at.stat.st_mode & 0o7777,
        uid: at.stat.st_uid,
        gid: at.stat.st_gid,
        modified: metadata::modified(&at.stat),
        xattrs: Vec::new(),
    }
}

/// The attributes of an open object; those that an archive could not have set are dropped later.
pub(crate) fn read_xattrs(object: &File) -> Result<Vec<(String, Vec<u8>)>, WalkError> {
    let object = metadata::itself(object);
    let mut names = vec![0_u8; 65536];
    let length = match fs::listxattr(&object, &mut names) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(WalkError::system("list attributes in a layer below")(errno)),
    };
    let mut found = Vec::new();
    for name in names[..length].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let Ok(name) = str::from_utf8(name) else { continue };
        let mut value = vec![0_u8; 65536];
        let length = fs::getxattr(&object, name, &mut value)
            .map_err(WalkError::system("read attributes in a layer below"))?;
        value.truncate(length);
        found.push((name.to_owned(), value));
    }
    Ok(found)
}
