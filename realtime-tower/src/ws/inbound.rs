//! What the client sends: bytes in, whole messages out, or the reason to hang up.
//!
//! The one place that touches `sockudo-ws`. Two of its parts are used: [`FrameParser`], which reads and unmasks frames
//! and refuses reserved bits, opcodes, lengths and unmasked frames, and [`Utf8Stream`], which checks text piece by piece.
//! Its own assembler is not: that hides fragments, so that nothing could count them. What is ours is therefore
//!
//! - messages out of fragments, with a limit on their bytes and on their number, empty ones included;
//! - the rules between frames, and those of a close body;
//! - text checked as its bytes arrive, not when its frame is complete (RFC 6455 section 8.1);
//! - messages that are deflated: gathered as they came, inflated when they are whole, up to the same limit (RFC 7692);
//! - no buffer between two messages: an idle connection holds this struct and nothing on the heap.
//!
//! ```text
//! feed(bytes) -> pending -> FrameParser -> admit (header) -> Item::{Ping, Pong, Close}
//!                                              '-> Utf8Stream -> open (fragments) -> Item::{Text, Binary}
//! ```
//!
//! The outcome does not depend on how the bytes were cut. Nothing is ever reserved by a length that was only announced.

use bytes::{Bytes, BytesMut};
use sockudo_ws::{
    error::Error,
    frame::{Frame, FrameParser, OpCode},
    utf8::Utf8Stream,
};

use super::codec::{CONTROL_BYTES_MAX, code};
use super::deflate::{self, Refused};

/// How much one client may make us hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InboundLimits {
    /// The longest message in bytes, over all its fragments: an uplink takes commands, not files.
    pub(crate) message_bytes_max: usize,
    /// The most fragments of one message, empty ones included: they cost work, and need not carry a byte.
    pub(crate) fragments_max: u32,
}

impl Default for InboundLimits {
    fn default() -> Self {
        Self { message_bytes_max: 64 * 1024, fragments_max: 128 }
    }
}

/// One thing that the client said. How often it may is the caller's to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A whole text message. The bytes are valid UTF-8.
    Text(Bytes),
    /// A whole binary message.
    Binary(Bytes),
    /// To be answered with a pong of the same payload; of several, answering the newest is enough.
    Ping(Bytes),
    /// A sign of life. It need not have been asked for.
    Pong(Bytes),
    /// The client closes: the last item, whatever follows it in the same read.
    Close {
        /// Absent when the close was empty. Always one that may be sent back.
        code: Option<u16>,
        /// At most 123 bytes, for a log line that escapes it.
        reason: String,
    },
}

/// Why the connection must be closed: the last thing that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation {
    /// 1002, 1007, 1008 or 1009.
    pub(crate) code: u16,
    /// For people, in our words: nothing of what the client sent.
    pub(crate) reason: &'static str,
}

/// The reading half of one connection, without its I/O.
pub(crate) struct Assembler {
    limits: InboundLimits,
    parser: FrameParser,
    /// Bytes of frames not yet complete; the front of a pending payload is already unmasked.
    pending: BytesMut,
    /// A frame was split off `pending`, whose allocation it now shares.
    shared: bool,
    /// How many bytes of the pending frame's payload `utf8` has seen.
    checked: usize,
    utf8: Utf8Stream,
    open: Option<Open>,
    done: bool,
}

/// A message whose last fragment is still to come.
struct Open {
    kind: Kind,
    is_deflated: bool,
    bytes: BytesMut,
    fragments: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

impl Assembler {
    pub(crate) fn new(limits: InboundLimits) -> Self {
        // The parser checks each frame alone, controls too, which a tiny message limit must not forbid.
        let frame_bytes_max = limits.message_bytes_max.max(CONTROL_BYTES_MAX);
        Self {
            limits,
            parser: FrameParser::new(frame_bytes_max, true),
            pending: BytesMut::new(),
            shared: false,
            checked: 0,
            utf8: Utf8Stream::new(),
            open: None,
            done: false,
        }
    }

    /// Messages may be deflated from here on.
    pub(crate) fn with_deflate(self) -> Self {
        let frame_bytes_max = deflate::deflated_bytes_max(self.limits.message_bytes_max);
        Self { parser: FrameParser::with_compression(frame_bytes_max.max(CONTROL_BYTES_MAX), true), ..self }
    }

    /// Takes what was read. Feed again only when [`next_item`](Self::next_item) has nothing left, or memory is bounded
    /// by the caller's patience alone.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if !self.done {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// The next whole item; `None` when more bytes are needed, and for ever after a close or a violation.
    ///
    /// # Errors
    ///
    /// A [`Violation`], once, as soon as the bytes that prove it are here.
    pub(crate) fn next_item(&mut self) -> Result<Option<Item>, Violation> {
        if self.done {
            return Ok(None);
        }
        let step = self.step();
        match &step {
            Err(_) | Ok(Some(Item::Close { .. })) => self.finish(),
            Ok(None) => self.settle(),
            Ok(Some(_)) => {}
        }
        step
    }

    /// Bytes that were fed and are no part of an item yet.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Whether a close or a violation was said, so that reading on tells nothing more.
    #[cfg(test)]
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    fn step(&mut self) -> Result<Option<Item>, Violation> {
        while let Some(frame) = self.parser.parse(&mut self.pending)? {
            self.shared = true;
            if let Some(item) = self.accept(frame)? {
                return Ok(Some(item));
            }
        }
        self.foresee()?;
        Ok(None)
    }

