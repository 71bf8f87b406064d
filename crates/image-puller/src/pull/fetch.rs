//! The documents of an image: from the store where they are there, else from the registry.

use crate::image_manifest::{
    Candidate, Configuration as ImageDocument, Descriptor, Document, Manifest,
};
use crate::registry::{Client, RegistryError};
use crate::store::{
    BlobSource, Documents, Ingest, IngestOptions, LayerError, Nowhere, lookup_name,
};
use crate::{Digest, Image, ImageError, Platform, ProgressSink, Reference};

use super::{PullError, Pulled, Puller};

/// The documents of an image.
pub(super) struct Fetched {
    manifest: Manifest,
    config_bytes: Vec<u8>,
    index_bytes: Option<Vec<u8>>,
}

/// A document and the media type that it came with.
type Typed = (Vec<u8>, Option<String>);

/// Where the documents of an image are.
struct Shelf<'a> {
    /// A manifest or an index.
    manifest: &'a dyn Fn(&Digest) -> Result<Typed, PullError>,
    /// A configuration.
    configuration: &'a dyn Fn(&Descriptor) -> Result<Vec<u8>, PullError>,
}

impl Puller {
    /// The image in the store, if the registry says that the tag still stands for it: one
    /// request, which registries do not count as a pull.
    pub(super) fn unchanged(
        &self,
        client: &Client<'_>,
        reference: &Reference,
    ) -> Result<Option<Image>, PullError> {
        let (None, Some(tag)) = (reference.digest(), reference.tag()) else { return Ok(None) };
        let Some(image) = self.find(reference)?.filter(|image| self.is_for_platform(image)) else {
            return Ok(None);
        };
        match client.digest_of(tag) {
            Ok(Some(digest)) => {
                let is_same =
                    image.manifest_digest == digest || image.index_digest.as_ref() == Some(&digest);
                Ok(is_same.then_some(image))
            }
            // Some registries know no HEAD.
            Err(RegistryError::Status { status: 400..=405 | 501, .. }) | Ok(None) => Ok(None),
            Err(source) => Err(PullError::Registry { reference: reference.to_string(), source }),
        }
    }

    /// An image that is asked for by digest and is here needs no registry, whichever name
    /// brought it here.
    pub(super) fn pull_from_store(
        &self,
        reference: &Reference,
        progress: &dyn ProgressSink,
    ) -> Result<Option<Pulled>, PullError> {
        let Some(wanted) = reference.digest() else { return Ok(None) };
        if let Some(image) = self.find(reference)?.filter(|image| self.is_for_platform(image)) {
            return Ok(Some(Pulled { image, reference: reference.clone(), bytes: 0 }));
        }
        let Some(bytes) = self.store.document(wanted) else { return Ok(None) };
        let missing = || LayerError::Cancelled { layer: wanted.clone() };
        let missing =
            || PullError::Layer { reference: reference.to_string(), source: Box::new(missing()) };
        let shelf = Shelf {
            manifest: &|digest| {
                self.store.document(digest).map(|bytes| (bytes, None)).ok_or_else(missing)
            },
            configuration: &|config| self.known_configuration(config).ok_or_else(missing),
        };
        let fetched = self.documents(reference, (bytes, None), &shelf);
        let pulled =
            fetched.and_then(|fetched| self.ingest(&Nowhere, reference, &fetched, progress));
        Ok(pulled.ok()) // what is not all here is pulled
    }

    fn find(&self, reference: &Reference) -> Result<Option<Image>, PullError> {
        self.store
            .find(reference)
            .map_err(|source| PullError::Store { reference: reference.to_string(), source })
    }

    fn platform(&self) -> Platform {
        self.options.platform.clone().unwrap_or_else(Platform::host)
    }

    fn is_for_platform(&self, image: &Image) -> bool {
        Platform::parse(&image.platform).is_ok_and(|found| self.platform().covers(&found))
    }

    /// Asks a registry for the image's documents, as far as they are not here.
    pub(super) fn fetch(
        &self,
        client: &Client<'_>,
        reference: &Reference,
    ) -> Result<Fetched, PullError> {
        let registry = |source| PullError::Registry { reference: reference.to_string(), source };
        let asked = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let answer = client.manifest(&asked).map_err(registry)?;
        if let Some(wanted) = reference.digest() {
            require(reference, wanted, &answer.bytes)?;
        }
        let shelf = Shelf {
            manifest: &|digest| {
                if let Some(bytes) = self.store.document(digest) {
                    return Ok((bytes, None));
                }
                let answer = client.manifest(&digest.to_string()).map_err(registry)?;
                Ok((answer.bytes, answer.media_type))
            },
            configuration: &|config| {
                if let Some(bytes) = self.known_configuration(config) {
                    return Ok(bytes);
                }
                let bytes = client.document(config).map_err(registry)?;
                require(reference, &config.digest, &bytes)?;
                Ok(bytes)
            },
        };
        self.documents(reference, (answer.bytes, answer.media_type), &shelf)
    }

