//! Answers: documents, errors as Kubernetes' `Status`, and streams.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use pod_api::ApiError;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// The body of an answer.
pub(crate) type Body = BoxBody<Bytes, Infallible>;
/// An answer.
pub(crate) type Answer = Response<Body>;

/// A request that failed, as a client is told.
#[derive(Debug)]
pub(crate) struct Failed {
    code: u16,
    status: Value,
}

impl Failed {
    pub(crate) fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message.into(), "reason": reason, "code": code,
        });
        Self { code, status }
    }

    /// There is no such path.
    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The verb is not for this kind.
    pub(crate) fn not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message)
    }

    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        Self::new(500, "InternalError", pod_api::text::chain(error))
    }

    /// What it is about, and each cause.
    pub(crate) fn add_details(&mut self, details: Value) {
        self.status["details"] = details;
    }

    /// The object of an `ERROR` in a watch.
    pub(crate) fn status(&self) -> &Value {
        &self.status
    }

    pub(crate) fn is(&self, reason: &str) -> bool {
        self.status["reason"] == reason
    }

    pub(crate) fn answer(&self) -> Answer {
        document(StatusCode::from_u16(self.code).unwrap_or_default(), &self.status)
    }
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        let text = match error.reason {
            "InternalError" => pod_api::text::chain(&error),
            _ => error.message.clone(),
        };
        let mut failed = Self::new(error.code, error.reason, text);
        if let Some(about) = &error.details {
            let kind = if error.reason == "Invalid" {
                about.resource.kind()
            } else {
                about.resource.plural()
            };
            failed.status["details"] = json!({"name": about.name, "kind": kind});
            if error.reason == "Invalid" {
                let head = format!("The {kind} {:?} is invalid: ", about.name);
                let text = error.message.strip_prefix(&head).unwrap_or(&error.message);
                let (field, message) = text.split_once(": ").unwrap_or(("", text));
                failed.status["details"]["causes"] =
                    json!([{"reason": "FieldValueForbidden", "message": message, "field": field}]);
            }
        }
        failed
    }
}

/// A JSON document.
pub(crate) fn document(code: StatusCode, value: &Value) -> Answer {
    bytes(code, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

/// Bytes of that type.
pub(crate) fn bytes(code: StatusCode, kind: &str, bytes: impl Into<Bytes>) -> Answer {
    with_type(code, kind, Full::new(bytes.into()).boxed())
}

/// No content but a change of protocols.
pub(crate) fn switching(protocol: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()).boxed());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(http::header::UPGRADE, HeaderValue::from_static(protocol));
    answer
}

/// How many pieces of a stream wait for a slow reader.
const WAITING: usize = 16;

/// An answer that goes on; whoever has the other end writes it.
pub(crate) fn stream(kind: &str) -> (Answer, mpsc::Sender<Bytes>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async {
        let piece: Bytes = receiver.recv().await?;
        Some((Ok(Frame::data(piece)), receiver))
    });
    (with_type(StatusCode::OK, kind, BodyExt::boxed(StreamBody::new(pieces))), sender)
}

fn with_type(code: StatusCode, kind: &str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    let kind = HeaderValue::from_str(kind);
    let kind = kind.unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
