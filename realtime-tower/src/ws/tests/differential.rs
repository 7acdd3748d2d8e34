//! Our reader beside tungstenite's, on the same bytes: well-formed sequences, and the same with something broken.
//!
//! Known differences, each allowed for below and nowhere else:
//!
//! - a length that is not in its shortest form: we refuse, tungstenite reads on;
//! - the number of fragments: we count, tungstenite does not;
//! - a frame that breaks a rule and is not complete: we refuse at once, tungstenite when its last byte is here;
//! - close code 1014, registered after the RFC: we take it, tungstenite does not know it;
//! - which of two faults in one frame is named: we look at lengths first, tungstenite at opcodes.

use std::io;

use tungstenite::{
    Error, Message,
    protocol::{Role, WebSocket, WebSocketConfig},
};

use super::{LIMITS, Outcome, masked, read};
use crate::ws::inbound::Item;

/// A socket whose peer has sent these bytes and waits.
pub(super) struct Wire<'a> {
    unread: &'a [u8],
}

impl<'a> Wire<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { unread: bytes }
    }

    pub(super) fn is_read(&self) -> bool {
        self.unread.is_empty()
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

/// What tungstenite makes of it, in our words.
fn foreign(wire: &[u8]) -> (Vec<Item>, bool) {
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
                return (items, false);
            }
            // How it refuses a code that is never sent.
            Ok(Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
                return (items, true);
            }
            Ok(Message::Close(Some(close))) => {
                items.push(Item::Close { code: Some(close.code.into()), reason: close.reason.to_string() });
                return (items, false);
            }
            Ok(Message::Frame(_)) => unreachable!("a raw frame is never read"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (items, false),
            Err(_) => return (items, true),
        });
    }
}

fn payload(random: &mut fastrand::Rng, first: u8) -> Vec<u8> {
    let bytes = *random.choice(&[0, 1, 2, 5, 30, 124, 125]).unwrap();
    match first & 0xF {
        0x8 if random.bool() => Vec::new(),
        0x8 => {
            let code: u16 = *random.choice(&[1000, 1001, 1003, 1011, 1013, 3000, 4999]).unwrap();
            [&code.to_be_bytes()[..], "done é".as_bytes()].concat()
        }
        0x9 | 0xA => (0..bytes).map(|_| random.u8(..)).collect(),
        _ => {
            let long = if random.u8(..8) == 0 { 126 } else { bytes };
            (0..long).map(|_| random.char('\u{20}'..'\u{20ff}')).collect::<String>().into_bytes()
        }
    }
}

/// Some frames that a well-behaved client could send.
fn sequence(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for _ in 0..random.usize(1..5) {
        if random.bool() {
            let control = *random.choice(&[0x89, 0x8A]).unwrap();
            frames.push(masked(control, &payload(random, control)));
        }
        let opcode = *random.choice(&[0x1, 0x2]).unwrap();
        let whole = payload(random, opcode);
        let whole = &whole[..whole.len().min(LIMITS.message_bytes_max)];
        let whole = String::from_utf8_lossy(whole).into_owned().into_bytes();
        let whole = if whole.len() > LIMITS.message_bytes_max { b"long".to_vec() } else { whole };
        let parts = random.usize(1..=LIMITS.fragments_max as usize);
        let mut rest = &whole[..];
        for part in 1..=parts {
            let take = if part == parts { rest.len() } else { random.usize(..=rest.len()) };
            let first = if part == 1 { opcode } else { 0 } | if part == parts { 0x80 } else { 0 };
            frames.push(masked(first, &rest[..take]));
            rest = &rest[take..];
            if part < parts && random.u8(..4) == 0 {
                frames.push(masked(0x89, &payload(random, 0x89)));
            }
        }
    }
    if random.u8(..3) == 0 {
        frames.push(masked(0x88, &payload(random, 0x88)));
    }
    frames
}

/// Breaks something: a bit of a head or a payload, the order, the number, the end.
fn broken(random: &mut fastrand::Rng, mut frames: Vec<Vec<u8>>) -> Vec<u8> {
    for _ in 0..random.usize(1..3) {
        let at = random.usize(..frames.len());
        match random.u8(..6) {
            0 => frames[at][0] ^= 1 << random.u8(..8),
            1 => frames[at][1] ^= 1 << random.u8(..8),
            2 => {
                let byte = random.usize(..frames[at].len());
                frames[at][byte] = random.u8(..);
            }
            3 => {
                let twin = frames[at].clone();
                frames.insert(at, twin);
            }
            4 => frames.swap(0, at),
            _ => {
                let keep = random.usize(..=frames[at].len());
                frames[at].truncate(keep);
            }
        }
    }
    frames.concat()
}

fn pieces<'a>(random: &mut fastrand::Rng, mut wire: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !wire.is_empty() {
        let (piece, rest) = wire.split_at(random.usize(1..=wire.len().min(40)));
        pieces.push(piece);
        wire = rest;
    }
    pieces
}

#[derive(Default, Debug)]
struct Seen {
    read: u32,
    refused: u32,
    excused: u32,
}

fn compare(seed: u64, random: &mut fastrand::Rng, wire: &[u8], seen: &mut Seen) {
    let ours = read(LIMITS, [wire]);
    assert_eq!(read(LIMITS, pieces(random, wire)), ours, "seed {seed}: cut otherwise: {wire:02x?}");
    let (theirs, refused) = foreign(wire);
    let Outcome { items, violation } = ours;
    match violation {
        None if !refused => {
            assert_eq!(items, theirs, "seed {seed}: {wire:02x?}");
            seen.read += 1;
        }
        None => {
            let last = items.last();
            let knows_1014 = matches!(last, Some(Item::Close { code: Some(1014), .. }));
            assert!(knows_1014, "seed {seed}: only tungstenite refuses, after {last:?}: {wire:02x?}");
            seen.excused += 1;
        }
        Some(_) if refused => {
            assert_eq!(items, theirs, "seed {seed}: {violation:?}: {wire:02x?}");
            seen.refused += 1;
        }
        Some(violation) => {
            assert_eq!(items, theirs[..items.len()], "seed {seed}: {violation:?}: {wire:02x?}");
            let stricter = ["payload length not minimal", "too many fragments"].contains(&violation.reason);
            // Completed with whatever, an unfinished frame must be refused over there too.
            let finished = [wire, &[0; 2 * 300][..]].concat();
            assert!(
                stricter || foreign(&finished).1,
                "seed {seed}: only we refuse: {violation:?}: {wire:02x?}"
            );
            seen.excused += 1;
        }
    }
}

#[test]
fn reads_and_refuses_what_another_implementation_does() {
    // P-WF-01 to P-WF-05, P-WF-07
    let mut seen = Seen::default();
    for seed in 0..6_000 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let frames = sequence(random);
        let before = seen.read;
        compare(seed, random, &frames.concat(), &mut seen);
        assert_eq!(seen.read, before + 1, "seed {seed}: a well-formed sequence is read");
        let wire = broken(random, frames);
        compare(seed, random, &wire, &mut seen);
    }
    assert!(seen.read > 6_000 && seen.refused > 1_500 && seen.excused > 50, "each side is reached: {seen:?}");
    assert!(seen.excused < seen.refused / 4, "excuses stay rare: {seen:?}");
}