    fn known_configuration(&self, config: &Descriptor) -> Option<Vec<u8>> {
        self.store.document(&config.digest).filter(|bytes| bytes.len() as u64 == config.size)
    }

    /// Follows an index to the manifest for this platform, and that to the configuration.
    fn documents(
        &self,
        reference: &Reference,
        (bytes, media_type): Typed,
        shelf: &Shelf<'_>,
    ) -> Result<Fetched, PullError> {
        let image = |source| PullError::Image { reference: reference.to_string(), source };
        let platform = self.platform();
        let parsed = Document::parse(&bytes, media_type.as_deref(), &platform).map_err(image)?;
        match parsed {
            Document::Manifest(manifest) => {
                let config_bytes = (shelf.configuration)(&manifest.config)?;
                Ok(Fetched { manifest, config_bytes, index_bytes: None })
            }
            Document::Index { candidates } => {
                let (manifest, config_bytes) = self.choose(reference, &candidates, shelf)?;
                Ok(Fetched { manifest, config_bytes, index_bytes: Some(bytes) })
            }
        }
    }

    /// The one of several manifests that is for this platform. Where the index does not say it,
    /// the configurations do; a single one is taken as it is.
    fn choose(
        &self,
        reference: &Reference,
        candidates: &[Candidate],
        shelf: &Shelf<'_>,
    ) -> Result<(Manifest, Vec<u8>), PullError> {
        let image = |source| PullError::Image { reference: reference.to_string(), source };
        let platform = self.platform();
        let mut offered = Vec::new();
        for candidate in candidates {
            let is_open = candidate.is_unknown && candidates.len() > 1;
            let (bytes, media_type) = (shelf.manifest)(&candidate.digest)?;
            require(reference, &candidate.digest, &bytes)?;
            let manifest = match Document::parse(&bytes, media_type.as_deref(), &platform) {
                Ok(Document::Manifest(manifest)) => manifest,
                Ok(Document::Index { .. }) => return Err(image(ImageError::Ambiguous)),
                Err(ImageError::NotALayer { .. }) if is_open => continue, // a signature, say
                Err(error) => return Err(image(error)),
            };
            let config_bytes = (shelf.configuration)(&manifest.config)?;
            let layers = manifest.layers.len();
            let found = ImageDocument::parse(&config_bytes, layers).map_err(image)?.platform();
            if !is_open || platform.runs(&found) {
                return Ok((manifest, config_bytes));
            }
            offered.push(found);
        }
        let (wanted, offered) = (platform.to_string(), Platform::names(offered.into_iter()));
        Err(image(ImageError::NoPlatform { wanted, offered }))
    }

    pub(super) fn ingest(
        &self,
        source: &dyn BlobSource,
        reference: &Reference,
        fetched: &Fetched,
        progress: &dyn ProgressSink,
    ) -> Result<Pulled, PullError> {
        let name = || reference.to_string();
        let store = |source| PullError::Store { reference: name(), source };
        let image = |source| PullError::Image { reference: name(), source };
        let _lock = self.store.share().map_err(store)?;
        let layers = fetched.manifest.layers.len();
        let configuration = ImageDocument::parse(&fetched.config_bytes, layers).map_err(image)?;
        self.check_platform(&configuration).map_err(image)?;
        let options = IngestOptions { limits: self.options.limits, ..IngestOptions::default() };
        let ingest = Ingest { store: &self.store, source, sink: progress, options };
        let documents = Documents {
            manifest: &fetched.manifest,
            configuration: &configuration,
            config_bytes: &fetched.config_bytes,
            index_bytes: fetched.index_bytes.as_deref(),
        };
        let ingested = ingest
            .run(&documents)
            .map_err(|source| PullError::Layer { reference: name(), source: Box::new(source) })?;
        let names = vec![lookup_name(reference)];
        self.store.add_names(&ingested.record, &names).map_err(store)?;
        let (bytes, reference) = (ingested.bytes, reference.clone());
        Ok(Pulled { image: self.store.image(ingested.record, names), reference, bytes })
    }

    /// An image without an index is for the platform that it says; who asks for another one gets
    /// an error.
    fn check_platform(&self, configuration: &ImageDocument) -> Result<(), ImageError> {
        let Some(wanted) = &self.options.platform else { return Ok(()) };
        let found = configuration.platform();
        if wanted.same_machine(&found) {
            return Ok(());
        }
        Err(ImageError::NoPlatform { wanted: wanted.to_string(), offered: found.to_string() })
    }
}

fn require(reference: &Reference, wanted: &Digest, bytes: &[u8]) -> Result<(), PullError> {
    let found = Digest::of(bytes);
    if found == *wanted {
        return Ok(());
    }
    let reference = reference.to_string();
    Err(PullError::WrongDigest { reference, wanted: wanted.clone(), found })
}
