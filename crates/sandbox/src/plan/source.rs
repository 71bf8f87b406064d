//! What a mount shows.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A file or directory that exists.
    Bind {
        /// Its path outside.
        path: PathBuf,
        /// What must be there, or nothing is mounted.
        kind: PathKind,
        /// A part of it.
        sub_path: Option<SubPath>,
    },
    /// An image's files, read-only.
    Image {
        /// Its layers, the lowest first.
        layers: Vec<PathBuf>,
        /// An empty directory, to stand in for a second layer and to mount the image at while a
        /// part of it is looked for.
        scratch: PathBuf,
        /// A part of it.
        sub_path: Option<SubPath>,
    },
    /// Memory of its own.
    Tmpfs {
        /// The most it holds, in bytes.
        size: Option<u64>,
        /// The mode of its root.
        mode: u32,
    },
}

/// A path below a volume, which cannot lead out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubPath {
    /// The path. A missing one becomes a directory, unless the volume is an image.
    pub path: PathBuf,
    /// Whose it is, for messages: `volumeMount "data" of container "web"`.
    pub owner: String,
}

/// What kind of file a path must lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathKind {
    /// Any.
    #[default]
    Any,
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
}

impl PathKind {
    /// Whether a file of that mode (`st_mode`, inode(7)) is of this kind.
    pub fn is(self, mode: u32) -> bool {
        let wanted = match self {
            Self::Any => return true,
            Self::Directory => FileType::Directory,
            Self::File => FileType::RegularFile,
            Self::Socket => FileType::Socket,
            Self::CharacterDevice => FileType::CharacterDevice,
            Self::BlockDevice => FileType::BlockDevice,
        };
        FileType::from_raw_mode(mode) == wanted
    }
}

impl Display for PathKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Any => "anything",
            Self::Directory => "a directory",
            Self::File => "a file",
            Self::Socket => "a socket file",
            Self::CharacterDevice => "a character device",
            Self::BlockDevice => "a block device",
        })
    }
}

impl Display for MountSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let below = |sub_path: &Option<SubPath>| {
            sub_path.as_ref().map_or(PathBuf::new(), |below| below.path.clone())
        };
        match self {
            Self::Bind { path, sub_path: None, .. } => path.display().fmt(f),
            Self::Bind { path, sub_path, .. } => path.join(below(sub_path)).display().fmt(f),
            Self::Image { layers, sub_path, .. } => {
                write!(f, "image of {} layers /{}", layers.len(), below(sub_path).display())
            }
            Self::Tmpfs { .. } => f.write_str("tmpfs"),
        }
    }
}
