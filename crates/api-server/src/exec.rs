//! `exec` and `attach`: a command in a container, or a container itself, for a client far away.
//!
//! How the streams are carried is decided by the client: as channels of a WebSocket ([`over_websocket`])
//! or as streams of SPDY ([`over_spdy`]). What is carried is the same ([`converse`]).

use std::io;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Request;
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
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::logs::container_of;
use crate::request::Query;
use crate::respond::{Answer, Failed};
use crate::spdy::{Connection, Frame, Gone, header};
use crate::upgrade::{Agreed, Spoken, websocket};

const SPOKEN: Spoken =
    Spoken { websocket: &["v5.channel.k8s.io", "v4.channel.k8s.io"], spdy: &["v4.channel.k8s.io"] };

// The channels of a WebSocket.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const END: u8 = 3;
const RESIZE: u8 = 4;
/// The end of a channel, since v5.
const CLOSED: u8 = 255;

/// How much output waits for a slow reader, in pieces.
const WAITING: usize = 16;

/// What is entered.
#[derive(Clone, Debug)]
enum Entry {
    Command(ExecRequest),
    Container(AttachRequest, bool),
}

/// Which streams the client has.
#[derive(Clone, Copy, Debug)]
struct Streams {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    terminal: bool,
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
    let streams = Streams {
        stdin: query.is_true("stdin"),
        stdout: query.is_true("stdout"),
        stderr: query.is_true("stderr") && !query.is_true("tty"),
        terminal: query.is_true("tty"),
    };
    let entry = if is_attach {
        let has_terminal = container_has_terminal(&found, &container);
        Entry::Container(AttachRequest { container, with_stdin: streams.stdin }, has_terminal)
    } else {
        let command: Vec<String> = query.all("command").map(str::to_owned).collect();
        if command.is_empty() {
            return Err(Failed::bad_request(
                "you must specify at least one command for the container",
            ));
        }
        let terminal = streams.terminal.then_some(TerminalSize { rows: 24, columns: 80 });
        let term = streams.terminal.then(|| "xterm".to_owned());
        Entry::Command(ExecRequest { container, command, terminal, term })
    };
    let (agreed, answer) = SPOKEN.agree(&request)?;
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let (to_container, from_client) = mpsc::unbounded_channel();
        let (to_client, from_container) = mpsc::channel(WAITING);
        let carried = Carried { to_container, from_container };
        let begin = move || {
            tokio::spawn(converse(found, entry, streams.stdin, from_client, to_client));
        };
        match agreed {
            Agreed::WebSocket(_) => {
                begin();
                over_websocket(&mut websocket(upgraded).await, carried).await;
            }
            Agreed::Spdy(_) => {
                // Who breaks off has nobody to be told to.
                let _ = over_spdy(upgraded, streams, carried, begin).await;
            }
        }
    });
    Ok(answer)
}

fn container_has_terminal(found: &FoundPod, container: &str) -> bool {
    let spec = found.pod.spec.as_ref();
    let mains = spec.into_iter().flat_map(|spec| &spec.containers);
    let inits = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let mut all = mains.chain(inits);
    all.any(|one| one.name == container && one.tty == Some(true))
}

/// What a client sends.
#[derive(Debug)]
enum FromClient {
    Input(Bytes),
    InputEnded,
    Resize(TerminalSize),
}

/// What a client gets.
#[derive(Debug)]
enum ToClient {
    Output(Output, Bytes),
    /// How it ended: the last word.
    Ended(Value),
}

/// The two directions. What a client sends waits here as long as nobody reads it, so that what else the
/// client says is heard meanwhile.
struct Carried {
    to_container: mpsc::UnboundedSender<FromClient>,
    from_container: mpsc::Receiver<ToClient>,
}

