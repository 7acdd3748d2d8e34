//! Values in, bytes out. Fields are `id`, `event`, `data`, `retry`, and a comment for a sign of life.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use realtime_core::envelope::{self, Control};
use realtime_core::{Cursor, DEFAULT_NAME, Entry, Format, Payload};

use super::config::Data;
use crate::signed::{CursorForm, TAG_BYTES};

/// Under which entries keep their block with the payload as data.
pub(super) const PAYLOAD: Format = Format::new("realtime-tower/sse/payload");
/// Under which entries keep their block with the envelope as data.
pub(super) const ENVELOPE: Format = Format::new("realtime-tower/sse/envelope");

/// An event whose data is its payload, a binary one as base64.
pub(super) fn payload(entry: &Entry) -> Bytes {
    let event = entry.event();
    match event.payload() {
        Payload::Binary(bytes) => block(entry, STANDARD.encode(bytes).as_bytes()),
        payload => block(entry, payload.bytes()),
    }
}

/// An event whose data is its envelope.
pub(super) fn in_envelope(entry: &Entry) -> Bytes {
    block(entry, &envelope::event(entry))
}

fn block(entry: &Entry, data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + entry.event().name().len() + 64);
    field(&mut out, "id", entry.cursor().to_string().as_bytes());
    if entry.event().name() != DEFAULT_NAME {
        field(&mut out, "event", entry.event().name().as_bytes());
    }
    lines(&mut out, data);
    out.push(b'\n');
    out.into()
}

/// A block with the ids that are one reader's: what stands before the end of the last id, and what is shared behind it.
pub(super) fn signed(entry: &Entry, block: &Bytes, form: Data, cursors: &CursorForm) -> (Bytes, Bytes) {
    let id = cursors.text(entry.cursor());
    let inner = (form == Data::Envelope).then(|| envelope_at(entry, id.plain_len()));
    // Just what it takes: a Vec with room to spare is shared by one more allocation.
    let bytes = inner.map_or(ID_AT, |start| start + TAG_BYTES) + id.len();
    let mut out = Vec::with_capacity(bytes);
    let mut at = 0;
    for start in [Some(ID_AT), inner].into_iter().flatten() {
        out.extend_from_slice(&block[at..start]);
        out.extend_from_slice(id.as_bytes());
        at = start + id.plain_len();
    }
    (out.into(), block.slice(at..))
}

/// Where the id of a block begins.
const ID_AT: usize = "id: ".len();

/// Where the id of the envelope in a block begins.
fn envelope_at(entry: &Entry, id_len: usize) -> usize {
    let name = entry.event().name();
    let event = if name == DEFAULT_NAME { 0 } else { "event: \n".len() + name.len() };
    ID_AT + id_len + "\n".len() + event + "data: ".len() + envelope::ID_AT
}

/// A control as an event; where events come in their envelope, it does too.
pub(super) fn control(control: &Control, form: Data, cursors: &CursorForm) -> Bytes {
    let mut out = Vec::with_capacity(160);
    if let Some(id) = control.id() {
        field(&mut out, "id", cursors.text(id).as_bytes());
    }
    field(&mut out, "event", control.name().as_bytes());
    let text = |cursor| cursors.text(cursor);
    let data = if form == Data::Envelope { control.message_with(text) } else { control.data_with(text) };
    field(&mut out, "data", data.as_bytes());
    out.push(b'\n');
    out.into()
}

/// The first bytes of a stream: when to come back, should it break off. Nothing before them is payload, so that a
/// byte order mark at the front of one is never eaten.
pub(super) fn preamble(retry: Duration) -> Bytes {
    format!("retry: {}\n", retry.as_millis()).into()
}

/// A sign of life. The place in it is taken at the blank line, although no event is fired (section 9.2.6).
pub(super) fn beat(place: Option<Cursor>, cursors: &CursorForm) -> Bytes {
    match place {
        Some(place) => format!(":\nid: {}\n\n", cursors.text(place)).into(),
        None => Bytes::from_static(b":\n\n"),
    }
}

/// The end, with when to come back where that is wanted.
pub(super) fn end(end: &Control, retry: Option<Duration>, form: Data, cursors: &CursorForm) -> Bytes {
    let mut out = Vec::with_capacity(160);
    if let Some(retry) = retry {
        field(&mut out, "retry", retry.as_millis().to_string().as_bytes());
    }
    out.extend_from_slice(&control(end, form, cursors));
    out.into()
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// One `data:` a line; a line ends at CRLF, LF or a bare CR, and CRLF is one end. Empty data is still an event.
fn lines(out: &mut Vec<u8>, mut data: &[u8]) {
    loop {
        match data.iter().position(|b| matches!(b, b'\r' | b'\n')) {
            None => return field(out, "data", data),
            Some(end) => {
                field(out, "data", &data[..end]);
                let is_pair = data[end..].starts_with(b"\r\n");
                data = &data[end + if is_pair { 2 } else { 1 }..];
            }
        }
    }
}
