//! Registries: where an image is asked for, with which credentials, and the requests themselves
//! (OCI distribution-spec v1.1).

mod auth;
mod body;
pub(crate) mod certificates;
mod client;
pub(crate) mod configuration;
mod connection;
pub(crate) mod credentials;
mod error;
mod http_error;
mod patience;
mod proxies;
mod reach;
mod redirect;
mod token;

pub(crate) use client::{Access, Client, Expected};
pub use configuration::ConfigurationError;
pub use error::{RegistryError, Shown};
pub use http_error::HttpError;
pub use patience::Patience;
