//! Why a registry did not give what was asked for.

use thiserror::Error;

/// A request that failed.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// There is no such repository, tag or digest.
    #[error("{registry} has no {what} (404)")]
    NotFound {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// The credentials, or their absence, do not open it.
    #[error("{registry} denies access to {what} ({status})")]
    Denied {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
    },
    /// Any other answer.
    #[error("{registry} answered {status} to the request for {what}")]
    Status {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
    },
    /// No answer.
    #[error("cannot reach {registry}")]
    Unreachable {
        /// The registry's host.
        registry: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// The place where tokens are given is not one that may see credentials.
    #[error("{registry} sends for tokens to {realm}, which is not safe")]
    UnsafeRealm {
        /// The registry's host.
        registry: String,
        /// Where it sends.
        realm: String,
    },
    /// The answer is larger than such an answer can be.
    #[error("{registry} answered with more than 4 MiB to the request for {what}")]
    TooLarge {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// The client could not be set up.
    #[error("cannot set up the connection to {registry}")]
    Setup {
        /// The registry's host.
        registry: String,
        /// Why not.
        source: reqwest::Error,
    },
}

impl RegistryError {
    /// Whether trying elsewhere or later may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }

    /// The way out.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => "check the image's name and tag".to_owned(),
            Self::Denied { registry, .. } => {
                format!(
                    "put credentials for {registry} into ~/.docker/config.json; a name that does not exist is denied too"
                )
            }
            Self::Unreachable { registry, source } if is_plain_http(source) => format!(
                "{registry} speaks plain HTTP: set insecure = true for it in registries.conf"
            ),
            Self::Unreachable { registry, .. } => {
                format!(
                    "check the network and the name {registry}; mirrors go into registries.conf"
                )
            }
            _ => return None,
        })
    }
}

/// Whether TLS was answered by something that is not TLS.
fn is_plain_http(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if text.contains("InvalidContentType") || text.contains("corrupt message") {
            return true;
        }
        cause = error.source();
    }
    false
}
