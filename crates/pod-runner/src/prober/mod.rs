//! Asks a pod's ports, from inside the pod's network and from outside its containers.
//!
//! A question is asked by a process of its own: forked off the supervisor into the pod's network
//! namespace, then started afresh, so that the supervisor never waits for a network and carries
//! no HTTP client. The question comes as JSON on the command line, the verdict leaves as JSON on
//! standard output.

mod http;
mod tcp;

use std::io::Write;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use pod_model::{Handler, HttpScheme};
use serde::{Deserialize, Serialize};

/// The hidden subcommand that asks one question.
pub const PROBE_WORKER: &str = "probe-worker";

/// What to ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// How to ask.
    pub target: Target,
    /// How long the answer may take; no limit when absent.
    pub timeout: Option<Duration>,
    /// Whether it is a probe or a hook: they judge answers differently.
    pub asker: Asker,
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

/// Turns this process, which is in the pod's network already, into the one that asks. Returns an
/// exit code only if that failed.
pub(crate) fn become_prober(question: &Question, output: OwnedFd) -> i32 {
    let text = serde_json::to_string(question).unwrap_or_default();
    let error = Command::new("/proc/self/exe")
        .arg(PROBE_WORKER)
        .arg(text)
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .exec();
    error.raw_os_error().unwrap_or(1)
}

/// Asks the question; the whole life of the hidden subcommand [`PROBE_WORKER`].
pub fn ask(question: &Question) -> Verdict {
    match &question.target {
        Target::Tcp { host, port } => tcp::ask(host, *port, question.timeout),
        Target::Http { tls: false, host, port, path, headers } => {
            let request = http::Request { host, port: *port, path, headers };
            http::ask(&request, question.timeout, question.asker)
        }
        Target::Sleep(duration) => wait(*duration),
        Target::Http { tls: true, .. } => refuse("HTTPS"),
        Target::Grpc { .. } => refuse("gRPC"),
    }
}

fn refuse(kind: &str) -> Verdict {
    Verdict::Unknown(format!("minipod does not speak {kind} to probes yet"))
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

/// Reads a question from the command line and writes the verdict.
pub fn run(question: &str, mut output: impl Write) -> std::io::Result<()> {
    let question = serde_json::from_str(question)?;
    output.write_all(&serde_json::to_vec(&ask(&question))?)
}

/// The verdict in a prober's output; a prober that died before it wrote one knows nothing.
pub(crate) fn verdict(output: &[u8]) -> Verdict {
    serde_json::from_slice(output)
        .unwrap_or_else(|_| Verdict::Unknown("the prober ended without a verdict".into()))
}
