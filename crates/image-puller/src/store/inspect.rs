//! All that is known of an image, and what the store takes of the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::digest::Digest;

use super::find::entries;
use super::{ImageSummary, Store, StoreError, index};

/// An image with its documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// What a listing shows of it.
    pub summary: ImageSummary,
    /// The media type of its manifest.
    pub media_type: String,
    /// Its configuration as it was built (OCI image-spec, config.md).
    pub configuration: Value,
    /// The directories of its layers, bottom to top.
    pub layers: Vec<PathBuf>,
}

/// An unpacked layer, and which images are made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerUsage {
    /// Bytes of its files and of its blob.
    pub bytes: u64,
    /// Manifest digests of the images.
    pub images: Vec<Digest>,
}

/// What the store takes of the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// All images.
    pub images: Vec<ImageSummary>,
    /// Every layer that an image has, with its blob.
    pub layers: Vec<LayerUsage>,
    /// Bytes of all that no image has: blobs, unpacked layers, damaged records.
    pub orphaned: u64,
}

impl Usage {
    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.orphaned + self.layers.iter().map(|layer| layer.bytes).sum::<u64>()
    }

    /// Bytes that go when these images stay and all others go.
    pub fn reclaimable(&self, staying: &[Digest]) -> u64 {
        let stays = |layer: &&LayerUsage| layer.images.iter().any(|one| staying.contains(one));
        let kept: u64 = self.layers.iter().filter(stays).map(|layer| layer.bytes).sum();
        self.total() - kept
    }

    /// Bytes that an image has for itself, and bytes that it shares with others.
    pub fn unique_and_shared(&self, image: &Digest) -> (u64, u64) {
        let own = self.layers.iter().filter(|layer| layer.images.contains(image));
        own.fold((0, 0), |(unique, shared), layer| match layer.images.len() {
            1 => (unique + layer.bytes, shared),
            _ => (unique, shared + layer.bytes),
        })
    }
}

impl Store {
    /// All that is known of the image with this manifest; none if it is gone.
    pub fn inspect(&self, manifest: &Digest) -> Result<Option<Inspection>, StoreError> {
        let found = self.list()?.into_iter().find(|image| image.manifest_digest == *manifest);
        let record = self.records()?.into_iter().find(|record| record.manifest == *manifest);
        let (Some(summary), Some(record)) = (found, record) else { return Ok(None) };
        let path = self.places.blob(&record.id);
        let bytes = fs::read(&path).map_err(StoreError::system("read", &path))?;
        let configuration = serde_json::from_slice(&bytes)
            .map_err(|source| StoreError::Corrupt { path, source })?;
        let layers = record.layers.iter().map(|id| self.places.layer(id).join("fs")).collect();
        Ok(Some(Inspection { summary, media_type: record.media_type, configuration, layers }))
    }

    /// What the store takes of the disk. Sizes of unpacked layers are those of their files.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let (mut layers, mut blobs) = (self.sizes_of_layers()?, self.sizes_of_blobs()?);
        let mut used: BTreeMap<(Option<String>, Option<String>), LayerUsage> = BTreeMap::new();
        for record in self.records()? {
            let documents = [&record.manifest, &record.id].into_iter().chain(&record.index);
            let documents = documents.map(|digest| (None, Some(digest)));
            let pairs = record.layers.iter().zip(&record.blobs);
            let pairs = pairs.map(|(layer, blob)| (Some(layer), Some(blob)));
            for (layer, blob) in pairs.chain(documents) {
                let name = |digest: Option<&Digest>| digest.map(|one| one.hex().to_owned());
                let key = (name(layer), name(blob));
                let usage = used.entry(key.clone()).or_insert_with(|| {
                    let take = |sizes: &mut BTreeMap<String, u64>, name: &Option<String>| {
                        name.as_ref().and_then(|name| sizes.remove(name)).unwrap_or(0)
                    };
                    let bytes = take(&mut layers, &key.0) + take(&mut blobs, &key.1);
                    LayerUsage { bytes, images: Vec::new() }
                });
                if !usage.images.contains(&record.manifest) {
                    usage.images.push(record.manifest.clone());
                }
            }
        }
        let orphaned: u64 = layers.values().chain(blobs.values()).sum();
        let orphaned = orphaned + self.bytes_of_strays()?;
        Ok(Usage { images: self.list()?, layers: used.into_values().collect(), orphaned })
    }

    fn sizes_of_layers(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut sizes = BTreeMap::new();
        for path in entries(&self.places.layers())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Ok(id) = Digest::parse(&format!("sha256:{name}")) {
                sizes.insert(name, self.layer_bytes(&id)?);
            }
        }
        Ok(sizes)
    }

    fn sizes_of_blobs(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let sizes = entries(&self.places.blobs())?.into_iter().map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::symlink_metadata(&path).map_or(0, |metadata| metadata.len()))
        });
        Ok(sizes.collect())
    }

    /// Whether somebody is adding to the store at this moment, so that who cleans up will wait.
    pub fn is_busy(&self) -> Result<bool, StoreError> {
        let path = self.places.lock("store");
        let taken = super::Lock::try_exclusive(&path).map_err(StoreError::system("lock", &path))?;
        Ok(taken.is_none())
    }

    /// The digests of images by name, as the index has them.
    pub fn names(&self) -> Result<BTreeMap<String, Digest>, StoreError> {
        let index = index::read(&self.places)?;
        let named = index.entries().iter();
        Ok(named.filter_map(|one| Some((one.name()?.to_owned(), one.digest.clone()))).collect())
    }
}
