//! A directory or a tar archive as a set of named members.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::layer::{Decoder, EntryPath};
use crate::store::open_regular;

/// A compressed archive is unpacked to at most so many bytes.
const ARCHIVE_LIMIT: u64 = 256 << 30;
const MEMBER_LIMIT: usize = 100_000;
const LINK_LIMIT: usize = 8;

pub(super) enum Container {
    Directory(PathBuf),
    Archive { file: File, members: BTreeMap<String, Member> },
}

pub(super) enum Member {
    File {
        offset: u64,
        size: u64,
    },
    /// Docker writes layers that occur twice as links to the first.
    Link(String),
}

/// Part of a file, read without moving a shared position.
struct Section<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Container {
    /// Opens a directory or an archive.
    pub(super) fn open(path: &Path, scratch: &Path) -> io::Result<Self> {
        if path.metadata()?.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        Self::archive(File::open(path)?, scratch)
    }

    /// Takes an archive. A compressed one, and one that can only be read once, is copied to
    /// `scratch` first, so that its members can be read in any order.
    pub(super) fn archive(mut file: File, scratch: &Path) -> io::Result<Self> {
        let is_at_start = file.metadata()?.is_file() && file.stream_position()? == 0;
        let mut decoder = Decoder::new(BufReader::with_capacity(256 * 1024, &file))?;
        let copy = match &mut decoder {
            Decoder::Plain(_) if is_at_start => None,
            all => Some(unpack_to(scratch, all)?),
        };
        drop(decoder);
        if copy.is_none() {
            file.rewind()?;
        }
        let file = copy.unwrap_or(file);
        let members = list(&file)?;
        Ok(Self::Archive { file, members })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(path) => path.join(name).is_file(),
            Self::Archive { members, .. } => members.contains_key(name),
        }
    }

    /// Opens a member by a name that the caller made itself or that is only looked up.
    pub(super) fn member(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        match self {
            Self::Directory(path) => Ok(Box::new(open_regular(&path.join(clean(name)?))?)),
            Self::Archive { file, members } => {
                let (offset, left) = find(members, name)?;
                Ok(Box::new(Section { file, offset, left }))
            }
        }
    }

    /// A small member as a whole.
    pub(super) fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.member(name)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 MiB"));
        }
        Ok(bytes)
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

fn unpack_to(scratch: &Path, source: &mut impl Read) -> io::Result<File> {
    let options = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).clone();
    let mut file = options.open(scratch)?;
    std::fs::remove_file(scratch)?; // stays as long as it is open
    let count = io::copy(&mut source.take(ARCHIVE_LIMIT), &mut file)?;
    if count == ARCHIVE_LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    file.rewind()?;
    Ok(file)
}

/// What the reader says of bytes that are no header quotes them.
fn no_archive(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => error,
        None => io::Error::new(error.kind(), "it is no tar archive, or it is damaged"),
    }
}

/// Where each member is. A name that occurs twice could be read in two ways, so it is refused.
fn list(file: &File) -> io::Result<BTreeMap<String, Member>> {
    let mut archive = tar::Archive::new(file);
    let mut members = BTreeMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry.map_err(no_archive)?;
        let name = clean(&String::from_utf8_lossy(&entry.path_bytes()))?;
        let kind = entry.header().entry_type();
        let member = match kind {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                Member::File { offset: entry.raw_file_position(), size: entry.size() }
            }
            tar::EntryType::Symlink | tar::EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = String::from_utf8_lossy(&target).into_owned();
                let base = match (kind, name.rsplit_once('/')) {
                    (tar::EntryType::Symlink, Some((directory, _))) => format!("{directory}/"),
                    _ => String::new(),
                };
                Member::Link(clean(&(base + &target))?)
            }
            _ => continue,
        };
        if members.insert(name.clone(), member).is_some() || members.len() > MEMBER_LIMIT {
            let text = format!("{name:?} is there twice, or there are too many members");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    Ok(members)
}

fn find(members: &BTreeMap<String, Member>, name: &str) -> io::Result<(u64, u64)> {
    let mut name = clean(name)?;
    for _ in 0..LINK_LIMIT {
        match members.get(&name) {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Member::File { offset, size }) => return Ok((*offset, *size)),
            Some(Member::Link(target)) => name.clone_from(target),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "too many links"))
}

fn clean(name: &str) -> io::Result<String> {
    let path = EntryPath::clean(name.as_bytes())
        .map_err(|rule| io::Error::new(io::ErrorKind::InvalidData, rule))?;
    Ok(String::from_utf8_lossy(&path.joined()).into_owned())
}
