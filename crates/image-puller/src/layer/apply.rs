//! Applies one layer's entries to its own directory, as overlayfs wants to see them.

use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::entry::{Entries, Entry, EntryKind, EntryPath, Metadata, ReadError};
use super::hard_link;
use super::metadata::{self, Maker, New, Skipped};

use super::rule::Rule;
use super::settle::Unsettled;
use super::tree::{Missing, Place, Tree, WalkError, make_directory, reopen};
use super::view::View;
use super::whiteout::{self, Name};
use super::{Budget, Limits, UnpackError, printable};

const COPY_BUFFER: usize = 128 * 1024;
/// A million directories need less than half of it.
const DIRECTORY_NOTES_LIMIT: u64 = 256 << 20;

/// What came of a layer, before the layers below are considered.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) unsettled: Unsettled,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// What was left out on purpose.
    pub(crate) skipped: Skipped,
    /// There was an entry for the root itself.
    pub(crate) root_given: bool,
}

/// Unpacks an uncompressed archive into an empty directory.
#[derive(Debug)]
pub(crate) struct Applier<'a> {
    tree: Tree<'a>,
    limits: Limits,
    image: &'a Budget,
    applied: Applied,
    /// Bytes of extended attributes.
    attributes: u64,
    buffer: Vec<u8>,
    maker: Maker,
}

