//! What a handler says to a message, as the answer to a POST.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use realtime_core::Payload;

use crate::body::Body;
use crate::headers;
use crate::uplink::{Reply, UplinkError};

/// An answer that can be given again, byte for byte.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered {
    status: StatusCode,
    media: Option<&'static str>,
    body: Bytes,
    /// Bytes of the body that are this answer's own: none where it is always the same.
    bytes: usize,
}

const PROBLEM: &str = "application/problem+json";

impl Answered {
    /// The handler panicked.
    pub(crate) fn failed() -> Self {
        let body = r#"{"title":"Internal Server Error","status":500,"detail":"the message was not handled to its end"}"#;
        Self::problem(StatusCode::INTERNAL_SERVER_ERROR, body)
    }

    /// What is said in place of an answer that was too large to be kept.
    pub(crate) fn not_kept() -> Self {
        let body = r#"{"title":"Gone","status":410,"detail":"the message was handled; its answer was too large to be given again"}"#;
        Self::problem(StatusCode::GONE, body)
    }

    fn problem(status: StatusCode, body: &'static str) -> Self {
        Self { status, media: Some(PROBLEM), body: Bytes::from_static(body.as_bytes()), bytes: 0 }
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is the answer for good, and not "not now".
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The same in memory of its own: what the handler answered with may be a small part of something large.
    pub(crate) fn of_its_own(&self) -> Self {
        Self { body: Bytes::copy_from_slice(&self.body), ..*self }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = headers::answer(self.body.into());
        *response.status_mut() = self.status;
        if let Some(media) = self.media {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
        }
        response
    }
}

impl From<Result<Reply, UplinkError>> for Answered {
    fn from(said: Result<Reply, UplinkError>) -> Self {
        let (status, media, body) = match said {
            Ok(Reply(None)) => (StatusCode::NO_CONTENT, None, Bytes::new()),
            Ok(Reply(Some(payload))) => {
                let media = match payload {
                    Payload::Json(_) => "application/json",
                    Payload::Text(_) => "text/plain; charset=utf-8",
                    _ => "application/octet-stream",
                };
                (StatusCode::OK, Some(media), payload.bytes().clone())
            }
            // The handler's own words are for the client: they stand in the problem's title.
            Err(error) => {
                let body = serde_json::json!({ "title": error.title(), "status": error.status().as_u16() });
                (error.status(), Some(PROBLEM), body.to_string().into())
            }
        };
        Self { status, media, bytes: body.len(), body }
    }
}
