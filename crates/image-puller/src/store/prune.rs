//! Cleaning up: what no name and no caller needs any more goes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;

use super::lock::Lock;
use super::record::{self, ImageRecord};
use super::{Store, StoreError, index};

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Manifest digests of images that are gone.
    pub images: Vec<Digest>,
    /// Number of unpacked layers that are gone.
    pub layers: u64,
    /// Bytes of blobs that are gone. (Unpacked layers are not measured.)
    pub bytes: u64,
}

/// Digests that must stay.
#[derive(Default)]
struct Live {
    layers: BTreeSet<String>,
    blobs: BTreeSet<String>,
}

impl Store {
    /// Removes every image that has no name and is not in `in_use` (manifest digests or ids),
    /// with the layers and blobs that nobody else needs. Waits for pulls under way.
    pub fn prune(&self, in_use: &[Digest]) -> Result<Pruned, StoreError> {
        let path = self.places.lock("store");
        let _lock = Lock::exclusive(&path).map_err(StoreError::system("lock", &path))?;
        let mut pruned = Pruned::default();
        let live = self.live(in_use, &mut pruned)?;
        for entry in Self::entries(self.places.layers())? {
            if !live.layers.contains(&file_name(&entry)) {
                pruned.layers += 1;
                self.discard(&entry)?;
            }
        }
        for entry in Self::entries(self.places.blobs())? {
            if !live.blobs.contains(&file_name(&entry)) {
                pruned.bytes += fs::symlink_metadata(&entry).map_or(0, |metadata| metadata.len());
                self.discard(&entry)?;
            }
        }
        for entry in Self::entries(self.places.names())? {
            if !entry.exists() {
                fs::remove_file(&entry).map_err(StoreError::system("remove", &entry))?;
            }
        }
        for entry in Self::entries(self.places.locks())? {
            if file_name(&entry).len() == 64 {
                fs::remove_file(&entry).map_err(StoreError::system("remove", &entry))?;
            }
        }
        let tmp = self.places.tmp();
        self.places.empty_aside().map_err(StoreError::system("clean", &tmp))?;
        Ok(pruned)
    }

    /// What must stay. Records of images that nobody needs go on the way.
    fn live(&self, in_use: &[Digest], pruned: &mut Pruned) -> Result<Live, StoreError> {
        let named: BTreeSet<Digest> =
            index::read(&self.places)?.entries().iter().map(|entry| entry.digest.clone()).collect();
        let mut live = Live::default();
        for path in Self::entries(self.places.images())? {
            let record: Option<ImageRecord> =
                record::read(&path).map_err(StoreError::system("read", &path))?;
            let Some(record) = record else {
                self.discard(&path)?;
                continue;
            };
            let used = |digest: &Digest| in_use.contains(digest);
            if named.contains(&record.manifest) || used(&record.manifest) || used(&record.id) {
                live.add(&record);
            } else {
                pruned.images.push(record.manifest);
                self.discard(&path)?;
            }
        }
        Ok(live)
    }

    fn entries(directory: PathBuf) -> Result<Vec<PathBuf>, StoreError> {
        let list = || -> io::Result<Vec<PathBuf>> {
            fs::read_dir(&directory)?.map(|entry| Ok(entry?.path())).collect()
        };
        list().map_err(|source| StoreError::System { action: "list", path: directory, source })
    }

    fn discard(&self, path: &Path) -> Result<(), StoreError> {
        self.places.discard(path).map_err(StoreError::system("remove", path))
    }
}

impl Live {
    fn add(&mut self, record: &ImageRecord) {
        self.layers.extend(record.layers.iter().map(|id| id.hex().to_owned()));
        let documents = [&record.manifest, &record.id].into_iter().chain(&record.index);
        self.blobs.extend(documents.chain(&record.blobs).map(|digest| digest.hex().to_owned()));
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
