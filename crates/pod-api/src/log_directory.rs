//! The directory of a container's logs.
//!
//! A collector of logs is a container with a `hostPath` of the log directory: what it has put in a
//! file's or directory's place is not followed, not waited for and not opened. So a log is reached
//! from the root of all logs name by name, and is a regular file.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, mkdirat, open, openat, statat};
use rustix::io::Errno;

/// An open directory of one container's logs.
#[derive(Debug)]
pub struct LogDirectory(OwnedFd);

impl LogDirectory {
    /// That of the log at this path, `<all logs>/<pod>/<container>/<number>.log`.
    pub fn of(log: &Path) -> io::Result<Self> {
        Self::reach(log, false)
    }

    /// The same, made if it is not there.
    pub fn create(log: &Path) -> io::Result<Self> {
        Self::reach(log, true)
    }

    fn reach(log: &Path, or_create: bool) -> io::Result<Self> {
        let mut above = log.ancestors().skip(1);
        let (Some(container), Some(pod), Some(root)) = (above.next(), above.next(), above.next())
        else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if or_create {
            DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut here = open(root, flags | OFlags::PATH, Mode::empty())?;
        for step in [pod, container] {
            let name = step.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            match if or_create { mkdirat(&here, name, Mode::RWXU) } else { Ok(()) } {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW;
            here = match openat(&here, name, flags, Mode::empty()) {
                Err(Errno::LOOP | Errno::NOTDIR) => return Err(misplaced(step, "directory")),
                opened => opened?,
            };
        }
        Ok(Self(here))
    }

    /// Opens a log to write at its end; makes it if it is not there.
    pub fn append_to(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let new = flags | OFlags::CREATE | OFlags::EXCL;
        match openat(&self.0, name, new, Mode::from_raw_mode(0o640)) {
            Ok(file) => Ok(file.into()),
            Err(Errno::EXIST) => self.open_regular(name, OFlags::WRONLY | OFlags::APPEND),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a log to read it.
    pub fn read_from(&self, name: &str) -> io::Result<File> {
        self.open_regular(name, OFlags::RDONLY)
    }

    /// Opens what is known to be a regular file: to open a device may already do something.
    fn open_regular(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let path = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(&self.0, name, path, Mode::empty())?;
        if !FileType::from_raw_mode(fstat(&found)?.st_mode).is_file() {
            return Err(misplaced(Path::new(name), "regular file"));
        }
        // This link leads to the very file that was looked at.
        let itself = format!("/proc/self/fd/{}", found.as_raw_fd());
        Ok(File::from(open(itself, flags | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// The number of the file of that name, if there is one.
    pub fn number_of(&self, name: &str) -> Option<u64> {
        statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).ok().map(|status| status.st_ino)
    }

    /// The files of a log, the oldest first, the one that is being written last.
    pub fn segments(&self, name: &str) -> Vec<String> {
        let head = format!("{name}.");
        let mut found: Vec<String> =
            self.names().into_iter().filter(|one| one.starts_with(&head)).collect();
        found.sort();
        if self.number_of(name).is_some() {
            found.push(name.to_owned());
        }
        found
    }

    /// The names of the files.
    pub fn names(&self) -> Vec<String> {
        let entries = Dir::read_from(&self.0).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned)).collect()
    }

    /// Gives a file another name.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }
}

/// A log's name in its directory.
pub fn name_of(log: &Path) -> String {
    log.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn misplaced(path: &Path, kind: &str) -> io::Error {
    let text = format!("{} is no {kind}: something else was put in a log's place", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, mknodat};

    use super::*;

    #[test]
    fn what_is_put_in_a_logs_place_is_neither_followed_nor_waited_for() {
        let (logs, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let log = |pod: &str| logs.path().join(pod).join("main/0.log");
        for pod in ["pod", "container", "file", "fifo"] {
            LogDirectory::create(&log(pod)).unwrap();
        }
        std::fs::remove_dir_all(logs.path().join("pod")).unwrap();
        symlink(elsewhere.path(), logs.path().join("pod")).unwrap();
        std::fs::create_dir(elsewhere.path().join("main")).unwrap();
        std::fs::remove_dir(logs.path().join("container/main")).unwrap();
        symlink(elsewhere.path(), logs.path().join("container/main")).unwrap();
        for pod in ["pod", "container"] {
            for reached in [LogDirectory::create(&log(pod)), LogDirectory::of(&log(pod))] {
                assert!(reached.unwrap_err().to_string().contains("is no directory"), "{pod}");
            }
        }
        symlink(elsewhere.path().join("target"), log("file")).unwrap();
        mknodat(CWD, log("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for pod in ["file", "fifo"] {
            let directory = LogDirectory::of(&log(pod)).unwrap();
            for opened in [directory.append_to("0.log"), directory.read_from("0.log")] {
                assert!(opened.unwrap_err().to_string().contains("is no regular file"), "{pod}");
            }
        }
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }
}
