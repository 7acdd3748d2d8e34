//! Frames to a client: read back by a foreign codec, and, masked, by our own.

use bytes::Bytes;

use realtime_core::Event;

use super::{foreign::Wire, masked, read};
use crate::fixture;
use crate::ws::codec::{self, Opcode, code};
use crate::ws::frames;
use crate::ws::inbound::{InboundLimits, Item};
use crate::ws::messages::Mode;
use tungstenite::{
    Message,
    protocol::{Role, WebSocket, WebSocketConfig},
};

const LIMITS: InboundLimits = InboundLimits { message_bytes_max: 1 << 20, fragments_max: 1 };

/// What a foreign client reads.
fn foreign(frame: &[u8]) -> Message {
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let mut socket = WebSocket::from_raw_socket(Wire::new(frame), Role::Client, Some(config));
    let message = socket.read().unwrap();
    assert!(socket.get_ref().unread.is_empty(), "the frame has a byte too many");
    message
}

/// What our own reader makes of the same frame, once masked.
fn ours(frame: &[u8]) -> Item {
    let payload_at = if frame[1] < 126 {
        2
    } else if frame[1] == 126 {
        4
    } else {
        10
    };
    let outcome = read(LIMITS, [&masked(frame[0], &frame[payload_at..])[..]]);
    assert_eq!(outcome.violation, None);
    outcome.items.into_iter().next().unwrap()
}

#[test]
fn messages_of_every_length_read_back() {
    // P-WF-02: on both sides of each length form; P-WF-01: never masked.
    for bytes in [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, 100_000] {
        let payload = "x".repeat(bytes);
        let frame = codec::text(payload.as_bytes());
        assert_eq!(frame[1] & 0x80, 0, "P-WF-01");
        assert_eq!(foreign(&frame), Message::text(payload.clone()));
        assert_eq!(ours(&frame), Item::Text(Bytes::from(payload.clone())));
        let frame = codec::binary(payload.as_bytes());
        assert_eq!(foreign(&frame), Message::binary(payload.clone()));
        assert_eq!(ours(&frame), Item::Binary(Bytes::from(payload)));
    }
}

#[test]
fn a_signed_frame_is_the_same_message_with_the_readers_id_and_what_follows_it_is_shared() {
    let cursors = fixture::signed();
    let (format, encode) = frames::of(Mode::V1, None);
    // On both sides of each length form, before and after the tag.
    let lengths = [0, 40, 60, 61, 62, 63, 64, 65, 66, 126, 0xFF80, 0xFFB0, 0xFFC0, 0xFFD0, 0x1_0000];
    for (position, length) in [12, u128::MAX].into_iter().flat_map(|at| lengths.map(|length| (at, length))) {
        let entry = fixture::entry(position, Event::text("n", "x".repeat(length)).unwrap());
        let frame = entry.encoded(format, encode);
        let (id, rest) = frames::signed(&entry, &frame, &cursors);
        assert!(codec::is_begin(&id) && !codec::is_begin(&rest));
        assert!(frame.as_ptr_range().contains(&rest.as_ptr()), "shared");
        let Message::Text(plain) = foreign(&frame) else { panic!("a text") };
        let (cursor, tagged) = (entry.cursor().to_string(), cursors.text(entry.cursor()));
        assert_eq!(foreign(&[&id[..], &rest].concat()), Message::text(plain.replace(&cursor, &tagged)));
        let bytes = id.len();
        assert_eq!(id.try_into_mut().unwrap().capacity(), bytes, "one allocation, none to spare");
    }
}

/// The log counts what it keeps by its length.
#[test]
fn a_frame_that_is_kept_has_little_room_to_spare() {
    let entry = fixture::entry(12, Event::text("n", "x".repeat(10_000)).unwrap());
    for mode in [Mode::V1, Mode::Bare] {
        let (_, encode) = frames::of(mode, None);
        let frame = encode(&entry);
        let bytes = frame.len();
        assert!(frame.try_into_mut().unwrap().capacity() < bytes + 256, "{mode:?}");
    }
}

#[test]
fn a_head_is_the_shortest_that_fits() {
    // P-WF-02
    let rows: [(usize, &[u8]); 6] = [
        (0, &[0x82, 0]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (0xFFFF, &[0x82, 126, 0xFF, 0xFF]),
        (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        (0x1_2345_6789, &[0x82, 127, 0, 0, 0, 1, 0x23, 0x45, 0x67, 0x89]),
    ];
    for (payload_bytes, expected) in rows {
        assert_eq!(codec::head(Opcode::Binary, payload_bytes).as_slice(), expected, "{payload_bytes}");
    }
}

#[test]
fn a_frame_built_around_an_encoder_is_the_same_frame() {
    for bytes in [0, 125, 126, 0xFFFF, 0x1_0000] {
        let payload = vec![b'x'; bytes];
        for guess in [0, bytes, 3 * bytes] {
            let around = codec::around(Opcode::Text, guess, |frame| frame.extend_from_slice(&payload));
            assert_eq!(around, codec::text(&payload), "{bytes} with room for {guess}");
        }
    }
}

#[test]
fn controls_carry_at_most_125_bytes() {
    // P-WF-04
    for (given, kept) in [(0, 0), (1, 1), (124, 124), (125, 125), (126, 125), (1000, 125)] {
        let (given, kept) = (vec![7; given], Bytes::from(vec![7; kept]));
        assert_eq!(foreign(&codec::ping(&given)), Message::Ping(kept.clone()));
        assert_eq!(ours(&codec::ping(&given)), Item::Ping(kept.clone()));
        assert_eq!(foreign(&codec::pong(&given)), Message::Pong(kept.clone()));
        assert_eq!(ours(&codec::pong(&given)), Item::Pong(kept));
    }
}

fn check_close(frame: &[u8], code: u16, reason: &str) {
    let Message::Close(Some(close)) = foreign(frame) else { panic!("no close in {frame:?}") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (code, reason));
    assert_eq!(ours(frame), Item::Close { code: Some(code), reason: reason.to_owned() });
}

#[test]
fn close_reasons_are_cut_where_a_character_ends() {
    // P-WF-05
    let x = |bytes| "x".repeat(bytes);
    let rows = [
        (String::new(), String::new()),
        (x(122), x(122)),
        (x(123), x(123)),
        (x(124), x(123)),
        (x(122) + "é", x(122)),
        (x(121) + "é", x(121) + "é"),
        (x(120) + "😀", x(120)),
        ("😀".repeat(100), "😀".repeat(30)),
    ];
    for (given, kept) in rows {
        check_close(&codec::close(code::DRAIN, &given), 1001, &kept);
    }
}

#[test]
fn every_close_code_of_ours_may_be_sent() {
    // P-WF-08
    use code::*;
    let codes = [
        END,
        DRAIN,
        PROTOCOL,
        UNSUPPORTED,
        NOT_UTF8,
        POLICY,
        TOO_BIG,
        SOURCE_FAILED,
        OVERLOAD,
        SLOW,
        GAP,
        EXPIRED,
    ];
    assert_eq!(codes, [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1013, 4000, 4001, 4401]);
    for code in codes {
        check_close(&codec::close(code, "0000-17"), code, "0000-17");
    }
}

#[test]
fn a_close_is_answered_with_its_own_code() {
    // P-WF-06
    check_close(&codec::close_reply(Some(3005)), 3005, "");
    let empty = codec::close_reply(None);
    assert_eq!(foreign(&empty), Message::Close(None));
    assert_eq!(ours(&empty), Item::Close { code: None, reason: String::new() });
}