impl<'a> Applier<'a> {
    pub(crate) fn new(
        root: OwnedFd,
        lower: Option<&'a View>,
        (limits, image): (Limits, &'a Budget),
    ) -> Self {
        Self {
            tree: Tree::new(root, lower),
            limits,
            image,
            applied: Applied::default(),
            attributes: 0,
            buffer: vec![0; COPY_BUFFER],
            maker: Maker::this_process(),
        }
    }

    /// Applies entry after entry, then the directories' own owner, mode and times.
    pub(crate) fn apply_all<R: Read>(
        mut self,
        entries: &mut Entries<R>,
    ) -> Result<Applied, UnpackError> {
        while let Some(entry) = entries.next_entry().map_err(UnpackError::from_read)? {
            self.applied.entries += 1;
            if self.applied.entries > self.limits.entries {
                return Err(UnpackError::refused(&entry.path.joined(), Rule::TooManyEntries));
            }
            self.charge_attributes(&entry)?;
            match self.apply_entry(&entry, entries) {
                Err(UnpackError::Refused { entry, rule }) if self.may_be_wrong(rule) => {
                    self.applied.unsettled.needs_lower.get_or_insert(entry);
                }
                result => result?,
            }
            self.check_directories(&entry)?;
        }
        self.finish_directories()?;
        self.note_unsettled();
        Ok(self.applied)
    }

    /// True if an entry breaks the rule only as far as is known without the layers below: they may
    /// lead it elsewhere, or an entry before it has been left out for want of them.
    fn may_be_wrong(&self, rule: Rule) -> bool {
        let is_guessed =
            self.applied.unsettled.needs_lower.is_some() || !self.tree.notes.assumed.is_empty();
        rule.depends_on_tree() && self.tree.lower().is_none() && is_guessed
    }

    fn note_unsettled(&mut self) {
        let implied = std::mem::take(&mut self.tree.notes.implied);
        let assumed = std::mem::take(&mut self.tree.notes.assumed);
        let whiteouts = std::mem::take(&mut self.tree.notes.whiteouts);
        let notes = &self.tree.notes;
        let open_below =
            |path: &Vec<Vec<u8>>| !notes.replaced.contains(path) && !self.tree.hides_lower(path);
        let implied: Vec<_> = implied.into_iter().filter(open_below).collect();
        let unsettled = &mut self.applied.unsettled;
        unsettled.hides_all = notes.opaque.contains(&[][..]);
        // Those that are implied are looked at anyway.
        unsettled.assumed = assumed
            .into_iter()
            .filter(|path| implied.binary_search(path).is_err())
            .map(EntryPath)
            .collect();
        unsettled.whiteouts = whiteouts.into_iter().map(EntryPath).collect();
        unsettled.implied = implied.into_iter().map(EntryPath).collect();
    }

    /// Directories that are only implied cost as much as others, and what all of them shall be
    /// like in the end is kept in memory.
    fn check_directories(&self, entry: &Entry) -> Result<(), UnpackError> {
        let notes = &self.tree.notes;
        let rule = if self.applied.entries + notes.implied.len() as u64 > self.limits.entries {
            Rule::TooManyEntries
        } else if notes.bytes > DIRECTORY_NOTES_LIMIT {
            Rule::DirectoriesTooLarge
        } else {
            return Ok(());
        };
        Err(UnpackError::refused(&entry.path.joined(), rule))
    }

    /// Attributes take room, too, though they are not in the size that is shown.
    fn charge_attributes(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        let sizes = entry.metadata.xattrs.iter().map(|(name, value)| name.len() + value.len());
        let own = sizes.sum::<usize>() as u64;
        self.attributes += own;
        if self.applied.bytes.saturating_add(self.attributes) > self.limits.unpacked_bytes {
            return Err(UnpackError::refused(&entry.path.joined(), Rule::TooLarge));
        }
        if !self.image.take(own) {
            return Err(UnpackError::refused(&entry.path.joined(), Rule::ImageTooLarge));
        }
        Ok(())
    }

    fn apply_entry<R: Read>(
        &mut self,
        entry: &Entry,
        entries: &mut Entries<R>,
    ) -> Result<(), UnpackError> {
        let refused = |error| UnpackError::from_walk(&entry.path.joined(), error);
        let Some((base, parents)) = entry.path.0.split_last() else {
            return self.apply_root(entry).map_err(refused);
        };
        let special =
            whiteout::name(parents, base).map_err(|rule| refused(WalkError::Refused(rule)))?;
        if special == Name::Ignored {
            self.applied.skipped.note("entries named .wh..wh.* (AUFS)");
            return Ok(());
        }
        let walked = self.tree.enter(parents, Missing::Create);
        let Some(parent) = walked.map_err(refused)? else { return Ok(()) };
        let result = match special {
            Name::Ordinary => return self.apply_ordinary(entry, &parent, base, entries),
            Name::Opaque => whiteout::apply_opaque(&mut self.tree, &parent),
            Name::Whiteout(hidden) => whiteout::apply(&mut self.tree, &parent, &hidden),
            Name::Ignored => Ok(()),
        };
        result.map_err(refused)
    }

    fn apply_root(&mut self, entry: &Entry) -> Result<(), WalkError> {
        if entry.kind != EntryKind::Directory {
            return Err(WalkError::Refused(Rule::RootNotDirectory));
        }
        self.applied.root_given = true;
        self.tree.notes.keep(Vec::new(), entry.metadata.clone());
        Ok(())
    }

    fn apply_ordinary<R: Read>(
        &mut self,
        entry: &Entry,
        parent: &Place,
        base: &[u8],
        entries: &mut Entries<R>,
    ) -> Result<(), UnpackError> {
        if matches!(entry.kind, EntryKind::File { .. } | EntryKind::Sparse(_)) {
            return self.write_file((parent, base), entry, entries).map_err(|error| match error {
                FileError::Walk(error) => UnpackError::from_walk(&entry.path.joined(), error),
                FileError::Read(error) => UnpackError::from_read(error),
            });
        }
        let result = match &entry.kind {
            EntryKind::Directory => self.make_directory(parent, base, &entry.metadata),
            EntryKind::HardLink { target } => self.make_hard_link(entry, parent, target),
            EntryKind::Symlink { target } => self
                .make_node(parent, base, |directory| {
                    fs::symlinkat(target.as_slice(), directory, base)
                })
                .and_then(|()| {
                    let link = (&*parent.directory, base);
                    metadata::apply_to_symlink(link, &entry.metadata, &mut self.applied.skipped)
                }),
            EntryKind::Whiteout => self.make_whiteout(parent, base),
            EntryKind::CharacterDevice { major, minor } => {
                let device = (FileType::CharacterDevice, fs::makedev(*major, *minor));
                self.make_special(parent, base, device, &entry.metadata)
            }
            EntryKind::BlockDevice { major, minor } => {
                let device = (FileType::BlockDevice, fs::makedev(*major, *minor));
                self.make_special(parent, base, device, &entry.metadata)
            }
            EntryKind::Fifo => {
                self.make_special(parent, base, (FileType::Fifo, 0), &entry.metadata)
            }
            EntryKind::File { .. } | EntryKind::Sparse(_) => Ok(()), // returned above
        };
        result.map_err(|error| UnpackError::from_walk(&entry.path.joined(), error))
    }

    /// Unlike a name with a prefix it is an entry of the very name, and so replaces one before it.
    fn make_whiteout(&mut self, parent: &Place, base: &[u8]) -> Result<(), WalkError> {
        self.clear(parent, base)?;
        whiteout::apply(&mut self.tree, parent, base)
    }

    fn make_special(
        &mut self,
        parent: &Place,
        base: &[u8],
        (kind, device): (FileType, u64),
        metadata: &Metadata,
    ) -> Result<(), WalkError> {
        self.make_node(parent, base, |directory| {
            fs::mknodat(directory, base, kind, Mode::from_raw_mode(0o600), device)
        })?;
        let node = (&*parent.directory, base);
        metadata::apply_to_node(node, metadata, &mut self.applied.skipped)
    }

    /// Creates something that never merges; whatever has its name goes first.
    fn make_node<T>(
        &mut self,
        parent: &Place,
        base: &[u8],
        create: impl Fn(&OwnedFd) -> Result<T, Errno>,
    ) -> Result<T, WalkError> {
        match create(&parent.directory) {
            Err(Errno::EXIST) => {}
            result => return result.map_err(WalkError::system("create")),
        }
        self.clear(parent, base)?;
        create(&parent.directory).map_err(WalkError::system("create"))
    }

    /// Removes what an earlier entry put there.
    fn clear(&mut self, parent: &Place, base: &[u8]) -> Result<(), WalkError> {
        let path = parent.child(base);
        self.tree.forget(&path);
        confined::remove_at(&parent.directory, base)
            .map_err(|source| WalkError::System { action: "replace", source })
    }

    fn make_directory(
        &mut self,
        parent: &Place,
        base: &[u8],
        metadata: &Metadata,
    ) -> Result<(), WalkError> {
        let path = parent.child(base);
        let stat = fs::statat(&parent.directory, base, AtFlags::SYMLINK_NOFOLLOW);
        match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Directory) => {}
            Err(Errno::NOENT) => {
                make_directory(&parent.directory, base)?;
            }
            Err(errno) => return Err(WalkError::system("look at")(errno)),
            // A directory made anew where this layer had hidden or replaced what is below.
            Ok(_) => {
                self.clear(parent, base)?;
                let directory = make_directory(&parent.directory, base)?.into();
                self.tree.make_opaque(&Place { directory, path: path.clone().into() })?;
                self.tree.notes.replaced.insert(path.clone());
            }
        }
        self.tree.notes.implied.remove(&path);
        self.tree.notes.keep(path, metadata.clone());
        Ok(())
    }

    fn make_hard_link(
        &mut self,
        entry: &Entry,
        parent: &Place,
        target: &EntryPath,
    ) -> Result<(), WalkError> {
        let base = entry.path.0.last().map_or(&[][..], Vec::as_slice);
        let own = parent.child(base);
        let Some(found) = hard_link::find_target(&mut self.tree, target, &own)? else {
            self.applied
                .unsettled
                .needs_lower
                .get_or_insert_with(|| printable(&entry.path.joined()));
            return Ok(());
        };
        if found.is_at(parent, base) {
            return Ok(()); // a link to itself
        }
        if found.is_below(parent, base) {
            return Err(WalkError::Refused(Rule::HardLinkMissing)); // it goes before it is linked
        }
        self.make_node(parent, base, |directory| found.link(directory, base))
    }

    fn write_file<R: Read>(
        &mut self,
        (parent, base): (&Place, &[u8]),
        entry: &Entry,
        entries: &mut Entries<R>,
    ) -> Result<(), FileError> {
        let (whole, metadata) = ([(0, u64::MAX)], &entry.metadata);
        let (size, pieces) = match &entry.kind {
            EntryKind::Sparse(map) => (map.size, map.pieces.as_slice()),
            EntryKind::File { size } => (*size, &whole[..]),
            _ => return Ok(()),
        };
        self.applied.bytes += size;
        if self.applied.bytes > self.limits.unpacked_bytes {
            return Err(FileError::Walk(WalkError::Refused(Rule::TooLarge)));
        }
        if !self.image.take(size) {
            return Err(FileError::Walk(WalkError::Refused(Rule::ImageTooLarge)));
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = metadata.mode & 0o777;
        let file = self
            .make_node(parent, base, |directory| {
                fs::openat(directory, base, flags | OFlags::NOFOLLOW, Mode::from_raw_mode(mode))
            })
            .map_err(FileError::Walk)?;
        for (offset, length) in pieces {
            self.write_piece(&file, (*offset, *length), entries)?;
        }
        if let EntryKind::Sparse(map) = &entry.kind {
            fs::ftruncate(&file, map.size)
                .map_err(|errno| FileError::Walk(WalkError::system("write")(errno)))?;
        }
        let new = New::made_by(self.maker, mode);
        metadata::apply_to_new(&file, metadata, new, &mut self.applied.skipped)
            .map_err(FileError::Walk)
    }

    /// Writes what comes next, up to a length, at an offset.
    fn write_piece<R: Read>(
        &mut self,
        file: &OwnedFd,
        (offset, length): (u64, u64),
        entries: &mut Entries<R>,
    ) -> Result<(), FileError> {
        if offset > 0 {
            fs::seek(file, SeekFrom::Start(offset))
                .map_err(|errno| FileError::Walk(WalkError::system("write")(errno)))?;
        }
        let mut left = length;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let count =
                entries.read_content(&mut self.buffer[..wanted]).map_err(FileError::Read)?;
            if count == 0 {
                break;
            }
            write_all(file, &self.buffer[..count]).map_err(FileError::Walk)?;
            left -= count as u64;
        }
        Ok(())
    }

    fn finish_directories(&mut self) -> Result<(), UnpackError> {
        for (path, metadata) in std::mem::take(&mut self.tree.notes.metadata) {
            let apply = |this: &mut Self| -> Result<(), WalkError> {
                let Some(place) = this.tree.enter(&path, Missing::Report)? else { return Ok(()) };
                metadata::apply(&reopen(&place.directory)?, &metadata, &mut this.applied.skipped)
            };
            apply(self).map_err(|error| UnpackError::from_walk(&path.join(&b'/'), error))?;
        }
        Ok(())
    }
}

enum FileError {
    Walk(WalkError),
    Read(ReadError),
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), WalkError> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => {
                let source = io::ErrorKind::WriteZero.into();
                return Err(WalkError::System { action: "write", source });
            }
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(WalkError::system("write")(errno)),
        }
    }
    Ok(())
}
