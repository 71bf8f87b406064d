//! Why a registry did not give what was asked for.

use std::io;
use std::time::Duration;

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
        /// How long the registry wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// No answer.
    #[error("cannot reach {registry}")]
    Unreachable {
        /// The registry's host.
        registry: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// An answer that does not come, or stops coming.
    #[error("{registry} sent nothing of {what} for {patience:?}")]
    Silent {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The connection broke.
    #[error("{registry} broke off {what} after {at} bytes")]
    BrokenOff {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
        /// How much had come.
        at: u64,
        /// What the connection said.
        source: io::Error,
    },
    /// A part that was not asked for.
    #[error("{registry} was asked for the rest of {what} and answered with {answered:?}")]
    WrongRange {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
        /// The `Content-Range` of the answer.
        answered: String,
    },
    /// More or fewer bytes than the image's documents say.
    #[error("{registry} has {what} with {found} bytes instead of {expected}")]
    WrongSize {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
        /// From the document that names it.
        expected: u64,
        /// What came, at least.
        found: u64,
    },
    /// It sends elsewhere too often or to an unsafe place.
    #[error("cannot follow {registry} to where it redirects")]
    Redirect {
        /// The registry's host.
        registry: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// A page for a person instead of a document.
    #[error("{registry} answered with a web page to the request for {what}")]
    WebPage {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
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
    /// Whether trying elsewhere or much later may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::BrokenOff { .. }
            | Self::WebPage { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            _ => false,
        }
    }

    /// Whether asking again in a moment may help. Who does not take connections at all is left
    /// to the caller, and so are pages, which come from whoever stands between.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !source.is_connect() && !source.is_builder(),
            Self::WebPage { .. } => false,
            _ => self.is_passing(),
        }
    }

    /// How long the registry wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
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
            Self::Status { registry, status: 429, .. } => {
                format!(
                    "{registry} limits how often it is asked: wait, or put credentials for it into ~/.docker/config.json"
                )
            }
            Self::WebPage { registry, .. } => {
                format!(
                    "check that {registry} is a registry and that no login page or proxy stands before it"
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
