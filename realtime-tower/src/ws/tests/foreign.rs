//! What tungstenite makes of the same bytes, and what may differ from it. Shared with the fuzzer, which takes this file in by
//! its path.
//!
//! Known differences, each allowed for below and nowhere else:
//!
//! - a length that is not in its shortest form: we refuse, tungstenite reads on;
//! - the number of fragments: we count, tungstenite does not;
//! - a frame that breaks a rule and is not complete: we refuse at once, tungstenite when its last byte is here;
//! - close code 1014, registered after the RFC: we take it, tungstenite does not know it;
//! - which of two faults in one frame is named: of a length over the limit and anything else in the head, tungstenite
//!   names the length; of a close body's code and its text, the text.

use std::io;

use tungstenite::{
    Error, Message,
    protocol::{Role, WebSocket, WebSocketConfig},
};

use super::{Item, LIMITS, Outcome};

/// How tungstenite refuses, in codes.
const PROTOCOL: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// Our reasons to refuse what tungstenite reads.
const STRICTER: [&str; 2] = ["payload length not minimal", "too many fragments"];

/// A socket whose peer has sent these bytes and waits.
pub(super) struct Wire<'a> {
    pub(super) unread: &'a [u8],
}

impl<'a> Wire<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { unread: bytes }
    }
}

impl io::Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.unread.read(buffer) }
    }
}

impl io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of it, in our words: the items, and the code of its refusal.
pub(super) fn read(wire: &[u8]) -> (Vec<Item>, Option<u16>) {
    let bytes_max = Some(LIMITS.message_bytes_max);
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(bytes_max)
        .max_frame_size(bytes_max);
    let mut socket = WebSocket::from_raw_socket(Wire::new(wire), Role::Server, Some(config));
    let mut items = Vec::new();
    loop {
        items.push(match socket.read() {
            Ok(Message::Text(text)) => Item::Text(text.into()),
            Ok(Message::Binary(bytes)) => Item::Binary(bytes),
            Ok(Message::Ping(bytes)) => Item::Ping(bytes),
            Ok(Message::Pong(bytes)) => Item::Pong(bytes),
            Ok(Message::Close(None)) => {
                items.push(Item::Close { code: None, reason: String::new() });
                return (items, None);
            }
            // How it refuses a code that is never sent.
            Ok(Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
                return (items, Some(PROTOCOL));
            }
            Ok(Message::Close(Some(close))) => {
                items.push(Item::Close { code: Some(close.code.into()), reason: close.reason.to_string() });
                return (items, None);
            }
            Ok(Message::Frame(_)) => unreachable!("a raw frame is never read"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (items, None),
            Err(Error::Utf8(_)) => return (items, Some(NOT_UTF8)),
            Err(Error::Capacity(_)) => return (items, Some(TOO_BIG)),
            Err(Error::Protocol(_)) => return (items, Some(PROTOCOL)),
            Err(error) => unreachable!("no fault of a peer: {error}"),
        });
    }
}

/// How the two relate, where that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// Both read the same.
    Read,
    /// Both refuse after the same, by the same code.
    Refused,
    /// Both refuse after the same, by another.
    RefusedByAnotherName,
    /// One of the known differences.
    Excused,
}

/// Compares what we made of `wire` with what tungstenite makes of it.
///
/// # Panics
/// They differ, and not in a way that is known.
pub(super) fn compare(ours: Outcome, wire: &[u8]) -> Relation {
    let Outcome { items, violation } = ours;
    let (theirs, refusal) = read(wire);
    match (violation, refusal) {
        (None, None) => {
            assert_eq!(items, theirs, "{wire:02x?}");
            Relation::Read
        }
        (None, Some(_)) => {
            let knows_1014 = matches!(items.last(), Some(Item::Close { code: Some(1014), .. }));
            assert!(knows_1014, "only tungstenite refuses, after {items:?}: {wire:02x?}");
            Relation::Excused
        }
        (Some(ours), _) if STRICTER.contains(&ours.reason) => {
            assert!(theirs.starts_with(&items), "{ours:?}: {wire:02x?}");
            Relation::Excused
        }
        (Some(ours), None) => {
            assert_eq!(items, theirs, "{ours:?}: {wire:02x?}");
            // Completed with whatever, the unfinished frame must be refused over there too.
            let finished = [wire, &vec![0; 2 * LIMITS.message_bytes_max]].concat();
            assert!(read(&finished).1.is_some(), "only we refuse: {ours:?}: {wire:02x?}");
            Relation::Excused
        }
        (Some(ours), Some(code)) => {
            assert_eq!(items, theirs, "{ours:?}: {wire:02x?}");
            if ours.code == code { Relation::Refused } else { Relation::RefusedByAnotherName }
        }
    }
}
