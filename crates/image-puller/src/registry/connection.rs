//! How a place is reached: with which certificates, through which proxy, with or without TLS.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use reqwest::Url;
use reqwest::blocking::{Client as Http, ClientBuilder};
use reqwest::redirect::Policy;

use super::certificates::Certificates;
use super::configuration::Endpoint;
use super::error::RegistryError;
use super::patience::Patience;
use super::redirect;

/// The HTTP clients for one place.
pub(super) struct Connection {
    pub(super) endpoint: Endpoint,
    patience: Patience,
    certificates: Certificates,
    http: Http,
    /// For other hosts: what is put up with from an insecure registry is put up with from it
    /// alone.
    elsewhere: OnceLock<Http>,
    scheme: Mutex<Scheme>,
}

/// What an insecure place speaks. TLS is tried first, as docker and podman do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Unknown,
    Tls,
    Plain,
}

impl Connection {
    pub(super) fn new(
        endpoint: Endpoint,
        patience: Patience,
        directories: &[PathBuf],
    ) -> Result<Self, RegistryError> {
        // Nothing of TLS is set up before the first pull of a process.
        let _ = rustls::crypto::ring::default_provider().install_default(); // or it is already
        let certificates = Certificates::find(endpoint.familiar_host(), directories)?;
        let mut builder = common(&endpoint, patience, &certificates);
        if let Some(identity) = &certificates.identity {
            builder = builder.identity(identity.clone());
        }
        let builder = builder.tls_danger_accept_invalid_certs(endpoint.insecure);
        let setup = |source| RegistryError::Setup { registry: endpoint.host.clone(), source };
        let http = builder.build().map_err(setup)?;
        let scheme = if endpoint.insecure { Scheme::Unknown } else { Scheme::Tls };
        Ok(Self {
            endpoint,
            patience,
            certificates,
            http,
            elsewhere: OnceLock::new(),
            scheme: Mutex::new(scheme),
        })
    }

    /// `https://host`, with the port if there is one.
    pub(super) fn base(&self) -> String {
        let scheme = if self.scheme() == Scheme::Plain { "http" } else { "https" };
        format!("{scheme}://{}", self.endpoint.host)
    }

    /// The client for the registry itself.
    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// The client for whatever the registry sends to.
    pub(super) fn http_for(&self, url: &Url) -> Result<&Http, RegistryError> {
        let own = Url::parse(&self.base()).ok();
        if !self.endpoint.insecure || own.is_some_and(|own| own.origin() == url.origin()) {
            return Ok(&self.http);
        }
        if self.elsewhere.get().is_none() {
            let built = common(&self.endpoint, self.patience, &self.certificates).build();
            let registry = self.endpoint.host.clone();
            let built = built.map_err(|source| RegistryError::Setup { registry, source })?;
            let _ = self.elsewhere.set(built); // or another thread was faster
        }
        Ok(self.elsewhere.get().unwrap_or(&self.http))
    }

    /// A client for what must not be sent on to somebody else.
    pub(super) fn http_without_redirects(&self) -> Result<Http, RegistryError> {
        let builder = common(&self.endpoint, self.patience, &self.certificates);
        let registry = self.endpoint.host.clone();
        let built = builder.redirect(Policy::none()).build();
        built.map_err(|source| RegistryError::Setup { registry, source })
    }

    /// The place has answered: it goes on as it began.
    pub(super) fn settle(&self) {
        let mut scheme = self.lock();
        if *scheme == Scheme::Unknown {
            *scheme = Scheme::Tls;
        }
    }

    /// Goes on without TLS, if that is allowed and was not found out to be wrong.
    pub(super) fn step_down(&self, error: &RegistryError) -> bool {
        let may_be_plain = match error {
            RegistryError::Unreachable { source, .. } => !source.is_timeout(),
            _ => false,
        };
        let mut scheme = self.lock();
        let steps_down = may_be_plain && *scheme == Scheme::Unknown;
        if steps_down {
            *scheme = Scheme::Plain;
        }
        steps_down
    }

    fn scheme(&self) -> Scheme {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Scheme> {
        self.scheme.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all clients have in common. Proxies are those of the environment (`HTTP_PROXY`,
/// `HTTPS_PROXY`, `NO_PROXY`); this machine is never reached through one.
fn common(endpoint: &Endpoint, patience: Patience, certificates: &Certificates) -> ClientBuilder {
    let builder = Http::builder()
        .user_agent(concat!("minipod/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(patience.connect)
        // For the headers and for each read, not for a body as a whole.
        .timeout(patience.silence)
        .redirect(redirect::policy())
        .tls_certs_merge(certificates.authorities.iter().cloned());
    if endpoint.is_local() { builder.no_proxy() } else { builder }
}
