//! Why an image was not pulled.

use std::error::Error as _;
use std::io;

use thiserror::Error;

use crate::registry::{ConfigurationError, RegistryError};
use crate::store::StoreError;
use crate::{Digest, ImageError, LayerError, UnpackError};

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
    /// None of the images that a short name may mean can be had.
    #[error("cannot pull {name}, which may mean {candidates}")]
    NoneOf {
        /// The short name.
        name: String,
        /// The images that were tried.
        candidates: String,
        /// What came of the first.
        source: Box<PullError>,
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
        if let Self::NoneOf { source, .. } = self {
            return source.is_unreachable();
        }
        let gone = |error: &RegistryError| {
            matches!(error, RegistryError::Unreachable { .. } | RegistryError::Silent { .. })
        };
        self.registry_error().is_some_and(gone)
    }

    /// Whether there is no such image, or nobody says that there is one.
    pub fn is_absent(&self) -> bool {
        if let Self::NoneOf { source, .. } = self {
            return source.is_absent();
        }
        let is_absent = |error: &RegistryError| {
            matches!(error, RegistryError::NotFound { .. } | RegistryError::Denied { .. })
        };
        self.registry_error().is_some_and(is_absent)
    }

    /// Whether pulling again cannot help until somebody changes the image's name, its registry, the
    /// credentials or the configuration: 401, 403, 404, a host that does not exist, an image that
    /// cannot be used here. A registry that does not answer, a full disk and a connection that
    /// breaks may mend themselves.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NoneOf { source, .. } => source.is_permanent(),
            Self::Configuration { .. } | Self::Image { .. } | Self::WrongDigest { .. } => true,
            Self::Registry { .. } => self.registry_error().is_some_and(RegistryError::is_permanent),
            Self::Layer { source, .. } => {
                let is_refused = matches!(
                    **source,
                    LayerError::Digest { .. }
                        | LayerError::Size { .. }
                        | LayerError::DiffId { .. }
                        | LayerError::Unpack { source: UnpackError::Refused { .. }, .. }
                );
                is_refused || self.registry_error().is_some_and(RegistryError::is_permanent)
            }
            Self::Store { .. } => false,
        }
    }

    /// What the registry did, also where it was while a layer was read.
    pub(super) fn registry_error(&self) -> Option<&RegistryError> {
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
            Self::Configuration { source, .. } => source.hint(),
            Self::Registry { source, .. } => source.hint(),
            Self::Layer { source, .. } => source.hint().or_else(|| self.registry_error()?.hint()),
            Self::NoneOf { .. } => Some("write the name with its registry".to_owned()),
            Self::Store { source, .. } => source.hint(),
            _ => None,
        }
    }
}
