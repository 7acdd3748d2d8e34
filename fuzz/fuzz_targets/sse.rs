//! Events as an event stream, read by two parsers that share nothing with us: what was published is what is read.
//!
//! Input: a line `t`, `j` or `b` (text, JSON, binary), with `e` for the envelope as data; a line that is the name; the
//! payloads, with 0x1E between two.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use eventsource_stream::Eventsource as _;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::Request;
use http_body_util::BodyExt as _;
use libfuzzer_sys::{Corpus, fuzz_target};
use realtime_core::{Entry, Event, Log, envelope};
use realtime_fuzz::{EPOCH, Input, at, cut, run};
use realtime_tests::client::sse_parser::Parser;
use realtime_tower::{Body, Data, SseConfig, SseTransport, builder};
use serde_json::value::RawValue;
use tower::ServiceExt as _;

/// Id, name and data.
type Read = (String, String, String);

fuzz_target!(|bytes: &[u8]| -> Corpus {
    match events(bytes) {
        Some((form, events)) => check(form, events),
        None => return Corpus::Reject,
    }
    Corpus::Keep
});

fn events(bytes: &[u8]) -> Option<(Data, Vec<Event>)> {
    let mut input = Input::new(bytes);
    let (kind, name) = (input.text()?, input.text()?);
    let event = |payload: &[u8]| match kind.as_bytes().first()? {
        b'b' => Event::binary(name.to_owned(), payload.to_vec()).ok(),
        b'j' => Event::raw_json(name.to_owned(), RawValue::from_string(text(payload)?).ok()?).ok(),
        _ => Event::text(name.to_owned(), text(payload)?).ok(),
    };
    let form = if kind.ends_with('e') { Data::Envelope } else { Data::PayloadOrBase64 };
    let events: Option<Vec<_>> = input.rest().split(|byte| *byte == 0x1E).map(event).collect();
    Some((form, events?))
}

fn text(payload: &[u8]) -> Option<String> {
    String::from_utf8(payload.to_vec()).ok()
}

fn check(form: Data, events: Vec<Event>) {
    let expected: Vec<_> = (1..).zip(&events).map(|(n, event)| expected(form, n, event)).collect();
    let stream = run(streamed(form, events));
    assert_eq!(by_ours(&[&stream]), expected, "by our parser");
    let pieces = cut(&stream);
    assert_eq!(by_ours(&pieces), expected, "by our parser, cut otherwise");
    assert_eq!(by_theirs(&pieces), expected, "by eventsource-stream");
}

/// What a client is to read: line ends of a payload are one LF each (WHATWG HTML, section 9.2.6).
fn expected(form: Data, position: u128, event: &Event) -> Read {
    let data = match (form, event.payload()) {
        (Data::Envelope, _) => envelope::event(&Entry::new(at(position), event.clone())).to_vec(),
        (_, realtime_core::Payload::Binary(bytes)) => STANDARD.encode(bytes).into_bytes(),
        (_, payload) => payload.bytes().to_vec(),
    };
    let data = String::from_utf8(data).expect("an event stream is UTF-8");
    let data = data.replace("\r\n", "\n").replace('\r', "\n");
    (at(position).to_string(), event.name().to_owned(), data)
}

/// The whole stream of a log that is closed behind these events.
async fn streamed(form: Data, events: Vec<Event>) -> Vec<u8> {
    let log = Log::builder().epoch(EPOCH).build();
    for event in events {
        log.publish(event).expect("the log takes what is an event");
    }
    log.close();
    let config = SseConfig { data: form, ..SseConfig::default() };
    let (service, _handle) = builder().source(log).transports((SseTransport(config),)).service();
    let request = Request::get("/?offset=-1").header("accept", "text/event-stream").body(Body::empty());
    let response = service.oneshot(request.expect("a request")).await.expect("an answer");
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.expect("a whole body").to_bytes().to_vec()
}

fn by_ours(pieces: &[&[u8]]) -> Vec<Read> {
    let mut parser = Parser::default();
    let blocks = pieces.iter().flat_map(|piece| parser.feed(piece)).collect::<Vec<_>>();
    let read = blocks.into_iter().filter_map(|block| {
        let (name, data) = block.event?;
        Some((block.last_id, name, data))
    });
    read.filter(|(_, name, _)| !name.starts_with('$')).collect()
}

fn by_theirs(pieces: &[&[u8]]) -> Vec<Read> {
    let pieces = pieces.iter().map(|piece| Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(piece)));
    let events = stream::iter(pieces.collect::<Vec<_>>()).eventsource().collect::<Vec<_>>();
    let events = events.now_or_never().expect("all is there");
    let events = events.into_iter().map(|event| event.expect("a parser that reads it"));
    let read = events.map(|event| (event.id, event.event, event.data));
    read.filter(|(_, name, _)| !name.starts_with('$')).collect()
}
