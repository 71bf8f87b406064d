//! gRPC: the health service (`grpc.health.v1.Health/Check`) says whether a service serves.
//!
//! Messages are protocol buffers of one field each, written and read here; HTTP/2 is the crate's.

use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response, StatusCode};

use super::deadline::Deadline;
use super::http::join;
use super::{Verdict, tcp};
use pod_api::text::go_duration;

/// A health answer is a few bytes; more than this is none.
const MOST_BODY: usize = 16 * 1024;
/// The names of gRPC's status codes, as Go prints them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];
const DEADLINE_EXCEEDED: usize = 4;
const UNIMPLEMENTED: usize = 12;

/// What came of a call.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The service's state: an unknown number is one that this version does not know.
    Health(u64),
    /// The call failed with a status of gRPC.
    Status(usize, String),
    /// Nobody there speaks HTTP/2.
    NoConnection,
    /// The time ran out.
    TimedOut,
}

/// Asks and judges.
pub(super) fn ask(host: &str, port: u16, service: &str, timeout: Option<Duration>) -> Verdict {
    let authority = join(host, port);
    let within = go_duration(timeout.unwrap_or_default());
    let outcome = match tcp::connect(host, port, Deadline::after(timeout)) {
        Ok(stream) => call(stream, &authority, service, timeout),
        Err(_) => Ok(Outcome::NoConnection),
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return Verdict::Unknown(format!("cannot ask over gRPC: {error}")),
    };
    Verdict::Failure(match outcome {
        Outcome::Health(1) => return Verdict::Success,
        Outcome::Health(state) => {
            format!("service unhealthy (responded with {:?})", health_name(state))
        }
        Outcome::NoConnection => format!(
            "timeout: failed to connect service {authority:?} within {within}: context deadline exceeded"
        ),
        Outcome::TimedOut | Outcome::Status(DEADLINE_EXCEEDED, _) => {
            format!("timeout: health rpc did not complete within {within}")
        }
        Outcome::Status(UNIMPLEMENTED, text) => format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {text}"
        ),
        Outcome::Status(code, text) => {
            let code = CODES.get(code).copied().unwrap_or("Unknown");
            format!("error: health rpc probe failed: rpc error: code = {code} desc = {text}")
        }
    })
}

fn health_name(state: u64) -> String {
    match state {
        0 => "UNKNOWN".into(),
        1 => "SERVING".into(),
        2 => "NOT_SERVING".into(),
        3 => "SERVICE_UNKNOWN".into(),
        other => other.to_string(),
    }
}

fn call(
    stream: TcpStream,
    authority: &str,
    service: &str,
    timeout: Option<Duration>,
) -> std::io::Result<Outcome> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    stream.set_nonblocking(true)?;
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let exchange = exchange(stream, request(authority, timeout)?, message(service));
        let outcome = match timeout {
            Some(timeout) => {
                tokio::time::timeout(timeout, exchange).await.unwrap_or(Ok(Outcome::TimedOut))
            }
            None => exchange.await,
        };
        // A stream that the server resets is a status; a connection that breaks is none at all.
        Ok(outcome.unwrap_or_else(|error| match error.reason() {
            Some(reason) if error.is_reset() => Outcome::Status(
                13,
                format!("stream terminated by RST_STREAM with error code: {reason:?}"),
            ),
            _ => Outcome::NoConnection,
        }))
    })
}

fn request(authority: &str, timeout: Option<Duration>) -> std::io::Result<Request<()>> {
    let mut request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("user-agent", "kube-probe/1.36 grpc-go/1.72.0")
        .header("te", "trailers");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", format!("{}m", timeout.as_millis()));
    }
    request.body(()).map_err(std::io::Error::other)
}

/// Sends the one request and reads the one answer.
async fn exchange(
    stream: tokio::net::TcpStream,
    request: Request<()>,
    message: Bytes,
) -> Result<Outcome, h2::Error> {
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection); // moves the bytes until the runtime ends
    let mut sender: SendRequest<Bytes> = sender.ready().await?;
    let (response, mut body) = sender.send_request(request, false)?;
    body.send_data(message, true)?;
    let response = response.await?;
    if let Some(failure) = http_failure(&response) {
        return Ok(failure);
    }
    if let Some(status) = status(response.headers()) {
        return Ok(status); // an answer without a body, as for methods that do not exist
    }
    let mut body = response.into_body();
    let mut answer = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        answer.extend_from_slice(&piece[..piece.len().min(MOST_BODY - answer.len())]);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    Ok(status(&trailers).unwrap_or_else(|| health(&answer)))
}

