//! A stack of unpacked layers seen as one tree, without mounting anything.
//!
//! The rules are overlayfs' own (kernel documentation, overlayfs.rst "Upper and Lower",
//! "whiteouts and opaque directories"): directories merge, everything else hides what is below,
//! a character device 0:0 hides and is not there, an opaque directory hides what is below it.
//! Symbolic links are followed as a process inside the image would follow them: never out of it.
//! No descriptor is kept, so that 500 layers do not need 500 of them.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{self, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::entry::EntryPath;

/// The attribute by which overlayfs knows an opaque directory.
pub(crate) const OPAQUE: &str = "trusted.overlay.opaque";
/// As many links as the kernel follows (`path_resolution(7)`).
const LINK_LIMIT: usize = 40;

/// Layers that show one tree.
#[derive(Debug)]
pub(crate) struct View {
    /// Bottom to top, as an image lists them.
    layers: Vec<PathBuf>,
}

/// A directory: its path without links, and the layers that have a part in it, top first.
#[derive(Debug, Clone)]
struct Merged {
    path: Vec<Vec<u8>>,
    layers: Vec<usize>,
}

/// What a path leads to. The path is the one without links.
#[derive(Debug)]
pub(crate) enum Node {
    Directory { path: EntryPath, top: Located },
    Leaf { path: EntryPath, at: Located },
}

/// An object within one layer.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) layer: usize,
    pub(crate) stat: Stat,
}

enum Child {
    Missing,
    Directory(Merged, Stat),
    Leaf(Located),
}

