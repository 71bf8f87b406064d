//! Images from the store as files for others: an OCI image layout as a directory or an archive,
//! or what `docker load` reads. What is written depends on the images alone: the same images
//! give the same bytes.
//!
//! Every blob is compared with its digest on the way out, so that a damaged disk is noticed here
//! and not by whoever gets the file.

mod docker_archive;
mod oci_layout;
mod target;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, HashingReader};
use crate::image_manifest::{Configuration, Descriptor, Manifest};
use crate::reference::Reference;
use crate::store::{Store, StoreError, system_hint, unique};

use target::{Failure, Target};

/// How an archive is laid out. Both are tar archives without compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// An OCI image layout (`oci-archive:` of skopeo, `podman load`, `docker load` since 25).
    Oci,
    /// `manifest.json` with uncompressed layers (`docker load` of any age). The manifest is not
    /// in it, so that the image gets another one, with another digest, when it is loaded.
    Docker,
}

/// Why images are not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// No image has this name.
    #[error("no image is named {name}")]
    NotFound {
        /// The name, as a person writes it.
        name: String,
    },
    /// Something of the image is not in the store any more, or not what it was.
    #[error("{digest} of the image is missing or damaged in the store")]
    Damaged {
        /// The document or layer.
        digest: Digest,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The file or directory cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever takes the archive takes no more.
    #[error("cannot write the archive")]
    Stream {
        /// What the system said.
        source: io::Error,
    },
    /// There is something already.
    #[error("{} is there already and not an empty directory", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The store failed.
    #[error("cannot look for the images")]
    Store {
        /// Why.
        source: StoreError,
    },
}

impl SaveError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some("list the images that are here".to_owned()),
            Self::Damaged { .. } => Some("remove the image and pull it again".to_owned()),
            Self::Write { source, .. } => system_hint(source),
            Self::Store { source } => source.hint(),
            Self::Stream { .. } | Self::Exists { .. } => None,
        }
    }
}

/// An image that is to be saved, with its documents as they are in the store.
struct Saved {
    manifest: Manifest,
    config_bytes: Vec<u8>,
    configuration: Configuration,
    names: Vec<Reference>,
}

impl Store {
    /// Writes an archive of these images, each under the names it is asked for. What was written
    /// before a failure is of no use.
    pub fn save_archive(
        &self,
        references: &[Reference],
        format: ArchiveFormat,
        to: &mut dyn Write,
    ) -> Result<(), SaveError> {
        let _lock = self.share().map_err(|source| SaveError::Store { source })?;
        let images = self.images_to_save(references)?;
        let mut target = Target::Archive(to);
        let written = match format {
            ArchiveFormat::Oci => oci_layout::write(self, &images, &mut target),
            ArchiveFormat::Docker => docker_archive::write(self, &images, &mut target),
        };
        written.and_then(|()| target.finish()).map_err(|failure| match failure {
            Failure::Read { digest, source } => SaveError::Damaged { digest, source },
            Failure::Write(source) => SaveError::Stream { source },
        })
    }

