//! Layers applied in order, in memory and as simply as possible: what an image must look like.
//!
//! The rules are those of the OCI image specification (layer.md) and, where it is silent, those
//! of containerd's and umoci's appliers: links in parents are followed within the root, missing
//! parents are made with 0755 for root, whatever else has the name of an entry goes, only
//! directories merge.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::item::{Attributes, Item, What};
use crate::listing::{Line, Listing};

/// What is under a name.
#[derive(Clone, Debug)]
enum Object {
    Directory(Attributes),
    /// Anything else; equal numbers are one inode.
    Other(usize),
}

/// An inode that is no directory.
#[derive(Clone, Debug)]
struct Inode {
    what: What,
    attributes: Attributes,
    layer: usize,
}

/// How a hard link to a file of a lower layer comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// All names share it: what unpacking into one directory gives.
    Shared,
    /// The target is copied up under its name; further names in lower layers keep the old one:
    /// what overlayfs gives.
    CopiedUp,
}

/// An image, as far as its layers have been applied.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    objects: BTreeMap<Path, Object>,
    inodes: Vec<Inode>,
    layer: usize,
    /// What entries of this layer are for: its whiteouts do not apply to it.
    own: BTreeSet<Path>,
    links: Links,
    /// Something happened that umoci does in its own way.
    pub(crate) is_contested: bool,
}

type Path = Vec<Vec<u8>>;

/// The entry is refused.
#[derive(Debug)]
pub(crate) struct Refused;

impl Model {
    pub(crate) fn new(links: Links) -> Self {
        let root = Attributes { mode: 0o755, ..Attributes::default() };
        let objects = BTreeMap::from([(Path::new(), Object::Directory(root))]);
        let (inodes, own) = (Vec::new(), BTreeSet::new());
        Self { objects, inodes, layer: 0, own, links, is_contested: false }
    }

    /// Goes on to the next layer.
    pub(crate) fn next_layer(&mut self) {
        self.layer += 1;
        self.own.clear();
    }

    pub(crate) fn apply(&mut self, item: &Item) -> Result<(), Refused> {
        let clean = components(&item.path);
        if item.what == What::Opaque {
            let is_there = self.resolve(&clean)?.is_some_and(|path| self.is_directory(&path));
            self.is_contested |= !is_there; // umoci does not make the directory
            let directory = self.enter(&clean)?;
            self.objects
                .retain(|path, _| path.len() <= directory.len() || !path.starts_with(&directory));
            return Ok(());
        }
        let Some((base, parents)) = clean.split_last() else {
            self.objects.insert(Path::new(), Object::Directory(item.attributes.clone()));
            return Ok(());
        };
        if item.what == What::Whiteout
            && self.resolve(parents)?.is_none_or(|path| !self.is_directory(&path))
        {
            self.is_contested = true; // umoci does not make the parent
        }
        let mut path = self.enter(parents)?;
        path.push(base.clone());
        let object = match &item.what {
            What::Whiteout => {
                // Umoci knows its own entries by the names that they have in the archive.
                self.is_contested |= path != clean && !self.own.is_empty();
                self.hide(&path);
                return Ok(());
            }
            What::Directory => {
                if !self.is_directory(&path) {
                    self.remove(&path);
                }
                Object::Directory(item.attributes.clone())
            }
            What::HardLink(target) => match self.link_target(target, &path)? {
                Some(inode) => Object::Other(inode),
                None => return Ok(()),
            },
            what => {
                let (what, attributes) = (what.clone(), item.attributes.clone());
                self.inodes.push(Inode { what, attributes, layer: self.layer });
                Object::Other(self.inodes.len() - 1)
            }
        };
        if matches!(object, Object::Other(_)) {
            self.remove(&path);
        }
        self.own.insert(path.clone());
        self.objects.insert(path, object);
        Ok(())
    }

    /// Removes what entries of this layer are not for. Directories that lead to one are made anew.
    fn hide(&mut self, path: &Path) {
        let own = &self.own;
        // Umoci keeps such directories as they are, and touches them.
        self.is_contested |= own.iter().any(|own| own.starts_with(path));
        let leads_to_own = |known: &Path| own.iter().any(|own| own.starts_with(known));
        self.objects.retain(|known, _| !known.starts_with(path) || leads_to_own(known));
        for (known, object) in self.objects.range_mut(path.clone()..) {
            if known.starts_with(path) && !own.contains(known) {
                *object = Object::Directory(Attributes { mode: 0o755, ..Attributes::default() });
            }
        }
    }

