//! A reference becomes an image in the store.

use std::error::Error as _;
use std::io::{self, Read};
use std::path::Path;

use thiserror::Error;

use crate::image_manifest::{Configuration as ImageDocument, Descriptor, Document, Manifest};
use crate::registry::configuration::Configuration;
use crate::registry::{Client, ConfigurationError, Expected, Patience, RegistryError, credentials};
use crate::store::StoreError;
use crate::store::lookup_name;
use crate::store::{BlobSource, Documents, Ingest, IngestOptions};
use crate::{
    Digest, Image, ImageError, LayerError, Limits, Platform, ProgressSink, Reference, Store,
};

/// Why an image was not pulled.
#[derive(Debug, Error)]
pub enum PullError {
    /// The registries' configuration.
    #[error("cannot pull {reference}")]
    Configuration {
        /// The image.
        reference: String,
        /// Why not.
        source: ConfigurationError,
    },
    /// The registry.
    #[error("cannot pull {reference}")]
    Registry {
        /// The image.
        reference: String,
        /// Why not.
        source: RegistryError,
    },
    /// What the registry sent is no image for this machine.
    #[error("{reference} is not an image that can be used here")]
    Image {
        /// The image.
        reference: String,
        /// Why not.
        source: ImageError,
    },
    /// What the registry sent is not what was asked for.
    #[error("{reference}: the registry sent {found} instead of {wanted}")]
    WrongDigest {
        /// The image.
        reference: String,
        /// The digest that was asked for.
        wanted: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// A layer.
    #[error("cannot unpack {reference}")]
    Layer {
        /// The image.
        reference: String,
        /// Why not.
        source: Box<LayerError>,
    },
    /// The store.
    #[error("cannot store {reference}")]
    Store {
        /// The image.
        reference: String,
        /// Why not.
        source: StoreError,
    },
}

impl PullError {
    /// Whether the registry does not answer at all.
    pub fn is_unreachable(&self) -> bool {
        let gone = |error: &RegistryError| {
            matches!(error, RegistryError::Unreachable { .. } | RegistryError::Silent { .. })
        };
        self.registry_error().is_some_and(gone)
    }

    /// What the registry did, also where it was while a layer was read.
    fn registry_error(&self) -> Option<&RegistryError> {
        match self {
            Self::Registry { source, .. } => Some(source),
            Self::Layer { source, .. } => {
                source.source()?.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
            }
            _ => None,
        }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry { source, .. } => source.hint(),
            Self::Layer { source, .. } => source.hint().or_else(|| self.registry_error()?.hint()),
            Self::Store { source, .. } => source.hint(),
            _ => None,
        }
    }
}

/// How images are pulled.
#[derive(Debug, Default)]
pub struct PullOptions {
    configuration: Configuration,
    /// Contents of `~/.docker/config.json` files that come before this machine's own.
    pub docker_configs: Vec<String>,
    /// The platform to pull for; this machine's when absent.
    pub platform: Option<Platform>,
    /// What is put up with from registries.
    pub patience: Patience,
    /// What a layer may cost.
    pub limits: Limits,
}

impl PullOptions {
    /// The options that a registries.conf(5) gives.
    pub fn from_file(registries_conf: &Path) -> Result<Self, ConfigurationError> {
        let configuration = Configuration::read(registries_conf)?.unwrap_or_default();
        Ok(Self { configuration, ..Self::default() })
    }

    /// The options that the configuration files of this machine give.
    pub fn from_environment() -> Result<Self, ConfigurationError> {
        Ok(Self { configuration: Configuration::load()?, ..Self::default() })
    }
}

/// What came of a pull.
#[derive(Debug)]
pub struct Pulled {
    /// The image.
    pub image: Image,
    /// Compressed bytes that were fetched.
    pub bytes: u64,
}

/// Pulls images into a store.
#[derive(Debug)]
pub struct Puller {
    store: Store,
    options: PullOptions,
}

/// The documents of an image, as fetched.
struct Fetched {
    manifest: Manifest,
    config_bytes: Vec<u8>,
    index_bytes: Option<Vec<u8>>,
}

impl Puller {
    /// A puller for that store.
    pub fn new(store: Store, options: PullOptions) -> Self {
        Self { store, options }
    }

