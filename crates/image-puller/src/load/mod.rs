//! Images from files: an OCI layout as a directory or an archive, or what `docker save` writes.
//!
//! Nothing in such a file is trusted: names of members are only looked up, never opened as
//! paths, and every blob is checked against the digest by which it is asked for.

mod compression;
mod container;
mod docker_archive;
mod oci_layout;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::image_manifest::ImageError;
use crate::progress::{ProgressEvent, ProgressSink};
use crate::reference::Reference;
use crate::store::{
    BlobSource, Documents, Ingest, IngestOptions, LayerError, Store, StoreError, lookup_name,
};

use container::Container;
use oci_layout::Other;

/// Why images cannot be loaded from a file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither `index.json` nor `manifest.json` in it names one.
    #[error("{} holds no images: nothing is named in an index.json or manifest.json", path.display())]
    NoImages {
        /// Which one.
        path: PathBuf,
    },
    /// A member is missing or not a regular file.
    #[error("cannot read {member:?} in the archive")]
    Member {
        /// Its name in the archive.
        member: String,
        /// What is wrong.
        source: io::Error,
    },
    /// A member's content is not what its digest says.
    #[error("{member:?} in the archive has other content than its digest says")]
    Digest {
        /// Its name in the archive.
        member: String,
    },
    /// `manifest.json` does not parse.
    #[error("cannot read manifest.json in the archive")]
    DockerManifest {
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// The documents of an image are refused.
    #[error("cannot use the image in {}", path.display())]
    Image {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// A layer is refused.
    #[error("cannot unpack the image in {}", path.display())]
    Layer {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: Box<LayerError>,
    },
    /// The store failed.
    #[error("cannot store the image")]
    Store {
        /// Why.
        source: StoreError,
    },
}

impl LoadError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoImages { .. } => {
                Some("make it with `docker save`, `podman save` or `skopeo copy`".to_owned())
            }
            Self::Store { source } => source.hint(),
            Self::Layer { source, .. } => source.hint(),
            Self::Read { source, .. } => crate::store::system_hint(source),
            _ => None,
        }
    }
}

/// One image of a file, before its layers are unpacked.
struct Found {
    manifest: crate::image_manifest::Manifest,
    config_bytes: Vec<u8>,
    index_bytes: Option<Vec<u8>>,
    names: Vec<Reference>,
}

impl Found {
    /// The names without those that have the digest of something else.
    fn honest_names(&self) -> Vec<Reference> {
        let index = self.index_bytes.as_deref().map(Digest::of);
        let is_own =
            |digest: &Digest| *digest == self.manifest.digest || Some(digest) == index.as_ref();
        self.names.iter().filter(|name| name.digest().is_none_or(is_own)).cloned().collect()
    }
}

impl Store {
    /// Brings the images of a file into the store and answers their names: an OCI image layout
    /// (a directory or a tar archive of it) or a Docker archive; archives may be compressed with
    /// gzip, zstd, xz or bzip2. Images without a name are named after their digest.
    pub fn load(
        &self,
        path: &Path,
        progress: &dyn ProgressSink,
    ) -> Result<Vec<Reference>, LoadError> {
        self.load_with(path, progress, |scratch| Container::open(path, scratch))
    }

    /// The same with an archive that is open already, for example a pipe; `name` is what errors
    /// call it.
    pub fn load_archive(
        &self,
        archive: File,
        name: &Path,
        progress: &dyn ProgressSink,
    ) -> Result<Vec<Reference>, LoadError> {
        self.load_with(name, progress, |scratch| Container::archive(archive, scratch))
    }

    fn load_with(
        &self,
        path: &Path,
        progress: &dyn ProgressSink,
        open: impl FnOnce(&Path) -> io::Result<Container>,
    ) -> Result<Vec<Reference>, LoadError> {
        let _lock = self.share().map_err(|source| LoadError::Store { source })?;
        let container = open(&self.scratch_file())
            .map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        let job = Load { store: self, path, progress };
        if container.has("index.json") {
            let layout = oci_layout::Layout::new(&container);
            let (found, others) = layout.images().map_err(|error| error.at(path))?;
            for Other { digest, media_type } in others {
                progress.report(ProgressEvent::NotAnImage { digest, media_type });
            }
            job.store_all(&layout, found)
        } else if container.has("manifest.json") {
            let (source, found) =
                docker_archive::images(&container).map_err(|error| error.at(path))?;
            if found.is_empty() {
                return Err(LoadError::NoImages { path: path.to_owned() });
            }
            job.store_all(&source, found)
        } else {
            let read = |source| LoadError::Read { path: path.to_owned(), source };
            container.require_end().map_err(read)?;
            Err(LoadError::NoImages { path: path.to_owned() })
        }
    }
}

/// A failure that does not know yet in which file it happened.
enum Problem {
    Image(ImageError),
    Known(LoadError),
}

impl Problem {
    fn at(self, path: &Path) -> LoadError {
        match self {
            Self::Image(source) => LoadError::Image { path: path.to_owned(), source },
            Self::Known(error) => error,
        }
    }
}

struct Load<'a> {
    store: &'a Store,
    path: &'a Path,
    progress: &'a dyn ProgressSink,
}

impl Load<'_> {
    fn store_all(
        &self,
        source: &dyn BlobSource,
        found: Vec<Found>,
    ) -> Result<Vec<Reference>, LoadError> {
        let mut names = Vec::new();
        for image in found {
            names.extend(self.store_one(source, image)?);
        }
        Ok(names)
    }

    fn store_one(
        &self,
        source: &dyn BlobSource,
        image: Found,
    ) -> Result<Vec<Reference>, LoadError> {
        let count = image.manifest.layers.len();
        let configuration = crate::image_manifest::Configuration::parse(&image.config_bytes, count)
            .map_err(|source| LoadError::Image { path: self.path.to_owned(), source })?;
        let ingest = Ingest {
            store: self.store,
            source,
            sink: self.progress,
            options: IngestOptions::default(),
        };
        let documents = Documents {
            manifest: &image.manifest,
            configuration: &configuration,
            config_bytes: &image.config_bytes,
            index_bytes: image.index_bytes.as_deref(),
        };
        let ingested = ingest.run(&documents).map_err(|source| LoadError::Layer {
            path: self.path.to_owned(),
            source: Box::new(source),
        })?;
        let names = image.honest_names();
        let names = if names.is_empty() { nameless(&image.manifest.digest) } else { names };
        let texts: Vec<String> = names.iter().map(lookup_name).collect();
        self.store
            .add_names(&ingested.record, &texts)
            .map_err(|source| LoadError::Store { source })?;
        Ok(names)
    }
}

/// `localhost/loaded@sha256:…`
fn nameless(manifest: &Digest) -> Vec<Reference> {
    Reference::parse(&format!("localhost/loaded@{manifest}")).into_iter().collect()
}
