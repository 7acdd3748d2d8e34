//! An event as an envelope, and what serde_json reads of it: the same event, on one line.
//!
//! Input: lines: `t`, `j` or `b` (text, JSON, binary); the name; the topic or nothing; the key or nothing; the cursor; the
//! payload.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::{Corpus, fuzz_target};
use realtime_core::{Cursor, Entry, Event, Payload, Topic, envelope};
use realtime_fuzz::Input;
use serde_json::Value;
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    match entry(bytes) {
        Some(entry) => check(&entry),
        None => return Corpus::Reject,
    }
    Corpus::Keep
});

fn entry(bytes: &[u8]) -> Option<Entry> {
    let mut input = Input::new(bytes);
    let (kind, name) = (input.text()?, input.text()?.to_owned());
    let (topic, key, cursor) = (input.text()?, input.text()?, input.text()?);
    let text = || String::from_utf8(input.rest().to_vec()).ok();
    let mut event = match kind {
        "b" => Event::binary(name, input.rest().to_vec()),
        "j" => Event::raw_json(name, RawValue::from_string(text()?).ok()?),
        _ => Event::text(name, text()?),
    }
    .ok()?;
    if !topic.is_empty() {
        event = event.with_topic(Topic::new(topic).ok()?);
    }
    if !key.is_empty() {
        event = event.with_key(key).ok()?;
    }
    Some(Entry::new(cursor.parse().unwrap_or(Cursor::new(1, 2)), event))
}

fn check(entry: &Entry) {
    let event = entry.event();
    let message = envelope::event(entry);
    let text = std::str::from_utf8(&message).expect("a message is UTF-8");
    assert!(!text.contains(['\n', '\r']), "a message is one line");
    assert_eq!(
        *message,
        *entry.encoded(envelope::FORMAT, envelope::event),
        "and is the same when it is kept"
    );
    let data = match event.payload() {
        Payload::Binary(bytes) => Value::from(STANDARD.encode(bytes)),
        Payload::Text(text) => Value::from(std::str::from_utf8(text).expect("a text is UTF-8")),
        // What is nested too deep for this reader in itself is so within the envelope.
        payload => match serde_json::from_slice(&[b"[", &payload.bytes()[..], b"]"].concat()) {
            Ok(Value::Array(mut one)) => one.pop().expect("one"),
            _ => return,
        },
    };
    let read: serde_json::Map<String, Value> = serde_json::from_str(text).expect("a message is an object");
    let mut expected = serde_json::Map::new();
    expected.insert("id".into(), entry.cursor().to_string().into());
    if event.name() != "message" {
        expected.insert("event".into(), event.name().into());
    }
    expected.extend(event.topic().map(|topic| ("topic".into(), topic.as_str().into())));
    expected.extend(event.key().map(|key| ("key".into(), key.into())));
    if matches!(event.payload(), Payload::Binary(_)) {
        expected.insert("encoding".into(), "base64".into());
    }
    expected.insert("data".into(), data);
    assert_eq!(read, expected);
}
