//! The stream of entries in a layer: every name cleaned, every number checked, before anything
//! else looks at it.

use std::io::{self, Read};

use tar::Header;

use super::header::{BLOCK, Extended, Time, checksum_is_right, number};
use super::rule::Rule;
use super::sparse;
use super::whiteout;

/// Extended headers and long names beyond this are refused.
const EXTENDED_LIMIT: i64 = 1 << 20;
/// An entry has a PAX header and perhaps two GNU ones; global headers may pile up.
const EXTENDED_COUNT: usize = 64;
/// Longer values are dropped by the kernel anyway (`XATTR_SIZE_MAX`).
const PATH_LIMIT: usize = 4095;
const COMPONENT_LIMIT: usize = 255;

/// One entry of a layer, as data. Names are bytes; they need not be UTF-8.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Components below the root; empty for the root itself.
    pub(crate) path: EntryPath,
    pub(crate) kind: EntryKind,
    pub(crate) metadata: Metadata,
}

/// Clean components: none is empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EntryPath(pub(crate) Vec<Vec<u8>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A regular file of so many bytes.
    File {
        size: u64,
    },
    /// A regular file with holes; the content has only the pieces between them.
    Sparse(sparse::Map),
    Directory,
    /// The target is kept as it is; it is resolved by whoever lives in the image.
    Symlink {
        target: Vec<u8>,
    },
    HardLink {
        target: EntryPath,
    },
    /// A character device 0:0 in the place of what is hidden, as overlayfs has it.
    Whiteout,
    CharacterDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Time,
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

/// What went wrong while reading an archive.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The archive breaks a rule at this entry (its raw name, if known by then).
    Refused { name: Vec<u8>, rule: Rule },
    /// The stream below failed: network, decompression, size limit.
    Stream(io::Error),
}

impl EntryPath {
    /// Cleans a name: no leading slash, no `.`, no empty components; `..` may cancel a
    /// component but never leave the root.
    pub(crate) fn clean(name: &[u8]) -> Result<Self, Rule> {
        if name.contains(&0) {
            return Err(Rule::NulInName);
        }
        let mut components: Vec<Vec<u8>> = Vec::new();
        for component in name.split(|b| *b == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    components.pop().ok_or(Rule::EscapesRoot)?;
                }
                name => {
                    // The whiteout of a name is longer than the name.
                    let length = name.strip_prefix(whiteout::PREFIX).unwrap_or(name).len();
                    if length > COMPONENT_LIMIT {
                        return Err(Rule::ComponentTooLong);
                    }
                    components.push(name.to_vec());
                }
            }
        }
        let length: usize = components.iter().map(|c| c.len() + 1).sum();
        if length > PATH_LIMIT { Err(Rule::PathTooLong) } else { Ok(Self(components)) }
    }

    pub(crate) fn joined(&self) -> Vec<u8> {
        self.0.join(&b'/')
    }
}

/// Reads entries one after the other from an uncompressed archive.
#[derive(Debug)]
pub(crate) struct Entries<R> {
    source: R,
    /// Bytes of the current entry's content not read yet, and the padding after them.
    content: u64,
    padding: u64,
    /// The current entry's name, to tell where an archive ends too early.
    name: Vec<u8>,
}

