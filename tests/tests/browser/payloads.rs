//! Payloads that have broken encoders: some by name, the rest drawn from a seed.

use std::fmt::Write;

use realtime_core::Event;
use serde_json::value::RawValue;
use sha1::{Digest, Sha1};

/// A payload, what its event is called, and how it is made.
pub(crate) struct Tricky {
    kind: Kind,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text under the default name.
    Message,
    Text,
    /// JSON written as `JSON.stringify` writes it, so that the text of the value is the text that was sent.
    Json,
    Binary,
}

impl Tricky {
    pub(crate) fn event(&self) -> Event {
        let text = || String::from_utf8(self.bytes.clone()).expect("it was made as text");
        let event = match self.kind {
            Kind::Message | Kind::Text => Event::text(self.name(), text()),
            Kind::Json => {
                Event::raw_json("json", RawValue::from_string(text()).expect("it was made as JSON"))
            }
            Kind::Binary => Event::binary("binary", self.bytes.clone()),
        };
        event.expect("a payload within its bound, under a good name")
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Message => "message",
            Kind::Text => "text",
            Kind::Json => "json",
            Kind::Binary => "binary",
        }
    }

    /// What a client must have.
    pub(crate) fn sha1(&self) -> String {
        hex(&self.bytes)
    }

    /// What an EventSource must have, to which all line ends are LF (WHATWG HTML, section 9.2.6).
    pub(crate) fn sha1_of_lines(&self) -> String {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) if self.kind != Kind::Binary => {
                hex(text.replace("\r\n", "\n").replace('\r', "\n").as_bytes())
            }
            _ => self.sha1(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

/// What payloads are drawn from.
const PIECES: [&str; 32] = [
    "\r",
    "\n",
    "\r\n",
    "\n\r",
    "\0",
    "\u{FEFF}",
    " ",
    "  ",
    "\t",
    ":",
    "data: x",
    "id: 7",
    "\nid: forged\n",
    "event: $end",
    "\n\n",
    "retry: 1",
    "\u{2028}",
    "\u{2029}",
    "\u{85}",
    "\u{b}\u{c}",
    "\u{D7FF}\u{E000}",
    "\u{FFFD}",
    "\u{FFFF}",
    "\u{10FFFF}",
    "😀",
    "👩‍👩‍👧‍👦",
    "e\u{301}",
    "𝄞",
    "\"",
    "\\",
    "</script>",
    "x",
];

/// JSON escapes that stand for no character of their own: halves of surrogate pairs.
const HALVES: [&str; 3] = ["\\ud800", "\\udfff", "\\udc00\\ud800"];

/// Bytes of the largest.
const LARGE_BYTES: usize = 1 << 20;

/// The named ones and then drawn ones, `count` in all; the same for the same seed.
pub(crate) fn tricky(seed: u64, count: usize) -> Vec<Tricky> {
    let mut payloads: Vec<_> = PIECES
        .iter()
        .flat_map(|piece| ["{}", " {}", "{} ", "a{}b", "{}{}"].map(|form| form.replace("{}", piece)))
        .map(|text| Tricky { kind: Kind::Text, bytes: text.into_bytes() })
        .collect();
    payloads.push(Tricky { kind: Kind::Message, bytes: Vec::new() });
    payloads.push(Tricky { kind: Kind::Binary, bytes: Vec::new() });
    payloads.push(Tricky { kind: Kind::Binary, bytes: (0..=255).collect() });
    payloads.push(Tricky { kind: Kind::Text, bytes: large() });
    let mut draw = fastrand::Rng::with_seed(seed);
    while payloads.len() < count {
        payloads.push(drawn(&mut draw));
    }
    payloads.truncate(count);
    payloads
}

fn drawn(draw: &mut fastrand::Rng) -> Tricky {
    let kind = [Kind::Message, Kind::Text, Kind::Json, Kind::Binary][draw.usize(0..4)];
    let pieces = draw.usize(0..24);
    let mut text: String = (0..pieces).map(|_| PIECES[draw.usize(0..PIECES.len())]).collect();
    if kind == Kind::Json {
        text = serde_json::to_string(&text).expect("a string is JSON");
        if draw.bool() {
            text.insert_str(1, HALVES[draw.usize(0..HALVES.len())]);
        }
        text = format!("{{\"s\":{text},\"n\":[1,-0.5,null,true]}}");
    }
    let mut bytes = text.into_bytes();
    if kind == Kind::Binary {
        bytes.iter_mut().for_each(|byte| *byte ^= draw.u8(..));
    }
    Tricky { kind, bytes }
}

/// A mebibyte of lines of all ends.
fn large() -> Vec<u8> {
    let line = "0123456789 äöü € 😀\r\n\t\r\n\n";
    let mut text = line.repeat(LARGE_BYTES / line.len());
    text.extend(std::iter::repeat_n('x', LARGE_BYTES - text.len()));
    text.into_bytes()
}

#[test]
fn payloads_are_the_same_for_the_same_seed_and_of_every_kind() {
    let (ones, others) = (tricky(1, 1_000), tricky(1, 1_000));
    assert_eq!(ones.len(), 1_000);
    assert!(ones.iter().zip(&others).all(|(one, other)| one.sha1() == other.sha1()));
    for name in ["message", "text", "json", "binary"] {
        assert!(ones.iter().filter(|payload| payload.name() == name).count() > 100, "{name}");
    }
    assert!(ones.iter().any(|payload| payload.bytes.len() == LARGE_BYTES));
    assert!(ones.iter().any(|payload| payload.sha1() != payload.sha1_of_lines()));
    assert_eq!(hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
}
