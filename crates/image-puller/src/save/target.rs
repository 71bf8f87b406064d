//! Where saved files go: into a directory, or one after the other into an archive.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use tar::{EntryType, Header};

use crate::digest::Digest;

const BLOCK: u64 = 512;
const END: [u8; 1024] = [0; 1024];

/// Takes files with names that were made here.
pub(super) enum Target<'a> {
    Archive(&'a mut dyn Write),
    Directory(PathBuf),
}

/// Which side failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something in the store.
    Read {
        digest: Digest,
        source: io::Error,
    },
    Write(io::Error),
}

impl Target<'_> {
    pub(super) fn directory(&mut self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Archive(to) => {
                let header = header(&format!("{name}/"), 0, EntryType::Directory);
                to.write_all(header.map_err(Failure::Write)?.as_bytes()).map_err(Failure::Write)
            }
            Self::Directory(path) => fs::create_dir(path.join(name)).map_err(Failure::Write),
        }
    }

    /// A small file.
    pub(super) fn document(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.file(name, bytes.len() as u64, (&Digest::of(bytes), &mut &*bytes))
    }

    /// A file of that size, and what is read for it; the digest says what it is in a failure.
    pub(super) fn file(
        &mut self,
        name: &str,
        size: u64,
        (digest, content): (&Digest, &mut dyn Read),
    ) -> Result<(), Failure> {
        match self {
            Self::Archive(to) => {
                let header = header(name, size, EntryType::Regular).map_err(Failure::Write)?;
                to.write_all(header.as_bytes()).map_err(Failure::Write)?;
                copy(size, (digest, content), *to)?;
                let padding = size.next_multiple_of(BLOCK) - size;
                io::copy(&mut io::repeat(0).take(padding), *to).map_err(Failure::Write)?;
                Ok(())
            }
            Self::Directory(path) => {
                let options = OpenOptions::new().write(true).create_new(true).mode(0o644).clone();
                let mut file = options.open(path.join(name)).map_err(Failure::Write)?;
                copy(size, (digest, content), &mut file)
            }
        }
    }

    /// Ends an archive.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Self::Archive(to) => {
                to.write_all(&END).and_then(|()| to.flush()).map_err(Failure::Write)
            }
            Self::Directory(_) => Ok(()),
        }
    }
}

/// No owner, no time: the same images give the same archive.
fn header(name: &str, size: u64, kind: EntryType) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

/// Copies so many bytes; fewer or more are a failure of whoever gives them.
fn copy(
    size: u64,
    (digest, content): (&Digest, &mut dyn Read),
    to: &mut dyn Write,
) -> Result<(), Failure> {
    let read = |source| Failure::Read { digest: digest.clone(), source };
    let mut buffer = vec![0; 256 * 1024];
    let mut count = 0_u64;
    loop {
        let chunk = match content.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.map_err(read)?,
        };
        count += chunk as u64;
        if chunk == 0 || count > size {
            break;
        }
        to.write_all(&buffer[..chunk]).map_err(Failure::Write)?;
    }
    if count == size { Ok(()) } else { Err(read(io::ErrorKind::UnexpectedEof.into())) }
}