/// Passes everything on until the end, or until the client has gone.
async fn converse(
    found: FoundPod,
    entry: Entry,
    with_stdin: bool,
    mut from_client: mpsc::UnboundedReceiver<FromClient>,
    to_client: mpsc::Sender<ToClient>,
) {
    let started = tokio::task::spawn_blocking(move || match entry {
        Entry::Command(request) => session::exec(&found.dir, &request, with_stdin),
        Entry::Container(request, has_terminal) => {
            session::attach(&found.dir, &request, has_terminal)
        }
    });
    let status = match started.await {
        Ok(Ok(session)) => relay(session, &mut from_client, &to_client).await,
        Ok(Err(error)) => Some(not_started(&error)),
        Err(_) => Some(failure("InternalError", "the server failed")),
    };
    if let Some(status) = status {
        let _ = to_client.send(ToClient::Ended(status)).await; // the client may be gone by now
    }
}

/// Passes everything on, and says how it ended; nothing when the client went before.
async fn relay(
    mut session: Session,
    from_client: &mut mpsc::UnboundedReceiver<FromClient>,
    to_client: &mpsc::Sender<ToClient>,
) -> Option<Value> {
    let input = session.take_input();
    let terminal = session.take_terminal();
    let closer = session.closer();
    let (to_container, incoming) = mpsc::unbounded_channel::<Bytes>();
    let mut to_container = input.map(|input| {
        std::thread::spawn(move || write_all(input, incoming));
        to_container
    });
    let outgoing = to_client.clone();
    let mut ended = tokio::task::spawn_blocking(move || show(session, &outgoing));
    let ended = loop {
        tokio::select! {
            ended = &mut ended => break ended,
            received = from_client.recv() => match received {
                Some(FromClient::Input(bytes)) => {
                    if let Some(input) = &to_container {
                        let _ = input.send(bytes); // it may have ended
                    }
                }
                Some(FromClient::InputEnded) => to_container = None,
                Some(FromClient::Resize(size)) => resize(terminal.as_ref(), size),
                None => {
                    closer.iter().for_each(session::Closer::close);
                    return None;
                }
            },
        }
    };
    Some(match ended {
        Ok(Ok(End::Exited(0) | End::Detached { .. })) => {
            json!({"metadata": {}, "status": "Success"})
        }
        Ok(Ok(End::Exited(code))) => exit_code(code),
        Ok(Err(error)) => failure("InternalError", &error),
        Err(_) => failure("InternalError", "the server failed"),
    })
}

fn resize(terminal: Option<&Terminal>, size: TerminalSize) {
    if let Some(terminal) = terminal {
        let _ = terminal.resize(size); // it may be gone by now
    }
}

/// Writes what comes until there is nothing more, or nobody reads it.
fn write_all(mut input: session::Input, mut incoming: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(bytes) = incoming.blocking_recv() {
        if io::Write::write_all(&mut input, &bytes).is_err() {
            return;
        }
    }
}

fn show(session: Session, outgoing: &mpsc::Sender<ToClient>) -> Result<End, String> {
    let relayed = session.relay(|output, bytes| {
        let piece = ToClient::Output(output, Bytes::copy_from_slice(bytes));
        outgoing.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    });
    relayed.map_err(|broken| match broken {
        Broken::Client(error) => pod_api::text::chain(&error),
        Broken::Output(error) => error.to_string(),
    })
}

