//! Where a cursor comes back in: header and query, against the rules of `docs/wire.md` written down once more, and what is
//! read from there.
//!
//! Input: a line that is the query; each line after it is a `Last-Event-ID`.

#![no_main]

use http::{HeaderValue, Request};
use http_body_util::BodyExt as _;
use libfuzzer_sys::{Corpus, fuzz_target};
use realtime_core::{Cursor, Start};
use realtime_fuzz::{EPOCH, EVENTS, Input, Mount, at, run};
use realtime_tower::Body;
use serde_json::Value;
use tower::ServiceExt as _;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let mut input = Input::new(bytes);
    let Some(query) = input.text() else { return Corpus::Reject };
    let is_for_us = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "live");
    let Ok(request) =
        Request::get(format!("/?{query}")).header("accept", "application/json").body(Body::empty())
    else {
        return Corpus::Reject;
    };
    // What HTTP takes off the target is not ours to judge; another transport is another target's.
    if is_for_us || request.uri().query() != Some(query) {
        return Corpus::Reject;
    }
    let mut request = request;
    let mut ids = Vec::new();
    while !input.rest().is_empty() {
        let id = input.line();
        let Ok(value) = HeaderValue::from_bytes(id) else { return Corpus::Reject };
        request.headers_mut().append("last-event-id", value);
        ids.push(id);
    }
    let expected = meant(&ids, query);
    let (status, page) = run(answered(request));
    match expected {
        None => assert_eq!(status, 400),
        Some(start) => assert_page(start, status, &page),
    }
    Corpus::Keep
});

async fn answered(request: Request<Body>) -> (u16, Value) {
    let (mount, service) = Mount::new();
    let response = service.oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    mount.is_empty().await;
    (status, serde_json::from_slice(&body).expect("an answer of a poll is JSON, a refusal too"))
}

/// Which place is meant; nothing where it is malformed.
fn meant(ids: &[&[u8]], query: &str) -> Option<Start> {
    match ids {
        [_, _, ..] => return None,
        [id] if !id.is_empty() => return read(std::str::from_utf8(id).ok()?),
        _ => {}
    }
    let names = ["offset", "lastEventId", "last_event_id"];
    let pairs = form_urlencoded::parse(query.as_bytes());
    let offsets: Vec<_> = pairs.filter(|(name, _)| names.contains(&&**name)).collect();
    match &offsets[..] {
        [] => Some(Start::Live),
        [(_, offset)] => read(offset),
        _ => None,
    }
}

/// A place as `docs/wire.md` has it.
fn read(text: &str) -> Option<Start> {
    if let Some(n) = text.strip_prefix("last-") {
        let n: u32 = n.parse().ok().filter(|n: &u32| n.to_string() == text[5..])?;
        return (1..=10_000).contains(&n).then_some(Start::Last(n));
    }
    match text {
        "-1" => return Some(Start::Earliest),
        "now" => return Some(Start::Live),
        _ => {}
    }
    let (epoch, position) = text.split_once(['.', '~'])?;
    let cursor = Cursor::new(u64::from_str_radix(epoch, 16).ok()?, u128::from_str_radix(position, 16).ok()?);
    // One text for each place.
    (cursor.to_string() == text).then_some(Start::After(cursor))
}

/// Nothing is lost of this log: who comes with a place of it reads what is behind, and who comes with another is told.
fn assert_page(start: Start, status: u16, page: &Value) {
    let (after, is_gap) = match start {
        Start::Earliest => (0, false),
        Start::Live => (EVENTS, false),
        Start::Last(n) => (EVENTS.saturating_sub(n.into()), false),
        Start::After(cursor) if cursor.epoch() == EPOCH && cursor.position() <= EVENTS => {
            (cursor.position(), false)
        }
        _ => (0, true),
    };
    assert_eq!(status, 200, "{start:?}: {page}");
    assert_eq!(page.get("gap").is_some_and(|gap| !gap.is_null()), is_gap, "{start:?}: {page}");
    let ids = page["events"].as_array().expect("a page has events").iter().map(|event| event["id"].clone());
    let expected = (after + 1..=EVENTS).map(|n| Value::from(at(n).to_string()));
    assert!(ids.eq(expected), "{start:?}: {page}");
    assert_eq!(page["next"], at(EVENTS).to_string(), "{start:?}: {page}");
}
