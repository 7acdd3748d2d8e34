//! permessage-deflate (RFC 7692), pure: the offers of a handshake, and payloads in and out. No context is ever taken over, so a
//! payload is deflated once for all who read it, and nothing is held between two messages of anybody.
//!
//! ```text
//! offers -> Agreed -> Sec-WebSocket-Extensions            the first offer that can be kept; none is no error
//! payload -> deflate -> less than it was, or not at all    a deflater a thread
//! payload <- inflate <- what a client sent                 an inflater a message: 1.5 us, 40 KiB while it lasts
//! ```

use std::cell::RefCell;

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};

/// How far back a deflated payload may refer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// 32 KiB: 15 bits, the most there is.
    Full,
    /// 512 bytes: 9 bits, the least that zlib makes, for whoever asked for less than 15.
    Narrow,
}

/// The offer that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) window: Window,
    /// The value of `Sec-WebSocket-Extensions`.
    pub(crate) answer: &'static str,
}

const NAME: &[u8] = b"permessage-deflate";

const PLAIN: Agreed = Agreed {
    window: Window::Full,
    answer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
};
/// Who names a window is told that it is kept (section 7.1.2.1).
const FULL: Agreed = Agreed {
    window: Window::Full,
    answer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15",
};
const NARROW: Agreed = Agreed {
    window: Window::Narrow,
    answer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
};

/// Payloads below this, in bytes, go as they are: in a packet of their own they would save a fifth of less than its headers.
pub(crate) const DEFLATE_BYTES_MIN: usize = 128;

/// What a sender strips off, RFC 7692 section 7.2.1.
const STRIPPED: [u8; 4] = [0, 0, 0xff, 0xff];

/// What was stripped off, and an empty last block behind it. Only where the last block is whole does the second end the
/// stream here: that is how a stream that was cut is known.
const TAIL: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// Deflated bytes that are looked at between two looks at what they came to.
const STEP_BYTES: usize = 1024;

/// Deflated bytes that may come to nothing: blocks that hold none, each of which costs work.
const WASTE_BYTES_MAX: usize = 1024;

/// Streams that end within one message (section 7.2.3.4): an honest one ends once, or once a fragment.
const ENDS_MAX: u32 = 128;

/// How far back deflate can refer, in bytes.
const DICTIONARY_BYTES: usize = 32 * 1024;

/// Why a payload cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no whole deflate stream.
    Invalid,
    /// It is longer than allowed, or its stream is longer than any that is meant well.
    TooBig,
}

/// Takes one offer, well formed, if it is ours and can be kept. `parameters` are trimmed and unquoted.
pub(crate) fn agree<'a>(
    name: &[u8],
    parameters: impl Iterator<Item = (&'a [u8], Option<Vec<u8>>)>,
) -> Option<Agreed> {
    if name != NAME {
        return None;
    }
    let mut seen = Vec::with_capacity(4);
    let mut agreed = PLAIN;
    for (name, value) in parameters {
        let is_known = match (name, value.as_deref()) {
            // We do both, asked or not.
            (b"server_no_context_takeover" | b"client_no_context_takeover", None) => true,
            // Only a hint that the answer may set a limit: ours sets none.
            (b"client_max_window_bits", value) => value.is_none_or(|value| bits(value).is_some()),
            (b"server_max_window_bits", Some(value)) => {
                agreed = match bits(value)? {
                    // zlib deflates by no window of 256 bytes.
                    8 => return None,
                    15 => FULL,
                    _ => NARROW,
                };
                true
            }
            _ => false,
        };
        if !is_known || seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    Some(agreed)
}

/// 8 to 15, without a leading zero.
fn bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

thread_local! {
    // 300 KiB each where it is used, which is where events are first written; made anew it would cost as much again as an event.
    static DEFLATE_FULL: RefCell<Compress> = RefCell::new(Compress::new_with_window_bits(Level::default(), false, 15));
    static DEFLATE_NARROW: RefCell<Compress> = RefCell::new(Compress::new_with_window_bits(Level::default(), false, 9));
}

/// A payload deflated; none where it would not be shorter.
pub(crate) fn deflate(plain: &[u8], window: Window) -> Option<Vec<u8>> {
    if plain.len() < DEFLATE_BYTES_MIN {
        return None;
    }
    let state = match window {
        Window::Full => &DEFLATE_FULL,
        Window::Narrow => &DEFLATE_NARROW,
    };
    state.with_borrow_mut(|state| {
        state.reset();
        // Room for what is worth it, and for what is stripped off.
        let mut out = Vec::with_capacity(plain.len() + STRIPPED.len());
        state.compress_vec(plain, &mut out, FlushCompress::Sync).ok()?;
        let is_whole = state.total_in() == plain.len() as u64 && out.ends_with(&STRIPPED);
        out.truncate(out.len().saturating_sub(STRIPPED.len()));
        // Full room may hide a rest.
        (is_whole && out.len() < plain.len()).then_some(out)
    })
}

/// The most deflated bytes that a payload of so many bytes needs: nine bits a byte, as the fixed code has, and some blocks.
pub(crate) fn deflated_bytes_max(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 8).saturating_add(WASTE_BYTES_MAX)
}

