//! Registries: where an image is asked for, with which credentials, and the requests themselves
//! (OCI distribution-spec v1.1).

mod auth;
mod client;
pub(crate) mod configuration;
pub(crate) mod credentials;
mod error;

pub(crate) use client::Client;
pub use configuration::ConfigurationError;
pub use error::RegistryError;
