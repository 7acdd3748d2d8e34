//! Ready frames of events: encoded once, shared by every socket.

use bytes::Bytes;
use realtime_core::envelope::Control;
use realtime_core::{Cursor, Entry, Format, Payload, envelope};

use super::codec::{self, Opcode};
use super::deflate::{self, Window};
use super::messages::Mode;
use crate::signed::{CursorForm, TAG_BYTES};

const V1: Format = Format::new("realtime-tower/ws/v1");
const BARE: Format = Format::new("realtime-tower/ws/bare");
const V1_FULL: Format = Format::new("realtime-tower/ws/v1/deflate");
const BARE_FULL: Format = Format::new("realtime-tower/ws/bare/deflate");
const V1_NARROW: Format = Format::new("realtime-tower/ws/v1/deflate/9");
const BARE_NARROW: Format = Format::new("realtime-tower/ws/bare/deflate/9");

/// Under which format, and by which function, a mode's frames are made; deflated by a window, if that was agreed.
pub(super) fn of(mode: Mode, window: Option<Window>) -> (Format, fn(&Entry) -> Bytes) {
    match (mode, window) {
        (Mode::V1, None) => (V1, v1),
        (Mode::Bare, None) => (BARE, bare),
        (Mode::V1, Some(Window::Full)) => (V1_FULL, |entry| deflated(v1(entry), Window::Full)),
        (Mode::Bare, Some(Window::Full)) => (BARE_FULL, |entry| deflated(bare(entry), Window::Full)),
        (Mode::V1, Some(Window::Narrow)) => (V1_NARROW, |entry| deflated(v1(entry), Window::Narrow)),
        (Mode::Bare, Some(Window::Narrow)) => (BARE_NARROW, |entry| deflated(bare(entry), Window::Narrow)),
    }
}

/// What is sent after a silence, to whoever has come this far.
pub(super) fn beat_of(mode: Mode) -> fn(Cursor) -> Bytes {
    match mode {
        Mode::V1 => |place| codec::text(Control::Ping(place).message().as_bytes()),
        Mode::Bare => |_| codec::ping(b""),
    }
}

/// A frame as it is where nothing is won, which section 6 of RFC 7692 allows message by message.
fn deflated(frame: Bytes, window: Window) -> Bytes {
    let payload = deflate::deflate(&frame[codec::head_len(&frame)..], window);
    payload.map_or(frame.clone(), |payload| codec::deflated(&frame, &payload))
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
