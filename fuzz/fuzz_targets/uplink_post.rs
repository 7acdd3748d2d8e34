//! A message by POST: what the handler hears is what was sent, and nothing else gets to it.
//!
//! Input: a line that is the `Content-Type`, a line that is the query, the body.

#![no_main]

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Request};
use http_body::Frame;
use http_body_util::StreamBody;
use libfuzzer_sys::{Corpus, fuzz_target};
use realtime_core::Payload;
use realtime_fuzz::{Heard, Input, Mount, cut, run};
use realtime_tower::builder;
use serde_json::value::RawValue;
use tower::ServiceExt as _;

/// Small enough for the fuzzer to go beyond.
const MESSAGE_BYTES_MAX: usize = 256;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let mut input = Input::new(bytes);
    let Ok(media) = HeaderValue::from_bytes(input.line()) else { return Corpus::Reject };
    let Some(query) = input.text() else { return Corpus::Reject };
    let body = input.rest();
    let pieces =
        cut(body).into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))));
    let pieces = StreamBody::new(stream::iter(pieces.collect::<Vec<_>>()));
    let Ok(request) = Request::post(format!("/?{query}")).header("content-type", media.clone()).body(pieces)
    else {
        return Corpus::Reject;
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (status, heard) = run(async {
        let config = realtime_tower::Config { message_bytes_max: MESSAGE_BYTES_MAX, ..Default::default() };
        let (mount, service) = Mount::of(builder().config(config));
        let status = service.oneshot(request).await.expect("an answer").status().as_u16();
        (status, mount.heard())
    });
    assert_eq!(status == 200, heard.len() == 1, "{status} {heard:?}");
    assert!(matches!(status, 200 | 400 | 413 | 415), "{status}");
    let name = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "event");
    let name = name.map(|(_, name)| name).filter(|name| !name.is_empty()).unwrap_or("message".into());
    for Heard { name: heard, payload } in &heard {
        assert_eq!(*heard, name);
        assert!(!name.starts_with('$') && name.len() <= 128 && !name.chars().any(char::is_control));
        assert_eq!(*payload, Payload::Json(Bytes::copy_from_slice(body.trim_ascii())));
    }
    let is_json = serde_json::from_slice::<&RawValue>(body).is_ok();
    match (body.len() <= MESSAGE_BYTES_MAX, is_json) {
        (false, _) => assert!(matches!(status, 400 | 413 | 415), "{status}"),
        (true, false) => assert!(matches!(status, 400 | 415), "{status}"),
        (true, true) if media == "application/json" && query.is_empty() => assert_eq!(status, 200),
        (true, true) => {}
    }
    Corpus::Keep
});
