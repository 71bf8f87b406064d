//! From blobs to a stored image: every layer in one pass, several at a time, then the finishing
//! that needs them in order, then the names.

mod blob_reader;
mod fit;
pub(super) mod layer;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::image_manifest::{Configuration, Descriptor, Manifest};
use crate::layer::{Budget, Limits, UnpackError};
use crate::progress::{ProgressEvent, ProgressSink};

use super::index::{self, IndexEntry};
use super::layer_directory::usable;
use super::record::ImageRecord;
use super::{Image, Store, StoreError, system_hint};
use layer::Prepared;

/// Why a layer does not become part of an image.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The archive cannot be unpacked.
    #[error("cannot unpack layer {layer}")]
    Unpack {
        /// The layer blob's digest.
        layer: Digest,
        /// The entry and the rule.
        source: UnpackError,
    },
    /// The bytes are not the ones that the manifest names.
    #[error("layer {layer} has other content than its digest says (found {found})")]
    Digest {
        /// What was asked for.
        layer: Digest,
        /// What came.
        found: Digest,
    },
    /// More or fewer bytes than the manifest says.
    #[error("layer {layer} has {found} bytes instead of {expected}")]
    Size {
        /// The layer blob's digest.
        layer: Digest,
        /// From the manifest.
        expected: u64,
        /// What came; at least so many if it was too long.
        found: u64,
    },
    /// The uncompressed bytes are not the ones that the configuration names.
    #[error("layer {layer} unpacks to {found}, the image's configuration says {expected}")]
    DiffId {
        /// The layer blob's digest.
        layer: Digest,
        /// From the configuration.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The blob cannot be read, for example because the registry does not answer.
    #[error("cannot read layer {layer}")]
    Source {
        /// The layer blob's digest.
        layer: Digest,
        /// What the source said.
        source: io::Error,
    },
    /// Another layer failed first.
    #[error("layer {layer} was given up")]
    Cancelled {
        /// The layer blob's digest.
        layer: Digest,
    },
    /// The store failed.
    #[error("cannot store layer {layer}")]
    Store {
        /// The layer blob's digest.
        layer: Digest,
        /// What failed.
        source: StoreError,
    },
}

impl LayerError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store { source, .. } => source.hint(),
            Self::Unpack { source: UnpackError::System { source, .. }, .. } => system_hint(source),
            _ => None,
        }
    }
}

/// Where blobs come from: a registry, an archive, the store itself.
pub(crate) trait BlobSource: Sync {
    /// Opens a blob from its start. Its bytes need not be the right ones.
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + '_>>;

    /// Nobody needs the blobs any more: whoever waits for one may stop.
    fn give_up(&self) {}
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct IngestOptions {
    pub(crate) workers: usize,
    pub(crate) limits: Limits,
}

impl Default for IngestOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { workers: cores.clamp(2, 8), limits: Limits::default() }
    }
}

/// An image on its way into the store.
pub(crate) struct Ingest<'a> {
    pub(crate) store: &'a Store,
    pub(crate) source: &'a dyn BlobSource,
    pub(crate) sink: &'a dyn ProgressSink,
    pub(crate) options: IngestOptions,
}

/// The documents of an image, checked, and the names that it shall have.
#[derive(Debug)]
pub(crate) struct Documents<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) configuration: &'a Configuration,
    pub(crate) config_bytes: &'a [u8],
    /// The index that led to the manifest, kept to know where it came from.
    pub(crate) index_bytes: Option<&'a [u8]>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ingested {
    pub(crate) record: ImageRecord,
    /// Compressed bytes read from the source.
    pub(crate) bytes: u64,
}

/// What the threads of one ingest share.
struct Shared {
    stop: AtomicBool,
    fetched: AtomicU64,
    queue: Mutex<VecDeque<usize>>,
    /// Bytes that the layers may still unpack to.
    budget: Budget,
}

