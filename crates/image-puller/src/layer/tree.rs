//! The directory into which one layer is unpacked, walked by descriptors.
//!
//! The directory is private while it is written; only the archive itself is hostile. Every step
//! is one component relative to an open directory and follows no link. A link that the archive
//! made is followed here, in this program, as a process chrooted into the image would follow it
//! (`RESOLVE_IN_ROOT` of openat2(2)), creating what is missing on the way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::entry::{EntryPath, Metadata};
use super::rule::Rule;
use super::view::{Node, OPAQUE, View, prepend};

const LINK_LIMIT: usize = 40;
/// Open directories kept from one entry to the next; deeper ones are walked again.
const CHAIN_LIMIT: usize = 32;

/// A directory of the layer: its descriptor and its path, which has no links in it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) directory: Rc<OwnedFd>,
    pub(crate) path: Vec<Vec<u8>>,
}

/// Why a place cannot be reached.
#[derive(Debug)]
pub(crate) enum WalkError {
    Refused(Rule),
    System { action: &'static str, source: io::Error },
}

impl WalkError {
    pub(crate) fn system(action: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::System { action, source: errno.into() }
    }
}

/// What is to be known about the directories of the layer until it is complete.
#[derive(Debug, Default)]
pub(crate) struct DirectoryNotes {
    /// From entries of the archive: applied when the last child is there.
    pub(crate) metadata: BTreeMap<Vec<Vec<u8>>, Metadata>,
    /// Not in the archive, only named on the way to something: the layer below decides.
    pub(crate) implied: BTreeSet<Vec<Vec<u8>>>,
    /// Hide what is below them.
    pub(crate) opaque: BTreeSet<Vec<Vec<u8>>>,
    /// Made anew, not merged: nothing of a directory below may shine through, not even its owner.
    pub(crate) replaced: BTreeSet<Vec<Vec<u8>>>,
    /// Memory for all that was ever noted, more or less.
    pub(crate) bytes: u64,
}

impl DirectoryNotes {
    /// Notes what the archive says about a directory.
    pub(crate) fn keep(&mut self, path: Vec<Vec<u8>>, metadata: Metadata) {
        let attributes = metadata.xattrs.iter().map(|(name, value)| name.len() + value.len());
        self.bytes += (attributes.sum::<usize>() + length(&path)) as u64;
        self.metadata.insert(path, metadata);
    }
}

/// Bytes that a path takes.
fn length(path: &[Vec<u8>]) -> usize {
    path.iter().map(|name| name.len() + size_of::<Vec<u8>>()).sum()
}

#[derive(Debug)]
pub(crate) struct Tree<'a> {
    root: Rc<OwnedFd>,
    /// The layers below, if this layer is unpacked knowing them.
    lower: Option<&'a View>,
    chain: Vec<(Vec<u8>, Rc<OwnedFd>)>,
    pub(crate) notes: DirectoryNotes,
}

/// Whether missing directories are made on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Create,
    Report,
}

enum Step {
    Into(Rc<OwnedFd>),
    Link(Vec<u8>),
    Nowhere,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(root: OwnedFd, lower: Option<&'a View>) -> Self {
        Self { root: Rc::new(root), lower, chain: Vec::new(), notes: DirectoryNotes::default() }
    }

