//! Requests to one registry.

use std::io::Read;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client as Http, Response};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::auth::{self, Challenge};
use super::configuration::Endpoint;
use super::credentials::Credentials;
use super::error::RegistryError;
use crate::Digest;
use crate::image_manifest::{
    DOCKER_LIST, DOCKER_MANIFEST, DOCUMENT_LIMIT, OCI_INDEX, OCI_MANIFEST,
};

/// A registry that says nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// A document as the registry sent it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: Option<String>,
}

/// A connection to a repository on a registry, with the token it was given.
#[derive(Debug)]
pub(crate) struct Client {
    http: Http,
    endpoint: Endpoint,
    credentials: Option<Credentials>,
    authorization: Mutex<Option<String>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Client {
    /// A client for that place.
    pub(crate) fn new(
        endpoint: Endpoint,
        credentials: Option<Credentials>,
    ) -> Result<Self, RegistryError> {
        // Nothing of TLS is set up before the first pull of a process.
        let _ = rustls::crypto::ring::default_provider().install_default(); // or it is already
        let http = Http::builder()
            .user_agent(concat!("minipod/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(SILENCE)
            .timeout(None)
            .build()
            .map_err(|source| RegistryError::Setup { registry: endpoint.host.clone(), source })?;
        Ok(Self { http, endpoint, credentials, authorization: Mutex::new(None) })
    }

    /// The manifest or index of a tag or digest.
    pub(crate) fn manifest(&self, name: &str) -> Result<Answer, RegistryError> {
        let what = format!("{}:{name}", self.endpoint.repository);
        let response = self.get(&format!("manifests/{name}"), &what)?;
        let media_type = response.headers().get(CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let bytes = self.whole(response, &what)?;
        Ok(Answer { bytes, media_type })
    }

    /// A blob that is small enough for memory.
    pub(crate) fn document(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        let what = digest.to_string();
        let response = self.get(&format!("blobs/{digest}"), &what)?;
        self.whole(response, &what)
    }

    /// A blob as it comes.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Response, RegistryError> {
        self.get(&format!("blobs/{digest}"), &digest.to_string())
    }

    fn whole(&self, response: Response, what: &str) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        let read = response.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes);
        let (registry, what) = (self.endpoint.host.clone(), what.to_owned());
        match read {
            Ok(count) if count as u64 <= DOCUMENT_LIMIT => Ok(bytes),
            Ok(_) => Err(RegistryError::TooLarge { registry, what }),
            Err(_) => Err(RegistryError::Status { registry, what, status: 599 }),
        }
    }

    /// Asks, and asks again with a token when the registry wants one.
    fn get(&self, path: &str, what: &str) -> Result<Response, RegistryError> {
        let response = self.send(path)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.check(response, what);
        }
        let header = response.headers().get(WWW_AUTHENTICATE);
        let challenge = header.and_then(|value| value.to_str().ok()).and_then(auth::challenge);
        let Some(authorization) = self.answer(challenge)? else {
            return self.check(response, what);
        };
        if let Ok(mut known) = self.authorization.lock() {
            *known = Some(authorization);
        }
        let response = self.send(path)?;
        self.check(response, what)
    }

    fn send(&self, path: &str) -> Result<Response, RegistryError> {
        let Endpoint { host, repository, insecure } = &self.endpoint;
        let scheme = if *insecure { "http" } else { "https" };
        let url = format!("{scheme}://{host}/v2/{repository}/{path}");
        let types = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(", ");
        let mut request = self.http.get(url).header(ACCEPT, types);
        let known = self.authorization.lock().ok().and_then(|known| known.clone());
        if let Some(authorization) = known {
            // The HTTP client drops this header when it is sent on to another host.
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().map_err(|source| self.unreachable(source))
    }

    fn check(&self, response: Response, what: &str) -> Result<Response, RegistryError> {
        let status = response.status();
        let (registry, what) = (self.endpoint.host.clone(), what.to_owned());
        match status.as_u16() {
            200..300 => Ok(response),
            404 => Err(RegistryError::NotFound { registry, what }),
            status @ (401 | 403) => Err(RegistryError::Denied { registry, what, status }),
            status => Err(RegistryError::Status { registry, what, status }),
        }
    }

    /// The header that meets a challenge, if there is one.
    fn answer(&self, challenge: Option<Challenge>) -> Result<Option<String>, RegistryError> {
        match (challenge, &self.credentials) {
            (Some(Challenge::Basic), Some(credentials)) => Ok(Some(basic(credentials))),
            (Some(Challenge::Bearer { realm, service, scope }), _) => {
                self.token(&realm, service.as_deref(), scope.as_deref()).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<String, RegistryError> {
        if !realm.starts_with("https://") && !self.endpoint.insecure {
            let registry = self.endpoint.host.clone();
            return Err(RegistryError::UnsafeRealm { registry, realm: realm.to_owned() });
        }
        let own = format!("repository:{}:pull", self.endpoint.repository);
        let mut query = vec![("scope", scope.unwrap_or(&own).to_owned())];
        query.extend(service.map(|service| ("service", service.to_owned())));
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let separator = if realm.contains('?') { '&' } else { '?' };
        let mut request = self.http.get(format!("{realm}{separator}{}", query.join("&")));
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, basic(credentials));
        }
        let response = request.send().map_err(|source| self.unreachable(source))?;
        let response = self.check(response, "a token")?;
        let bytes = self.whole(response, "a token")?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        token.map(|token| format!("Bearer {token}")).ok_or_else(|| RegistryError::Denied {
            registry: self.endpoint.host.clone(),
            what: "a token".into(),
            status: 200,
        })
    }

    fn unreachable(&self, source: reqwest::Error) -> RegistryError {
        RegistryError::Unreachable { registry: self.endpoint.host.clone(), source }
    }
}

fn basic(credentials: &Credentials) -> String {
    use base64::Engine;
    let text = format!("{}:{}", credentials.name, credentials.password);
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// A text as part of a query (RFC 3986).
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
