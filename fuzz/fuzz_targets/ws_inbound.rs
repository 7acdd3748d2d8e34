//! What a client of a WebSocket sends, read by us and by tungstenite: the same messages, or both refuse. And however the
//! bytes were cut, we read the same.
//!
//! Input: the bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use realtime_fuzz::cut;
use realtime_tower::fuzzing::{Item, Limits, Outcome, read};

#[path = "../../realtime-tower/src/ws/tests/foreign.rs"]
mod foreign;

/// Small enough that the fuzzer reaches every limit.
const LIMITS: Limits = Limits { message_bytes_max: 300, fragments_max: 4 };

fuzz_target!(|wire: &[u8]| {
    let ours: Outcome = read(LIMITS, [wire]);
    assert_eq!(read(LIMITS, cut(wire)), ours, "cut otherwise");
    assert_eq!(read(LIMITS, wire.chunks(1)), ours, "byte by byte");
    foreign::compare(ours, wire);
});
