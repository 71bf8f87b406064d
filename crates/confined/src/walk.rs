//! Walks trees of any depth and width with a bounded number of descriptors and no recursion.
//!
//! The tree may belong to a container that changes it meanwhile. Every step is taken by descriptor,
//! no link is followed, and the way back up leads to the very directory that it came from or ends
//! there: nothing that is moved leads the walk out of the tree.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, SeekFrom, Stat, fstat, openat, seek, statat,
};
use rustix::io::Errno;

/// So many levels are kept open; from those below the way back is found by `..`.
const OPEN_LEVELS: usize = 64;
/// So much of a directory is read at once, in bytes: what follows a directory that is entered is
/// read once more.
const AT_ONCE: usize = 4096;

const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What a walk finds.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The directory that it is in.
    pub directory: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a CStr,
    /// What is of that name, a link itself and not its target.
    pub status: &'a Stat,
}

impl Entry<'_> {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.status.st_mode) == FileType::Directory
    }
}

/// A directory above the one that is being read.
struct Level {
    directory: Option<OwnedFd>,
    identity: (u64, u64),
    /// Where its reading goes on.
    position: u64,
}

/// Shows everything below a directory, each directory before what is in it; one that `visit` says
/// `false` of is not entered. What vanishes meanwhile is passed over.
///
/// # Errors
///
/// The first of `visit` or of the file system. `ESTALE` when a directory that is many levels deep
/// was moved while the walk was in it.
pub fn walk(
    top: impl AsFd,
    mut visit: impl FnMut(Entry<'_>) -> io::Result<bool>,
) -> io::Result<()> {
    let mut here = openat(top, c".", DIRECTORY, Mode::empty())?;
    let mut above: Vec<Level> = Vec::new();
    loop {
        if let Some((inner, position)) = read(&here, &mut visit)? {
            let identity = identity(&here)?;
            let left = std::mem::replace(&mut here, inner);
            let directory = (above.len() < OPEN_LEVELS).then_some(left);
            above.push(Level { directory, identity, position });
            continue;
        }
        let Some(level) = above.pop() else {
            return Ok(());
        };
        let parent = match level.directory {
            Some(directory) => directory,
            None => openat(&here, c"..", DIRECTORY, Mode::empty())?,
        };
        if identity(&parent)? != level.identity {
            return Err(Errno::STALE.into());
        }
        seek(&parent, SeekFrom::Start(level.position))?;
        here = parent;
    }
}

/// Reads on in a directory; up to the next one that is to be entered, and the position after that.
fn read(
    directory: &OwnedFd,
    visit: &mut impl FnMut(Entry<'_>) -> io::Result<bool>,
) -> io::Result<Option<(OwnedFd, u64)>> {
    let mut buffer = [MaybeUninit::uninit(); AT_ONCE];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(found) = entries.next() {
        let found = found?;
        let name = found.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let status = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            status => status?,
        };
        let entry = Entry { directory: directory.as_fd(), name, status: &status };
        if !visit(entry)? || !entry.is_directory() {
            continue;
        }
        match openat(directory, name, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {} // it is another one by now
            inner => return Ok(Some((inner?, found.next_entry_cookie()))),
        }
    }
    Ok(None)
}

fn identity(directory: &OwnedFd) -> io::Result<(u64, u64)> {
    let status = fstat(directory)?;
    Ok((status.st_dev, status.st_ino))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use rustix::fs::{mkdirat, open, symlinkat, unlinkat};

    use super::*;

    fn number_of_open_files() -> usize {
        std::fs::read_dir("/proc/thread-self/fd").unwrap().count()
    }

    #[test]
    fn a_tree_of_any_depth_is_walked_with_few_descriptors() {
        let scratch = tempfile::tempdir().unwrap();
        let top = open(scratch.path(), DIRECTORY, Mode::empty()).unwrap();
        let long = "n".repeat(255);
        let mut deepest = openat(&top, ".", DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..3000 {
            mkdirat(&deepest, &*long, Mode::RWXU).unwrap();
            mkdirat(&deepest, "side", Mode::RWXU).unwrap();
            symlinkat("/", &deepest, "link").unwrap();
            deepest = openat(&deepest, &*long, DIRECTORY, Mode::empty()).unwrap();
        }
        let before = number_of_open_files();
        let (mut most, mut directories, mut links) = (0, 0, 0);
        walk(&top, |entry| {
            most = most.max(entry.directory.as_raw_fd());
            directories += usize::from(entry.is_directory());
            links += usize::from(!entry.is_directory());
            Ok(true)
        })
        .unwrap();
        assert_eq!((directories, links), (6000, 3000));
        assert!(usize::try_from(most).unwrap() < before + OPEN_LEVELS + 32, "{most}");
        // A scratch directory as deep as this does not go away by itself.
        for _ in 0..3000 {
            let inner = deepest;
            deepest = openat(&inner, "..", DIRECTORY, Mode::empty()).unwrap();
            unlinkat(&deepest, "side", AtFlags::REMOVEDIR).unwrap();
            unlinkat(&deepest, "link", AtFlags::empty()).unwrap();
            unlinkat(&deepest, &*long, AtFlags::REMOVEDIR).unwrap();
        }
    }

    #[test]
    fn every_name_of_a_wide_directory_is_seen_once() {
        let scratch = tempfile::tempdir().unwrap();
        for number in 0..3000 {
            let path = scratch.path().join(format!("{number}"));
            if number % 3 == 0 {
                std::fs::create_dir(path.clone()).unwrap();
                File::create(path.join("file")).unwrap();
            } else {
                File::create(path).unwrap();
            }
        }
        let top = open(scratch.path(), DIRECTORY, Mode::empty()).unwrap();
        let mut seen = std::collections::BTreeMap::new();
        walk(&top, |entry| {
            *seen.entry(entry.status.st_ino).or_insert(0) += 1;
            Ok(true)
        })
        .unwrap();
        assert_eq!((seen.len(), seen.values().max()), (4000, Some(&1)));
    }

    #[test]
    fn a_directory_that_is_moved_meanwhile_leads_nowhere() {
        let (scratch, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(outside.path().join("secret")).unwrap();
        let deep = (0..OPEN_LEVELS + 10).fold(scratch.path().to_owned(), |path, _| path.join("d"));
        std::fs::create_dir_all(&deep).unwrap();
        let top = open(scratch.path(), DIRECTORY, Mode::empty()).unwrap();
        let mut names = Vec::new();
        let walked = walk(&top, |entry| {
            names.push(entry.name.to_owned());
            if names.len() == OPEN_LEVELS + 10 {
                std::fs::rename(deep.parent().unwrap(), outside.path().join("moved")).unwrap();
            }
            Ok(true)
        });
        assert_eq!(walked.unwrap_err().raw_os_error(), Some(libc::ESTALE));
        assert!(names.iter().all(|name| name.as_c_str() == c"d"), "{names:?}");
    }
}
