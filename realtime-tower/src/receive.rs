//! A message by POST.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Extensions, HeaderValue, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use mediatype::MediaType;
use realtime_core::Payload;
use serde_json::value::RawValue;

use crate::body::Body;
use crate::config::Config;
use crate::reject::problem;
use crate::timer::within;
use crate::uplink::{Inbound, Uplink, UplinkError};

/// Looks at the head: only declared JSON gets in, for that a form of another site cannot send (415), and nothing
/// that says it is too large (413). Returns the message's name, `?event=`.
///
/// # Errors
/// The refusal.
pub(crate) fn check(parts: &Parts, config: &Config) -> Result<Option<String>, Response<Body>> {
    let mut declared = parts.headers.get_all(CONTENT_TYPE).iter();
    // Of two, somebody in between may have looked at the other.
    let only = declared.next().filter(|_| declared.next().is_none()).and_then(|value| value.to_str().ok());
    let is_json = only.and_then(|text| MediaType::parse(text).ok()).is_some_and(|media| {
        media.ty.as_str().eq_ignore_ascii_case("application")
            && (media.subty.as_str().eq_ignore_ascii_case("json")
                || media.suffix.is_some_and(|suffix| suffix.as_str().eq_ignore_ascii_case("json")))
    });
    if !is_json {
        return Err(problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a message is JSON: send it with Content-Type: application/json",
        ));
    }
    let length =
        parts.headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > config.message_bytes_max as u64) {
        return Err(too_large());
    }
    let query = parts.uri.query().unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "event");
    Inbound::named(named.map(|(_, name)| name)).map_err(|error| refused(&error))
}

/// Reads the body, has it handled, and answers with what the handler says.
pub(crate) async fn receive<B, U>(
    body: B,
    name: Option<String>,
    extensions: Arc<Extensions>,
    mut uplink: U,
    config: &Config,
) -> Response<Body>
where
    B: HttpBody + Send,
    B::Data: Send,
    U: Uplink,
{
    let payload = match read(body, config).await {
        Ok(payload) => payload,
        Err(refusal) => return refusal,
    };
    match uplink.handle(Inbound::new(name, payload, extensions)).await {
        Ok(reply) => replied(reply.0),
        Err(error) => refused(&error),
    }
}

async fn read<B>(body: B, config: &Config) -> Result<Payload, Response<Body>>
where
    B: HttpBody + Send,
    B::Data: Send,
{
    let Some(collected) = within(config.body_wait, collect(body, config.message_bytes_max)).await else {
        return Err(problem(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive"));
    };
    let bytes = collected?;
    // One pass without building anything: nesting is bounded by the parser.
    match serde_json::from_slice::<&RawValue>(&bytes) {
        Ok(_) => Ok(Payload::Json(Bytes::copy_from_slice(bytes.trim_ascii()))),
        Err(_) => Err(problem(StatusCode::BAD_REQUEST, "the body is no JSON")),
    }
}

/// The body in one piece. Its pieces are copied and not kept: of one byte each they would weigh many times what they
/// carry.
async fn collect<B>(body: B, bytes_max: usize) -> Result<Vec<u8>, Response<Body>>
where
    B: HttpBody + Send,
    B::Data: Send,
{
    let mut body = Box::pin(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| problem(StatusCode::BAD_REQUEST, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.remaining() > bytes_max - bytes.len() {
            return Err(too_large());
        }
        bytes.put(data);
    }
    Ok(bytes)
}

fn too_large() -> Response<Body> {
    problem(StatusCode::PAYLOAD_TOO_LARGE, "the message is larger than this endpoint takes")
}

fn replied(payload: Option<Payload>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let Some(payload) = payload else {
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    };
    let content_type = match payload {
        Payload::Json(_) => "application/json",
        Payload::Text(_) => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    *response.body_mut() = payload.bytes().clone().into();
    response
}

/// The handler's own words are for the client: they stand in the problem's title.
fn refused(error: &UplinkError) -> Response<Body> {
    let body = serde_json::json!({ "title": error.title(), "status": error.status().as_u16() });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = error.status();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    /// Counts those of its kind that are held.
    struct Piece(Arc<AtomicUsize>);

    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            b"1"
        }
    }

    impl Drop for Piece {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn the_pieces_of_a_body_are_not_kept() {
        let held = Arc::<AtomicUsize>::default();
        let body = StreamBody::new(stream::iter((0..1_000).map(move |_| {
            assert!(held.fetch_add(1, Ordering::Relaxed) <= 1, "pieces are held");
            Ok::<_, Infallible>(Frame::data(Bytes::from_owner(Piece(held.clone()))))
        })));
        assert_eq!(collect(body, 1_000).await.map(|bytes| bytes.len()).ok(), Some(1_000));
    }
}
