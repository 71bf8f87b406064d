//! A directory or a tar archive as a set of named members.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::digest::{Digest, HashingReader};
use crate::layer::EntryPath;
use crate::store::open_regular;

use super::compression::{self, Opened};

/// A compressed archive is unpacked to at most so many bytes.
const ARCHIVE_LIMIT: u64 = 256 << 30;
const MEMBER_LIMIT: usize = 100_000;
const LINK_LIMIT: usize = 8;
/// The unit of archives.
const BLOCK: u64 = 512;

pub(super) enum Container {
    Directory(PathBuf),
    Archive { file: File, listing: Listing },
}

/// What an archive has.
pub(super) struct Listing {
    members: BTreeMap<String, Member>,
    /// Whether it ends as archives do: with a block of zeros. One that does not may have lost its
    /// last members.
    has_end: bool,
}

#[derive(Clone, PartialEq, Eq)]
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
        let source = BufReader::with_capacity(256 * 1024, &file);
        let copy = match compression::open(source)? {
            Opened::Plain(_) if is_at_start => None,
            Opened::Plain(mut plain) => Some(unpack_to(scratch, &mut plain)?),
            Opened::Compressed(mut inner) => Some(unpack_to(scratch, &mut inner)?),
        };
        if copy.is_none() {
            file.rewind()?;
        }
        let file = copy.unwrap_or(file);
        let listing = list(&file)?;
        Ok(Self::Archive { file, listing })
    }

    /// An error if members may be missing because the end is.
    pub(super) fn require_end(&self) -> io::Result<()> {
        match self {
            Self::Archive { listing, .. } if !listing.has_end => {
                Err(truncated("it has no end, and names no images so far"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(path) => path.join(name).is_file(),
            Self::Archive { listing, .. } => listing.members.contains_key(name),
        }
    }

    /// Opens a member by a name that the caller made itself or that is only looked up.
    pub(super) fn member(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        match self {
            Self::Directory(path) => Ok(Box::new(open_regular(&path.join(clean(name)?))?)),
            Self::Archive { file, listing } => {
                let (offset, left) = listing.find(name)?;
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
    let count = io::copy(&mut source.take(ARCHIVE_LIMIT), &mut file).map_err(|error| {
        let is_cut = error.kind() == io::ErrorKind::UnexpectedEof;
        if is_cut { truncated("its compressed content ends too early") } else { error }
    })?;
    if count == ARCHIVE_LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    file.rewind()?;
    Ok(file)
}

fn truncated(where_: &str) -> io::Error {
    let text = format!("the archive is truncated: {where_}");
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// What the reader says of bytes that are no header quotes them.
fn no_archive(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => error,
        None => io::Error::new(error.kind(), "it is no tar archive, or it is damaged"),
    }
}

/// Where each member is. A name may occur twice with the same content, as some writers make it;
/// with different contents it could be read in two ways, so it is refused.
fn list(file: &File) -> io::Result<Listing> {
    let length = file.metadata()?.len();
    let mut archive = tar::Archive::new(file);
    let mut members = BTreeMap::new();
    let (mut end, mut last) = (0, String::new());
    for entry in archive.entries_with_seek()? {
        let entry = entry.map_err(|error| match last.as_str() {
            "" => no_archive(error),
            _ if end > length || length % BLOCK != 0 => truncated(&format!("after {last:?}")),
            _ => no_archive(error),
        })?;
        let name = clean(&String::from_utf8_lossy(&entry.path_bytes()))?;
        let (offset, size) = (entry.raw_file_position(), entry.size());
        let kind = entry.header().entry_type();
        let content = offset.checked_add(size).ok_or_else(|| invalid("a size is out of range"))?;
        if content > length {
            return Err(truncated(&format!("it ends in the middle of {name:?}")));
        }
        end = content.next_multiple_of(BLOCK);
        last.clone_from(&name);
        let member = match kind {
            tar::EntryType::Regular | tar::EntryType::Continuous => Member::File { offset, size },
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
        match members.get(&name) {
            Some(known) if !is_same(file, known, &member)? => {
                return Err(invalid(format!("{name:?} is there twice, with different contents")));
            }
            Some(_) => {}
            None => drop(members.insert(name, member)),
        }
        if members.len() > MEMBER_LIMIT {
            return Err(invalid("there are too many members"));
        }
    }
    Ok(Listing { members, has_end: last.is_empty() || end < length })
}

/// Whether two members of the same name are the same.
fn is_same(file: &File, one: &Member, other: &Member) -> io::Result<bool> {
    let (Member::File { offset, size }, Member::File { offset: at, size: other_size }) =
        (one, other)
    else {
        return Ok(one == other);
    };
    if size != other_size {
        return Ok(false);
    }
    let digest = |offset| -> io::Result<Digest> {
        let mut reader = HashingReader::new(Section { file, offset, left: *size });
        io::copy(&mut reader, &mut io::sink())?;
        Ok(reader.finish().0)
    };
    Ok(digest(*offset)? == digest(*at)?)
}

impl Listing {
    fn find(&self, name: &str) -> io::Result<(u64, u64)> {
        let mut name = clean(name)?;
        for _ in 0..LINK_LIMIT {
            match self.members.get(&name) {
                None if !self.has_end => {
                    return Err(truncated("it has no end, and this is missing"));
                }
                None => return Err(io::ErrorKind::NotFound.into()),
                Some(Member::File { offset, size }) => return Ok((*offset, *size)),
                Some(Member::Link(target)) => name.clone_from(target),
            }
        }
        Err(invalid("too many links"))
    }
}

fn clean(name: &str) -> io::Result<String> {
    let path = EntryPath::clean(name.as_bytes())
        .map_err(|rule| io::Error::new(io::ErrorKind::InvalidData, rule))?;
    Ok(String::from_utf8_lossy(&path.joined()).into_owned())
}
