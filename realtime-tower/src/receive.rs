//! A message by POST.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Extensions, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use mediatype::MediaType;
use realtime_core::Payload;
use serde_json::value::RawValue;

use crate::answered::Answered;
use crate::body::Body;
use crate::config::Config;
use crate::mount::Mount;
use crate::once::Operation;
use crate::reject::{self, problem};
use crate::session::Session;
use crate::timer::within;
use crate::uplink::{Inbound, Uplink};

/// What the head says of a message.
#[derive(Debug)]
pub(crate) struct Announced {
    /// `?event=`.
    name: Option<String>,
    /// Where it came with an `Idempotency-Key`.
    pub(crate) operation: Option<Operation>,
}

/// Looks at the head: only declared JSON gets in, for that a form of another site cannot send (415), and nothing
/// that says it is too large (413).
///
/// # Errors
/// The refusal.
pub(crate) fn check(parts: &Parts, config: &Config) -> Result<Announced, Response<Body>> {
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
    let name = Inbound::named(named.map(|(_, name)| name))
        .map_err(|error| Answered::from(Err(error)).into_response())?;
    let operation = Operation::of(parts).map_err(|detail| problem(StatusCode::BAD_REQUEST, detail))?;
    Ok(Announced { name, operation })
}

/// Reads the body, has it handled, and answers with what the handler says; what came with a key is handled once.
pub(crate) async fn receive<B, U>(
    body: B,
    announced: Announced,
    session: Option<Session>,
    extensions: Option<Arc<Extensions>>,
    mut uplink: U,
    mount: &Mount,
) -> Response<Body>
where
    B: HttpBody + Send,
    B::Data: Send,
    U: Uplink,
{
    let payload = match read(body, &mount.config).await {
        Ok(payload) => payload,
        Err(refusal) => return refusal,
    };
    // It may have ended while the body came. A handler that has begun is answered for: 401 would say that nothing was done.
    if session.is_some_and(|session| session.is_over()) {
        return reject::expired();
    }
    let message = Inbound::new(announced.name, payload, extensions);
    match announced.operation {
        Some(operation) => mount.once.handle(operation, message, uplink, mount.config.retry).await,
        None => Answered::from(uplink.handle(message).await).into_response(),
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
    // One pass that builds nothing and does not recurse: how deep a handler reads is for its own parser to bound.
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
