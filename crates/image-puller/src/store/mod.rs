//! Images on disk: a valid OCI image layout with the unpacked layers beside it.
//!
//! ```text
//! <data>/images/oci-layout, index.json, blobs/sha256/<digest>      the layout
//!               layers/<diff id or chain id>/{fs/, meta.json}      unpacked layers
//!               images/<manifest digest>.json                      what a start needs to know
//!               names/<sha256 of the canonical name>               link to one of the above
//!               tmp/, trash/, locks/
//! ```
//!
//! Everything appears by rename. Readers take no lock. Writers share the lock `store`; cleaning
//! up takes it alone. Nothing is fsynced unless asked for: see `record`.

mod find;
mod index;
mod ingest;
mod inspect;
mod layer_directory;
mod lock;
mod pin;
mod places;
mod prune;
mod record;
mod revive;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use self::find::lookup_name;
pub use self::find::{Image, ImageSummary, ReadFileError};
pub use self::ingest::LayerError;
pub(crate) use self::ingest::layer::open_regular;
pub(crate) use self::ingest::{BlobSource, Documents, Ingest, IngestOptions};
pub use self::inspect::{Inspection, LayerUsage, Usage};
pub use self::pin::Pin;
pub use self::prune::{Closed, Pruned, Unwanted};
pub(crate) use self::revive::Nowhere;

pub(crate) use self::places::unique;

use self::lock::Lock;
use self::places::Places;
use self::record::{ImageRecord, Written};
use crate::digest::Digest;
use crate::image_manifest::Manifest;

/// A store of images in a directory.
#[derive(Debug)]
pub struct Store {
    places: Places,
    now: Written,
}

/// Why the store cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    System {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the store does not parse.
    #[error("cannot understand {}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// No image has this name.
    #[error("no image is named {name}")]
    NotFound {
        /// The name, as a person writes it.
        name: String,
    },
}

impl StoreError {
    fn system(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, path: path.to_owned(), source }
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::System { source, .. } => system_hint(source),
            Self::Corrupt { path, .. } => {
                Some(format!("remove {} and pull the images again", path.display()))
            }
            Self::NotFound { .. } => Some("list the images that are here".to_owned()),
        }
    }
}

pub(crate) fn system_hint(error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some disk space, for example by pruning images".to_owned())
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("mount it writable, or keep the data elsewhere".to_owned())
        }
        io::ErrorKind::PermissionDenied => Some("run as root".to_owned()),
        _ => None,
    }
}

impl Store {
    /// Opens the store in that directory, creating it if it is missing.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let places = Places::new(directory.to_owned());
        let complete = places.index().exists() && places.locks().exists();
        let store = Self { places, now: Written::now() };
        if !complete {
            let create = |(path, source)| StoreError::System { action: "create", path, source };
            store.places.create().map_err(create)?;
            let _lock = store.hold()?;
            store.places.mark().map_err(create)?;
            index::change(&store.places, |_| ())?;
        }
        Ok(store)
    }

    /// The directory of the OCI image layout: `skopeo inspect oci:<directory>:<name>`.
    pub fn layout_dir(&self) -> &Path {
        self.places.root()
    }

    /// A file name that nobody else has, for something temporary.
    pub(crate) fn scratch_file(&self) -> PathBuf {
        self.places.fresh()
    }

    /// The manifest and the configuration of an image, if both are what their digests say.
    pub(crate) fn stored_documents(
        &self,
        manifest: &Digest,
    ) -> io::Result<Option<(Manifest, Vec<u8>)>> {
        let record: Option<ImageRecord> = record::read(&self.places.image(manifest))?;
        Ok(record.and_then(|record| revive::stored_documents(&self.places, &record)))
    }

    /// A small document that is in the store and what its digest says.
    pub(crate) fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        revive::read_document(&self.places, digest)
    }

    /// A blob, by whatever it should contain.
    pub(crate) fn blob_file(&self, digest: &Digest) -> io::Result<File> {
        open_regular(&self.places.blob(digest))
    }

    /// Held while something is added, so that cleaning up does not take it away half way.
    pub(crate) fn share(&self) -> Result<Lock, StoreError> {
        self.sweep(&self.places.lock("store"))?;
        self.hold()
    }

    /// Held while anything is written: it passes through `tmp`, which others may clean.
    fn hold(&self) -> Result<Lock, StoreError> {
        let path = self.places.lock("store");
        Lock::shared(&path).map_err(StoreError::system("lock", &path))
    }

    /// Removes what died processes left in `tmp`, if nobody else is at work.
    fn sweep(&self, lock: &Path) -> Result<(), StoreError> {
        let taken = Lock::try_exclusive(lock).map_err(StoreError::system("lock", lock))?;
        if taken.is_none() {
            return Ok(());
        }
        self.places.empty_aside().map_err(StoreError::system("clean", &self.places.tmp()))
    }
}
