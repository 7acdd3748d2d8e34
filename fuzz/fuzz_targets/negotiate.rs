//! Whole heads of requests: an answer below 500, one that says what it has to, and no reader left behind.
//!
//! Input: a head as text, `GET /events?live=sse 1.1` and headers (see `realtime_fuzz::request`), an empty line, a body.

#![no_main]

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::ext::Protocol;
use libfuzzer_sys::{Corpus, fuzz_target};
use realtime_fuzz::{Input, Mount, request, run};
use realtime_tests::client::sse_parser::Parser;
use realtime_tower::Body;
use tower::ServiceExt as _;

/// Longer than any heartbeat or wait of a poll.
const PATIENCE: Duration = Duration::from_secs(90);

/// Pieces of a stream that are read before the client goes.
const PIECES_MAX: usize = 4;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let mut input = Input::new(bytes);
    let Some(mut parts) = request(&mut input) else { return Corpus::Reject };
    if parts.version == Version::HTTP_2 && parts.method == Method::CONNECT {
        let protocol = if parts.uri.path() == "/other" { "other" } else { "websocket" };
        parts.extensions.insert(Protocol::from_static(protocol));
    }
    run(check(parts, Bytes::copy_from_slice(input.rest())));
    Corpus::Keep
});

async fn check(parts: Parts, body: Bytes) {
    let (mount, service) = Mount::new();
    let asked = || Request::from_parts(parts.clone(), Body::from(body.clone()));
    let response = service.clone().oneshot(asked()).await.expect("an answer");
    let (head, body) = response.into_parts();
    assert_status(&parts, head.status);
    assert_headers(head.status, &head.headers);
    assert_body(&parts, &head, body).await;
    mount.is_empty().await;
    let again = service.oneshot(asked()).await.expect("an answer");
    assert_eq!(again.status(), head.status, "the same request, the same answer");
}

fn assert_status(parts: &Parts, status: StatusCode) {
    // There is no host here that could give its connection away; and a CONNECT for something else is 501 too.
    let is_upgrade = parts.method == Method::CONNECT || parts.headers.contains_key("sec-websocket-key");
    let is_ours = status.is_success() || status.is_client_error() || status == StatusCode::NOT_MODIFIED;
    assert!(is_ours || (is_upgrade && status == StatusCode::NOT_IMPLEMENTED), "{status}");
    // What a success to a CONNECT would open is a tunnel.
    let is_tunnel = parts.method == Method::CONNECT && parts.version == Version::HTTP_2;
    assert!(!(is_tunnel && status.is_success()), "{status}");
}

fn assert_headers(status: StatusCode, headers: &HeaderMap) {
    for name in ["vary", "cache-control", "x-content-type-options"] {
        assert!(headers.contains_key(name), "{status} without {name}");
    }
    let needs = match status {
        StatusCode::METHOD_NOT_ALLOWED => "allow",
        StatusCode::UPGRADE_REQUIRED => "upgrade",
        _ => return,
    };
    assert!(headers.contains_key(needs), "{status} without {needs}");
}

async fn assert_body(parts: &Parts, head: &http::response::Parts, mut body: Body) {
    let media = head.headers.get("content-type").map_or("", |media| media.to_str().expect("text"));
    if media.starts_with("text/event-stream") && parts.method != Method::HEAD {
        let mut parser = Parser::default();
        for _ in 0..PIECES_MAX {
            let Ok(Some(frame)) = tokio::time::timeout(PATIENCE, body.frame()).await else { break };
            let piece = frame.expect("no error").into_data().expect("data");
            assert!(std::str::from_utf8(&piece).is_ok(), "a piece of a stream is whole: {piece:?}");
            parser.feed(&piece);
        }
        return;
    }
    let whole = tokio::time::timeout(PATIENCE, body.collect()).await.expect("an answer that ends");
    let whole = whole.expect("no error").to_bytes();
    // What a refusal says to HEAD is the host's to leave out.
    let is_head = parts.method == Method::HEAD && head.status.is_success();
    let is_empty = is_head || head.status == StatusCode::NO_CONTENT;
    assert!(whole.is_empty() || !is_empty, "{}: {whole:?}", head.status);
    let texts: Vec<&[u8]> = match media {
        "application/x-ndjson" => whole.split_inclusive(|byte| *byte == b'\n').collect(),
        _ if media.ends_with("json") && !whole.is_empty() => vec![&whole],
        _ => Vec::new(),
    };
    for text in texts {
        assert!(serde_json::from_slice::<serde_json::Value>(text).is_ok(), "{media}: {text:?}");
    }
    assert!(!head.status.is_client_error() || is_empty || !whole.is_empty(), "a refusal says why");
}