    pub(crate) fn lower(&self) -> Option<&'a View> {
        self.lower
    }

    /// The directory at this path; `None` if it is missing and shall not be made.
    pub(crate) fn enter(
        &mut self,
        components: &[Vec<u8>],
        missing: Missing,
    ) -> Result<Option<Place>, WalkError> {
        let shared = self.chain.iter().zip(components).take_while(|((a, _), b)| a == *b).count();
        self.chain.truncate(shared);
        let mut stack: Vec<(Vec<u8>, Rc<OwnedFd>)> = self.chain.clone();
        let mut pending: VecDeque<Vec<u8>> = components[shared..].iter().cloned().collect();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                stack.pop();
                continue;
            }
            match self.step(&stack, &name, missing)? {
                Step::Into(directory) => {
                    let literal = links == 0 && stack.len() == self.chain.len();
                    if literal && stack.len() < CHAIN_LIMIT {
                        self.chain.push((name.clone(), Rc::clone(&directory)));
                    }
                    stack.push((name, directory));
                }
                Step::Link(target) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(WalkError::Refused(Rule::LinkLoop));
                    }
                    if target.first() == Some(&b'/') {
                        stack.clear();
                    }
                    prepend(&mut pending, &target);
                }
                Step::Nowhere => return Ok(None),
            }
        }
        let directory = stack.last().map_or(&self.root, |(_, directory)| directory);
        let directory = Rc::clone(directory);
        let path = stack.into_iter().map(|(name, _)| name).collect();
        Ok(Some(Place { directory, path }))
    }

    fn step(
        &mut self,
        stack: &[(Vec<u8>, Rc<OwnedFd>)],
        name: &[u8],
        missing: Missing,
    ) -> Result<Step, WalkError> {
        let parent = stack.last().map_or(&self.root, |(_, directory)| directory);
        let parent = Rc::clone(parent);
        match open_directory(&parent, name) {
            Ok(directory) => return Ok(Step::Into(Rc::new(directory))),
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR | Errno::LOOP) => {
                if let Some(target) = link_or_whiteout(&parent, name)? {
                    return Ok(Step::Link(target));
                }
                if missing == Missing::Report {
                    return Ok(Step::Nowhere);
                }
                let path = child_path(stack, name);
                return self.replace_whiteout(&parent, name, path).map(Step::Into);
            }
            Err(errno) => return Err(WalkError::system("open directory")(errno)),
        }
        let path = child_path(stack, name);
        if let Some(target) = self.lower_link(&path, missing)? {
            return Ok(Step::Link(target));
        }
        match missing {
            Missing::Report => Ok(Step::Nowhere),
            Missing::Create => self.imply(&parent, name, path).map(Step::Into),
        }
    }

    /// The target if the layers below have a link here. A file there stops the walk.
    fn lower_link(&self, path: &[Vec<u8>], missing: Missing) -> Result<Option<Vec<u8>>, WalkError> {
        let Some(lower) = self.lower.filter(|_| !self.hides_lower(path)) else { return Ok(None) };
        let path = EntryPath(path.to_vec());
        let system = |source| WalkError::System { action: "look into the layers below", source };
        match lower.at(&path).map_err(system)? {
            Some(Node::Leaf { at, .. }) => {
                if FileType::from_raw_mode(at.stat.st_mode).is_symlink() {
                    lower.read_link_at(&path, &at).map(Some).map_err(system)
                } else if missing == Missing::Create {
                    Err(WalkError::Refused(Rule::ParentNotDirectory))
                } else {
                    Ok(None)
                }
            }
            Some(Node::Directory { .. }) | None => Ok(None),
        }
    }

    /// True if this layer covers whatever the layers below have at this path.
    pub(crate) fn hides_lower(&self, path: &[Vec<u8>]) -> bool {
        (0..path.len()).any(|length| self.notes.opaque.contains(&path[..length]))
    }

    fn imply(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        path: Vec<Vec<u8>>,
    ) -> Result<Rc<OwnedFd>, WalkError> {
        let directory = make_directory(parent, name)?;
        self.notes.bytes += length(&path) as u64;
        self.notes.implied.insert(path);
        Ok(Rc::new(directory))
    }

    fn replace_whiteout(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        path: Vec<Vec<u8>>,
    ) -> Result<Rc<OwnedFd>, WalkError> {
        fs::unlinkat(parent, name, AtFlags::empty()).map_err(WalkError::system("replace"))?;
        let directory = self.imply(parent, name, path.clone())?;
        self.make_opaque(&Place { directory: Rc::clone(&directory), path: path.clone() })?;
        self.notes.replaced.insert(path);
        Ok(directory)
    }

    /// Marks a directory so that nothing below it shows through.
    pub(crate) fn make_opaque(&mut self, place: &Place) -> Result<(), WalkError> {
        let readable = reopen(&place.directory)?;
        fs::fsetxattr(&readable, OPAQUE, b"y", fs::XattrFlags::empty())
            .map_err(WalkError::system("mark as opaque"))?;
        self.notes.opaque.insert(place.path.clone());
        Ok(())
    }

    /// Forgets everything at and below a path that is about to be removed.
    pub(crate) fn forget(&mut self, path: &[Vec<u8>]) {
        self.chain.clear();
        // What is below a path follows it in the order of paths, so the rest is not looked at.
        let from = || path.to_vec()..;
        let below = |known: &&Vec<Vec<u8>>| known.starts_with(path);
        let known = self.notes.metadata.range(from()).map(|(path, _)| path);
        let gone: Vec<_> = known.take_while(below).cloned().collect();
        for path in gone {
            self.notes.metadata.remove(&path);
        }
        for set in [&mut self.notes.implied, &mut self.notes.opaque, &mut self.notes.replaced] {
            let gone: Vec<_> = set.range(from()).take_while(below).cloned().collect();
            for path in gone {
                set.remove(&path);
            }
        }
    }
}

fn child_path(stack: &[(Vec<u8>, Rc<OwnedFd>)], name: &[u8]) -> Vec<Vec<u8>> {
    stack.iter().map(|(name, _)| name.clone()).chain([name.to_vec()]).collect()
}

fn open_directory(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}

/// A directory opened for reading, through a descriptor that cannot read.
pub(crate) fn reopen(directory: &OwnedFd) -> Result<OwnedFd, WalkError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(directory, c".", flags, Mode::empty()).map_err(WalkError::system("open directory"))
}

/// Makes a directory as if the umask were zero: 0755 until somebody says otherwise.
pub(crate) fn make_directory(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, WalkError> {
    fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))
        .map_err(WalkError::system("create directory"))?;
    let directory = open_directory(parent, name).map_err(WalkError::system("open directory"))?;
    Ok(directory)
}

/// The target of a link; `None` for a whiteout; anything else cannot have children.
fn link_or_whiteout(parent: &OwnedFd, name: &[u8]) -> Result<Option<Vec<u8>>, WalkError> {
    let stat = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(WalkError::system("look at"))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = fs::readlinkat(parent, name, Vec::new());
            Ok(Some(target.map_err(WalkError::system("read link"))?.into_bytes()))
        }
        FileType::CharacterDevice if stat.st_rdev == 0 => Ok(None),
        _ => Err(WalkError::Refused(Rule::ParentNotDirectory)),
    }
}
