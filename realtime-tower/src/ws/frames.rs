//! Ready frames of events: encoded once, shared by every socket.

use bytes::Bytes;
use realtime_core::{Entry, Format, Payload, envelope};

use super::codec::{self, Opcode};
use super::messages::Mode;

const V1: Format = Format::new("realtime-tower/ws/v1");
const BARE: Format = Format::new("realtime-tower/ws/bare");

/// Under which format, and by which function, a mode's frames are made.
pub(super) fn of(mode: Mode) -> (Format, fn(&Entry) -> Bytes) {
    match mode {
        Mode::V1 => (V1, v1),
        Mode::Bare => (BARE, bare),
    }
}

fn v1(entry: &Entry) -> Bytes {
    let guess = entry.event().payload().bytes().len() + 128;
    codec::around(Opcode::Text, guess, |out| envelope::write_event(entry, out))
}

fn bare(entry: &Entry) -> Bytes {
    match entry.event().payload() {
        Payload::Binary(bytes) => codec::binary(bytes),
        payload => codec::text(payload.bytes()),
    }
}
