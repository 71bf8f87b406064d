//! A directory tree changed by descriptors only.
//!
//! A privileged container can write into the directory behind its read-only mount, and put a
//! symbolic link where a file was. So a volume is opened once and everything below it is done
//! relative to that descriptor, one name at a time, links never followed.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use confined::walk::walk;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, chownat, fchmod, fstat, mkdirat,
    openat, readlinkat, renameat, symlinkat,
};
use rustix::io::Errno;

const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open directory.
#[derive(Debug)]
pub(super) struct Tree(OwnedFd);

/// What a group gets: which one, and the bits that are added to files and directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupAccess {
    pub(super) group: u32,
    pub(super) file_bits: u32,
    pub(super) directory_bits: u32,
}

impl Tree {
    /// The directory at a path of minipod's own.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, DIRECTORY, Mode::empty())?))
    }

    /// A directory in this one.
    pub(super) fn directory(&self, name: &str) -> io::Result<Self> {
        Ok(Self(openat(&self.0, name, DIRECTORY, Mode::empty())?))
    }

    /// Makes a directory of exactly that mode; one that exists is an error.
    pub(super) fn make_directory(&self, name: &str, mode: u32) -> io::Result<Self> {
        mkdirat(&self.0, name, Mode::from_raw_mode(0o700))?;
        let made = self.directory(name)?;
        made.set_mode(mode)?;
        Ok(made)
    }

    /// Sets the mode of the directory itself.
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fchmod(&self.0, Mode::from_raw_mode(mode))?)
    }

    /// Makes a file of exactly that mode; one that exists is an error.
    pub(super) fn make_file(&self, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.0, name, flags, Mode::from_raw_mode(0o600))?);
        file.write_all(content)?;
        Ok(fchmod(&file, Mode::from_raw_mode(mode))?)
    }

    /// The content of a regular file below, found without following any link.
    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.read_at_most(path, u64::MAX)
    }

    /// The same, but an error when the file is larger.
    pub(super) fn read_at_most(&self, path: &str, most: u64) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let file = File::from(confined::open(&self.0, path, flags, confined)?);
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut content = Vec::new();
        file.take(most.saturating_add(1)).read_to_end(&mut content)?;
        if content.len() as u64 > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(content)
    }

    /// Makes a symbolic link; one that exists and points there already is fine. What is there and
    /// no link stays: a container may have something mounted there.
    pub(super) fn make_link(&self, name: &str, target: &str) -> io::Result<()> {
        match symlinkat(target, &self.0, name) {
            Err(Errno::EXIST) if self.link(name).as_deref() == Some(target) => Ok(()),
            Err(Errno::EXIST) if self.link(name).is_none() => Ok(()),
            Err(Errno::EXIST) => {
                self.remove(name)?;
                Ok(symlinkat(target, &self.0, name)?)
            }
            made => Ok(made?),
        }
    }

    /// Where a symbolic link points; nothing when there is no link of that name.
    pub(super) fn link(&self, name: &str) -> Option<String> {
        readlinkat(&self.0, name, Vec::new()).ok()?.into_string().ok()
    }

    /// Gives an entry another name, taking the place of what has it.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    /// The names of the entries.
    pub(super) fn names(&self) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_owned();
            if name.as_c_str() != c"." && name.as_c_str() != c".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// How many files are below, at any depth.
    pub(super) fn count_files(&self) -> io::Result<usize> {
        let mut count = 0;
        walk(&self.0, |entry| {
            count += usize::from(!entry.is_directory());
            Ok(true)
        })?;
        Ok(count)
    }

    /// Removes an entry with everything below it; one that is not there is fine.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        confined::remove_at(&self.0, name.as_bytes())
    }

    /// Whether the directory itself is the group's already (`fsGroupChangePolicy`).
    pub(super) fn is_given(&self, access: GroupAccess) -> io::Result<bool> {
        let status = fstat(&self.0)?;
        let bits = access.directory_bits;
        Ok(status.st_gid == access.group && status.st_mode & bits == bits)
    }

    /// Gives the directory and everything below it to the group.
    pub(super) fn give(&self, access: GroupAccess) -> io::Result<()> {
        give_one(&self.0, access)?;
        walk(&self.0, |entry| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(entry.directory, entry.name, flags, Mode::empty()) {
                Err(Errno::NOENT) => {} // it has vanished meanwhile
                file => give_one(&file?, access)?,
            }
            Ok(true)
        })
    }

    /// Gives only the directory itself to the group.
    pub(super) fn give_top(&self, access: GroupAccess) -> io::Result<()> {
        give_one(&self.0, access)
    }
}

/// Changes group and mode of what the descriptor refers to. A link has no mode of its own.
fn give_one(file: &OwnedFd, access: GroupAccess) -> io::Result<()> {
    let group = Some(Gid::from_raw(access.group));
    chownat(file, c"", None, group, AtFlags::EMPTY_PATH)?;
    let status = fstat(file)?;
    let bits = match FileType::from_raw_mode(status.st_mode) {
        FileType::Symlink => return Ok(()),
        FileType::Directory => access.directory_bits,
        _ => access.file_bits,
    };
    // A descriptor that only names a file cannot be given to fchmod(2); this link leads to the
    // very file it names.
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(status.st_mode & 0o7777 | bits))?)
}
