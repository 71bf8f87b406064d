//! A tree becomes a stream of tar entries.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use super::{Note, Place, TOP, reason};

/// How much is written at once, in bytes.
const BUFFER: usize = 128 * 1024;
/// Each level keeps a directory open.
const DEEPEST: usize = 256;

/// Sends what is at a place, and everything below it. No link is followed.
pub(super) fn send(place: &Place, out: impl Write, tell: &mut dyn FnMut(Note)) -> io::Result<()> {
    statat(&place.dir, &place.name, AtFlags::SYMLINK_NOFOLLOW)?; // else there is nothing to send
    let mut sender = Sender { archive: Builder::new(BufWriter::with_capacity(BUFFER, out)), tell };
    sender.object((place.dir.as_fd(), &place.name), Path::new(TOP), 0)?;
    sender.archive.into_inner()?.flush() // without it an error of the last bytes would be lost
}

struct Sender<'a, Out: Write> {
    archive: Builder<BufWriter<Out>>,
    tell: &'a mut dyn FnMut(Note),
}

/// A name in an open directory.
type At<'a> = (BorrowedFd<'a>, &'a OsStr);

/// Why an object was not sent.
enum Problem {
    /// Nobody takes what is sent.
    Stream(io::Error),
    /// It cannot be read; others can.
    Unreadable(Errno),
    /// It is not for sending.
    Skipped(&'static str),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Stream(error)
    }
}

impl From<Errno> for Problem {
    fn from(errno: Errno) -> Self {
        Self::Unreadable(errno)
    }
}

impl<Out: Write> Sender<'_, Out> {
    /// Sends one object. An error is one of the stream: what cannot be read is only told.
    fn object(&mut self, at: At<'_>, path: &Path, depth: usize) -> io::Result<()> {
        let note = match self.try_object(at, path, depth) {
            Ok(()) => return Ok(()),
            Err(Problem::Stream(error)) => return Err(error),
            Err(Problem::Unreadable(errno)) => Note::Failed(shown(path), reason(&errno.into())),
            Err(Problem::Skipped(why)) => Note::Skipped(shown(path), why),
        };
        (self.tell)(note);
        Ok(())
    }

    fn try_object(
        &mut self,
        (dir, name): At<'_>,
        path: &Path,
        depth: usize,
    ) -> Result<(), Problem> {
        let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => self.directory((dir, name), path, &found, depth),
            FileType::RegularFile => self.file((dir, name), path),
            FileType::Symlink => {
                let target = readlinkat(dir, name, Vec::new())?;
                let target = Path::new(OsStr::from_bytes(target.to_bytes()));
                let mut header = header(EntryType::Symlink, &found, 0);
                Ok(self.archive.append_link(&mut header, path, target)?)
            }
            _ => Err(Problem::Skipped("is neither file nor directory")),
        }
    }

    fn directory(
        &mut self,
        (dir, name): At<'_>,
        path: &Path,
        found: &Stat,
        depth: usize,
    ) -> Result<(), Problem> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(dir, name, flags, Mode::empty())?;
        let entries = Dir::read_from(&opened)?;
        self.archive.append_data(&mut header(EntryType::Directory, found, 0), path, io::empty())?;
        if depth == DEEPEST {
            return Err(Problem::Skipped("is too deep to go on"));
        }
        for entry in entries {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                self.object((opened.as_fd(), name), &path.join(name), depth + 1)?;
            }
        }
        Ok(())
    }

    /// Sends a file as long as it is when it is opened, whatever happens to it meanwhile.
    fn file(&mut self, (dir, name): At<'_>, path: &Path) -> Result<(), Problem> {
        // Somebody may have put a pipe or a device there since it was looked at.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(dir, name, flags, Mode::empty())?;
        let found = fstat(&file)?;
        if !FileType::from_raw_mode(found.st_mode).is_file() {
            return Err(Problem::Skipped("is no file any more"));
        }
        let size = u64::try_from(found.st_size).unwrap_or_default();
        let mut content = Exactly { file: file.into(), left: size, failure: None };
        let mut header = header(EntryType::Regular, &found, size);
        self.archive.append_data(&mut header, path, &mut content)?;
        if let Some(error) = content.failure {
            (self.tell)(Note::Failed(shown(path), reason(&error)));
        }
        Ok(())
    }
}

/// A path as the user knows it: below what was asked for.
fn shown(path: &Path) -> PathBuf {
    let below = path.strip_prefix(TOP).unwrap_or(path);
    if below.as_os_str().is_empty() { PathBuf::from(".") } else { below.to_owned() }
}

fn header(kind: EntryType, found: &Stat, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(found.st_mode & 0o7777);
    header.set_uid(found.st_uid.into());
    header.set_gid(found.st_gid.into());
    header.set_mtime(u64::try_from(found.st_mtime).unwrap_or_default());
    header.set_size(size);
    header
}

/// A file's content at a length that has been promised: filled up with zeros when the file turns
/// out shorter, or cannot be read.
struct Exactly {
    file: std::fs::File,
    left: u64,
    failure: Option<io::Error>,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..most];
        let read = if self.failure.is_none() { self.file.read(buffer) } else { Ok(0) };
        let count = match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.failure = Some(error);
                0
            }
            Ok(count) => count,
        };
        let count = if count == 0 {
            self.failure.get_or_insert_with(|| io::Error::other("shrank while it was copied"));
            buffer.fill(0);
            most
        } else {
            count
        };
        self.left -= count as u64;
        if most == 0 {
            self.failure = None; // that was the end, and it came where it should
        }
        Ok(count)
    }
}
