//! Registries: where an image is asked for, with which credentials, and the requests themselves
//! (OCI distribution-spec v1.1).

mod auth;
mod body;
mod client;
pub(crate) mod configuration;
pub(crate) mod credentials;
mod error;
mod patience;
mod redirect;
mod token;

pub(crate) use client::{Client, Expected};
pub use configuration::ConfigurationError;
pub use error::RegistryError;
pub use patience::Patience;