    fn accept(&mut self, frame: Frame) -> Result<Option<Item>, Violation> {
        let kind = self.admit(frame.header.opcode, frame.header.rsv1, frame.payload.len())?;
        match (frame.header.opcode, kind) {
            (_, Some((kind, is_deflated))) => self.data(kind, is_deflated, frame.header.fin, frame.payload),
            (OpCode::Ping, _) => Ok(Some(Item::Ping(frame.payload))),
            (OpCode::Pong, _) => Ok(Some(Item::Pong(frame.payload))),
            _ => closing(&frame.payload).map(Some),
        }
    }

    /// Judges a frame by its header alone, so that one whose payload is still to come is refused before it is held.
    /// The kind of message that a data frame belongs to, and whether it is deflated; none for a control.
    fn admit(
        &self,
        opcode: OpCode,
        rsv1: bool,
        payload_bytes: usize,
    ) -> Result<Option<(Kind, bool)>, Violation> {
        let kind = match (opcode, &self.open) {
            (OpCode::Close | OpCode::Ping | OpCode::Pong, _) => return Ok(None),
            (OpCode::Text, None) => Kind::Text,
            (OpCode::Binary, None) => Kind::Binary,
            (OpCode::Continuation, Some(open)) => open.kind,
            (OpCode::Continuation, None) => return Err(protocol("continuation without a message")),
            (OpCode::Text | OpCode::Binary, Some(_)) => {
                return Err(protocol("new message inside a fragmented one"));
            }
        };
        let (bytes, fragments, is_deflated) = self
            .open
            .as_ref()
            .map_or((0, 0, rsv1), |open| (open.bytes.len(), open.fragments, open.is_deflated));
        let plain_max = self.limits.message_bytes_max;
        let bytes_max = if is_deflated { deflate::deflated_bytes_max(plain_max) } else { plain_max };
        if payload_bytes > bytes_max.saturating_sub(bytes) {
            return Err(too_big());
        }
        if fragments >= self.limits.fragments_max {
            return Err(Violation { code: code::POLICY, reason: "too many fragments" });
        }
        Ok(Some((kind, is_deflated)))
    }

    /// Judges what has come of a frame that is not complete. The parser says what it is and has unmasked it in place.
    fn foresee(&mut self) -> Result<(), Violation> {
        let Some(frame) = self.parser.pending_payload() else { return Ok(()) };
        if self.admit(frame.opcode, frame.rsv1, frame.total)? == Some((Kind::Text, false)) {
            if !self.utf8.push(&self.pending[self.checked..frame.ready]) {
                return Err(not_utf8());
            }
            self.checked = frame.ready;
        }
        Ok(())
    }

    fn data(
        &mut self,
        kind: Kind,
        is_deflated: bool,
        fin: bool,
        payload: Bytes,
    ) -> Result<Option<Item>, Violation> {
        let checked = std::mem::take(&mut self.checked);
        if kind == Kind::Text
            && !is_deflated
            && !(self.utf8.push(&payload[checked..]) && (!fin || self.utf8.finish()))
        {
            return Err(not_utf8());
        }
        let mut bytes = match self.open.take() {
            None if fin => payload,
            open => {
                let mut open =
                    open.unwrap_or_else(|| Open { kind, is_deflated, bytes: BytesMut::new(), fragments: 0 });
                open.bytes.extend_from_slice(&payload);
                open.fragments += 1;
                if !fin {
                    self.open = Some(open);
                    return Ok(None);
                }
                open.bytes.freeze()
            }
        };
        if is_deflated {
            bytes = deflate::inflate(&bytes, self.limits.message_bytes_max)?.into();
            if kind == Kind::Text && !(self.utf8.push(&bytes) && self.utf8.finish()) {
                return Err(not_utf8());
            }
        }
        Ok(Some(match kind {
            Kind::Text => Item::Text(bytes),
            Kind::Binary => Item::Binary(bytes),
        }))
    }

    /// Lets go of a buffer that is empty, or that a message just given away would keep alive beside its own.
    fn settle(&mut self) {
        if self.shared || self.pending.is_empty() {
            self.pending = BytesMut::from(&self.pending[..]);
            self.shared = false;
        }
    }

    fn finish(&mut self) {
        self.done = true;
        self.pending = BytesMut::new();
        self.open = None;
    }

    /// Bytes on the heap that this struct keeps alive.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.pending.capacity() + self.open.as_ref().map_or(0, |open| open.bytes.capacity())
    }
}

impl From<Error> for Violation {
    fn from(error: Error) -> Self {
        match error {
            Error::FrameTooLarge | Error::MessageTooLarge => too_big(),
            Error::Protocol(reason) | Error::InvalidFrame(reason) => protocol(reason),
            _ => protocol("malformed frame"),
        }
    }
}

impl From<Refused> for Violation {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooBig => too_big(),
            Refused::Invalid => Self { code: code::NOT_UTF8, reason: "not a deflated message" },
        }
    }
}

/// The body of a close: nothing, or a code that may be sent and a reason in UTF-8 (RFC 6455 sections 5.5.1 and 7.4).
fn closing(body: &[u8]) -> Result<Item, Violation> {
    let (code, reason) = match body {
        [] => return Ok(Item::Close { code: None, reason: String::new() }),
        [_] => return Err(protocol("close body of one byte")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !may_be_sent(code) {
        return Err(protocol("close code that is never sent"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| not_utf8())?;
    Ok(Item::Close { code: Some(code), reason: reason.to_owned() })
}

/// 1004 to 1006 and 1015 stand for what was never sent, up to 2999 is kept for the protocol, beyond 4999 is nothing.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

fn protocol(reason: &'static str) -> Violation {
    Violation { code: code::PROTOCOL, reason }
}

fn too_big() -> Violation {
    Violation { code: code::TOO_BIG, reason: "message too big" }
}

fn not_utf8() -> Violation {
    Violation { code: code::NOT_UTF8, reason: "text is not UTF-8" }
}
