//! `exec` and `attach` over WebSocket (`v5.channel.k8s.io`).
//!
//! Each message is a channel's number and bytes: 0 standard input, 1 and 2 the outputs, 3 how it
//! ended, 4 the size of the terminal, 255 the end of a channel.

use std::io;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use pod_api::client::ClientError;
use pod_api::control::{AttachRequest, ExecRequest, TerminalSize};
use pod_api::pods::FoundPod;
use pod_api::session::{self, Broken, End, Output, Session, Terminal};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::logs::container_of;
use crate::request::Query;
use crate::respond::{Answer, Failed, switching};

const PROTOCOL: &str = "v5.channel.k8s.io";

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const END: u8 = 3;
const RESIZE: u8 = 4;
const CLOSED: u8 = 255;

/// How much output waits for a slow reader, in messages.
const WAITING: usize = 16;

/// What is entered.
#[derive(Clone, Debug)]
enum Entry {
    Command(ExecRequest),
    Container(AttachRequest, bool),
}

/// Answers a request to run a command in a container, or to attach to one.
pub(crate) fn answer(
    found: FoundPod,
    query: &Query,
    request: Request<Incoming>,
    is_attach: bool,
) -> Result<Answer, Failed> {
    let container = container_of(&found, query.get("container"))?;
    let phase = found.pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if let Some(phase @ ("Succeeded" | "Failed")) = phase {
        let verb = if is_attach { "attach" } else { "exec into" };
        return Err(Failed::bad_request(format!(
            "cannot {verb} a container in a completed pod; current phase is {phase}"
        )));
    }
    let with_stdin = query.is_true("stdin");
    let is_terminal = query.is_true("tty");
    let entry = if is_attach {
        let has_terminal = container_has_terminal(&found, &container);
        Entry::Container(AttachRequest { container, with_stdin }, has_terminal)
    } else {
        let command: Vec<String> = query.all("command").map(str::to_owned).collect();
        if command.is_empty() {
            return Err(Failed::bad_request(
                "you must specify at least one command for the container",
            ));
        }
        let terminal = is_terminal.then_some(TerminalSize { rows: 24, columns: 80 });
        let term = is_terminal.then(|| "xterm".to_owned());
        Entry::Command(ExecRequest { container, command, terminal, term })
    };
    let answer = agreed(&request)?;
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            converse(upgraded, found, entry, with_stdin).await;
        }
    });
    Ok(answer)
}

