//! `portforward`: connections to ports of a pod, as streams of one connection.
//!
//! For each of them the client opens two streams with the same `requestid`: one for the bytes, one
//! for what goes wrong.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Request;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use pod_api::pods::FoundPod;
use pod_api::port_forward::PodNetwork;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::respond::{Answer, Failed};
use crate::spdy::{Connection, Frame, Gone, Sender, header};
use crate::upgrade::{Agreed, Spoken, websocket};

/// How much is read from the pod at once, in bytes.
const AT_ONCE: usize = 32 << 10;

/// What a client writes to one connection; nothing more when it is dropped.
type Input = mpsc::UnboundedSender<Bytes>;

const SPOKEN: Spoken =
    Spoken { websocket: &["SPDY/3.1+portforward.k8s.io"], spdy: &["portforward.k8s.io"] };

/// Answers a request to forward ports of a pod; which, the streams will say.
pub(crate) fn answer(found: FoundPod, request: Request<Incoming>) -> Result<Answer, Failed> {
    let phase = found.pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if phase != Some("Running") {
        let phase = phase.unwrap_or("Pending");
        return Err(Failed::bad_request(format!(
            "unable to forward port because pod is not running. Current status={phase}"
        )));
    }
    let network = PodNetwork::of(&found.dir).map_err(|error| Failed::internal(&error))?;
    let network = Arc::new(network);
    let (agreed, answer) = SPOKEN.agree(&request)?;
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        match agreed {
            Agreed::Spdy(_) => forward(TokioIo::new(upgraded), network).await,
            Agreed::WebSocket(_) => {
                let (near, far) = tokio::io::duplex(TUNNEL);
                tokio::join!(tunnel(websocket(upgraded).await, far), forward(near, network));
            }
        }
    });
    Ok(answer)
}

/// How much is on its way through a tunnel, in bytes.
const TUNNEL: usize = 256 << 10;

/// A WebSocket whose messages are pieces of one stream of bytes.
async fn tunnel(socket: WebSocketStream<TokioIo<Upgraded>>, stream: DuplexStream) {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let (mut to_client, mut from_client) = socket.split();
    let up = async {
        while let Some(Ok(message)) = from_client.next().await {
            match message {
                Message::Binary(bytes) if writing.write_all(&bytes).await.is_err() => break,
                Message::Close(_) => break,
                _ => {}
            }
        }
        let _ = writing.shutdown().await; // the other side may have ended
    };
    let down = async {
        let mut buffer = vec![0; AT_ONCE];
        while let Ok(count @ 1..) = reading.read(&mut buffer).await {
            let message = Message::binary(buffer[..count].to_vec());
            if to_client.send(message).await.is_err() {
                break;
            }
        }
        let _ = to_client.close().await; // the client may be gone
    };
    tokio::join!(up, down);
}

/// Forwards until the client has gone.
async fn forward(io: impl AsyncRead + AsyncWrite + Send + 'static, network: Arc<PodNetwork>) {
    let mut connection = Connection::new(io);
    let mut errors: HashMap<String, u32> = HashMap::new();
    let mut inputs: HashMap<u32, Input> = HashMap::new();
    while let Some(frame) = connection.next().await {
        match frame {
            Frame::Open { id, headers } => {
                if connection.reply(id).await.is_err() {
                    return;
                }
                let request = header(&headers, "requestid").unwrap_or_default().to_owned();
                if header(&headers, "streamtype") == Some("error") {
                    errors.insert(request, id);
                    continue;
                }
                let port = header(&headers, "port").and_then(|port| port.parse().ok());
                let error = errors.remove(&request);
                let (Some(port), Some(error)) = (port, error) else {
                    continue; // of no connection
                };
                let (input, from_client) = mpsc::unbounded_channel();
                inputs.insert(id, input);
                let streams = Streams { data: id, error, sender: connection.sender() };
                tokio::spawn(serve(Arc::clone(&network), port, streams, from_client));
            }
            Frame::Data { id, bytes, is_last } => {
                if let Some(input) = inputs.get(&id)
                    && !bytes.is_empty()
                {
                    let _ = input.send(bytes); // the pod may have closed it
                }
                if is_last {
                    inputs.remove(&id);
                }
            }
            Frame::Reset { id } => drop(inputs.remove(&id)),
        }
    }
}

/// The streams of one connection.
struct Streams {
    data: u32,
    error: u32,
    sender: Sender,
}

async fn serve(
    network: Arc<PodNetwork>,
    port: u16,
    streams: Streams,
    from_client: mpsc::UnboundedReceiver<Bytes>,
) {
    let dialled = tokio::task::spawn_blocking(move || network.connect(port)).await;
    let dialled = dialled.map_err(|error| error.to_string()).and_then(|dialled| dialled);
    let pod = dialled.and_then(|pod| {
        pod.set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(pod))
            .map_err(|error| error.to_string())
    });
    // What cannot be told any more has nobody to be told to.
    let _ = match pod {
        Ok(pod) => {
            let (reading, writing) = pod.into_split();
            tokio::spawn(write(writing, from_client));
            read(reading, &streams).await
        }
        Err(error) => fail(&streams, port, &error).await,
    };
}

async fn write(mut pod: OwnedWriteHalf, mut from_client: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(bytes) = from_client.recv().await {
        if pod.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = pod.shutdown().await; // it may be closed
}

async fn read(mut pod: OwnedReadHalf, streams: &Streams) -> Result<(), Gone> {
    let mut buffer = vec![0; AT_ONCE];
    while let Ok(count @ 1..) = pod.read(&mut buffer).await {
        streams.sender.data(streams.data, &buffer[..count], false).await?;
    }
    streams.sender.data(streams.data, &[], true).await?;
    streams.sender.data(streams.error, &[], true).await
}

async fn fail(streams: &Streams, port: u16, error: &str) -> Result<(), Gone> {
    let text = format!("failed to connect to port {port} of the pod: {error}");
    streams.sender.data(streams.error, text.as_bytes(), true).await?;
    streams.sender.data(streams.data, &[], true).await
}