impl Ingest<'_> {
    /// Brings all layers into the store and writes the image's record. The names are not
    /// changed. The caller holds the store lock.
    pub(crate) fn run(&self, documents: &Documents<'_>) -> Result<Ingested, LayerError> {
        let layers = layer::plan(documents.manifest, documents.configuration);
        self.announce(documents, &layers)?;
        let shared = Shared {
            stop: AtomicBool::new(false),
            fetched: AtomicU64::new(0),
            queue: Mutex::new(layer::largest_first(&layers)),
            budget: Budget::new(self.options.limits.image_bytes),
        };
        let prepared = self.prepare_all(&layers, &shared)?;
        let mut placed: Vec<Digest> = Vec::new();
        for (plan, prepared) in layers.iter().zip(prepared) {
            let below: Vec<PathBuf> =
                placed.iter().map(|id| self.store.places.layer(id).join("fs")).collect();
            placed.push(self.place(plan, prepared, below)?);
        }
        let record = self.record(documents, without_repetitions(placed)).map_err(|source| {
            LayerError::Store { layer: documents.manifest.config.digest.clone(), source }
        })?;
        Ok(Ingested { record, bytes: shared.fetched.load(Ordering::Relaxed) })
    }

    fn announce(
        &self,
        documents: &Documents<'_>,
        layers: &[layer::LayerPlan],
    ) -> Result<(), LayerError> {
        let mut bytes = 0;
        for plan in layers {
            let present = usable(
                &self.store.places,
                (&plan.diff_id, &plan.chain_id),
                &plan.blob.digest,
                &self.store.now,
            );
            let path = self.store.places.layers();
            let present = present.map_err(StoreError::system("read", &path));
            let present = present.map_err(|source| plan.store_error(source))?;
            if present.is_none() && !self.store.places.blob(&plan.blob.digest).exists() {
                bytes += plan.blob.size;
            }
        }
        self.sink.report(ProgressEvent::Resolved {
            manifest: documents.manifest.digest.clone(),
            layers: layers.len(),
            bytes,
        });
        Ok(())
    }

    /// Works through the layers with a few threads. The first failure ends the others.
    fn prepare_all(
        &self,
        layers: &[layer::LayerPlan],
        shared: &Shared,
    ) -> Result<Vec<Prepared>, LayerError> {
        let results: Mutex<Vec<Option<Result<Prepared, LayerError>>>> =
            Mutex::new(layers.iter().map(|_| None).collect());
        // A function of its own, or else the lock would be held for as long as the work takes.
        let next = || lock(&shared.queue).pop_front();
        let work = || {
            while let Some(index) = next() {
                let result = if shared.stop.load(Ordering::Relaxed) {
                    Err(LayerError::Cancelled { layer: layers[index].blob.digest.clone() })
                } else {
                    self.prepare(&layers[index], shared)
                };
                if result.is_err() {
                    shared.stop.store(true, Ordering::Relaxed);
                    self.source.give_up();
                }
                lock(&results)[index] = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.options.workers.min(layers.len()) {
                scope.spawn(work);
            }
            work();
        });
        let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        first_cause(results.into_iter().flatten().collect())
    }

    fn record(
        &self,
        documents: &Documents<'_>,
        layers: Vec<Digest>,
    ) -> Result<ImageRecord, StoreError> {
        let manifest = documents.manifest;
        self.store.put_document(&manifest.bytes)?;
        self.store.put_document(documents.config_bytes)?;
        let index =
            documents.index_bytes.map(|bytes| self.store.put_document(bytes)).transpose()?;
        let document = &documents.configuration.document;
        let record = ImageRecord {
            written: self.store.now.clone(),
            id: manifest.config.digest.clone(),
            manifest: manifest.digest.clone(),
            media_type: manifest.media_type.clone(),
            manifest_size: manifest.bytes.len() as u64,
            index,
            platform: documents.configuration.platform().to_string(),
            created: document.created.clone(),
            size: manifest.layers.iter().map(|layer| layer.size).sum(),
            config: ImageConfig::from_document(document),
            layers,
            blobs: manifest.layers.iter().map(|layer| layer.digest.clone()).collect(),
        };
        self.store.write_record(&record)?;
        Ok(record)
    }
}

impl Store {
    /// Stores a small document under its digest.
    pub(crate) fn put_document(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.places.blob(&digest);
        // Written anew even if it is there: after a crash it may be empty.
        self.places.replace(&path, bytes).map_err(StoreError::system("write", &path))?;
        Ok(digest)
    }

    pub(crate) fn write_record(&self, record: &ImageRecord) -> Result<(), StoreError> {
        let path = self.places.image(&record.manifest);
        let bytes = serde_json::to_vec(record)
            .map_err(|source| StoreError::Corrupt { path: path.clone(), source })?;
        self.places.replace(&path, &bytes).map_err(StoreError::system("write", &path))
    }

    /// Gives names to an image that is in the store: in the index for everybody, and as links
    /// for a quick `find`.
    pub(crate) fn add_names(
        &self,
        record: &ImageRecord,
        names: &[String],
    ) -> Result<(), StoreError> {
        index::change(&self.places, |index| {
            for name in names {
                let digest = record.manifest.clone();
                index.set(IndexEntry::new(&record.media_type, digest, record.manifest_size, name));
            }
        })?;
        for name in names {
            let (path, aside) = (self.places.name(name), self.places.fresh());
            let target = format!("../images/{}.json", record.manifest.hex());
            std::os::unix::fs::symlink(target, &aside)
                .and_then(|()| std::fs::rename(&aside, &path))
                .map_err(StoreError::system("write", &path))?;
        }
        Ok(())
    }

    pub(crate) fn image(&self, record: ImageRecord, names: Vec<String>) -> Image {
        Image::from_record(&self.places, record, names)
    }
}

/// An image may list a layer twice, for example an empty one; overlayfs stacks a directory once.
/// A layer that is the same wherever it lies hides nothing by name, so all that the lower one has
/// is seen in the upper one.
fn without_repetitions(layers: Vec<Digest>) -> Vec<Digest> {
    let is_last = |(index, id): &(usize, &Digest)| !layers[index + 1..].contains(id);
    layers.iter().enumerate().filter(is_last).map(|(_, id)| id.clone()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// All results, or the failure that made the others give up.
fn first_cause(results: Vec<Result<Prepared, LayerError>>) -> Result<Vec<Prepared>, LayerError> {
    let mut prepared = Vec::new();
    let mut failure = None;
    for result in results {
        match result {
            Ok(layer) => prepared.push(layer),
            Err(LayerError::Cancelled { layer }) if failure.is_none() => {
                failure = Some(LayerError::Cancelled { layer });
            }
            Err(LayerError::Cancelled { .. }) => {}
            Err(error) => match failure {
                None | Some(LayerError::Cancelled { .. }) => failure = Some(error),
                Some(_) => {}
            },
        }
    }
    failure.map_or(Ok(prepared), Err)
}
