//! How a place is reached: with which certificates, through which proxy, with or without TLS.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use reqwest::Url;
use reqwest::blocking::{Client as Http, ClientBuilder};
use reqwest::redirect::Policy;

use super::certificates::{Certificates, Identity};
use super::configuration::Endpoint;
use super::error::RegistryError;
use super::http_error::HttpError;
use super::patience::Patience;
use super::proxies::Proxies;
use super::reach::{Reach, Resolver};
use super::redirect;

/// The HTTP clients for one place.
pub(super) struct Connection {
    pub(super) endpoint: Endpoint,
    patience: Patience,
    certificates: Certificates,
    proxies: Proxies,
    reach: Arc<Reach>,
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
        (directories, hosts): (&[PathBuf], Vec<String>),
    ) -> Result<Self, RegistryError> {
        let certificates = Certificates::find(endpoint.familiar_host(), directories)?;
        let proxies = Proxies::for_place(endpoint.is_local());
        let reach = Arc::new(Reach::new(&endpoint, hosts, proxies.hosts()));
        let tls = certificates.client(endpoint.insecure, Identity::Shown);
        let tls = tls.map_err(setup(&endpoint))?;
        let http = common(&endpoint, patience, &reach).tls_backend_preconfigured(tls).build();
        let http = http.map_err(|error| setup(&endpoint)(HttpError::from(error)))?;
        let scheme = if endpoint.insecure { Scheme::Unknown } else { Scheme::Tls };
        Ok(Self {
            endpoint,
            patience,
            certificates,
            proxies,
            reach,
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
            let built = self.client(|builder| builder)?;
            let _ = self.elsewhere.set(built); // or another thread was faster
        }
        Ok(self.elsewhere.get().unwrap_or(&self.http))
    }

    /// A client for what must not be sent on to somebody else.
    pub(super) fn http_without_redirects(&self) -> Result<Http, RegistryError> {
        self.client(|builder| builder.redirect(Policy::none()))
    }

    /// The proxy that the registry is asked through, as it may be shown.
    pub(super) fn proxy(&self) -> Option<Box<str>> {
        self.proxies.of(&self.base())
    }

    /// Why a URL that the registry names must not be asked.
    pub(super) fn refusal(&self, url: &Url) -> Option<&'static str> {
        self.reach.refusal(url)
    }

    /// A client that trusts nobody without a certificate and does not show its own.
    fn client(
        &self,
        change: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Http, RegistryError> {
        let tls = self.certificates.client(false, Identity::Withheld);
        let tls = tls.map_err(setup(&self.endpoint))?;
        let builder = common(&self.endpoint, self.patience, &self.reach);
        let built = change(builder.tls_backend_preconfigured(tls)).build();
        built.map_err(|error| setup(&self.endpoint)(HttpError::from(error)))
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

fn setup<E: Error + Send + Sync + 'static>(endpoint: &Endpoint) -> impl FnOnce(E) -> RegistryError {
    let registry = endpoint.host.clone();
    |source| RegistryError::Setup { registry, source: Box::new(source) }
}

/// What all clients have in common. Proxies are those of the environment (`HTTP_PROXY`,
/// `HTTPS_PROXY`, `NO_PROXY`); this machine is never reached through one.
fn common(endpoint: &Endpoint, patience: Patience, reach: &Arc<Reach>) -> ClientBuilder {
    let builder = Http::builder()
        .user_agent(concat!("minipod/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(patience.connect)
        // For the headers and for each read, not for a body as a whole.
        .timeout(patience.silence)
        .redirect(redirect::policy(Arc::clone(reach)))
        .dns_resolver(Arc::new(Resolver(Arc::clone(reach))));
    if endpoint.is_local() { builder.no_proxy() } else { builder }
}
