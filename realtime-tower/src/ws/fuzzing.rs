//! What only a fuzzer reaches, because behind a connection it would be too slow. There is nothing of it in a build that is
//! shipped: `--cfg fuzzing` is what cargo-fuzz sets.

use bytes::Bytes;

use super::deflate::{self, Window};
use super::inbound::{self, Assembler, InboundLimits};

/// What a client said, as the room's own items are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A whole text message.
    Text(Bytes),
    /// A whole binary message.
    Binary(Bytes),
    /// A ping.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The last.
    Close {
        /// Absent when the close was empty.
        code: Option<u16>,
        /// What was said of it.
        reason: String,
    },
}

/// Why we hang up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The close code.
    pub code: u16,
    /// In our words.
    pub reason: &'static str,
}

/// The limits to read by.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest message.
    pub message_bytes_max: usize,
    /// The most fragments of one.
    pub fragments_max: u32,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What was said, in order.
    pub items: Vec<Item>,
    /// What ended it.
    pub violation: Option<Violation>,
}

/// Reads what a client of a WebSocket sent, piece by piece.
///
/// # Panics
/// Something is said after a violation or a close.
pub fn read<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    gather(assembler(limits), pieces)
}

/// Reads what a client sent who may deflate.
///
/// # Panics
/// Something is said after a violation or a close.
pub fn read_deflated<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    gather(assembler(limits).with_deflate(), pieces)
}

/// A payload inflated; none where it is no whole stream, or too long.
pub fn inflate(deflated: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    deflate::inflate(deflated, bytes_max).ok()
}

/// A payload deflated, by a window of 15 bits and by one of 9, where that is worth it.
pub fn deflate(plain: &[u8]) -> [(u8, Option<Vec<u8>>); 2] {
    [(15, Window::Full), (9, Window::Narrow)].map(|(bits, window)| (bits, deflate::deflate(plain, window)))
}

fn assembler(limits: Limits) -> Assembler {
    let Limits { message_bytes_max, fragments_max } = limits;
    Assembler::new(InboundLimits { message_bytes_max, fragments_max })
}

fn gather<'a>(mut inbound: Assembler, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut outcome = Outcome::default();
    for piece in pieces {
        inbound.feed(piece);
        loop {
            let is_over =
                outcome.violation.is_some() || matches!(outcome.items.last(), Some(Item::Close { .. }));
            match inbound.next_item() {
                Ok(None) => break,
                said if is_over => panic!("{said:?} is said after the end"),
                Ok(Some(item)) => outcome.items.push(item.into()),
                Err(inbound::Violation { code, reason }) => {
                    outcome.violation = Some(Violation { code, reason });
                }
            }
        }
    }
    outcome
}

impl From<inbound::Item> for Item {
    fn from(item: inbound::Item) -> Self {
        match item {
            inbound::Item::Text(bytes) => Self::Text(bytes),
            inbound::Item::Binary(bytes) => Self::Binary(bytes),
            inbound::Item::Ping(bytes) => Self::Ping(bytes),
            inbound::Item::Pong(bytes) => Self::Pong(bytes),
            inbound::Item::Close { code, reason } => Self::Close { code, reason },
        }
    }
}
