//! A stream of tar entries becomes a tree.
//!
//! The stream may come from a hostile container, and the directory may be changed by one while it
//! is written: each entry is reached from the open directory again, without following a link and
//! without leaving it (`openat2(2)`).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, fchmod, fchown,
    fstat, futimens, mkdirat, openat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::{Note, Place, TOP, reason};

/// What is kept of the originals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether links are made, or skipped.
    links: bool,
    /// Whether files belong to the owners of the originals.
    owners: bool,
    /// Which bits of the modes are kept whatever the umask says.
    modes: u32,
}

impl Rules {
    /// In a container, files may be what they were outside.
    pub(super) fn in_container(preserve: bool) -> Self {
        Self { links: true, owners: preserve, modes: if preserve { 0o7777 } else { 0 } }
    }

    /// On the host, files are the user's, and nothing that a container made gets a privilege.
    pub(super) fn on_host() -> Self {
        Self { links: false, owners: false, modes: 0 }
    }
}

/// What an entry says of its object, as far as it is believed.
#[derive(Clone, Copy, Debug)]
struct Attributes {
    mode: u32,
    owner: (u32, u32),
    modified: u64,
}

/// Writes a stream to a place, which may depend on whether the first entry is a directory.
pub(super) fn receive(
    place: impl FnOnce(bool) -> io::Result<Place>,
    input: impl Read,
    rules: Rules,
    tell: &mut dyn FnMut(Note),
) -> io::Result<()> {
    let mut archive = Archive::new(input);
    let mut entries = archive.entries()?;
    let Some(first) = entries.next() else {
        return Ok(()); // whoever sends has told why
    };
    let first = first?;
    let place = place(first.header().entry_type() == EntryType::Directory)?;
    let mut receiver = Receiver { place, rules, tell, directories: Vec::new() };
    receiver.entry(first)?;
    for entry in entries {
        receiver.entry(entry?)?;
    }
    receiver.finish_directories();
    Ok(())
}

struct Receiver<'a> {
    place: Place,
    rules: Rules,
    tell: &'a mut dyn FnMut(Note),
    /// Those that were made, whose times change with everything that is written into them.
    directories: Vec<(PathBuf, Attributes)>,
}

impl Receiver<'_> {
    /// Writes one entry. An error is one of the stream: what cannot be written is only told.
    fn entry(&mut self, mut entry: Entry<'_, impl Read>) -> io::Result<()> {
        let name = entry.path()?.into_owned();
        let Some(path) = self.path(&name) else {
            (self.tell)(Note::Skipped(name, "is outside target destination"));
            return Ok(());
        };
        let header = entry.header();
        let id = |id: io::Result<u64>| Ok::<_, io::Error>(u32::try_from(id?).unwrap_or(u32::MAX));
        let attributes = Attributes {
            mode: header.mode()?,
            owner: (id(header.uid())?, id(header.gid())?),
            modified: header.mtime()?,
        };
        let written = match header.entry_type() {
            EntryType::Directory => self.directory(&path, attributes),
            EntryType::Regular => self.file(&path, &mut entry, attributes)?,
            EntryType::Symlink => {
                let target = entry.link_name()?.unwrap_or_default().into_owned();
                self.link(&path, target)
            }
            _ => {
                (self.tell)(Note::Skipped(path, "is of a kind that is not copied"));
                return Ok(());
            }
        };
        if let Err(error) = written {
            (self.tell)(Note::Failed(path, reason(&error)));
        }
        Ok(())
    }

    /// Where an entry goes, relative to the open directory; `None` for a name that is not below
    /// the first one.
    fn path(&self, name: &Path) -> Option<PathBuf> {
        let mut components = name.components();
        if components.next()? != Component::Normal(OsStr::new(TOP)) {
            return None;
        }
        let mut path = PathBuf::from(&self.place.name);
        for component in components {
            let Component::Normal(part) = component else { return None };
            path.push(part);
        }
        Some(path)
    }

    fn directory(&mut self, path: &Path, attributes: Attributes) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        match mkdirat(&dir, &name, Mode::from_raw_mode(attributes.mode & 0o777 | 0o700)) {
            Ok(()) => self.directories.push((path.to_owned(), attributes)),
            Err(Errno::EXIST) => {
                self.open_directory(path)?; // else something else has that name
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The outer error is the stream's, the inner one the file's.
    fn file(
        &self,
        path: &Path,
        content: &mut impl Read,
        attributes: Attributes,
    ) -> io::Result<io::Result<()>> {
        let mut file = match self.create(path, attributes.mode) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => return Ok(self.dress(&file, attributes)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if let Err(error) = io::Write::write_all(&mut file, &buffer[..count]) {
                return Ok(Err(error));
            }
        }
    }

    /// A new file in the place of an old one. An old one that cannot be removed, such as the
    /// target of a mount, is emptied.
    fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        let (dir, name) = self.parent(path)?;
        let mode = Mode::from_raw_mode(mode & 0o777);
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let opened = match unlinkat(&dir, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => openat(&dir, &name, flags | OFlags::EXCL, mode),
            Err(Errno::BUSY) => openat(&dir, &name, flags | OFlags::TRUNC, mode),
            Err(error) => Err(error),
        }?;
        if !FileType::from_raw_mode(fstat(&opened)?.st_mode).is_file() {
            return Err(io::Error::other("is not a file"));
        }
        Ok(File::from(opened))
    }

    fn link(&mut self, path: &Path, target: PathBuf) -> io::Result<()> {
        if !self.rules.links {
            (self.tell)(Note::Link(path.to_owned(), target));
            return Ok(());
        }
        let (dir, name) = self.parent(path)?;
        match unlinkat(&dir, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(symlinkat(target, &dir, &name)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Owner, mode and date as far as they are kept. Only root can give files away.
    fn dress(&self, file: &impl std::os::fd::AsFd, attributes: Attributes) -> io::Result<()> {
        let Attributes { mode, owner: (uid, gid), modified } = attributes;
        if self.rules.owners {
            match fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
                Ok(()) | Err(Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.rules.modes != 0 {
            fchmod(file, Mode::from_raw_mode(mode & self.rules.modes))?;
        }
        let modified = Duration::from_secs(modified);
        let date = Timespec { tv_sec: modified.as_secs().cast_signed(), tv_nsec: 0 };
        Ok(futimens(file, &Timestamps { last_access: date, last_modification: date })?)
    }

    /// The directories get their dates when nothing is written into them any more, the deepest
    /// first.
    fn finish_directories(&mut self) {
        for (path, attributes) in std::mem::take(&mut self.directories).into_iter().rev() {
            let dressed = self.open_directory(&path).and_then(|dir| self.dress(&dir, attributes));
            if let Err(error) = dressed {
                (self.tell)(Note::Failed(path, reason(&error)));
            }
        }
    }

    /// The directory that an object is in, and its name there.
    fn parent(&self, path: &Path) -> io::Result<(OwnedFd, OsString)> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = confined::open(&self.place.dir, super::or_here(parent), flags, below())?;
        // A path of one part that is "." is the open directory itself.
        Ok((dir, path.file_name().unwrap_or(OsStr::new(".")).to_owned()))
    }

    fn open_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(confined::open(&self.place.dir, path, flags, below())?)
    }
}

fn below() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}
