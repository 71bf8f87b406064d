//! Asks a pod's ports from the node, as a kubelet does.
//!
//! A question is asked by a child of the supervisor, so that the supervisor never waits for a
//! network, and speaks neither TLS nor HTTP/2. The child is a copy of
//! the spawner and not started afresh: with hundreds of probes that is most of what one costs. It
//! has an empty root and no privilege. The question and the verdict are JSON.

mod deadline;
mod grpc;
mod http;
mod names;
mod tcp;

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use pod_model::{Handler, HttpScheme};
use serde::{Deserialize, Serialize};

/// What to ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// How to ask.
    pub target: Target,
    /// How long the answer may take; no limit when absent.
    pub timeout: Option<Duration>,
    /// Whether it is a probe or a hook: they judge answers differently.
    pub asker: Asker,
    /// The addresses of the host, if it is a name that has been looked up.
    pub addresses: Vec<IpAddr>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asker {
    /// A probe: 200 to 399 is success.
    Probe,
    /// A hook: any answer is success.
    Hook,
}

/// Whom to ask, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// An HTTP server.
    Http {
        /// Whether TLS is spoken; certificates are not verified.
        tls: bool,
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// Path with query.
        path: String,
        /// Headers to send.
        headers: Vec<(String, String)>,
    },
    /// A TCP port: connecting is success.
    Tcp {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A gRPC health service.
    Grpc {
        /// Address.
        host: String,
        /// TCP port.
        port: u16,
        /// The service asked about.
        service: String,
    },
    /// Nobody: wait.
    Sleep(Duration),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It is as it should be.
    Success,
    /// It is, with something to tell.
    Warning(String),
    /// It is not.
    Failure(String),
    /// The question could not be asked.
    Unknown(String),
}

impl Target {
    /// Whom a probe or hook asks when the pod has this address; `None` for a command.
    pub fn of(handler: &Handler, pod_ip: IpAddr) -> Option<Self> {
        let host = |host: &Option<String>| host.clone().unwrap_or_else(|| pod_ip.to_string());
        match handler {
            Handler::Exec { .. } => None,
            Handler::HttpGet { scheme, host: stated, port, path, headers } => Some(Self::Http {
                tls: *scheme == HttpScheme::Https,
                host: host(stated),
                port: *port,
                path: path.clone(),
                headers: headers.clone(),
            }),
            Handler::TcpSocket { host: stated, port } => {
                Some(Self::Tcp { host: host(stated), port: *port })
            }
            Handler::Grpc { port, service } => {
                Some(Self::Grpc { host: pod_ip.to_string(), port: *port, service: service.clone() })
            }
            Handler::Sleep { duration } => Some(Self::Sleep(*duration)),
        }
    }
}

impl Question {
    /// The host, where it is a name.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.target {
            Target::Http { host, .. } | Target::Tcp { host, .. } | Target::Grpc { host, .. } => {
                Some(host.as_str()).filter(|host| names::is_name(host))
            }
            Target::Sleep(_) => None,
        }
    }
}

/// The question with the addresses of its host.
pub(crate) fn look_up(question: &str) -> Option<String> {
    let mut question: Question = serde_json::from_str(question).ok()?;
    question.addresses = names::look_up(question.name()?);
    serde_json::to_string(&question).ok()
}

/// Asks and tells; the whole life of the child. Returns an exit code.
pub(crate) fn run(question: &str, output: OwnedFd) -> i32 {
    let Ok(question) = serde_json::from_str::<Question>(question) else {
        return 1;
    };
    if let Some(name) = question.name() {
        names::remember(name, question.addresses.clone());
    }
    let told = serde_json::to_writer(File::from(output), &ask(&question));
    i32::from(told.is_err())
}

/// Asks the question.
pub fn ask(question: &Question) -> Verdict {
    match &question.target {
        Target::Tcp { .. } if question.asker == Asker::Hook => {
            Verdict::Failure("Cannot run handler: invalid handler: tcpSocket".into())
        }
        Target::Tcp { host, port } => tcp::ask(host, *port, question.timeout),
        Target::Http { tls, host, port, path, headers } => {
            let request = http::Request { tls: *tls, host, port: *port, path, headers };
            http::ask(&request, question.timeout, question.asker)
        }
        Target::Grpc { host, port, service } => grpc::ask(host, *port, service, question.timeout),
        Target::Sleep(duration) => wait(*duration),
    }
}

/// The hook that only waits; nothing but time can end it.
fn wait(duration: Duration) -> Verdict {
    let timeout = rustix::event::Timespec {
        tv_sec: duration.as_secs().cast_signed(),
        tv_nsec: duration.subsec_nanos().into(),
    };
    match rustix::event::poll(&mut [], Some(&timeout)) {
        Ok(_) => Verdict::Success,
        Err(error) => Verdict::Failure(error.to_string()),
    }
}

/// The verdict in a prober's output; `None` when it ended, or was ended, before it had one.
pub(crate) fn verdict(output: &[u8]) -> Option<Verdict> {
    serde_json::from_slice(output).ok()
}
