//! Looking at images that are here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags};

use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::layer::{EntryPath, Node, View};
use crate::reference::Reference;

use super::places::Places;
use super::record::{self, ImageRecord, LayerRecord};
use super::{Store, StoreError, index};

/// An image in the store, unpacked and verified.
#[derive(Debug, Clone)]
pub struct Image {
    /// The digest of the configuration: the same image has the same id wherever it came from.
    pub id: Digest,
    /// The digest of the manifest for this platform.
    pub manifest_digest: Digest,
    /// The digest of the index that the manifest was chosen from, if there was one. Registries
    /// answer with this one for a tag.
    pub index_digest: Option<Digest>,
    /// What the image asks for.
    pub config: ImageConfig,
    /// Directories to stack, bottom to top; usable as `lowerdir`s of overlayfs.
    pub layers: Vec<PathBuf>,
    /// Compressed bytes of all layers.
    pub size: u64,
    /// Canonical names by which the image was asked for.
    pub names: Vec<String>,
    /// `linux/amd64`.
    pub platform: String,
    /// When it was built, as the image says (RFC 3339 text, not checked).
    pub created: Option<String>,
}

/// One row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// The digest of the configuration.
    pub id: Digest,
    /// The digest of the manifest for this platform.
    pub manifest_digest: Digest,
    /// The digest of the index that the manifest was chosen from, if there was one.
    pub index_digest: Option<Digest>,
    /// All canonical names of the image, sorted; none if it is only kept because it is used, or
    /// until somebody cleans up.
    pub names: Vec<String>,
    /// Compressed bytes of all layers.
    pub size: u64,
    /// Bytes of all files in the unpacked layers.
    pub unpacked: u64,
    /// `linux/amd64`.
    pub platform: String,
    /// When it was built, as the image says.
    pub created: Option<String>,
}