/// The payload of a message.
///
/// # Errors
/// [`Refused`], as soon as the bytes that prove it have been inflated: one beyond `bytes_max` at most.
pub(crate) fn inflate(deflated: &[u8], bytes_max: usize) -> Result<Vec<u8>, Refused> {
    if deflated.is_empty() {
        // An empty message has a byte (section 7.2.3.6), but a zlib that is flushed twice gives none.
        return Ok(Vec::new());
    }
    let mut inflater = Inflater { state: Decompress::new(false), out: Vec::new(), bytes_max };
    inflater
        .out
        .reserve_exact(deflated.len().saturating_mul(4).clamp(64, bytes_max.saturating_add(1).max(64)));
    let (mut ends, mut taken) = (0, 0);
    while taken < deflated.len() {
        let piece = &deflated[taken..][..STEP_BYTES.min(deflated.len() - taken)];
        let (used, is_end) = inflater.take(piece)?;
        taken += used;
        if taken > deflated_bytes_max(inflater.out.len()) {
            return Err(Refused::TooBig);
        }
        if is_end {
            if taken == deflated.len() {
                return Ok(fitted(inflater.out));
            }
            ends += 1;
            if ends > ENDS_MAX {
                return Err(Refused::TooBig);
            }
            inflater.begin_anew()?;
        }
    }
    let bytes = inflater.out.len();
    // Whatever comes out of the tail, too much as well, is of a block that was cut.
    let tail = inflater.take(&TAIL).map_err(|_| Refused::Invalid)?;
    let is_whole = tail == (TAIL.len(), true) && inflater.out.len() == bytes;
    if is_whole { Ok(fitted(inflater.out)) } else { Err(Refused::Invalid) }
}

/// A payload holds no more than it is: what waits for a handler is reckoned by its length.
fn fitted(mut payload: Vec<u8>) -> Vec<u8> {
    if payload.capacity() - payload.len() > payload.len() / 4 {
        payload.shrink_to_fit();
    }
    payload
}

struct Inflater {
    state: Decompress,
    out: Vec<u8>,
    bytes_max: usize,
}

impl Inflater {
    /// Inflates a piece, up to the end of a stream if there is one in it. The bytes taken of it, and whether that was an end.
    fn take(&mut self, piece: &[u8]) -> Result<(usize, bool), Refused> {
        let mut used = 0;
        loop {
            let before = (self.state.total_in(), self.out.len());
            let status = self
                .state
                .decompress_vec(&piece[used..], &mut self.out, FlushDecompress::Sync)
                .map_err(|_| Refused::Invalid)?;
            let taken = (self.state.total_in() - before.0) as usize;
            used += taken;
            if self.out.len() > self.bytes_max {
                return Err(Refused::TooBig);
            }
            if status == Status::StreamEnd {
                return Ok((used, true));
            }
            if self.out.len() == self.out.capacity() {
                let more = (self.bytes_max - self.out.len()).saturating_add(1);
                self.out.reserve_exact(more.min(self.out.len().max(64)));
            } else if used == piece.len() {
                return Ok((used, false));
            } else if taken == 0 && self.out.len() == before.1 {
                return Err(Refused::Invalid);
            }
        }
    }

    /// Another stream of the same message, which may refer to what came before it.
    fn begin_anew(&mut self) -> Result<(), Refused> {
        self.state.reset(false);
        let from = self.out.len().saturating_sub(DICTIONARY_BYTES);
        if self.out.is_empty() {
            return Ok(());
        }
        self.state.set_dictionary(&self.out[from..]).map(|_| ()).map_err(|_| Refused::Invalid)
    }
}
