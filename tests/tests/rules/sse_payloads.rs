//! P-SE-03 and A-13: payloads through the encoder, a real connection and two parsers that share no line.

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::{StreamExt, stream};
use realtime_core::{Event, Payload, Topic};
use realtime_tests::client::sse_parser::Parser;
use realtime_tests::rules::case_async;

use crate::mount::{Mount, at};
use crate::size;
use crate::sse::{bytes_for, open};

/// What a client must see of a text: line ends are all LF (WHATWG HTML, section 9.2.6).
fn normal(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// The events that the kit's parser sees, with their ids.
fn by_kit(bytes: &[u8], pieces: usize) -> Vec<(String, String, String)> {
    let mut parser = Parser::default();
    let blocks: Vec<_> = bytes.chunks(pieces).flat_map(|piece| parser.feed(piece)).collect();
    blocks
        .into_iter()
        .filter_map(|block| block.event.map(|(name, data)| (block.last_id, name, data)))
        .collect()
}

/// The events that eventsource-stream sees.
async fn by_crate(bytes: &[u8], pieces: usize) -> Vec<(String, String, String)> {
    let pieces: Vec<_> = bytes.chunks(pieces).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let events = stream::iter(pieces).eventsource().map(|event| event.expect("an event stream"));
    events.map(|event| (event.id, event.event, event.data)).collect().await
}

/// The bytes of a stream from its beginning, with these events in it.
async fn streamed(events: Vec<Event>) -> Vec<u8> {
    let mount = Mount::new();
    mount.log.publish_all(events).expect("the log is open");
    mount.log.close();
    let mut answer = open(&mount, "/events?offset=-1", &[]).await;
    bytes_for(&mut answer, Duration::from_secs(60)).await
}

#[tokio::test(start_paused = true)]
async fn every_payload_is_what_two_parsers_read() {
    let megabyte = "0123456789abcde\n".repeat(1 << 16);
    for (what, payload) in [
        ("nothing at all", ""),
        ("one line", "hello"),
        ("LF", "a\nb"),
        ("CR", "a\rb"),
        ("CRLF, which is one", "a\r\nb"),
        ("LF CR, which is two", "a\n\rb"),
        ("CR CR LF", "a\r\r\nb"),
        ("an LF at the end", "a\n"),
        ("a CR at the end", "a\r"),
        ("a CRLF at the end", "a\r\n"),
        ("an LF at the front", "\na"),
        ("an LF alone", "\n"),
        ("a CRLF alone", "\r\n"),
        ("many line ends", "\n\n\r\r\r\n\r\n"),
        ("a leading space", " a"),
        ("two leading spaces on each line", "  a\n  b"),
        ("a trailing space", "a "),
        ("a colon in front", ":a"),
        ("fields of its own", "id: 1\nevent: x\nretry: 9\ndata: y"),
        ("a block of its own", "a\n\nid: 999\ndata: forged\n\n"),
        ("a NUL", "a\0b"),
        ("a BOM", "\u{FEFF}a\u{FEFF}"),
        ("U+2028, U+2029 and U+0085, which end no line", "a\u{2028}b\u{2029}c\u{85}d"),
        ("a vertical tab and a form feed", "a\u{b}b\u{c}c"),
        ("letters of two, three and four bytes", "äöü € 𝄞"),
        ("markup", "<script>alert(1)</script><!-- -->"),
        ("a megabyte in 65,536 lines", &megabyte),
    ] {
        case_async("P-SE-03", what, async {
            let text = |name| Event::text(name, payload).expect("an event");
            let bytes = streamed(vec![text("message"), text("t")]).await;
            let expected = ["message", "t"].map(|name| name.to_owned());
            let expected: Vec<_> = expected
                .into_iter()
                .enumerate()
                .map(|(n, name)| (at(n as u128 + 1), name, normal(payload)))
                .collect();
            let only = |seen: Vec<(String, String, String)>| -> Vec<_> {
                seen.into_iter().filter(|(_, name, _)| !name.starts_with('$')).collect()
            };
            let large = payload.len() > 1000;
            for pieces in if large { &[8192][..] } else { &[1, 2, 3, 8192] } {
                assert!(
                    only(by_kit(&bytes, *pieces)) == expected,
                    "{what}, by the kit's parser in pieces of {pieces}"
                );
                // The crate takes a text without end for no event yet, and reads its buffer anew with every piece.
                if !large {
                    let seen = only(by_crate(&bytes, *pieces).await);
                    assert_eq!(seen, expected, "{what}, by eventsource-stream in pieces of {pieces}");
                }
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn json_of_any_text_is_one_line_and_reads_back() {
    case_async("P-SE-03", "JSON strings of every line end and control character", async {
        let texts: Vec<String> = (0..=0x20u8)
            .map(|byte| format!("a{}b", char::from(byte)))
            .chain(["\u{2028}".into(), "\u{FEFF}".into()])
            .collect();
        let events = texts.iter().map(|text| Event::json("j", text).expect("JSON")).collect();
        let seen = by_kit(&streamed(events).await, 7);
        let read: Vec<String> = seen
            .iter()
            .filter(|(_, name, _)| name == "j")
            .map(|(_, _, data)| serde_json::from_str(data).expect("JSON in one line"))
            .collect();
        assert_eq!(read, texts);
    })
    .await;
    case_async("P-SE-03", "JSON that was written over several lines by somebody else", async {
        let raw =
            serde_json::value::RawValue::from_string("{\r\n \"a\":\r 1,\n\"b\":2}".to_owned()).expect("JSON");
        let seen = by_kit(&streamed(vec![Event::raw_json("j", raw).expect("an event")]).await, 7);
        let data = &seen.iter().find(|(_, name, _)| name == "j").expect("the event").2;
        let value: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!((value, data.contains('\n')), (serde_json::json!({"a": 1, "b": 2}), false));
    })
    .await;
}

/// How many are on one stream: what a log keeps of a topic bounds it.
const ON_A_STREAM: usize = 1_000;

/// What the parsers are drawn: that which ends a line, a field or a block, and what is stripped or skipped.
const PIECES: [&str; 14] = [
    "\r",
    "\n",
    "\r\n",
    ":",
    " ",
    "data",
    "id",
    "event: $end",
    "retry",
    "\0",
    "\u{FEFF}",
    "\u{2028}",
    "ä",
    "x",
];

fn text(draw: &mut fastrand::Rng) -> String {
    (0..draw.usize(0..12)).map(|_| PIECES[draw.usize(0..PIECES.len())]).collect()
}

/// A-13, and G-09, whose million is
/// `REALTIME_SSE_PAYLOADS=1000000 cargo test --release -p realtime-tests --test rules no_drawn_payload -- --nocapture`: texts
/// drawn from what is dangerous, each stream from a seed of its own.
#[allow(clippy::print_stdout, reason = "the figures of a run by command")]
#[tokio::test(start_paused = true)]
async fn no_drawn_payload_injects() {
    let streams = (size::asked("REALTIME_SSE_PAYLOADS", 2_000) as usize).div_ceil(ON_A_STREAM);
    let payloads = streams * ON_A_STREAM;
    case_async("A-13", &format!("{payloads} drawn payloads, names and topics through two parsers"), async {
        let mut bytes = 0;
        for seed in 0x5EED..0x5EED + streams as u64 {
            bytes += both_read_what_was_drawn(seed).await;
        }
        println!("{payloads} payloads in {streams} streams of {bytes} bytes, read alike by two parsers");
    })
    .await;
}

/// One stream; its bytes.
async fn both_read_what_was_drawn(seed: u64) -> usize {
    let mut draw = fastrand::Rng::with_seed(seed);
    let mut events = Vec::new();
    while events.len() < ON_A_STREAM {
        let (name, topic, payload) = (text(&mut draw), text(&mut draw), text(&mut draw));
        // What the publisher is refused cannot be sent, and most names drawn here are.
        let event = Event::text(name, payload.clone()).or_else(|_| Event::text("t", payload));
        let event = event.expect("an event");
        events.push(match Topic::new(topic) {
            Ok(topic) => event.with_topic(topic),
            Err(_) => event,
        });
    }
    let expected: Vec<_> = events
        .iter()
        .enumerate()
        .map(|(n, event)| {
            let Payload::Text(text) = event.payload() else { panic!("a text") };
            let text = std::str::from_utf8(text).expect("UTF-8");
            (at(n as u128 + 1), event.name().to_owned(), normal(text))
        })
        .collect();
    let bytes = streamed(events).await;
    let only = |seen: Vec<(String, String, String)>| -> Vec<_> {
        seen.into_iter()
            .filter(|(id, name, _)| id.len() == 33 && !["$open", "$live", "$end"].contains(&name.as_str()))
            .collect()
    };
    let pieces = draw.usize(1..200);
    assert_eq!(only(by_kit(&bytes, pieces)), expected, "seed {seed}, by the kit's parser");
    assert_eq!(only(by_crate(&bytes, pieces).await), expected, "seed {seed}, by eventsource-stream");
    bytes.len()
}
