//! After a restart of the machine: what was written before and not forced to disk is checked
//! against its digests and unpacked again.

use std::fs;
use std::io::{self, Read};

use crate::image_manifest::{Configuration, Descriptor, Document, ImageError, Manifest};
use crate::platform::Platform;

use super::ingest::Documents;
use super::ingest::layer::open_regular;
use super::layer_directory::write_record;
use super::record::{ImageRecord, LayerRecord, Written};
use super::{BlobSource, Image, Ingest, IngestOptions, Places, Store, StoreError, record};

/// No source at all: what is not in the store is missing.
pub(crate) struct Nowhere;

impl BlobSource for Nowhere {
    fn open(&self, _: &Descriptor) -> io::Result<Box<dyn Read + '_>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

impl Store {
    /// Makes an image from an earlier boot usable again; none if its blobs did not survive.
    pub(super) fn revive(
        &self,
        stale: &ImageRecord,
        names: Vec<String>,
    ) -> Result<Option<Image>, StoreError> {
        let _lock = self.share()?;
        let Some((manifest, config_bytes)) = stored_documents(&self.places, stale) else {
            return Ok(None);
        };
        let Ok(configuration) = Configuration::parse(&config_bytes, manifest.layers.len()) else {
            return Ok(None);
        };
        let index_bytes = stale.index.as_ref().and_then(|d| fs::read(self.places.blob(d)).ok());
        let ingest =
            Ingest { store: self, source: &Nowhere, sink: &(), options: IngestOptions::default() };
        let documents = Documents {
            manifest: &manifest,
            configuration: &configuration,
            config_bytes: &config_bytes,
            index_bytes: index_bytes.as_deref(),
        };
        match ingest.run(&documents) {
            Ok(ingested) => Ok(Some(self.image(ingested.record, names))),
            Err(_) => Ok(None), // gone, as far as the caller is concerned: it has to be pulled
        }
    }

    /// Waits until everything that is in the store has reached the disk and notes that, so that
    /// a later boot need not check it again. Meant for after a pull, in the background.
    pub fn make_durable(&self) -> Result<(), StoreError> {
        let _lock = self.hold()?;
        let root = self.places.root();
        let sync = || -> io::Result<()> {
            let directory = fs::File::open(root)?;
            rustix::fs::syncfs(&directory)?;
            for entry in fs::read_dir(self.places.layers())? {
                let layer = entry?.path();
                let Some(mut known) = record::read::<LayerRecord>(&layer.join("meta.json"))? else {
                    continue;
                };
                if known.written == self.now {
                    known.written = Written::Durably;
                    write_record(&self.places, &layer, &known)?;
                }
            }
            for entry in fs::read_dir(self.places.images())? {
                let path = entry?.path();
                let Some(mut known) = record::read::<ImageRecord>(&path)? else { continue };
                if known.written == self.now {
                    known.written = Written::Durably;
                    self.places.replace(&path, &serde_json::to_vec(&known)?)?;
                }
            }
            rustix::fs::syncfs(&directory)?;
            Ok(())
        };
        sync().map_err(StoreError::system("write to disk", root))
    }
}

/// The manifest and the configuration, if both are still what their digests say.
pub(crate) fn stored_documents(
    places: &Places,
    record: &ImageRecord,
) -> Option<(Manifest, Vec<u8>)> {
    let bytes = read_document(places, &record.manifest)?;
    let parsed = Document::parse(&bytes, Some(&record.media_type), &Platform::host());
    let manifest: Result<Manifest, ImageError> = match parsed {
        Ok(Document::Manifest(manifest)) => Ok(manifest),
        Ok(Document::Index { .. }) => return None,
        Err(error) => Err(error),
    };
    let config = read_document(places, &record.id)?;
    Some((manifest.ok()?, config))
}

pub(super) fn read_document(places: &Places, digest: &crate::Digest) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open_regular(&places.blob(digest)).ok()?;
    file.take(crate::image_manifest::DOCUMENT_LIMIT + 1).read_to_end(&mut bytes).ok()?;
    (crate::Digest::of(&bytes) == *digest).then_some(bytes)
}
