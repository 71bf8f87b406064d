//! Cleaning up: what no name and no caller needs any more goes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::digest::Digest;
use crate::reference::Reference;

use super::find::{bytes_below, entries};
use super::lock::Lock;
use super::record::{self, ImageRecord};
use super::{Store, StoreError, index, lookup_name};

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names that were taken away.
    pub names: Vec<String>,
    /// Manifest digests of images that are gone.
    pub images: Vec<Digest>,
    /// Number of unpacked layers that are gone.
    pub layers: u64,
    /// Bytes that were freed: blobs, and the files of unpacked layers.
    pub bytes: u64,
}

/// Which images go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwanted {
    /// Those without a name.
    Nameless,
    /// All.
    All,
    /// This one (the digest of its manifest), if it has no name.
    This(Digest),
}

/// A store that nothing is added to. Who cleans up finds out now which images are used: one that
/// was pulled a moment ago may not be pinned yet.
#[derive(Debug)]
pub struct Closed<'a> {
    store: &'a Store,
    _lock: Lock,
}

/// Digests that must stay.
#[derive(Default)]
struct Live {
    layers: BTreeSet<String>,
    blobs: BTreeSet<String>,
}

impl Store {
    /// Takes a name away and answers which image had it. The image's files stay until somebody
    /// cleans up.
    pub fn remove(&self, reference: &Reference) -> Result<Digest, StoreError> {
        let name = lookup_name(reference);
        let _lock = self.hold()?;
        self.remove_name(&name)?.ok_or_else(|| StoreError::NotFound { name: reference.familiar() })
    }

    /// Keeps everybody from adding to the store, after the pulls under way have ended.
    pub fn close(&self) -> Result<Closed<'_>, StoreError> {
        let path = self.places.lock("store");
        let lock = Lock::exclusive(&path).map_err(StoreError::system("lock", &path))?;
        Ok(Closed { store: self, _lock: lock })
    }

    /// Closes the store and cleans up.
    pub fn prune(&self, unwanted: &Unwanted, in_use: &[Digest]) -> Result<Pruned, StoreError> {
        self.close()?.prune(unwanted, in_use)
    }

    /// What must stay. Records of images that nobody needs go on the way, with their names.
    fn live(
        &self,
        (unwanted, in_use): (&Unwanted, &[Digest]),
        pruned: &mut Pruned,
    ) -> Result<Live, StoreError> {
        let index = index::read(&self.places)?;
        let mut live = Live::default();
        for path in entries(&self.places.images())? {
            let record: Option<ImageRecord> =
                record::read(&path).map_err(StoreError::system("read", &path))?;
            let Some(record) = record else {
                pruned.bytes += bytes_below(&path);
                self.discard(&path)?;
                continue;
            };
            let is_its = |entry: &&index::IndexEntry| entry.digest == record.manifest;
            let names: Vec<&str> =
                index.entries().iter().filter(is_its).filter_map(|entry| entry.name()).collect();
            let may_go = match unwanted {
                Unwanted::All => true,
                Unwanted::Nameless => names.is_empty(),
                Unwanted::This(digest) => names.is_empty() && record.manifest == *digest,
            };
            let is_wanted = !may_go || record.is_one_of(in_use);
            let unpinned = if is_wanted { None } else { self.unpinned(&record.manifest)? };
            let Some(_unpinned) = unpinned else {
                live.add(&record);
                continue;
            };
            // First what leads to the image, so that nobody finds half of it.
            for name in names {
                self.remove_name(name)?;
                pruned.names.push(name.to_owned());
            }
            self.discard(&path)?;
            let pin = self.places.pin(&record.manifest);
            fs::remove_file(&pin).map_err(StoreError::system("remove", &pin))?;
            pruned.images.push(record.manifest);
        }
        Ok(live)
    }

    fn remove_name(&self, name: &str) -> Result<Option<Digest>, StoreError> {
        let removed = index::change(&self.places, |index| index.remove(name))?;
        let path = self.places.name(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::system("remove", &path)(error))
            }
            _ => Ok(removed),
        }
    }

    fn discard(&self, path: &Path) -> Result<(), StoreError> {
        self.places.discard(path).map_err(StoreError::system("remove", path))
    }
}

impl Closed<'_> {
    /// Removes unwanted images that are not in `in_use` (digests of manifests, indexes or
    /// configurations) and not pinned, with the layers and blobs that nobody else needs.
    pub fn prune(&self, unwanted: &Unwanted, in_use: &[Digest]) -> Result<Pruned, StoreError> {
        let Self { store, .. } = self;
        let mut pruned = Pruned::default();
        let live = store.live((unwanted, in_use), &mut pruned)?;
        for entry in entries(&store.places.layers())? {
            if !live.layers.contains(&file_name(&entry)) {
                pruned.layers += 1;
                let id = Digest::parse(&format!("sha256:{}", file_name(&entry)));
                pruned.bytes += id.map_or(Ok(0), |id| store.layer_bytes(&id))?;
                store.discard(&entry)?;
            }
        }
        for entry in entries(&store.places.blobs())? {
            if !live.blobs.contains(&file_name(&entry)) {
                pruned.bytes += bytes_below(&entry);
                store.discard(&entry)?;
            }
        }
        for entry in entries(&store.places.names())? {
            if !entry.exists() {
                fs::remove_file(&entry).map_err(StoreError::system("remove", &entry))?;
            }
        }
        for entry in entries(&store.places.locks())? {
            if file_name(&entry).len() == 64 {
                fs::remove_file(&entry).map_err(StoreError::system("remove", &entry))?;
            }
        }
        let tmp = store.places.tmp();
        store.places.empty_aside().map_err(StoreError::system("clean", &tmp))?;
        Ok(pruned)
    }
}

impl ImageRecord {
    fn is_one_of(&self, digests: &[Digest]) -> bool {
        [&self.manifest, &self.id].into_iter().chain(&self.index).any(|one| digests.contains(one))
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