/// As channels: the first byte of each message says which.
async fn over_websocket(socket: &mut WebSocketStream<TokioIo<Upgraded>>, mut carried: Carried) {
    let status = loop {
        tokio::select! {
            piece = carried.from_container.recv() => match piece {
                Some(ToClient::Output(output, bytes)) => {
                    let channel = if output == Output::Stdout { STDOUT } else { STDERR };
                    if socket.send(message(channel, &bytes)).await.is_err() {
                        return;
                    }
                }
                Some(ToClient::Ended(status)) => break status,
                None => return,
            },
            received = socket.next() => match received {
                Some(Ok(Message::Binary(bytes))) => {
                    if let Some(said) = said(&bytes) {
                        let _ = carried.to_container.send(said); // it may have ended
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {} // pings are answered by the library
            },
        }
    };
    let _ = socket.send(message(END, status.to_string().as_bytes())).await; // it may be gone
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let _ = socket.close(Some(frame)).await; // the same
    while let Some(Ok(_)) = socket.next().await {} // until the client has closed, too
}

/// What a message of the client's means.
fn said(bytes: &Bytes) -> Option<FromClient> {
    match *bytes.first()? {
        STDIN => Some(FromClient::Input(bytes.slice(1..))),
        CLOSED if bytes.get(1) == Some(&STDIN) => Some(FromClient::InputEnded),
        RESIZE => size(&bytes[1..]).map(FromClient::Resize),
        _ => None,
    }
}

fn size(text: &[u8]) -> Option<TerminalSize> {
    let Size { width, height } = serde_json::from_slice(text).ok()?;
    Some(TerminalSize { rows: height, columns: width })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    Message::binary([&[channel], bytes].concat())
}

/// As streams, which the client opens before anything begins.
async fn over_spdy(
    upgraded: Upgraded,
    streams: Streams,
    mut carried: Carried,
    begin: impl FnOnce(),
) -> Result<(), Gone> {
    let mut connection = Connection::new(TokioIo::new(upgraded));
    let opened = Opened::by(&mut connection, streams).await?;
    begin();
    let sender = connection.sender();
    let status = loop {
        tokio::select! {
            piece = carried.from_container.recv() => match piece {
                Some(ToClient::Output(output, bytes)) => {
                    let stream = match output {
                        Output::Stdout => opened.stdout,
                        Output::Stderr => opened.stderr,
                    };
                    if let Some(id) = stream {
                        sender.data(id, &bytes, false).await?;
                    }
                }
                Some(ToClient::Ended(status)) => break status,
                None => return Ok(()),
            },
            frame = connection.next() => match frame {
                Some(Frame::Data { id, bytes, is_last }) => {
                    opened.pass(id, bytes, is_last, &carried.to_container);
                }
                Some(Frame::Open { .. } | Frame::Reset { .. }) => {}
                None => return Ok(()),
            },
        }
    };
    for id in [opened.stdout, opened.stderr].into_iter().flatten() {
        sender.data(id, &[], true).await?;
    }
    if let Some(id) = opened.error {
        sender.data(id, status.to_string().as_bytes(), true).await?;
    }
    sender.go_away().await
}

/// The streams of a command, by their numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Opened {
    error: Option<u32>,
    stdin: Option<u32>,
    stdout: Option<u32>,
    stderr: Option<u32>,
    resize: Option<u32>,
}

impl Opened {
    /// Waits until the client has opened all that it asked for.
    async fn by(connection: &mut Connection, wanted: Streams) -> Result<Self, Gone> {
        let mut opened = Self::default();
        while !opened.has(wanted) {
            let Frame::Open { id, headers } = connection.next().await.ok_or(Gone)? else {
                continue;
            };
            connection.reply(id).await?;
            let stream = match header(&headers, "streamtype") {
                Some("error") => &mut opened.error,
                Some("stdin") => &mut opened.stdin,
                Some("stdout") => &mut opened.stdout,
                Some("stderr") => &mut opened.stderr,
                Some("resize") => &mut opened.resize,
                _ => continue,
            };
            *stream = Some(id);
        }
        Ok(opened)
    }

    fn has(&self, wanted: Streams) -> bool {
        self.error.is_some()
            && self.stdin.is_some() >= wanted.stdin
            && self.stdout.is_some() >= wanted.stdout
            && self.stderr.is_some() >= wanted.stderr
            && self.resize.is_some() >= wanted.terminal
    }

    fn pass(
        &self,
        id: u32,
        bytes: Bytes,
        is_last: bool,
        to_container: &mpsc::UnboundedSender<FromClient>,
    ) {
        // Who gets it may have ended.
        if Some(id) == self.stdin {
            if !bytes.is_empty() {
                let _ = to_container.send(FromClient::Input(bytes));
            }
            if is_last {
                let _ = to_container.send(FromClient::InputEnded);
            }
        } else if Some(id) == self.resize {
            // Several may have come at once: the last one counts.
            let last = bytes.split(|byte| *byte == b'\n').filter_map(size).next_back();
            if let Some(size) = last {
                let _ = to_container.send(FromClient::Resize(size));
            }
        }
    }
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
