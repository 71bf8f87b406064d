//! Connections that become streams: WebSocket, or SPDY.

use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::respond::{Answer, Failed, switching};

/// The name of the protocol that both will speak on a stream of SPDY.
const STREAM_PROTOCOL: &str = "x-stream-protocol-version";

/// What a client and this server agree on, with the name of what is spoken in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreed {
    WebSocket(&'static str),
    Spdy(&'static str),
}

/// The protocols of one subresource, the best first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoken {
    pub(crate) websocket: &'static [&'static str],
    pub(crate) spdy: &'static [&'static str],
}

impl Spoken {
    /// The change of protocols, if the client speaks one of these. Nothing has been started before:
    /// a client that is refused asks once more in another way.
    pub(crate) fn agree(&self, request: &Request<Incoming>) -> Result<(Agreed, Answer), Failed> {
        let headers = request.headers();
        let text = |name: &http::HeaderName| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let upgrade = text(&UPGRADE).to_ascii_lowercase();
        let refused = || {
            Failed::bad_request(format!(
                "you must specify at least 1 of these protocols: {}",
                [self.websocket, self.spdy].concat().join(", ")
            ))
        };
        if upgrade == "websocket" && request.method() == Method::GET {
            let offered: Vec<&str> =
                text(&SEC_WEBSOCKET_PROTOCOL).split(',').map(str::trim).collect();
            let known =
                self.websocket.iter().find(|one| offered.contains(one)).ok_or_else(refused)?;
            let key = derive_accept_key(text(&SEC_WEBSOCKET_KEY).as_bytes());
            let mut answer = switching("websocket");
            let headers = answer.headers_mut();
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(known));
            headers.insert(
                SEC_WEBSOCKET_ACCEPT,
                HeaderValue::from_str(&key).map_err(|error| Failed::internal(&error))?,
            );
            return Ok((Agreed::WebSocket(known), answer));
        }
        if upgrade == "spdy/3.1" {
            let offered: Vec<&str> = headers
                .get_all(STREAM_PROTOCOL)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(',').map(str::trim))
                .collect();
            let known = self.spdy.iter().find(|one| offered.contains(one)).ok_or_else(refused)?;
            let mut answer = switching("SPDY/3.1");
            answer.headers_mut().insert(STREAM_PROTOCOL, HeaderValue::from_static(known));
            return Ok((Agreed::Spdy(known), answer));
        }
        Err(Failed::bad_request("Upgrade request required"))
    }
}

/// The connection as messages.
pub(crate) async fn websocket(upgraded: Upgraded) -> WebSocketStream<TokioIo<Upgraded>> {
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await
}
