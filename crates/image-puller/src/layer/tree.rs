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
    pub(crate) path: Rc<Vec<Vec<u8>>>,
}

impl Place {
    /// The path of something in this directory.
    pub(crate) fn child(&self, name: &[u8]) -> Vec<Vec<u8>> {
        self.path.iter().cloned().chain([name.to_vec()]).collect()
    }
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
    /// Where the way led over a name that this layer did not have at that time: in a layer below
    /// it may be a link that leads elsewhere. Never forgotten.
    pub(crate) assumed: BTreeSet<Vec<Vec<u8>>>,
    /// Hide what is below them.
    pub(crate) opaque: BTreeSet<Vec<Vec<u8>>>,
    /// Whiteouts that were made.
    pub(crate) whiteouts: BTreeSet<Vec<Vec<u8>>>,
    /// Implied directories in which something is hidden: maybe there is nothing else in them.
    pub(crate) hollow: BTreeSet<Vec<Vec<u8>>>,
    /// Made anew, not merged: nothing of a directory below may shine through, not even its owner.
    pub(crate) replaced: BTreeSet<Vec<Vec<u8>>>,
    /// Files of the layers below that were brought here to be linked to: no entry is for them, so
    /// that a whiteout still hides them.
    pub(crate) copied: BTreeSet<Vec<Vec<u8>>>,
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

    pub(crate) fn note_whiteout(&mut self, path: Vec<Vec<u8>>) {
        self.bytes += length(&path) as u64;
        self.whiteouts.insert(path);
    }

    pub(crate) fn note_copied(&mut self, path: Vec<Vec<u8>>) {
        self.bytes += length(&path) as u64;
        self.copied.insert(path);
    }

    /// Notes that something is hidden in a directory.
    pub(crate) fn note_hollow(&mut self, path: &[Vec<u8>]) {
        if self.implied.contains(path) && self.hollow.insert(path.to_vec()) {
            self.bytes += length(path) as u64;
        }
    }
}

/// Takes the paths out that are at or below another.
pub(crate) fn take_from(paths: &mut BTreeSet<Vec<Vec<u8>>>, path: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    // What is below a path follows it in the order of paths, so the rest is not looked at.
    let from = paths.range(path.to_vec()..);
    let taken: Vec<_> = from.take_while(|known| known.starts_with(path)).cloned().collect();
    for path in &taken {
        paths.remove(path);
    }
    taken
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
    /// The last place that was entered, as most entries have the parent of the one before. Links
    /// on the way are followed anew: the next entry may be what replaces one of a layer below.
    last: Option<Place>,
    pub(crate) notes: DirectoryNotes,
}

/// Whether missing directories are made on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Create,
    Report,
}

/// What a name on the way is in this layer.
#[derive(Debug, Clone)]
enum Slot {
    Directory(Rc<OwnedFd>),
    /// Nothing; what is below shows through.
    Nothing,
    /// A whiteout, or below one.
    Hidden,
}

enum Step {
    Into(Slot),
    Link(Vec<u8>),
}

type Way = Vec<(Vec<u8>, Slot)>;

impl<'a> Tree<'a> {
    pub(crate) fn new(root: OwnedFd, lower: Option<&'a View>) -> Self {
        let (chain, notes) = (Vec::new(), DirectoryNotes::default());
        Self { root: Rc::new(root), lower, chain, last: None, notes }
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
        if let Some(place) = self.last.as_ref().filter(|place| *place.path == components) {
            return Ok(Some(place.clone()));
        }
        let Some(way) = self.walk(components, missing)? else { return Ok(None) };
        let mut directory = Rc::clone(&self.root);
        let mut path = Vec::with_capacity(way.len());
        for (name, slot) in way {
            path.push(name);
            directory = match slot {
                Slot::Directory(directory) => directory,
                _ => self.make_missing(&directory, &path)?,
            };
        }
        let place = Place { directory, path: Rc::new(path) };
        self.last = Some(place.clone());
        Ok(Some(place))
    }

    /// Where a directory's path leads, through the links of this layer and of those below, and
    /// made or not; `None` if nothing of the layers below is to be seen in it.
    pub(crate) fn shown_below(
        &mut self,
        components: &[Vec<u8>],
    ) -> Result<Option<Vec<Vec<u8>>>, WalkError> {
        let way = self.walk(components, Missing::Create)?.unwrap_or_default();
        let is_hidden = way.iter().any(|(_, slot)| matches!(slot, Slot::Hidden));
        let path: Vec<_> = way.into_iter().map(|(name, _)| name).collect();
        let is_covered = self.hides_lower(&path) || self.notes.opaque.contains(&path);
        Ok(Some(path).filter(|_| !is_hidden && !is_covered))
    }

