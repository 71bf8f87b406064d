//! A tree as something that can be compared: every name with everything about it.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::item::{Attributes, What};

/// Names, parents first, with what is there.
pub(crate) type Listing = BTreeMap<Vec<Vec<u8>>, Line>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// None: whenever it was made.
    modified: Option<(i64, u32)>,
    rest: String,
}

impl Line {
    /// `same` is the first name of the same inode.
    pub(crate) fn new(what: &What, attributes: &Attributes, same: Option<Vec<u8>>) -> Self {
        let kind = match what {
            What::Directory => "directory".to_owned(),
            What::File(content) => format!("file {}", content.escape_ascii()),
            What::Symlink(target) => format!("link to {}", target.escape_ascii()),
            What::Device(major, minor) => format!("device {major}:{minor}"),
            What::Fifo => "fifo".to_owned(),
            What::HardLink(_) | What::Whiteout | What::Opaque => {
                unreachable!("these leave no object")
            }
        };
        // Links have no mode of their own.
        let mode = if matches!(what, What::Symlink(_)) { 0o777 } else { attributes.mode };
        let mut rest = format!("{kind} {mode:04o} {}:{}", attributes.uid, attributes.gid);
        for (name, value) in &attributes.xattrs {
            rest += &format!(" {name}={}", value.escape_ascii());
        }
        if let Some(same) = same {
            rest += &format!(" same as {}", same.escape_ascii());
        }
        Self { modified: attributes.modified, rest }
    }
}

/// What is in a directory.
pub(crate) fn list(root: &Path) -> Listing {
    let mut lines = Listing::new();
    let mut first_names: BTreeMap<(u64, u64), Vec<u8>> = BTreeMap::new();
    let mut pending = vec![Vec::new()];
    let mut all = vec![Vec::new()];
    while let Some(names) = pending.pop() {
        for entry in fs::read_dir(path(root, &names)).expect("directories can be listed") {
            let name = entry.expect("directories can be listed").file_name();
            let mut child: Vec<Vec<u8>> = names.clone();
            child.push(name.as_bytes().to_vec());
            if fs::symlink_metadata(path(root, &child)).is_ok_and(|found| found.is_dir()) {
                pending.push(child.clone());
            }
            all.push(child);
        }
    }
    all.sort();
    for names in all {
        let path = path(root, &names);
        let metadata = fs::symlink_metadata(&path).expect("it was just listed");
        let joined = names.join(&b'/');
        let first =
            first_names.entry((metadata.dev(), metadata.ino())).or_insert_with(|| joined.clone());
        let same = (!metadata.is_dir() && *first != joined).then(|| first.clone());
        lines
            .insert(names, Line::new(&what(&path, &metadata), &attributes(&path, &metadata), same));
    }
    lines
}

fn path(root: &Path, names: &[Vec<u8>]) -> PathBuf {
    let names = names.iter().map(|name| std::ffi::OsStr::from_bytes(name));
    std::iter::once(root.join(".").as_os_str()).chain(names).collect()
}

fn what(path: &Path, metadata: &Metadata) -> What {
    let kind = metadata.file_type();
    if kind.is_dir() {
        What::Directory
    } else if kind.is_symlink() {
        let target = fs::read_link(path).expect("it is a link");
        What::Symlink(target.as_os_str().as_bytes().to_vec())
    } else if kind.is_file() {
        What::File(fs::read(path).expect("root can read"))
    } else if kind.is_fifo() {
        What::Fifo
    } else {
        What::Device(rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()))
    }
}

fn attributes(path: &Path, metadata: &Metadata) -> Attributes {
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).expect("less than a second");
    let mut xattrs = Vec::new();
    for name in ["security.capability", "user.a", "user.b"] {
        let mut value = vec![0; 65536];
        if let Ok(length) = rustix::fs::lgetxattr(path, name, &mut value) {
            xattrs.push((name.to_owned(), value[..length].to_vec()));
        }
    }
    Attributes {
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        modified: Some((metadata.mtime(), nanoseconds)),
        xattrs,
    }
}

/// The differences, in words; empty if there are none.
pub(crate) fn differences(expected: &Listing, found: &Listing) -> Vec<String> {
    let mut told = Vec::new();
    for (names, line) in expected {
        let name = names.join(&b'/').escape_ascii().to_string();
        match found.get(names) {
            None => told.push(format!("/{name} is missing: {}", line.rest)),
            Some(other) if other.rest != line.rest => {
                told.push(format!("/{name} is {} instead of {}", other.rest, line.rest));
            }
            // The root's time is that of the directory that a container writes to.
            Some(other)
                if !names.is_empty()
                    && line.modified.is_some()
                    && other.modified != line.modified =>
            {
                told.push(format!(
                    "/{name} has the time {:?} instead of {:?}",
                    other.modified, line.modified
                ));
            }
            Some(_) => {}
        }
    }
    for (names, line) in found.iter().filter(|(names, _)| !expected.contains_key(*names)) {
        told.push(format!("/{} is there: {}", names.join(&b'/').escape_ascii(), line.rest));
    }
    told
}
