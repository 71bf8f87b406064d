//! Every path of the store, in one place.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::Digest;

/// The directory names of a store. The root is an OCI image layout; whatever the layout does
/// not know lies beside it, which the specification allows.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    root: PathBuf,
}

/// What a program that dies leaves behind in `tmp`; swept by the next one.
static COUNTER: AtomicU64 = AtomicU64::new(0);

impl Places {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Creates the directories that are missing, for root only: layers hold set-user-id programs.
    pub(crate) fn create(&self) -> Result<(), (PathBuf, io::Error)> {
        for directory in ["blobs/sha256", "layers", "images", "names", "tmp", "trash", "locks"] {
            let path = self.root.join(directory);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|error| (path, error))?;
        }
        Ok(())
    }

    /// Says that this is an OCI image layout.
    pub(crate) fn mark(&self) -> Result<(), (PathBuf, io::Error)> {
        let layout = self.root.join("oci-layout");
        if !layout.exists() {
            let text = b"{\"imageLayoutVersion\":\"1.0.0\"}";
            self.replace(&layout, text).map_err(|error| (layout, error))?;
        }
        Ok(())
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// A layer's directory, by `DiffID` or `ChainID`; the tree is in `fs` below it.
    pub(crate) fn layer(&self, id: &Digest) -> PathBuf {
        self.layers().join(id.hex())
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn image(&self, manifest: &Digest) -> PathBuf {
        self.images().join(format!("{}.json", manifest.hex()))
    }

    pub(crate) fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    /// A link to the image that has this canonical name. Names are longer than file names may
    /// be, hence the digest.
    pub(crate) fn name(&self, name: &str) -> PathBuf {
        self.names().join(Digest::of(name.as_bytes()).hex())
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn lock(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// Locked by those who use the image.
    pub(crate) fn pin(&self, manifest: &Digest) -> PathBuf {
        self.locks().join(format!("image-{}", manifest.hex()))
    }

    /// A name in `tmp` that nobody else has.
    pub(crate) fn fresh(&self) -> PathBuf {
        self.tmp().join(unique())
    }

    /// Moves something out of sight at once; it is deleted later.
    pub(crate) fn discard(&self, path: &Path) -> io::Result<()> {
        match fs::rename(path, self.trash().join(unique())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes a small file so that readers see the old or the new one, never a part.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let aside = self.fresh();
        // Root's alone, whatever the umask.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        fs::rename(&aside, path)
    }
}

/// A file name that nobody else has.
pub(crate) fn unique() -> String {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    format!("{}-{time}-{number}", std::process::id())
}

impl Places {
    /// Removes everything in `tmp` and `trash`. Only with the store lock held exclusively.
    pub(crate) fn empty_aside(&self) -> io::Result<()> {
        for directory in [self.tmp(), self.trash()] {
            for entry in fs::read_dir(&directory)? {
                confined::remove_tree(&entry?.path())?;
            }
        }
        Ok(())
    }
}
