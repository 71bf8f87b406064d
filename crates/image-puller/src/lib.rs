//! An image reference becomes a verified root filesystem.
#![expect(dead_code, reason = "being built bottom up")]
mod config;
mod digest;
mod image_manifest;
mod layer;
mod load;
mod platform;
mod progress;
mod reference;
mod store;

pub use config::ImageConfig;
pub use digest::{Digest, DigestError};
pub use image_manifest::ImageError;
pub use layer::{Limits, Rule, UnpackError};
pub use load::LoadError;
pub use platform::{Platform, PlatformError};
pub use progress::{Phase, ProgressEvent, ProgressSink};
pub use reference::{DEFAULT_REGISTRY, Reference, ReferenceError};
pub use store::{Image, ImageSummary, LayerError, Pruned, ReadFileError, Store, StoreError};