    /// The inode that a hard link means; none if it is the link itself.
    fn link_target(&mut self, target: &[u8], own: &Path) -> Result<Option<usize>, Refused> {
        let target = components(target);
        let (base, parents) = target.split_last().ok_or(Refused)?;
        let mut path = self.resolve(parents)?.ok_or(Refused)?;
        let mut without = self.clone();
        without.remove(own);
        // Umoci removes what is replaced before it looks for the target.
        self.is_contested |= without.resolve(parents).ok().flatten().as_ref() != Some(&path);
        path.push(base.clone());
        let Some(Object::Other(inode)) = self.objects.get(&path) else { return Err(Refused) };
        let inode = *inode;
        if path.starts_with(own) && path != *own {
            return Err(Refused); // it goes before it is linked
        }
        if path == *own {
            self.is_contested = true; // umoci removes it first and then misses it
            return Ok(None);
        }
        if self.links == Links::Shared || self.inodes[inode].layer == self.layer {
            return Ok(Some(inode));
        }
        let copy = Inode { layer: self.layer, ..self.inodes[inode].clone() };
        self.inodes.push(copy);
        self.objects.insert(path, Object::Other(self.inodes.len() - 1));
        Ok(Some(self.inodes.len() - 1))
    }

    /// Where a path leads in the root, with all links followed; parts may be missing. None if a
    /// file is in the way.
    fn resolve(&self, path: &[Vec<u8>]) -> Result<Option<Path>, Refused> {
        let mut here = Path::new();
        let mut pending: VecDeque<Vec<u8>> = path.iter().cloned().collect();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                here.pop();
                continue;
            }
            here.push(name);
            match self.objects.get(&here) {
                None | Some(Object::Directory(_)) => {}
                Some(Object::Other(inode)) => {
                    let What::Symlink(target) = &self.inodes[*inode].what else { return Ok(None) };
                    links += 1;
                    if links > 40 {
                        return Err(Refused);
                    }
                    here.pop();
                    if target.starts_with(b"/") {
                        here.clear();
                    }
                    for name in components(target).into_iter().rev() {
                        pending.push_front(name);
                    }
                }
            }
        }
        Ok(Some(here))
    }

    /// Follows a path and makes what is missing.
    fn enter(&mut self, path: &[Vec<u8>]) -> Result<Path, Refused> {
        let path = self.resolve(path)?.ok_or(Refused)?;
        for length in 1..=path.len() {
            let made = Attributes { mode: 0o755, ..Attributes::default() };
            if self.objects.contains_key(&path[..length]) {
                continue;
            }
            self.objects.insert(path[..length].to_vec(), Object::Directory(made));
            let parent = self.objects.get_mut(&path[..length - 1]);
            if let (Some(Object::Directory(above)), Links::Shared) = (parent, self.links) {
                above.modified = None; // umoci does not put it back
                self.is_contested |= above.mode & 0o2000 != 0; // the group is inherited there
            }
        }
        Ok(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        matches!(self.objects.get(path), Some(Object::Directory(_)))
    }

    fn remove(&mut self, path: &Path) {
        self.objects.retain(|known, _| !known.starts_with(path));
        self.own.retain(|known| !known.starts_with(path));
    }

    /// What can be seen of it.
    pub(crate) fn listing(&self) -> Listing {
        let mut first_names: BTreeMap<usize, Path> = BTreeMap::new();
        let mut used: BTreeSet<usize> = BTreeSet::new();
        let mut lines = Listing::new();
        for (path, object) in &self.objects {
            let line = match object {
                Object::Directory(attributes) => Line::new(&What::Directory, attributes, None),
                Object::Other(number) => {
                    let inode = &self.inodes[*number];
                    used.insert(*number);
                    let first = first_names.entry(*number).or_insert_with(|| path.clone());
                    let same = (first != path).then(|| first.join(&b'/'));
                    Line::new(&inode.what, &inode.attributes, same)
                }
            };
            lines.insert(path.clone(), line);
        }
        lines
    }
}

/// A name without leading slashes, dots and empty parts; `..` is left in.
fn components(path: &[u8]) -> Path {
    let parts = path.split(|byte| *byte == b'/');
    parts.filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
}