    /// Follows a path with all its links. What is missing is not made before the end is known, as
    /// a link may lead over a missing name and back (`no/../yes`).
    fn walk(&mut self, components: &[Vec<u8>], missing: Missing) -> Result<Option<Way>, WalkError> {
        let shared = self.chain.iter().zip(components).take_while(|((a, _), b)| a == *b).count();
        self.chain.truncate(shared);
        let known = self.chain.iter();
        let mut way: Way =
            known.map(|(name, open)| (name.clone(), Slot::Directory(Rc::clone(open)))).collect();
        let mut pending: VecDeque<Vec<u8>> = components[shared..].iter().cloned().collect();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                way.pop();
                continue;
            }
            match self.step(&way, &name, missing)? {
                Step::Into(slot) => {
                    if let Slot::Directory(directory) = &slot
                        && links == 0
                        && way.len() < CHAIN_LIMIT
                    {
                        self.chain.push((name.clone(), Rc::clone(directory)));
                    }
                    way.push((name, slot));
                }
                Step::Link(target) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(WalkError::Refused(Rule::LinkLoop));
                    }
                    if target.first() == Some(&b'/') {
                        way.clear();
                    }
                    prepend(&mut pending, &target);
                }
            }
        }
        let is_there = way.iter().all(|(_, slot)| matches!(slot, Slot::Directory(_)));
        Ok(Some(way).filter(|_| is_there || missing == Missing::Create))
    }

    fn step(&mut self, way: &Way, name: &[u8], missing: Missing) -> Result<Step, WalkError> {
        let parent = match way.last() {
            None => Some(Rc::clone(&self.root)),
            Some((_, Slot::Directory(directory))) => Some(Rc::clone(directory)),
            Some((_, Slot::Hidden)) => return Ok(Step::Into(Slot::Hidden)),
            Some((_, Slot::Nothing)) => None,
        };
        if let Some(parent) = parent {
            match open_directory(&parent, name) {
                Ok(directory) => return Ok(Step::Into(Slot::Directory(Rc::new(directory)))),
                Err(Errno::NOENT) => {}
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let target = link_or_whiteout(&parent, name)?;
                    return Ok(target.map_or(Step::Into(Slot::Hidden), Step::Link));
                }
                Err(errno) => return Err(WalkError::system("open directory")(errno)),
            }
        }
        let path = child_path(way, name);
        if let Some(target) = self.lower_link(&path, missing)? {
            return Ok(Step::Link(target));
        }
        if self.lower.is_none() && !self.hides_lower(&path) {
            let bytes = length(&path) as u64;
            self.notes.bytes += if self.notes.assumed.insert(path) { bytes } else { 0 };
        }
        Ok(Step::Into(Slot::Nothing))
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

    /// Makes a directory that no entry has named so far.
    fn make_missing(
        &mut self,
        parent: &OwnedFd,
        path: &[Vec<u8>],
    ) -> Result<Rc<OwnedFd>, WalkError> {
        let name = path.last().map_or(&[][..], Vec::as_slice);
        let is_hidden = match fs::unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) => true, // it was a whiteout
            Err(Errno::NOENT) => false,
            Err(errno) => return Err(WalkError::system("replace")(errno)),
        };
        let directory = Rc::new(make_directory(parent, name)?);
        self.notes.bytes += length(path) as u64;
        self.notes.implied.insert(path.to_vec());
        if is_hidden {
            let (directory, path) = (Rc::clone(&directory), Rc::new(path.to_vec()));
            self.notes.replaced.insert(path.to_vec());
            self.make_opaque(&Place { directory, path })?;
        }
        Ok(directory)
    }

    /// Marks a directory so that nothing below it shows through. For the root the kernel does not
    /// look at the mark; what is below it is covered name by name in the end.
    pub(crate) fn make_opaque(&mut self, place: &Place) -> Result<(), WalkError> {
        if !place.path.is_empty() {
            let readable = reopen(&place.directory)?;
            fs::fsetxattr(&readable, OPAQUE, b"y", fs::XattrFlags::empty())
                .map_err(WalkError::system("mark as opaque"))?;
        }
        self.notes.opaque.insert(place.path.to_vec());
        Ok(())
    }

    /// Forgets everything at and below a path that is about to be removed.
    pub(crate) fn forget(&mut self, path: &[Vec<u8>]) {
        self.chain.clear();
        self.last = None;
        let known = self.notes.metadata.range(path.to_vec()..).map(|(path, _)| path);
        let gone: Vec<_> = known.take_while(|known| known.starts_with(path)).cloned().collect();
        for path in gone {
            self.notes.metadata.remove(&path);
        }
        let DirectoryNotes { implied, opaque, whiteouts, hollow, replaced, copied, .. } =
            &mut self.notes;
        for set in [implied, opaque, whiteouts, hollow, replaced, copied] {
            take_from(set, path);
        }
    }
}

fn child_path(way: &Way, name: &[u8]) -> Vec<Vec<u8>> {
    way.iter().map(|(name, _)| name.clone()).chain([name.to_vec()]).collect()
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
