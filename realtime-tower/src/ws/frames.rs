//! Ready frames of events: encoded once, shared by every socket.

use bytes::Bytes;
use realtime_core::envelope::Control;
use realtime_core::{Cursor, Entry, Format, Payload, envelope};

use super::codec::{self, Opcode};
use super::messages::Mode;
use crate::signed::{CursorForm, TAG_BYTES};

const V1: Format = Format::new("realtime-tower/ws/v1");
const BARE: Format = Format::new("realtime-tower/ws/bare");

/// Under which format, and by which function, a mode's frames are made.
pub(super) fn of(mode: Mode) -> (Format, fn(&Entry) -> Bytes) {
    match mode {
        Mode::V1 => (V1, v1),
        Mode::Bare => (BARE, bare),
    }
}

/// What is sent after a silence, to whoever has come this far.
pub(super) fn beat_of(mode: Mode) -> fn(Cursor) -> Bytes {
    match mode {
        Mode::V1 => |place| codec::text(Control::Ping(place).message().as_bytes()),
        Mode::Bare => |_| codec::ping(b""),
    }
}

fn v1(entry: &Entry) -> Bytes {
    let guess = entry.event().payload().bytes().len() + 128;
    codec::around(Opcode::Text, guess, |out| envelope::write_event(entry, out))
}

/// A frame of `realtime.v1` with the id that is one reader's, and what is shared behind it. Both together are one frame.
pub(super) fn signed(entry: &Entry, frame: &Bytes, cursors: &CursorForm) -> (Bytes, Bytes) {
    let id = cursors.text(entry.cursor());
    let id_at = codec::head_len(frame) + envelope::ID_AT;
    let head = codec::head(Opcode::Text, frame.len() - codec::head_len(frame) + TAG_BYTES);
    let mut out = Vec::with_capacity(head.as_slice().len() + envelope::ID_AT + id.len());
    out.extend_from_slice(head.as_slice());
    out.extend_from_slice(&frame[codec::head_len(frame)..id_at]);
    out.extend_from_slice(id.as_bytes());
    (out.into(), frame.slice(id_at + id.plain_len()..))
}

fn bare(entry: &Entry) -> Bytes {
    match entry.event().payload() {
        Payload::Binary(bytes) => codec::binary(bytes),
        payload => codec::text(payload.bytes()),
    }
}
