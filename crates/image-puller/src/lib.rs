//! An image reference becomes a verified root filesystem.
//!
//! [`Store`] keeps images as an OCI image layout with unpacked layers beside it; [`Puller`] brings
//! them from registries. It must not know pods, containers or namespaces, and prints nothing.

mod config;
mod digest;
mod documents;
#[doc(hidden)]
pub mod fuzzing;
mod image_manifest;
mod layer;
mod load;
mod platform;
mod progress;
mod pull;
mod reference;
mod registry;
mod save;
mod store;

pub use config::ImageConfig;
pub use digest::{Digest, DigestError};
pub use image_manifest::ImageError;
pub use layer::{Limits, Rule, UnpackError};
pub use load::LoadError;
pub use platform::{Platform, PlatformError};
pub use progress::{Phase, ProgressEvent, ProgressSink};
pub use pull::{PullError, PullOptions, Pulled, Puller};
pub use reference::{DEFAULT_REGISTRY, Reference, ReferenceError};
pub use registry::{ConfigurationError, HttpError, Patience, RegistryError, Shown};
pub use save::{ArchiveFormat, SaveError};
pub use store::{
    Closed, Image, ImageSummary, Inspection, LayerError, LayerUsage, Pin, Pruned, ReadFileError,
    Store, StoreError, Unwanted, Usage,
};
