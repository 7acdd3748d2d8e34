//! Proof of the pure half of the room. Rows name the rule they prove; a refusal stands beside a twin that passes.

mod deflate;
mod differential;
mod foreign;
mod frames;
mod handshake;
mod inbound;
mod messages;
mod outbox;

use super::inbound::{Assembler, InboundLimits, Item, Violation};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Small enough that a table can reach every limit.
const LIMITS: InboundLimits = InboundLimits { message_bytes_max: 300, fragments_max: 4 };

/// A masked frame with the first byte given raw, so that a row can set what it likes in it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        medium @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What came out: the items, and the violation that ended them, if one did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Outcome {
    items: Vec<Item>,
    violation: Option<Violation>,
}

fn read<'a>(limits: InboundLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut inbound = Assembler::new(limits);
    let mut outcome = Outcome::default();
    for piece in pieces {
        inbound.feed(piece);
        loop {
            match inbound.next_item() {
                Ok(Some(item)) => outcome.items.push(item),
                Ok(None) => break,
                Err(violation) => {
                    assert_eq!(outcome.violation.replace(violation), None, "a violation is said once");
                }
            }
        }
    }
    outcome
}

/// The outcome of `wire`, proved to be the same whole, byte by byte, and cut once at every place.
fn read_cut_anywhere(limits: InboundLimits, wire: &[u8]) -> Outcome {
    let whole = read(limits, [wire]);
    assert_eq!(read(limits, wire.chunks(1)), whole, "byte by byte: {wire:02x?}");
    for cut in 0..=wire.len() {
        let (head, tail) = wire.split_at(cut);
        assert_eq!(read(limits, [head, tail]), whole, "cut at {cut}: {wire:02x?}");
    }
    whole
}
