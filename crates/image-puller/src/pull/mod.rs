//! A reference becomes an image in the store.

mod error;
mod fetch;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::image_manifest::Descriptor;
use crate::registry::configuration::{Configuration, Endpoint};
use crate::registry::{
    Access, Client, ConfigurationError, Expected, Patience, RegistryError, certificates,
    credentials,
};
use crate::store::BlobSource;
use crate::{Image, Limits, Platform, ProgressSink, Reference, Store};

pub use error::PullError;

/// How images are pulled.
#[derive(Debug, Default)]
pub struct PullOptions {
    configuration: Configuration,
    /// Contents of the pod's pull secrets, in the format of `~/.docker/config.json`: they come
    /// before this machine's own, and name no programs.
    pub docker_configs: Vec<String>,
    /// Files with this machine's credentials; the first one that has some counts.
    pub credential_files: Vec<PathBuf>,
    /// Directories that have one directory with certificates per registry (`certs.d`).
    pub certificates: Vec<PathBuf>,
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
        Ok(Self {
            configuration: Configuration::load()?,
            credential_files: credentials::files(),
            certificates: certificates::directories(),
            ..Self::default()
        })
    }

    /// The images that a name may mean: one, unless it leaves out its registry and several are
    /// to be searched (registries.conf(5)).
    pub fn candidates(&self, reference: &Reference) -> Result<Vec<Reference>, ConfigurationError> {
        self.configuration.candidates(reference)
    }
}

/// What came of a pull.
#[derive(Debug)]
pub struct Pulled {
    /// The image.
    pub image: Image,
    /// The name that it has in the store; another one than asked for if that was a short name.
    pub reference: Reference,
    /// Compressed bytes that were fetched.
    pub bytes: u64,
}

/// Pulls images into a store.
#[derive(Debug)]
pub struct Puller {
    store: Store,
    options: PullOptions,
}

impl Puller {
    /// A puller for that store.
    pub fn new(store: Store, options: PullOptions) -> Self {
        Self { store, options }
    }

    /// Pulls an image: from the first place of its registry that answers. Where the name leaves
    /// out its registry, all that it may mean are tried in turn.
    pub fn pull(
        &self,
        reference: &Reference,
        progress: &dyn ProgressSink,
    ) -> Result<Pulled, PullError> {
        let name = || reference.familiar();
        let candidates = self
            .options
            .candidates(reference)
            .map_err(|source| PullError::Configuration { reference: name(), source })?;
        let mut first = None;
        for candidate in &candidates {
            match self.pull_full(candidate, progress) {
                Err(error) if candidates.len() > 1 && error.registry_error().is_some() => {
                    first = first.or(Some(error));
                }
                result => return result,
            }
        }
        let names: Vec<String> = candidates.iter().map(ToString::to_string).collect();
        Err(match first {
            Some(error) => PullError::NoneOf {
                name: name(),
                candidates: names.join(", "),
                source: Box::new(error),
            },
            None => blocked(reference),
        })
    }

    /// Pulls an image whose registry is known.
    fn pull_full(
        &self,
        reference: &Reference,
        progress: &dyn ProgressSink,
    ) -> Result<Pulled, PullError> {
        if let Some(pulled) = self.pull_from_store(reference, progress)? {
            return Ok(pulled);
        }
        let endpoints = self.options.configuration.endpoints(reference).map_err(|source| {
            PullError::Configuration { reference: reference.to_string(), source }
        })?;
        let mut last = None;
        let count = endpoints.len();
        for (number, endpoint) in endpoints.into_iter().enumerate() {
            let expected = if number + 1 == count { Expected::Here } else { Expected::Elsewhere };
            match self.pull_from((endpoint, expected), reference, progress) {
                Err(error) if tries_next(&error) => last = Some(error),
                result => return result,
            }
        }
        Err(last.unwrap_or_else(|| blocked(reference)))
    }

    /// Pulls from one place, with one after the other of the credentials for it. (The place's
    /// own: a mirror is not shown those of the registry that it stands for.)
    fn pull_from(
        &self,
        (endpoint, expected): (Endpoint, Expected),
        reference: &Reference,
        progress: &dyn ProgressSink,
    ) -> Result<Pulled, PullError> {
        let options = &self.options;
        let place = format!("{}/{}", endpoint.familiar_host(), endpoint.repository);
        let found = credentials::find(&place, &options.docker_configs, &options.credential_files);
        let mut known: Vec<_> = found.credentials.into_iter().map(Some).collect();
        if known.is_empty() {
            known.push(None);
        }
        let mut last = None;
        for credentials in known {
            let problems = found.problems.clone();
            let certificates = &options.certificates;
            let hosts = options.configuration.hosts();
            let access = Access { credentials, problems, certificates, hosts };
            let place = (endpoint.clone(), expected);
            let pulled = Client::new(place, access, options.patience, progress)
                .map_err(|source| PullError::Registry { reference: reference.to_string(), source })
                .and_then(|client| self.pull_with(&client, reference, progress));
            match pulled {
                Err(error) if is_denied(&error) => last = Some(error),
                result => return result,
            }
        }
        Err(last.unwrap_or_else(|| blocked(reference)))
    }

    fn pull_with(
        &self,
        client: &Client<'_>,
        reference: &Reference,
        progress: &dyn ProgressSink,
    ) -> Result<Pulled, PullError> {
        if let Some(image) = self.unchanged(client, reference)? {
            return Ok(Pulled { image, reference: reference.clone(), bytes: 0 });
        }
        let fetched = self.fetch(client, reference)?;
        self.ingest(&RegistryBlobs { client }, reference, &fetched, progress)
    }
}

fn blocked(reference: &Reference) -> PullError {
    let registry = reference.registry().to_owned();
    let source = ConfigurationError::Blocked { registry };
    PullError::Configuration { reference: reference.to_string(), source }
}

/// A mirror that does not have all of the image, does not let us in, stops answering or sends to
/// where nothing must be asked is passed over.
fn tries_next(error: &PullError) -> bool {
    error.registry_error().is_some_and(|error| {
        let is_useless = matches!(
            error,
            RegistryError::NotFound { .. }
                | RegistryError::Denied { .. }
                | RegistryError::Elsewhere { .. }
        );
        error.is_passing() || is_useless
    })
}

fn is_denied(error: &PullError) -> bool {
    matches!(error, PullError::Registry { source: RegistryError::Denied { .. }, .. })
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