/// The change of protocols, if the client speaks the one that is spoken here. Nothing has been
/// started before: a client that is refused asks once more in another way.
fn agreed(request: &Request<Incoming>) -> Result<Answer, Failed> {
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_websocket = text(UPGRADE).is_some_and(|kind| kind.eq_ignore_ascii_case("websocket"));
    let protocols = text(SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
    let is_known = protocols.split(',').any(|one| one.trim() == PROTOCOL);
    let key = text(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let key = key.filter(|_| is_websocket && is_known && request.method() == Method::GET);
    let key = key.and_then(|key| HeaderValue::from_str(&key).ok()).ok_or_else(|| {
        Failed::bad_request(format!(
            "this server runs commands over WebSocket ({PROTOCOL}) only: kubectl 1.30 or newer"
        ))
    })?;
    let mut answer = switching("websocket");
    let headers = answer.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    headers.insert("sec-websocket-accept", key);
    Ok(answer)
}

fn container_has_terminal(found: &FoundPod, container: &str) -> bool {
    let spec = found.pod.spec.as_ref();
    let mains = spec.into_iter().flat_map(|spec| &spec.containers);
    let inits = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let mut all = mains.chain(inits);
    all.any(|one| one.name == container && one.tty == Some(true))
}

/// From a thread that waits for the container to the task that writes to the client.
type Outgoing = mpsc::Sender<(u8, Bytes)>;

async fn converse(upgraded: Upgraded, found: FoundPod, entry: Entry, with_stdin: bool) {
    let io = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
    let started = tokio::task::spawn_blocking(move || match entry {
        Entry::Command(request) => session::exec(&found.dir, &request, with_stdin),
        Entry::Container(request, has_terminal) => {
            session::attach(&found.dir, &request, has_terminal)
        }
    });
    let (status, is_whole) = match started.await {
        Ok(Ok(session)) => relay(&mut socket, session).await,
        Ok(Err(error)) => (not_started(&error), true),
        Err(_) => (failure("InternalError", "the server failed"), true),
    };
    if is_whole {
        let _ = socket.send(message(END, status.to_string().as_bytes())).await; // it may be gone
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = socket.close(Some(frame)).await; // the same
        while let Some(Ok(_)) = socket.next().await {} // until the client has closed, too
    }
}

/// Passes everything on until the end, and says how it was; whether there is somebody to be told.
async fn relay(
    socket: &mut WebSocketStream<TokioIo<Upgraded>>,
    mut session: Session,
) -> (Value, bool) {
    let (outgoing, mut from_container) = mpsc::channel(WAITING);
    let input = session.take_input();
    let terminal = session.take_terminal();
    let closer = session.closer();
    // What nobody reads waits here, so that pings are answered meanwhile.
    let (to_container, incoming) = mpsc::unbounded_channel::<Bytes>();
    let mut to_container = input.map(|input| {
        std::thread::spawn(move || write_all(input, incoming));
        to_container
    });
    let ended = tokio::task::spawn_blocking(move || show(session, &outgoing));
    loop {
        tokio::select! {
            piece = from_container.recv() => match piece {
                Some((channel, bytes)) => {
                    if socket.send(message(channel, &bytes)).await.is_err() {
                        close(closer.as_ref());
                        return (Value::Null, false);
                    }
                }
                None => break,
            },
            received = socket.next() => match received {
                Some(Ok(Message::Binary(bytes))) => {
                    handle(&bytes, &mut to_container, terminal.as_ref());
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    close(closer.as_ref());
                    return (Value::Null, false);
                }
                Some(Ok(_)) => {} // pings are answered by the library
            },
        }
    }
    let status = match ended.await {
        Ok(Ok(End::Exited(0) | End::Detached { .. })) => {
            json!({"metadata": {}, "status": "Success"})
        }
        Ok(Ok(End::Exited(code))) => exit_code(code),
        Ok(Err(error)) => failure("InternalError", &error),
        Err(_) => failure("InternalError", "the server failed"),
    };
    (status, true)
}

fn close(closer: Result<&session::Closer, &io::Error>) {
    if let Ok(closer) = closer {
        closer.close();
    }
}

/// One message of the client's.
fn handle(
    bytes: &Bytes,
    to_container: &mut Option<mpsc::UnboundedSender<Bytes>>,
    terminal: Option<&Terminal>,
) {
    match bytes.first() {
        Some(&STDIN) => {
            if let Some(input) = to_container {
                let _ = input.send(bytes.slice(1..)); // it may have ended
            }
        }
        Some(&CLOSED) if bytes.get(1) == Some(&STDIN) => *to_container = None,
        Some(&RESIZE) => {
            let size: Result<Size, _> = serde_json::from_slice(&bytes[1..]);
            if let (Some(terminal), Ok(Size { width, height })) = (terminal, size) {
                let _ = terminal.resize(TerminalSize { rows: height, columns: width }); // gone by now
            }
        }
        _ => {}
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

/// Writes what comes until there is nothing more, or nobody reads it.
fn write_all(mut input: session::Input, mut incoming: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(bytes) = incoming.blocking_recv() {
        if io::Write::write_all(&mut input, &bytes).is_err() {
            return;
        }
    }
}

fn show(session: Session, outgoing: &Outgoing) -> Result<End, String> {
    let relayed = session.relay(|output, bytes| {
        let channel = match output {
            Output::Stdout => STDOUT,
            Output::Stderr => STDERR,
        };
        let sent = outgoing.blocking_send((channel, Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    });
    relayed.map_err(|broken| match broken {
        Broken::Client(error) => pod_api::text::chain(&error),
        Broken::Output(error) => error.to_string(),
    })
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    Message::binary([&[channel], bytes].concat())
}

fn exit_code(code: i32) -> Value {
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

fn not_started(error: &ClientError) -> Value {
    failure("InternalError", &pod_api::text::chain(error))
}

fn failure(reason: &str, message: &str) -> Value {
    json!({"metadata": {}, "status": "Failure", "reason": reason, "message": message, "code": 500})
}
