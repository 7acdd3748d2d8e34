//! Frames for the client: a head, then the payload as it is.
//!
//! A server never masks (RFC 6455 section 5.1) and never needs to fragment, so a frame is two to ten bytes in front of
//! bytes that are ready. That is why this is not a library's work: a frame built once is shared by every reader.

use bytes::Bytes;

/// Close codes that this room sends, RFC 6455 section 7.4 and our own.
pub(crate) mod code {
    /// The source has ended.
    pub(crate) const END: u16 = 1000;
    /// The server goes away; come back in a while, to any node.
    pub(crate) const DRAIN: u16 = 1001;
    /// The peer broke the framing.
    pub(crate) const PROTOCOL: u16 = 1002;
    /// A message of a kind that nobody here takes, as any message where no uplink is set.
    pub(crate) const UNSUPPORTED: u16 = 1003;
    /// Text that is not UTF-8, or a payload that does not inflate.
    pub(crate) const NOT_UTF8: u16 = 1007;
    /// Too many fragments, controls or messages.
    pub(crate) const POLICY: u16 = 1008;
    /// A message over the limit.
    pub(crate) const TOO_BIG: u16 = 1009;
    /// The source failed.
    pub(crate) const SOURCE_FAILED: u16 = 1011;
    /// Overload; come back later.
    pub(crate) const OVERLOAD: u16 = 1013;
    /// The reader fell too far behind.
    pub(crate) const SLOW: u16 = 4000;
    /// Events are gone, and bare mode has no other word for it.
    pub(crate) const GAP: u16 = 4001;
    /// The authorisation ran out.
    pub(crate) const EXPIRED: u16 = 4401;
}

/// The most a control frame may carry, in bytes: RFC 6455 section 5.5.
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

/// The most a close reason may take, in bytes: a control payload without the code.
pub(crate) const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// The longest head without a mask, in bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 10;

const FIN: u8 = 0x80;
/// The payload is deflated: RFC 7692 section 6.
const RSV1: u8 = 0x40;
const LENGTH_IS_U16: u8 = 126;
const LENGTH_IS_U64: u8 = 127;

/// What a frame is. A continuation is missing because we send none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

/// The bytes in front of a payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    len: usize,
}

impl Head {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The head of an unfragmented, unmasked frame, its length in the shortest form (RFC 6455 section 5.2).
pub(crate) fn head(opcode: Opcode, payload_bytes: usize) -> Head {
    let mut bytes = [0; HEAD_BYTES_MAX];
    bytes[0] = FIN | opcode as u8;
    let len = if payload_bytes <= CONTROL_BYTES_MAX {
        bytes[1] = payload_bytes as u8;
        2
    } else if let Ok(short) = u16::try_from(payload_bytes) {
        bytes[1] = LENGTH_IS_U16;
        bytes[2..4].copy_from_slice(&short.to_be_bytes());
        4
    } else {
        bytes[1] = LENGTH_IS_U64;
        bytes[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
        10
    };
    Head { bytes, len }
}

/// How long the head of one of our frames is.
pub(crate) fn head_len(frame: &[u8]) -> usize {
    match frame.get(1) {
        Some(&LENGTH_IS_U16) => 4,
        Some(&LENGTH_IS_U64) => 10,
        _ => 2,
    }
}

/// Whether a frame of ours begins with this piece: each has FIN. The rest of a signed one is JSON, which has no such byte
/// in front.
pub(crate) fn is_begin(piece: &[u8]) -> bool {
    piece.first().is_some_and(|byte| byte & FIN != 0)
}

/// A frame around what `encode` appends, without a copy: room for the longest head is left in front, and the head is
/// put there once the length is known. `payload_bytes` is a guess that saves growing.
pub(crate) fn around(opcode: Opcode, payload_bytes: usize, encode: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = Vec::with_capacity(HEAD_BYTES_MAX + payload_bytes);
    frame.resize(HEAD_BYTES_MAX, 0);
    encode(&mut frame);
    let head = head(opcode, frame.len().saturating_sub(HEAD_BYTES_MAX));
    let start = HEAD_BYTES_MAX - head.len;
    frame[start..HEAD_BYTES_MAX].copy_from_slice(head.as_slice());
    Bytes::from(frame).slice(start..)
}

/// A text frame. The payload must be UTF-8: what encodes events guarantees it, and a debug build checks.
pub(crate) fn text(payload: &[u8]) -> Bytes {
    debug_assert!(std::str::from_utf8(payload).is_ok(), "a text frame carries UTF-8 (RFC 6455 section 5.6)");
    frame(Opcode::Text, &[payload])
}

/// A binary frame.
pub(crate) fn binary(payload: &[u8]) -> Bytes {
    frame(Opcode::Binary, &[payload])
}

/// The same frame with its payload deflated.
pub(crate) fn deflated(frame: &[u8], payload: &[u8]) -> Bytes {
    let mut head = head(Opcode::Text, payload.len());
    head.bytes[0] = frame[0] | RSV1;
    [head.as_slice(), payload].concat().into()
}

/// A ping. Only the first [`CONTROL_BYTES_MAX`] bytes of the payload are taken.
pub(crate) fn ping(payload: &[u8]) -> Bytes {
    frame(Opcode::Ping, &[control(payload)])
}

/// The answer to a ping: the same payload (RFC 6455 section 5.5.3), which fits because the ping did.
pub(crate) fn pong(payload: &[u8]) -> Bytes {
    frame(Opcode::Pong, &[control(payload)])
}

/// A close with a code, the reason cut to [`REASON_BYTES_MAX`] bytes where a character ends.
pub(crate) fn close(code: u16, reason: &str) -> Bytes {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    frame(Opcode::Close, &[&code.to_be_bytes(), &reason.as_bytes()[..end]])
}

/// The answer to a close: its code given back (RFC 6455 section 5.5.1), or a close as empty as the one that came.
pub(crate) fn close_reply(code: Option<u16>) -> Bytes {
    code.map_or_else(|| frame(Opcode::Close, &[]), |code| close(code, ""))
}

fn control(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(CONTROL_BYTES_MAX)]
}

fn frame(opcode: Opcode, parts: &[&[u8]]) -> Bytes {
    let payload_bytes = parts.iter().map(|part| part.len()).sum();
    let head = head(opcode, payload_bytes);
    let mut frame = Vec::with_capacity(head.len + payload_bytes);
    frame.extend_from_slice(head.as_slice());
    for part in parts {
        frame.extend_from_slice(part);
    }
    Bytes::from(frame)
}