    /// Pulls an image: from the first place of its registry that answers.
    pub fn pull(
        &self,
        reference: &Reference,
        progress: &dyn ProgressSink,
    ) -> Result<Pulled, PullError> {
        let name = reference.to_string();
        let endpoints = self
            .options
            .configuration
            .endpoints(reference)
            .map_err(|source| PullError::Configuration { reference: name.clone(), source })?;
        let credentials = credentials::find(reference.registry(), &self.options.docker_configs);
        let mut last = None;
        let count = endpoints.len();
        for (number, endpoint) in endpoints.into_iter().enumerate() {
            let expected = if number + 1 == count { Expected::Here } else { Expected::Elsewhere };
            let patience = self.options.patience;
            let client = Client::new((endpoint, expected), credentials.clone(), patience, progress)
                .map_err(|source| PullError::Registry { reference: name.clone(), source })?;
            let pulled = self
                .fetch(&client, reference)
                .and_then(|fetched| self.ingest(&client, reference, &fetched, progress));
            match pulled {
                Err(error) if tries_next(&error) => last = Some(error),
                result => return result,
            }
        }
        Err(last.unwrap_or_else(|| PullError::Configuration {
            source: ConfigurationError::Blocked { registry: reference.registry().to_owned() },
            reference: name,
        }))
    }

    fn fetch(&self, client: &Client<'_>, reference: &Reference) -> Result<Fetched, PullError> {
        let name = || reference.to_string();
        let registry = |source| PullError::Registry { reference: name(), source };
        let image = |source| PullError::Image { reference: name(), source };
        let platform = self.options.platform.clone().unwrap_or_else(Platform::host);
        let asked = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let answer = client.manifest(&asked).map_err(registry)?;
        if let Some(wanted) = reference.digest() {
            require(reference, wanted, &answer.bytes)?;
        }
        let announced = answer.media_type.as_deref();
        let (manifest, index_bytes) =
            match Document::parse(&answer.bytes, announced, &platform).map_err(image)? {
                Document::Manifest(manifest) => (manifest, None),
                Document::Index { chosen } => {
                    let inner = client.manifest(&chosen.digest.to_string()).map_err(registry)?;
                    require(reference, &chosen.digest, &inner.bytes)?;
                    let announced = inner.media_type.as_deref();
                    match Document::parse(&inner.bytes, announced, &platform).map_err(image)? {
                        Document::Manifest(manifest) => (manifest, Some(answer.bytes)),
                        Document::Index { .. } => return Err(image(ImageError::Ambiguous)),
                    }
                }
            };
        let config_bytes = client.document(&manifest.config).map_err(registry)?;
        require(reference, &manifest.config.digest, &config_bytes)?;
        Ok(Fetched { manifest, config_bytes, index_bytes })
    }

    fn ingest(
        &self,
        client: &Client<'_>,
        reference: &Reference,
        fetched: &Fetched,
        progress: &dyn ProgressSink,
    ) -> Result<Pulled, PullError> {
        let name = || reference.to_string();
        let store = |source| PullError::Store { reference: name(), source };
        let _lock = self.store.share().map_err(store)?;
        let layers = fetched.manifest.layers.len();
        let configuration = ImageDocument::parse(&fetched.config_bytes, layers)
            .map_err(|source| PullError::Image { reference: name(), source })?;
        let source = RegistryBlobs { client };
        let options = IngestOptions { limits: self.options.limits, ..IngestOptions::default() };
        let ingest = Ingest { store: &self.store, source: &source, sink: progress, options };
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
        let bytes = ingested.bytes;
        Ok(Pulled { image: self.store.image(ingested.record, names), bytes })
    }
}

/// A mirror that does not have all of the image or stops answering is passed over.
fn tries_next(error: &PullError) -> bool {
    error
        .registry_error()
        .is_some_and(|error| error.is_passing() || matches!(error, RegistryError::NotFound { .. }))
}

fn require(reference: &Reference, wanted: &Digest, bytes: &[u8]) -> Result<(), PullError> {
    let found = Digest::of(bytes);
    if found == *wanted {
        return Ok(());
    }
    let reference = reference.to_string();
    Err(PullError::WrongDigest { reference, wanted: wanted.clone(), found })
}

/// The layers of an image on a registry.
struct RegistryBlobs<'a> {
    client: &'a Client<'a>,
}

impl BlobSource for RegistryBlobs<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.client.blob(blob)))
    }

    fn give_up(&self) {
        self.client.give_up();
    }
}