/// What an answer of plain HTTP means in gRPC's terms.
fn http_failure(response: &Response<h2::RecvStream>) -> Option<Outcome> {
    let status = response.status();
    let code = match status {
        StatusCode::OK => return None,
        StatusCode::BAD_REQUEST => 13,
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::FORBIDDEN => 7,
        StatusCode::NOT_FOUND => UNIMPLEMENTED,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => 14,
        _ => 2,
    };
    let text = format!("unexpected HTTP status code received from server: {status}");
    Some(Outcome::Status(code, text))
}

/// The status of gRPC in headers or trailers; `None` when all is well.
fn status(headers: &HeaderMap) -> Option<Outcome> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let code: usize = text("grpc-status")?.parse().unwrap_or(2);
    let message = percent_decoded(text("grpc-message").unwrap_or_default());
    (code != 0).then_some(Outcome::Status(code, message))
}

/// gRPC's messages carry characters beyond ASCII as `%XX`.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let (b'%', Some(byte)) = (first, code) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A `HealthCheckRequest { service }` with gRPC's five bytes before it.
fn message(service: &str) -> Bytes {
    let mut field = Vec::new();
    if !service.is_empty() {
        field.push(0x0a); // field 1, a string
        let mut length = service.len();
        while length >= 0x80 {
            field.push(0x80 | length.to_le_bytes()[0]); // seven bits of it, and that more come
            length >>= 7;
        }
        field.push(length.to_le_bytes()[0]);
        field.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], &field].concat().into()
}

/// The state in a `HealthCheckResponse { status }`; 0 is the default of a field that is absent.
fn health(answer: &[u8]) -> Outcome {
    match answer {
        [0, _, _, _, _, 0x08, state, ..] => Outcome::Health((*state).into()),
        [0, 0, 0, 0, 0, ..] => Outcome::Health(0),
        _ => Outcome::Status(13, "the answer is not a HealthCheckResponse".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_protocol_buffer_that_a_server_expects() {
        assert_eq!(&message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = message(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn an_answer_is_a_state_or_an_error() {
        assert_eq!(health(&[0, 0, 0, 0, 2, 8, 2]), Outcome::Health(2));
        assert_eq!(health(&[0, 0, 0, 0, 0]), Outcome::Health(0));
        assert!(matches!(health(b"nonsense"), Outcome::Status(13, _)));
        assert_eq!(percent_decoded("a%20b%zz%"), "a b%zz%");
    }

    /// A server that answers one call.
    fn served(headers: &'static [(&'static str, &'static str)], body: &'static [u8]) -> Verdict {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async {
                let stream = tokio::net::TcpStream::from_std(stream).unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let (request, mut respond) = connection.accept().await.unwrap().unwrap();
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                assert_eq!(request.headers()["te"], "trailers");
                let mut trailers = HeaderMap::new();
                for (name, value) in headers {
                    trailers.insert(*name, value.parse().unwrap());
                }
                let response = Response::builder().header("content-type", "application/grpc");
                let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
                stream.send_data(Bytes::from_static(body), false).unwrap();
                stream.send_trailers(trailers).unwrap();
                while connection.accept().await.is_some() {}
            });
        });
        let verdict = ask("127.0.0.1", port, "web", Some(Duration::from_secs(10)));
        server.join().unwrap();
        verdict
    }

    #[test]
    fn the_health_service_decides() {
        let serving = served(&[("grpc-status", "0")], &[0, 0, 0, 0, 2, 8, 1]);
        assert_eq!(serving, Verdict::Success);
        let not = served(&[("grpc-status", "0")], &[0, 0, 0, 0, 2, 8, 2]);
        let text = "service unhealthy (responded with \"NOT_SERVING\")";
        assert_eq!(not, Verdict::Failure(text.into()));
        let absent = served(&[("grpc-status", "12"), ("grpc-message", "unknown service")], &[]);
        let text = "error: this server does not implement the grpc health protocol \
                    (grpc.health.v1.Health): unknown service";
        assert_eq!(absent, Verdict::Failure(text.into()));
        let unknown = served(&[("grpc-status", "5"), ("grpc-message", "unknown%20web")], &[]);
        let text = "error: health rpc probe failed: rpc error: code = NotFound desc = unknown web";
        assert_eq!(unknown, Verdict::Failure(text.into()));
    }

    #[test]
    fn a_server_that_does_not_speak_http_2_is_no_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            use std::io::Write;
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        let verdict = ask("127.0.0.1", address.port(), "", Some(Duration::from_secs(10)));
        let text = format!(
            "timeout: failed to connect service \"{address}\" within 10s: context deadline exceeded"
        );
        assert_eq!(verdict, Verdict::Failure(text));
        server.join().unwrap();
    }
}