impl View {
    pub(crate) fn new(layers: Vec<PathBuf>) -> Self {
        Self { layers }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Follows a path with all its links; `None` if it leads nowhere.
    pub(crate) fn resolve(&self, path: &EntryPath) -> io::Result<Option<Node>> {
        let mut pending: VecDeque<Vec<u8>> = path.0.iter().cloned().collect();
        let Some(mut here) = self.root()? else { return Ok(None) };
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                here = self.parent(&here)?;
                continue;
            }
            match self.child(&here.0, &name)? {
                Child::Missing => return Ok(None),
                Child::Directory(merged, stat) => here = (merged, stat),
                Child::Leaf(at) => {
                    if FileType::from_raw_mode(at.stat.st_mode).is_symlink() {
                        links += 1;
                        if links > LINK_LIMIT {
                            return Err(Errno::LOOP.into());
                        }
                        let target = self.read_link(&at, &here.0.path, &name)?;
                        let is_absolute = target.first() == Some(&b'/');
                        match if is_absolute { self.root()? } else { Some(here) } {
                            Some(start) => here = start,
                            None => return Ok(None),
                        }
                        prepend(&mut pending, &target);
                    } else if pending.is_empty() {
                        let mut path = here.0.path;
                        path.push(name);
                        return Ok(Some(Node::Leaf { path: EntryPath(path), at }));
                    } else {
                        return Ok(None);
                    }
                }
            }
        }
        let (merged, stat) = here;
        let top = Located { layer: merged.layers[0], stat };
        Ok(Some(Node::Directory { path: EntryPath(merged.path), top }))
    }

    /// What is at a path that is free of links so far, links not followed.
    pub(crate) fn at(&self, path: &EntryPath) -> io::Result<Option<Node>> {
        let Some(mut here) = self.root()? else { return Ok(None) };
        for (depth, name) in path.0.iter().enumerate() {
            match self.child(&here.0, name)? {
                Child::Directory(merged, stat) => here = (merged, stat),
                Child::Leaf(at) if depth + 1 == path.0.len() => {
                    return Ok(Some(Node::Leaf { path: path.clone(), at }));
                }
                Child::Missing | Child::Leaf(_) => return Ok(None),
            }
        }
        let (merged, stat) = here;
        let top = Located { layer: merged.layers[0], stat };
        Ok(Some(Node::Directory { path: EntryPath(merged.path), top }))
    }

    /// Opens something found before. Nothing of the image can redirect it: the path has no links
    /// and none are followed.
    pub(crate) fn open(&self, path: &EntryPath, layer: usize, flags: OFlags) -> io::Result<File> {
        Ok(File::from(self.open_at(layer, &path.0, flags)?))
    }

    pub(crate) fn read_link_at(&self, path: &EntryPath, at: &Located) -> io::Result<Vec<u8>> {
        let (name, parent) = path.0.split_last().ok_or(Errno::INVAL)?;
        self.read_link(at, parent, name)
    }

    /// The names in the root of all layers, also those that a layer hides.
    pub(crate) fn root_names(&self) -> io::Result<BTreeSet<Vec<u8>>> {
        let mut names = BTreeSet::new();
        for layer in 0..self.layers.len() {
            let root = self.open_at(layer, &[], OFlags::RDONLY | OFlags::DIRECTORY)?;
            for item in fs::Dir::read_from(&root)? {
                let name = item?.file_name().to_bytes().to_vec();
                if name != b"." && name != b".." {
                    names.insert(name);
                }
            }
        }
        Ok(names)
    }

    fn root(&self) -> io::Result<Option<(Merged, Stat)>> {
        let mut merged = Merged { path: Vec::new(), layers: Vec::new() };
        let mut top = None;
        for layer in (0..self.layers.len()).rev() {
            let directory = self.open_at(layer, &[], OFlags::RDONLY | OFlags::DIRECTORY)?;
            merged.layers.push(layer);
            if top.is_none() {
                top = Some(fs::fstat(&directory)?);
            }
        }
        Ok(top.map(|stat| (merged, stat)))
    }

    fn parent(&self, here: &(Merged, Stat)) -> io::Result<(Merged, Stat)> {
        let mut at = self.root()?.ok_or(Errno::NOENT)?;
        let (_, above) = here.0.path.split_last().unwrap_or((&Vec::new(), &[]));
        for name in above {
            match self.child(&at.0, name)? {
                Child::Directory(merged, stat) => at = (merged, stat),
                Child::Missing | Child::Leaf(_) => return Err(Errno::NOENT.into()),
            }
        }
        Ok(at)
    }

    fn child(&self, parent: &Merged, name: &[u8]) -> io::Result<Child> {
        let mut path = parent.path.clone();
        path.push(name.to_vec());
        let mut layers = Vec::new();
        let mut top = None;
        for &layer in &parent.layers {
            let Some(stat) = self.stat(layer, &path)? else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    layers.push(layer);
                    top.get_or_insert(stat);
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                    if is_opaque(&self.open_at(layer, &path, flags)?)? {
                        break;
                    }
                }
                FileType::CharacterDevice if stat.st_rdev == 0 => break,
                _ if top.is_none() => return Ok(Child::Leaf(Located { layer, stat })),
                _ => break,
            }
        }
        Ok(top.map_or(Child::Missing, |stat| Child::Directory(Merged { path, layers }, stat)))
    }

    fn stat(&self, layer: usize, path: &[Vec<u8>]) -> io::Result<Option<Stat>> {
        match self.open_at(layer, path, OFlags::PATH) {
            Ok(found) => Ok(Some(fs::fstat(&found)?)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn read_link(&self, at: &Located, parent: &[Vec<u8>], name: &[u8]) -> io::Result<Vec<u8>> {
        let directory = self.open_at(at.layer, parent, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(fs::readlinkat(&directory, name, Vec::new())?.into_bytes())
    }

    fn open_at(&self, layer: usize, path: &[Vec<u8>], flags: OFlags) -> Result<OwnedFd, Errno> {
        let root_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = fs::open(&self.layers[layer], root_flags, Mode::empty())?;
        let joined = if path.is_empty() { b".".to_vec() } else { path.join(&b'/') };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        #[expect(
            clippy::disallowed_methods,
            reason = "no `..` is in it, and the layer is ours alone"
        )]
        fs::openat2(&root, joined.as_slice(), flags, Mode::empty(), confined)
    }
}

/// Puts a link's target in front of what is still to be walked.
pub(crate) fn prepend(pending: &mut VecDeque<Vec<u8>>, target: &[u8]) {
    let components = target.split(|b| *b == b'/').filter(|c| !c.is_empty() && *c != b".");
    for component in components.rev() {
        pending.push_front(component.to_vec());
    }
}

/// True if overlayfs would not look below this directory.
pub(crate) fn is_opaque(directory: &OwnedFd) -> io::Result<bool> {
    let mut value = [0_u8; 2];
    match fs::fgetxattr(directory, OPAQUE, &mut value) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