impl<R: Read> Entries<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, content: 0, padding: 0, name: Vec::new() }
    }

    /// The next entry; `None` at the end of the archive. The content of the entry before it is
    /// skipped if nobody read it.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        let mut extended = Extended::default();
        for count in 0.. {
            self.skip_content()?;
            let Some(header) = self.read_header()? else { break };
            if count > EXTENDED_COUNT {
                return Err(refused(&header, Rule::TooManyExtendedHeaders));
            }
            let size = number(&header.as_old().size).map_err(|rule| refused(&header, rule))?;
            match header.as_old().linkflag[0] {
                b'x' => {
                    let bytes = self.read_extended(&header, size)?;
                    extended.read_pax(&bytes).map_err(|rule| refused(&header, rule))?;
                }
                b'g' => drop(self.read_extended(&header, size)?),
                b'L' => extended.long_name = Some(self.read_long_name(&header, size)?),
                b'K' => extended.long_link = Some(self.read_long_name(&header, size)?),
                _ => return self.entry(&header, extended, size).map(Some),
            }
        }
        Ok(None)
    }

    /// Reads on in the current entry's content; 0 at its end.
    pub(crate) fn read_content(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let wanted = usize::try_from(self.content).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.source.read(&mut buffer[..wanted]) {
            Ok(0) => Err(self.truncated()),
            Ok(count) => {
                self.content -= count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.read_content(buffer),
            Err(error) => Err(ReadError::Stream(error)),
        }
    }

    /// Gives the stream back, to be read to its end.
    pub(crate) fn into_source(self) -> R {
        self.source
    }

    fn entry(
        &mut self,
        header: &Header,
        extended: Extended,
        header_size: i64,
    ) -> Result<Entry, ReadError> {
        let mut extended = extended;
        let sparse = std::mem::take(&mut extended.sparse);
        let name = sparse
            .name
            .clone()
            .or_else(|| extended.path.clone())
            .or_else(|| extended.long_name.clone())
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let size = extended.size.unwrap_or(header_size);
        let content = entry_from(header, &name, extended, size);
        let mut entry = match content {
            Ok(entry) => entry,
            Err(rule) => return Err(ReadError::Refused { name, rule }),
        };
        self.name = name;
        if let EntryKind::File { size } = entry.kind {
            self.content = size;
            self.padding = padding(size);
            if let Some(map) = self.sparse_map(sparse)? {
                entry.kind = EntryKind::Sparse(map);
            }
        }
        Ok(entry)
    }

    /// The map of a file with holes; what is left of the content then are its pieces.
    fn sparse_map(&mut self, records: sparse::Records) -> Result<Option<sparse::Map>, ReadError> {
        let refused = |this: &Self, rule| ReadError::Refused { name: this.name.clone(), rule };
        let numbers = match records.version().map_err(|rule| refused(self, rule))? {
            None => return Ok(None),
            Some(sparse::Version::Header) => None,
            Some(sparse::Version::Content) => {
                let mut reader = sparse::MapReader::default();
                loop {
                    let mut block = [0; BLOCK];
                    let mut filled = 0;
                    while filled < BLOCK {
                        filled += match self.read_content(&mut block[filled..])? {
                            0 => return Err(refused(self, Rule::SparseMap)),
                            count => count,
                        };
                    }
                    if reader.read(&block).map_err(|rule| refused(self, rule))? {
                        break Some(reader.finish());
                    }
                }
            }
        };
        records.map(numbers, self.content).map(Some).map_err(|rule| refused(self, rule))
    }

    fn skip_content(&mut self) -> Result<(), ReadError> {
        let mut buffer = [0_u8; 8192];
        while self.read_content(&mut buffer)? > 0 {}
        // Some writers leave out the padding of the last entry.
        io::copy(&mut self.source.by_ref().take(self.padding), &mut io::sink())
            .map_err(ReadError::Stream)?;
        self.padding = 0;
        Ok(())
    }

    /// A header block; `None` at the end: two zero blocks or the end of the stream.
    fn read_header(&mut self) -> Result<Option<Header>, ReadError> {
        let Some(block) = self.read_block()? else { return Ok(None) };
        if block.iter().all(|b| *b == 0) {
            return match self.read_block()? {
                Some(second) if second.iter().any(|b| *b != 0) => {
                    Err(refused_without_name(Rule::Checksum))
                }
                _ => Ok(None),
            };
        }
        let header = Header::from_byte_slice(&block).clone();
        if checksum_is_right(&header) {
            Ok(Some(header))
        } else {
            Err(refused(&header, Rule::Checksum))
        }
    }

    fn read_block(&mut self) -> Result<Option<[u8; BLOCK]>, ReadError> {
        let mut block = [0_u8; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.truncated()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Stream(error)),
            }
        }
        Ok(Some(block))
    }

    fn truncated(&self) -> ReadError {
        ReadError::Refused { name: self.name.clone(), rule: Rule::Truncated }
    }

    fn read_extended(&mut self, header: &Header, size: i64) -> Result<Vec<u8>, ReadError> {
        let rule = match size {
            i64::MIN..0 => Some(Rule::Size),
            0..=EXTENDED_LIMIT => None,
            _ => Some(Rule::ExtendedHeaderTooLong),
        };
        if let Some(rule) = rule {
            return Err(refused(header, rule));
        }
        self.content = size.unsigned_abs();
        self.padding = padding(self.content);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += self.read_content(&mut bytes[filled..])?;
        }
        Ok(bytes)
    }

    fn read_long_name(&mut self, header: &Header, size: i64) -> Result<Vec<u8>, ReadError> {
        let mut bytes = self.read_extended(header, size)?;
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        bytes.truncate(end);
        Ok(bytes)
    }
}

fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

fn refused(header: &Header, rule: Rule) -> ReadError {
    ReadError::Refused { name: header.path_bytes().into_owned(), rule }
}

fn refused_without_name(rule: Rule) -> ReadError {
    ReadError::Refused { name: Vec::new(), rule }
}

fn entry_from(header: &Header, name: &[u8], extended: Extended, size: i64) -> Result<Entry, Rule> {
    let size = u64::try_from(size).map_err(|_| Rule::Size)?;
    if size > 1 << 62 {
        return Err(Rule::Size);
    }
    let path = EntryPath::clean(name)?;
    let kind = kind_from(header, name, &extended, size)?;
    let field = |given: Option<i64>, field: &[u8]| given.map_or_else(|| number(field), Ok);
    let old = header.as_old();
    let modified = match extended.modified {
        Some(time) => time,
        None => Time { seconds: number(&old.mtime)?, nanoseconds: 0 },
    };
    let metadata = Metadata {
        mode: u32::try_from(number(&old.mode)? & 0o7777).unwrap_or(0),
        uid: owner(field(extended.uid, &old.uid)?)?,
        gid: owner(field(extended.gid, &old.gid)?)?,
        modified,
        xattrs: extended.xattrs.into_iter().collect(),
    };
    Ok(Entry { path, kind, metadata })
}

/// `chown` takes 2^32-1 as "leave as it is", so it cannot be an owner.
fn owner(id: i64) -> Result<u32, Rule> {
    u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or(Rule::Owner)
}

fn kind_from(
    header: &Header,
    name: &[u8],
    extended: &Extended,
    size: u64,
) -> Result<EntryKind, Rule> {
    let link = || {
        let header_link =
            || header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        let given = extended.link_path.clone().or_else(|| extended.long_link.clone());
        let target = given.unwrap_or_else(header_link);
        let valid = (1..=PATH_LIMIT).contains(&target.len());
        if valid { Ok(target) } else { Err(Rule::LinkTarget) }
    };
    match header.as_old().linkflag[0] {
        0 if name.ends_with(b"/") => Ok(EntryKind::Directory),
        0 | b'0' | b'7' => Ok(EntryKind::File { size }),
        b'1' => Ok(EntryKind::HardLink { target: EntryPath::clean(&link()?)? }),
        b'2' => match link()? {
            target if target.contains(&0) => Err(Rule::NulInName),
            target => Ok(EntryKind::Symlink { target }),
        },
        b'3' => Ok(match device(header)? {
            (0, 0) => EntryKind::Whiteout,
            (major, minor) => EntryKind::CharacterDevice { major, minor },
        }),
        b'4' => device(header).map(|(major, minor)| EntryKind::BlockDevice { major, minor }),
        b'5' => Ok(EntryKind::Directory),
        b'6' => Ok(EntryKind::Fifo),
        b'S' => Err(Rule::Sparse),
        _ => Err(Rule::UnknownType),
    }
}

/// Linux device numbers have 12 bits for the major and 20 for the minor part.
fn device(header: &Header) -> Result<(u32, u32), Rule> {
    let Some(ustar) = header.as_ustar() else {
        let Some(gnu) = header.as_gnu() else { return Err(Rule::Device) };
        return device_numbers(&gnu.dev_major, &gnu.dev_minor);
    };
    device_numbers(&ustar.dev_major, &ustar.dev_minor)
}

fn device_numbers(major: &[u8], minor: &[u8]) -> Result<(u32, u32), Rule> {
    let within = |field: &[u8], bits: u32| {
        u32::try_from(number(field)?).ok().filter(|n| n >> bits == 0).ok_or(Rule::Device)
    };
    Ok((within(major, 12)?, within(minor, 20)?))
}
