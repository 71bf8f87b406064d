//! Connections, and which answer a request gets.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pod_api::Api;
use pod_api::follow::FollowError;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::access::{Access, AccessError};
use crate::cache::Cache;
use crate::request::{Query, Target};
use crate::respond::{Answer, Failed, bytes};
use crate::{discovery, objects, openapi};

/// Who sends no request for so long is not waited for.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// Who does not come to an agreement on TLS, neither.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// So many connections at once; others wait.
const MOST_CONNECTIONS: usize = 4096;
/// Headers of a request together, in bytes.
const MOST_HEADERS: usize = 64 << 10;

/// Why a server cannot begin.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificate or the kubeconfig.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The store.
    #[error("cannot follow the store")]
    Follow(#[from] FollowError),
    /// The threads.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
}

/// How a server is started.
#[derive(Debug)]
pub struct Options {
    /// What it asks.
    pub api: Api,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The version of the program.
    pub version: &'static str,
    /// The address under which the node is shown.
    pub node_address: String,
}

/// What every request needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) api: Api,
    pub(crate) cache: Arc<Cache>,
    pub(crate) access: Access,
    pub(crate) version: &'static str,
    pub(crate) node_address: String,
}

/// A server that listens, but answers nobody yet.
#[derive(Debug)]
pub struct Server {
    runtime: tokio::runtime::Runtime,
    listener: TcpListener,
    address: SocketAddr,
    tls: Arc<rustls::ServerConfig>,
    shared: Arc<Shared>,
}

impl Server {
    /// Listens, and reads what there is.
    pub fn new(options: Options) -> Result<Self, ServeError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServeError::Runtime)?;
        let failed = |source| ServeError::Listen { address: options.listen, source };
        let listener = runtime.block_on(TcpListener::bind(options.listen)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let access = Access::new(address)?;
        let tls = Arc::new(access.tls()?);
        let cache = Cache::start(options.api.places())?;
        let shared = Arc::new(Shared {
            api: options.api,
            cache,
            access,
            version: options.version,
            node_address: options.node_address,
        });
        Ok(Self { runtime, listener, address, tls, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who may ask.
    pub fn access(&self) -> &Access {
        &self.shared.access
    }

    /// Answers requests until the process ends.
    pub fn serve(self) -> Result<Infallible, ServeError> {
        let Self { runtime, listener, tls, shared, address } = self;
        let tls = TlsAcceptor::from(tls);
        runtime.block_on(async move {
            let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
            loop {
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else { continue };
                let accepted = listener.accept().await;
                match accepted {
                    Ok((stream, _)) => {
                        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
                        tokio::spawn(async move {
                            connection(stream, tls, shared).await;
                            drop(permit);
                        });
                    }
                    // No room for another open file: there will be.
                    Err(error) if error.raw_os_error().is_some() => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(source) => return Err(ServeError::Listen { address, source }),
                }
            }
        })
    }
}

async fn connection(stream: tokio::net::TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true); // only slower without
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await else {
        return;
    };
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    drop(served); // a client that breaks off has its reasons
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    match answer_or(shared, request).await {
        Ok(answer) => answer,
        Err(failed) => failed.answer(),
    }
}

async fn answer_or(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Failed> {
    shared.access.check(request.headers())?;
    let target = Target::of(request.uri().path());
    if let Target::Objects(wanted) = target {
        let query = Query::of(request.uri().query());
        return objects::answer(shared, wanted, query, request).await;
    }
    if request.method() != Method::GET {
        return Err(Failed::no_such_path());
    }
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let accept = accept.unwrap_or_default();
    Ok(match target {
        Target::Version => discovery::version(shared.version),
        Target::Health => bytes(http::StatusCode::OK, "text/plain", "ok"),
        Target::Api => discovery::index(accept, true),
        Target::Apis => discovery::index(accept, false),
        Target::ApiV1 => discovery::core(),
        Target::OpenApiV2 => openapi::v2(),
        Target::OpenApiV3 => openapi::index(),
        Target::OpenApiV3Core => openapi::core(),
        Target::Nothing | Target::Objects(_) => return Err(Failed::no_such_path()),
    })
}
