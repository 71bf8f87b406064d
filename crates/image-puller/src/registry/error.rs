//! Why a registry did not give what was asked for.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::http_error::HttpError;
use super::reach::LookupError;

/// What a registry was shown to be let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Whether there were credentials for it.
    pub credentials: bool,
    /// Why there may be some that were not found.
    pub problems: Vec<String>,
}

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
        /// What was shown to it.
        shown: Shown,
    },
    /// Any other answer.
    #[error("{registry} answered {status} to the request for {what}{}", through(proxy.as_deref()))]
    Status {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The proxy that was asked, without its password.
        proxy: Option<Box<str>>,
        /// How long the registry wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// No answer.
    #[error("cannot reach {registry}{}", through(proxy.as_deref()))]
    Unreachable {
        /// The registry's host.
        registry: String,
        /// The proxy that was asked, without its password.
        proxy: Option<Box<str>>,
        /// Why not.
        source: HttpError,
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
        source: HttpError,
    },
    /// It sends to a host that it must not have asked.
    #[error("{registry} sends elsewhere: {why}")]
    Elsewhere {
        /// The registry's host.
        registry: String,
        /// Where to, and why that is refused.
        why: String,
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
    /// A certificate that is configured for the registry cannot be used.
    #[error("cannot use {}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The client could not be set up.
    #[error("cannot set up the connection to {registry}")]
    Setup {
        /// The registry's host.
        registry: String,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
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

    /// Whether asking again cannot help until somebody changes something: the registry has no such
    /// image or does not let us in (401, 403, 404), its name does not exist, or what it sends is
    /// not what can be used.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::Redirect { .. }
            | Self::Elsewhere { .. }
            | Self::UnsafeRealm { .. }
            | Self::TooLarge { .. }
            | Self::Certificate { .. } => true,
            Self::Unreachable { source, .. } => {
                matches!(source.cause(), Some(LookupError::UnknownHost { .. }))
            }
            _ => false,
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
            Self::Denied { registry, shown, .. } => denied_hint(familiar(registry), shown),
            Self::Unreachable { proxy: Some(_), source, .. } if wants_password(source) => {
                PROXY_PASSWORD.to_owned()
            }
            Self::Unreachable { proxy: Some(_), source, .. } if !is_tls(source) => {
                "check HTTPS_PROXY and HTTP_PROXY; NO_PROXY lists hosts that are reached without a proxy".to_owned()
            }
            Self::Unreachable { registry, source, .. } => {
                unreachable_hint(familiar(registry), source)
            }
            Self::Status { status: 407, .. } => PROXY_PASSWORD.to_owned(),
            Self::Elsewhere { .. } | Self::Redirect { .. } => {
                "a registry must not send to private addresses unless it has one itself; a host that \
                 is meant may be named in registries.conf: [[registry]] location = \"HOST\"".to_owned()
            }
            Self::Status { registry, status: 429, .. } => format!(
                "{registry} limits how often it is asked: wait, or put credentials for {} into ~/.docker/config.json",
                familiar(registry)
            ),
            Self::WebPage { registry, .. } => format!(
                "check that {registry} is a registry and that no login page or proxy stands before it"
            ),
            Self::Certificate { .. } => {
                "*.crt holds authorities, NAME.cert and NAME.key the client's own certificate, all as PEM".to_owned()
            }
            _ => return None,
        })
    }
}

/// The name that images and configuration files have for a registry.
fn familiar(registry: &str) -> &str {
    if registry == super::configuration::HUB { crate::DEFAULT_REGISTRY } else { registry }
}

fn denied_hint(registry: &str, shown: &Shown) -> String {
    let mut hint = if shown.credentials {
        format!("check the credentials for {registry}: they were not accepted for this image")
    } else {
        format!(
            "put credentials for {registry} into ~/.docker/config.json or $REGISTRY_AUTH_FILE \
             (`docker login` and `podman login` write them), or name an imagePullSecret in the pod"
        )
    };
    hint += "; a name that does not exist is denied, too";
    for problem in &shown.problems {
        hint += "; ";
        hint += problem;
    }
    hint
}

const PROXY_PASSWORD: &str =
    "put name and password of the proxy into HTTPS_PROXY: http://NAME:PASSWORD@HOST:PORT";

/// Whether the proxy answered 407 to the request for a tunnel.
fn wants_password(source: &HttpError) -> bool {
    source.to_string().contains("proxy authorization required")
}

/// ` (through the proxy …)`, if there is one.
fn through(proxy: Option<&str>) -> String {
    proxy.map(|proxy| format!(" (through the proxy {proxy})")).unwrap_or_default()
}

/// Whether a connection was made and what answered did not keep to TLS, or has the wrong
/// certificate.
fn is_tls(source: &HttpError) -> bool {
    let text = source.to_string();
    text.contains("certificate") || text.contains("corrupt message")
}

fn unreachable_hint(registry: &str, source: &HttpError) -> String {
    let causes = source.to_string();
    let has = |text: &str| causes.contains(text);
    if has("InvalidContentType") || has("corrupt message") {
        format!(
            "{registry} speaks plain HTTP; if that is meant, put into /etc/containers/registries.conf:\n\
             \x20      [[registry]]\n\
             \x20      location = \"{registry}\"\n\
             \x20      insecure = true"
        )
    } else if has("UnknownIssuer") {
        format!(
            "put the certificate of its authority into /etc/containers/certs.d/{registry}/ca.crt"
        )
    } else if has("not valid for name") || has("NotValidForName") {
        format!("{registry} has a certificate for other names; use one of these")
    } else if has("expired") || has("not valid yet") {
        format!("check the clock of this machine; or else {registry} needs a new certificate")
    } else {
        format!("check the network and the name {registry}; mirrors go into registries.conf")
    }
}