    /// Writes an archive to a file, which appears when it is complete.
    pub fn save_archive_file(
        &self,
        references: &[Reference],
        format: ArchiveFormat,
        path: &Path,
    ) -> Result<(), SaveError> {
        let aside = beside(path);
        let write = |source| SaveError::Write { path: path.to_owned(), source };
        let options = OpenOptions::new().write(true).create_new(true).mode(0o644).clone();
        let mut file = BufWriter::with_capacity(256 * 1024, options.open(&aside).map_err(write)?);
        let saved = self
            .save_archive(references, format, &mut file)
            .and_then(|()| file.flush().map_err(write))
            .and_then(|()| fs::rename(&aside, path).map_err(write));
        match saved {
            Err(SaveError::Stream { source }) => {
                let _ = fs::remove_file(&aside); // the first failure is the one to tell
                Err(write(source))
            }
            Err(error) => {
                let _ = fs::remove_file(&aside);
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Writes an OCI image layout, which appears when it is complete. The directory must not
    /// exist or be empty.
    pub fn save_directory(
        &self,
        references: &[Reference],
        directory: &Path,
    ) -> Result<(), SaveError> {
        let _lock = self.share().map_err(|source| SaveError::Store { source })?;
        let images = self.images_to_save(references)?;
        let aside = beside(directory);
        let saved = write_directory(self, &images, &aside, directory);
        if saved.is_err() {
            let _ = confined::remove_tree(&aside); // the first failure is the one to tell
        }
        saved
    }

    /// The images, each once, in the order in which they are asked for.
    fn images_to_save(&self, references: &[Reference]) -> Result<Vec<Saved>, SaveError> {
        let mut images: Vec<Saved> = Vec::new();
        for reference in references {
            let found = self.find(reference).map_err(|source| SaveError::Store { source })?;
            let Some(image) = found else {
                return Err(SaveError::NotFound { name: reference.familiar() });
            };
            let digest = &image.manifest_digest;
            // A name with the digest of an index says nothing about this manifest.
            let name = Some(reference.clone())
                .filter(|name| name.digest().is_none_or(|given| given == digest));
            match images.iter_mut().find(|known| known.manifest.digest == *digest) {
                Some(known) => {
                    let new = name.filter(|name| !known.names.contains(name));
                    known.names.extend(new);
                }
                None => images.push(self.documents_to_save(digest, name.into_iter().collect())?),
            }
        }
        Ok(images)
    }

    fn documents_to_save(
        &self,
        digest: &Digest,
        names: Vec<Reference>,
    ) -> Result<Saved, SaveError> {
        let damaged = |source| SaveError::Damaged { digest: digest.clone(), source };
        let documents = self.stored_documents(digest).map_err(damaged)?;
        let (manifest, config_bytes) =
            documents.ok_or_else(|| damaged(io::ErrorKind::InvalidData.into()))?;
        let configuration = Configuration::parse(&config_bytes, manifest.layers.len());
        let configuration = configuration.map_err(|error| damaged(io::Error::other(error)))?;
        Ok(Saved { manifest, config_bytes, configuration, names })
    }

    /// Opens a blob of the store, for reading it with its digest.
    fn open_blob(&self, blob: &Descriptor) -> Result<File, Failure> {
        let read = |source| Failure::Read { digest: blob.digest.clone(), source };
        let file = self.blob_file(&blob.digest).map_err(read)?;
        let size = file.metadata().map_err(read)?.len();
        if size == blob.size {
            return Ok(file);
        }
        Err(read(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it has {size} bytes instead of {}", blob.size),
        )))
    }
}

fn write_directory(
    store: &Store,
    images: &[Saved],
    aside: &Path,
    directory: &Path,
) -> Result<(), SaveError> {
    let write = |source| SaveError::Write { path: directory.to_owned(), source };
    fs::create_dir(aside).map_err(write)?;
    let mut target = Target::Directory(aside.to_owned());
    oci_layout::write(store, images, &mut target).map_err(|failure| match failure {
        Failure::Read { digest, source } => SaveError::Damaged { digest, source },
        Failure::Write(source) => write(source),
    })?;
    // Takes the place of an empty directory, but of nothing else (rename(2)).
    fs::rename(aside, directory).map_err(|source| match source.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => {
            SaveError::Exists { path: directory.to_owned() }
        }
        _ => write(source),
    })
}

/// A name in the same directory that nobody else has.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", unique()))
}

/// Copies a blob and compares it with its digest.
fn copy_blob(
    store: &Store,
    blob: &Descriptor,
    name: &str,
    target: &mut Target<'_>,
) -> Result<(), Failure> {
    let mut reader = HashingReader::new(store.open_blob(blob)?);
    target.file(name, blob.size, (&blob.digest, &mut reader))?;
    let (found, _) = reader.finish();
    require(&blob.digest, &found)
}

fn require(digest: &Digest, found: &Digest) -> Result<(), Failure> {
    if found == digest {
        return Ok(());
    }
    let source = io::Error::new(io::ErrorKind::InvalidData, format!("it is {found}"));
    Err(Failure::Read { digest: digest.clone(), source })
}

/// Reads everything and says how much it was.
fn drain(reader: &mut impl Read) -> io::Result<u64> {
    io::copy(reader, &mut io::sink())
}