/// Why a file of an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFileError {
    /// The path is no path within an image.
    #[error("cannot read {path:?} in the image: {rule}")]
    Path {
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        rule: crate::layer::Rule,
    },
    /// There is something else than a regular file.
    #[error("cannot read {path:?} in the image: it is not a regular file")]
    NotAFile {
        /// What was asked for.
        path: String,
    },
    /// More bytes than the caller wants.
    #[error("cannot read {path:?} in the image: it has {size} bytes, more than {max}")]
    TooLarge {
        /// What was asked for.
        path: String,
        /// Its size.
        size: u64,
        /// What the caller allows.
        max: u64,
    },
    /// The system failed.
    #[error("cannot read {path:?} in the image")]
    System {
        /// What was asked for.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Image {
    pub(crate) fn from_record(places: &Places, record: ImageRecord, names: Vec<String>) -> Self {
        let layers = record.layers.iter().map(|id| places.layer(id).join("fs")).collect();
        Self {
            id: record.id,
            manifest_digest: record.manifest,
            index_digest: record.index,
            config: record.config,
            layers,
            size: record.size,
            names,
            platform: record.platform,
            created: record.created,
        }
    }

    /// Reads a file such as `etc/passwd` without mounting the image. Whiteouts count, links are
    /// followed within the image only. `None` if it is not there.
    pub fn read_file(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, ReadFileError> {
        let clean = EntryPath::clean(path.as_bytes())
            .map_err(|rule| ReadFileError::Path { path: path.to_owned(), rule })?;
        let system = |source| ReadFileError::System { path: path.to_owned(), source };
        let view = View::new(self.layers.clone());
        let (real, at) = match view.resolve(&clean).map_err(system)? {
            None => return Ok(None),
            Some(Node::Directory { .. }) => {
                return Err(ReadFileError::NotAFile { path: path.to_owned() });
            }
            Some(Node::Leaf { path, at }) => (path, at),
        };
        if !FileType::from_raw_mode(at.stat.st_mode).is_file() {
            return Err(ReadFileError::NotAFile { path: path.to_owned() });
        }
        let size = u64::try_from(at.stat.st_size).unwrap_or(u64::MAX);
        if size > max {
            return Err(ReadFileError::TooLarge { path: path.to_owned(), size, max });
        }
        let file = view.open(&real, at.layer, OFlags::RDONLY | OFlags::NONBLOCK);
        let mut bytes = Vec::new();
        file.and_then(|file| file.take(max).read_to_end(&mut bytes)).map_err(system)?;
        Ok(Some(bytes))
    }
}

impl Store {
    /// The image with this name, or none. Reads one small file; waits for nobody. (After a crash
    /// of the machine the image is first checked and unpacked again from what is on disk, or
    /// counts as absent.) A digest in the reference decides, whatever the tag says.
    pub fn find(&self, reference: &Reference) -> Result<Option<Image>, StoreError> {
        let name = lookup_name(reference);
        let path = self.places.name(&name);
        let record: Option<ImageRecord> =
            record::read(&path).map_err(StoreError::system("read", &path))?;
        match record {
            None => Ok(None),
            Some(record) if record.written.is_complete(&self.now) => {
                Ok(Some(Image::from_record(&self.places, record, vec![name])))
            }
            Some(record) => self.revive(&record, vec![name]),
        }
    }

    /// The digest of the manifest that has this name, whether its image is complete or not.
    pub fn manifest_of(&self, reference: &Reference) -> Result<Option<Digest>, StoreError> {
        let path = self.places.name(&lookup_name(reference));
        let record: Option<ImageRecord> =
            record::read(&path).map_err(StoreError::system("read", &path))?;
        Ok(record.map(|record| record.manifest))
    }

    /// Every image, by name; those without a name come last.
    pub fn list(&self) -> Result<Vec<ImageSummary>, StoreError> {
        let index = index::read(&self.places)?;
        let mut names: BTreeMap<&Digest, Vec<String>> = BTreeMap::new();
        for entry in index.entries() {
            names.entry(&entry.digest).or_default().extend(entry.name().map(str::to_owned));
        }
        let mut images = Vec::new();
        for record in self.records()? {
            let mut names = names.remove(&record.manifest).unwrap_or_default();
            names.sort();
            images.push(self.summary(record, names)?);
        }
        images.sort_by(|a, b| {
            let key = |image: &ImageSummary| (image.names.is_empty(), image.names.clone());
            key(a).cmp(&key(b)).then_with(|| a.manifest_digest.cmp(&b.manifest_digest))
        });
        Ok(images)
    }

    /// The records of all images.
    pub(super) fn records(&self) -> Result<Vec<ImageRecord>, StoreError> {
        let mut records = Vec::new();
        for path in entries(&self.places.images())? {
            records.extend(record::read(&path).map_err(StoreError::system("read", &path))?);
        }
        Ok(records)
    }

    /// Bytes of what lies among the records of images and is none.
    pub(super) fn bytes_of_strays(&self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        for path in entries(&self.places.images())? {
            let record: Option<ImageRecord> =
                record::read(&path).map_err(StoreError::system("read", &path))?;
            if record.is_none() {
                bytes += bytes_below(&path);
            }
        }
        Ok(bytes)
    }

    fn summary(&self, record: ImageRecord, names: Vec<String>) -> Result<ImageSummary, StoreError> {
        let mut unpacked = 0;
        for layer in &record.layers {
            unpacked += self.layer_bytes(layer)?;
        }
        Ok(ImageSummary {
            id: record.id,
            manifest_digest: record.manifest,
            index_digest: record.index,
            names,
            size: record.size,
            unpacked,
            platform: record.platform,
            created: record.created,
        })
    }

    /// Bytes of the files in an unpacked layer.
    pub(super) fn layer_bytes(&self, layer: &Digest) -> Result<u64, StoreError> {
        let path = self.places.layer(layer).join("meta.json");
        let record: Option<LayerRecord> =
            record::read(&path).map_err(StoreError::system("read", &path))?;
        Ok(record.map_or(0, |record| record.bytes))
    }
}

/// The paths in a directory of the store.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
    };
    list().map_err(StoreError::system("list", directory))
}

/// Bytes of a file, or of all files in a directory, as far as they can be seen.
pub(super) fn bytes_below(path: &Path) -> u64 {
    let mut pending = vec![path.to_owned()];
    let mut bytes = 0;
    while let Some(path) = pending.pop() {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                let children = fs::read_dir(&path).into_iter().flatten().flatten();
                pending.extend(children.map(|entry| entry.path()));
            }
            Ok(metadata) => bytes += metadata.len(),
            Err(_) => {} // gone meanwhile
        }
    }
    bytes
}

/// The name under which an image is kept: by digest if there is one, else by tag.
pub(crate) fn lookup_name(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => reference.with_digest(digest.clone()).to_string(),
        None => reference.to_string(),
    }
}
