//! Requests to one registry: with the right headers, again when that may help, and no longer
//! than somebody should wait.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::SystemTime;

use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RANGE, RETRY_AFTER,
};
use reqwest::{Method, StatusCode};

use super::body::Body;
use super::configuration::Endpoint;
use super::connection::Connection;
use super::credentials::Credentials;
use super::error::{RegistryError, Shown};
use super::http_error::HttpError;
use super::patience::{Patience, retry_after};
use super::reach::LookupError;
use crate::digest::Digest;
use crate::image_manifest::{
    DOCKER_LIST, DOCKER_MANIFEST, DOCUMENT_LIMIT, Descriptor, OCI_INDEX, OCI_MANIFEST,
};
use crate::progress::{ProgressEvent, ProgressSink};

/// A document as the registry sent it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: Option<String>,
}

/// Whether there is somewhere else to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Another place comes next, so documents are asked for once.
    Elsewhere,
    /// This is the last one.
    Here,
}

/// What opens the place, and how it is known to be the right one.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    pub(crate) credentials: Option<Credentials>,
    /// Where credentials were looked for in vain.
    pub(crate) problems: Vec<String>,
    /// Directories with certificates.
    pub(crate) certificates: &'a [PathBuf],
    /// Hosts that the configuration names, which may be reached at any address.
    pub(crate) hosts: Vec<String>,
}

/// Whether the answers of a registry are still wanted, for those who pause.
#[derive(Default)]
struct GivenUp {
    is_so: Mutex<bool>,
    changed: Condvar,
}

/// A connection to a repository on a registry, with the token it was given.
pub(crate) struct Client<'a> {
    pub(super) connection: Connection,
    pub(super) credentials: Option<Credentials>,
    problems: Vec<String>,
    authorization: Mutex<Option<String>>,
    patience: Patience,
    expected: Expected,
    given_up: GivenUp,
    sink: &'a dyn ProgressSink,
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.connection.endpoint)
            .finish_non_exhaustive()
    }
}

impl<'a> Client<'a> {
    /// A client for that place.
    pub(crate) fn new(
        (endpoint, expected): (Endpoint, Expected),
        access: Access<'_>,
        patience: Patience,
        sink: &'a dyn ProgressSink,
    ) -> Result<Self, RegistryError> {
        let connection = Connection::new(endpoint, patience, (access.certificates, access.hosts))?;
        let (credentials, problems) = (access.credentials, access.problems);
        let authorization = Mutex::new(match &credentials {
            Some(Credentials::Bearer(token)) => Some(format!("Bearer {token}")),
            _ => None,
        });
        let given_up = GivenUp::default();
        Ok(Self {
            connection,
            credentials,
            problems,
            authorization,
            patience,
            expected,
            given_up,
            sink,
        })
    }

    /// The digest that a tag stands for, if the registry tells it without sending the document.
    pub(crate) fn digest_of(&self, tag: &str) -> Result<Option<Digest>, RegistryError> {
        let what = format!("{}:{tag}", self.connection.endpoint.repository);
        self.patiently(&what, || {
            let response = self.ask((Method::HEAD, &format!("manifests/{tag}")), &what, 0)?;
            let told = response.headers().get("Docker-Content-Digest");
            Ok(told.and_then(|told| Digest::parse(told.to_str().ok()?).ok()))
        })
    }

    /// The manifest or index of a tag or digest.
    pub(crate) fn manifest(&self, name: &str) -> Result<Answer, RegistryError> {
        let what = format!("{}:{name}", self.connection.endpoint.repository);
        self.patiently(&what, || {
            let response = self.get(&format!("manifests/{name}"), &what, 0)?;
            let media_type = text(&response, CONTENT_TYPE).map(str::to_owned);
            if media_type.as_ref().is_some_and(|media_type| media_type.starts_with("text/html")) {
                let registry = self.connection.endpoint.host.clone();
                return Err(RegistryError::WebPage { registry, what: what.clone() });
            }
            let bytes = self.whole(response, &what, None)?;
            Ok(Answer { bytes, media_type })
        })
    }

    /// A blob that is small enough for memory.
    pub(crate) fn document(&self, blob: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let what = blob.digest.to_string();
        self.patiently(&what, || {
            let response = self.get(&format!("blobs/{what}"), &what, 0)?;
            self.whole(response, &what, Some(blob.size))
        })
    }

    /// A blob as it comes.
    pub(crate) fn blob(&self, blob: &Descriptor) -> Body<'_> {
        Body::new(self, blob)
    }

    fn patiently<T>(
        &self,
        what: &str,
        ask: impl Fn() -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut attempt = 1;
        loop {
            let error = match ask() {
                Err(error) if error.may_pass() && self.expected == Expected::Here => error,
                result => return result,
            };
            attempt += 1;
            self.pause(what, attempt, error)?;
        }
    }

    /// Waits before that try; gives the failure back if there have been enough.
    pub(super) fn pause(
        &self,
        what: &str,
        attempt: u32,
        error: RegistryError,
    ) -> Result<(), RegistryError> {
        let is_silent = matches!(error, RegistryError::Silent { .. });
        let tries = if is_silent { self.patience.tries.min(2) } else { self.patience.tries };
        let pause = self.patience.pause_before(attempt, error.retry_after());
        let Some(pause) = pause.filter(|_| attempt <= tries) else { return Err(error) };
        let what = format!("{what} from {}", self.connection.endpoint.host);
        self.sink.report(ProgressEvent::Retrying { what, attempt, reason: error.to_string() });
        let known = self.given_up.is_so.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.given_up.changed.wait_timeout_while(known, pause, |is_so| !*is_so);
        let (is_given_up, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *is_given_up { Err(error) } else { Ok(()) }
    }

    /// Ends all pauses: the pull has failed elsewhere.
    pub(crate) fn give_up(&self) {
        *self.given_up.is_so.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.given_up.changed.notify_all();
    }

    /// Asks for everything from byte `from` on.
    pub(super) fn get(&self, path: &str, what: &str, from: u64) -> Result<Response, RegistryError> {
        self.ask((Method::GET, path), what, from)
    }

    /// Asks, and asks again with a token when the registry wants one: the first time, and when
    /// the token has expired.
    fn ask(
        &self,
        question: (Method, &str),
        what: &str,
        from: u64,
    ) -> Result<Response, RegistryError> {
        let used = self.known_authorization().clone();
        let response = self.try_ask(&question, (from, used.as_ref()), what)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.check(response, what);
        }
        let renewed = {
            let mut known = self.known_authorization();
            if *known == used {
                *known = self.answer(&response)?;
            } // else another thread was faster
            known.clone()
        };
        if renewed.is_none() {
            return self.check(response, what);
        }
        let response = self.try_ask(&question, (from, renewed.as_ref()), what)?;
        self.check(response, what)
    }

    /// Asks once; a place that may do without TLS is asked without it if it has none.
    fn try_ask(
        &self,
        (method, path): &(Method, &str),
        (from, authorization): (u64, Option<&String>),
        what: &str,
    ) -> Result<Response, RegistryError> {
        let request = || self.request((method.clone(), path), from, authorization);
        match self.send(request(), what) {
            Ok(response) => {
                self.connection.settle();
                Ok(response)
            }
            Err(error) if self.connection.step_down(&error) => self.send(request(), what),
            Err(error) => Err(error),
        }
    }

    fn known_authorization(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(
        &self,
        (method, path): (Method, &str),
        from: u64,
        authorization: Option<&String>,
    ) -> RequestBuilder {
        let connection = &self.connection;
        let url = format!("{}/v2/{}/{path}", connection.base(), connection.endpoint.repository);
        let types = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(", ");
        let mut request = connection.http().request(method, url).header(ACCEPT, types);
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        match authorization {
            // The HTTP client drops this header when it is sent on to another host.
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    pub(super) fn send(
        &self,
        request: RequestBuilder,
        what: &str,
    ) -> Result<Response, RegistryError> {
        request.send().map_err(|source| {
            let registry = self.connection.endpoint.host.clone();
            let is_redirect = source.is_redirect();
            let source = HttpError::from(source);
            if is_redirect {
                RegistryError::Redirect { registry, source }
            } else if let Some(LookupError::Refused { .. }) = source.cause() {
                RegistryError::Elsewhere { registry, why: source.to_string() }
            } else if source.is_timeout() && !source.is_connect() {
                self.silent(what)
            } else {
                let proxy = self.connection.proxy();
                RegistryError::Unreachable { registry, proxy, source }
            }
        })
    }

    pub(super) fn check(&self, response: Response, what: &str) -> Result<Response, RegistryError> {
        let (registry, what) = (self.connection.endpoint.host.clone(), what.to_owned());
        match response.status().as_u16() {
            200 | 206 => Ok(response),
            404 => Err(RegistryError::NotFound { registry, what }),
            status @ (401 | 403) => Err(self.denied(what, status)),
            status => {
                let wait = text(&response, RETRY_AFTER);
                let retry_after = wait.and_then(|wait| retry_after(wait, SystemTime::now()));
                let is_proxys = matches!(status, 407 | 502..=504);
                let proxy = self.connection.proxy().filter(|_| is_proxys);
                Err(RegistryError::Status { registry, what, status, proxy, retry_after })
            }
        }
    }

    pub(super) fn denied(&self, what: String, status: u16) -> RegistryError {
        let registry = self.connection.endpoint.host.clone();
        let credentials = self.credentials.is_some();
        let shown = Shown { credentials, problems: self.problems.clone() };
        RegistryError::Denied { registry, what, status, shown }
    }

    /// Refuses an answer that announces another size than it should have.
    pub(super) fn check_size(
        &self,
        response: &Response,
        expected: u64,
        what: &str,
    ) -> Result<(), RegistryError> {
        match announced_size(response) {
            Some(found) if found != expected => {
                let (registry, what) = (self.connection.endpoint.host.clone(), what.to_owned());
                Err(RegistryError::WrongSize { registry, what, expected, found })
            }
            _ => Ok(()),
        }
    }

    /// A body as a whole, of that size if it is known.
    pub(super) fn whole(
        &self,
        mut response: Response,
        what: &str,
        size: Option<u64>,
    ) -> Result<Vec<u8>, RegistryError> {
        if let Some(size) = size {
            self.check_size(&response, size, what)?;
        }
        let limit = size.unwrap_or(DOCUMENT_LIMIT).min(DOCUMENT_LIMIT);
        if announced_size(&response).is_some_and(|size| size > limit) {
            let (registry, what) = (self.connection.endpoint.host.clone(), what.to_owned());
            return Err(RegistryError::TooLarge { registry, what });
        }
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            match self.read(&mut response, &mut buffer, what, bytes.len() as u64)? {
                0 => break,
                count => bytes.extend_from_slice(&buffer[..count]),
            }
            if bytes.len() as u64 > limit {
                break;
            }
        }
        let (registry, what) = (self.connection.endpoint.host.clone(), what.to_owned());
        let found = bytes.len() as u64;
        match size {
            Some(expected) if found != expected => {
                Err(RegistryError::WrongSize { registry, what, expected, found })
            }
            _ if found > limit => Err(RegistryError::TooLarge { registry, what }),
            _ => Ok(bytes),
        }
    }

    /// Reads on in a body of which `at` bytes have been read.
    pub(super) fn read(
        &self,
        response: &mut Response,
        buffer: &mut [u8],
        what: &str,
        at: u64,
    ) -> Result<usize, RegistryError> {
        loop {
            match response.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(self.silent(what)),
                result => return result.map_err(|source| self.broken_off(what, at, source)),
            }
        }
    }

    pub(super) fn broken_off(&self, what: &str, at: u64, source: io::Error) -> RegistryError {
        let (registry, what) = (self.connection.endpoint.host.clone(), what.to_owned());
        RegistryError::BrokenOff { registry, what, at, source }
    }

    pub(super) fn wrong_range(&self, what: &str, answered: String) -> RegistryError {
        let (registry, what) = (self.connection.endpoint.host.clone(), what.to_owned());
        RegistryError::WrongRange { registry, what, answered }
    }

    fn silent(&self, what: &str) -> RegistryError {
        let (registry, what) = (self.connection.endpoint.host.clone(), what.to_owned());
        RegistryError::Silent { registry, what, patience: self.patience.silence }
    }
}

/// A header as text.
pub(super) fn text(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

fn announced_size(response: &Response) -> Option<u64> {
    text(response, CONTENT_LENGTH)?.parse().ok()
}

fn is_timeout(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
    error.kind() == io::ErrorKind::TimedOut || inner.is_some_and(reqwest::Error::is_timeout)
}
