//! What the generator understands of each wire: enough to find payloads, and no more work than that.

use flate2::{Decompress, FlushDecompress};

use crate::Outcome;
use crate::kind::Wire;
use crate::payload::PREFIX;

/// One thing that a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    /// The head of an answer, or a greeting: the reader is connected.
    Head,
    Payload(&'a [u8]),
    /// An answer to a poll that has no event.
    Answer,
    /// Something that wants these bytes in return.
    Wants(&'static [u8]),
}

/// A pong without payload, masked with zeroes, as all that this client sends.
const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];
/// Socket.IO's: connect, and pong.
const SOCKET_IO_CONNECT: &[u8] = b"\x81\x82\0\0\0\x0040";
const SOCKET_IO_PONG: &[u8] = b"\x81\x81\0\0\0\x003";
/// What stands around a payload in an event of Socket.IO.
pub(crate) const SOCKET_IO_EVENT: &str = "message";

/// The reading half of one connection, without its I/O.
#[derive(Debug)]
pub(crate) struct Decoder {
    wire: Wire,
    payload_bytes: usize,
    is_open: bool,
    /// What has come of something that is not whole.
    pending: Vec<u8>,
    /// What has come of an SSE event whose chunks are.
    event: Vec<u8>,
    /// Where a poll goes on.
    pub(crate) next: Option<String>,
    /// What a poll has already.
    pub(crate) etag: Option<String>,
    inflate: Option<Box<Inflate>>,
}

/// A head longer than this is none.
const HEAD_BYTES_MAX: usize = 4_096;
/// And an answer, frame or chunk longer than this neither.
const PIECE_BYTES_MAX: usize = 1024 * 1024;

impl Decoder {
    pub(crate) fn new(wire: Wire, payload_bytes: usize) -> Self {
        Self {
            wire,
            payload_bytes,
            is_open: wire.is_stream() || wire == Wire::Frames,
            pending: Vec::new(),
            event: Vec::new(),
            next: None,
            etag: None,
            inflate: None,
        }
    }

    /// Takes what was read, and tells what it says.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(Said<'_>) -> Outcome) -> Outcome {
        let mut joined = std::mem::take(&mut self.pending);
        let mut rest = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined[..]
        };
        while !rest.is_empty() {
            let used = match self.wire {
                Wire::LongPoll | Wire::Poll | Wire::NotModified => self.answer(rest, &mut tell)?,
                _ if !self.is_open => self.head(rest, &mut tell)?,
                Wire::WebSocket | Wire::Frames | Wire::StreamWebSocket => frame(rest, &mut tell)?,
                Wire::Deflate => self.deflated(rest, &mut tell)?,
                Wire::SocketIo => socket_io(rest, &mut tell)?,
                Wire::Sse => self.chunk(rest, &mut tell)?,
                Wire::StreamSse => whole_events(rest, &mut tell)?,
            };
            if used == 0 {
                self.pending = rest.to_vec();
                break;
            }
            rest = &rest[used..];
        }
        Ok(())
    }

    fn head(&mut self, bytes: &[u8], tell: &mut impl FnMut(Said<'_>) -> Outcome) -> Outcome<usize> {
        let Some(len) = head_len(bytes)? else { return Ok(0) };
        let expected: &[u8] = if self.wire == Wire::Sse { b"HTTP/1.1 200 " } else { b"HTTP/1.1 101 " };
        if !bytes.starts_with(expected) {
            return Err(refused(&bytes[..len]));
        }
        self.is_open = true;
        match self.wire {
            Wire::Deflate => {
                let head = std::str::from_utf8(&bytes[..len])?;
                let extension = field(head, "sec-websocket-extensions").unwrap_or_default();
                if !extension.starts_with("permessage-deflate") {
                    return Err("permessage-deflate was offered and not taken".into());
                }
                self.inflate = Some(Inflate::boxed());
                tell(Said::Head)?;
            }
            // It is connected once Socket.IO says so.
            Wire::SocketIo => {}
            _ => tell(Said::Head)?,
        }
        Ok(len)
    }

    /// One chunk of a chunked body, whose pieces make up SSE events.
    fn chunk(&mut self, bytes: &[u8], tell: &mut impl FnMut(Said<'_>) -> Outcome) -> Outcome<usize> {
        let Some(line) = bytes.iter().take(10).position(|b| *b == b'\n') else {
            return if bytes.len() < 10 { Ok(0) } else { Err("a chunk without a size".into()) };
        };
        let size = std::str::from_utf8(bytes[..line].trim_ascii_end())?;
        let size = usize::from_str_radix(size, 16)?;
        if size == 0 || size > PIECE_BYTES_MAX {
            return Err(format!("a chunk of {size} bytes").into());
        }
        let (from, to) = (line + 1, line + 1 + size);
        if bytes.len() < to + 2 {
            return Ok(0);
        }
        if &bytes[to..to + 2] != b"\r\n" {
            return Err("a chunk that does not end".into());
        }
        let piece = &bytes[from..to];
        if self.event.is_empty() && piece.ends_with(b"\n\n") {
            events(piece, tell)?;
        } else {
            self.event.extend_from_slice(piece);
            if self.event.ends_with(b"\n\n") {
                events(&self.event, tell)?;
                self.event.clear();
            }
        }
        Ok(to + 2)
    }

    /// A whole answer with a length.
    fn answer(&mut self, bytes: &[u8], tell: &mut impl FnMut(Said<'_>) -> Outcome) -> Outcome<usize> {
        let Some(head) = head_len(bytes)? else { return Ok(0) };
        let text = std::str::from_utf8(&bytes[..head])?;
        if self.wire == Wire::NotModified && self.is_open && text.starts_with("HTTP/1.1 304 ") {
            tell(Said::Answer)?;
            return Ok(head);
        }
        // A poll that is to be answered 304 begins with two that are not: they tell it where it stands.
        let is_awaited = self.wire != Wire::NotModified || !self.is_open;
        if !text.starts_with("HTTP/1.1 200 ") || !is_awaited {
            return Err(refused(&bytes[..head]));
        }
        let length: usize = field(text, "content-length").ok_or("an answer without a length")?.parse()?;
        if length > PIECE_BYTES_MAX {
            return Err(format!("an answer of {length} bytes").into());
        }
        if bytes.len() < head + length {
            return Ok(0);
        }
        self.next = field(text, "stream-next-offset").map(Into::into);
        let body = &bytes[head..head + length];
        if self.wire.is_asked() {
            self.etag = field(text, "etag").map(Into::into);
            if !body.starts_with(b"{\"events\":[]") {
                return Err(format!("not an empty page: {}", body.escape_ascii()).into());
            }
            tell(Said::Answer)?;
            return Ok(head + length);
        }
        let mut places = (0..body.len()).filter(|at| body[*at..].starts_with(PREFIX));
        let (Some(at), None) = (places.next(), places.next()) else {
            return Err("an answer with other than one event".into());
        };
        let payload = body.get(at..at + self.payload_bytes).ok_or("a payload that was cut off")?;
        tell(Said::Payload(payload))?;
        Ok(head + length)
    }

    /// Polls from here on are answered as this wire says.
    pub(crate) fn opened(&mut self) {
        self.is_open = true;
    }

    /// A frame that may be compressed, by itself.
    fn deflated(&mut self, bytes: &[u8], tell: &mut impl FnMut(Said<'_>) -> Outcome) -> Outcome<usize> {
        let Some((first, from, to)) = frame_bounds(bytes)? else { return Ok(0) };
        if first != 0xc1 {
            return frame(bytes, tell);
        }
        let inflate = self.inflate.as_mut().ok_or("a compressed frame before the head")?;
        tell(Said::Payload(inflate.message(&bytes[from..to])?))?;
        Ok(to)
    }
}

/// Inflates one message after another, none of which leans on the one before (RFC 7692, 7.2.2).
#[derive(Debug)]
struct Inflate {
    state: Decompress,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Inflate {
    fn boxed() -> Box<Self> {
        Box::new(Self { state: Decompress::new(false), input: Vec::new(), output: Vec::new() })
    }

    fn message(&mut self, compressed: &[u8]) -> Outcome<&[u8]> {
        self.input.clear();
        self.input.extend_from_slice(compressed);
        self.input.extend_from_slice(&[0, 0, 0xff, 0xff]);
        self.output.clear();
        self.output.reserve(crate::payload::PAYLOAD_BYTES_MAX);
        self.state.reset(false);
        self.state.decompress_vec(&self.input, &mut self.output, FlushDecompress::Sync)?;
        if self.state.total_in() != self.input.len() as u64 {
            return Err("a message that inflates to more than any payload".into());
        }
        Ok(&self.output)
    }
}

/// A field of a head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
    lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn head_len(bytes: &[u8]) -> Outcome<Option<usize>> {
    match bytes.windows(4).take(HEAD_BYTES_MAX).position(|end| end == b"\r\n\r\n") {
        Some(end) => Ok(Some(end + 4)),
        None if bytes.len() < HEAD_BYTES_MAX => Ok(None),
        None => Err("a head without an end".into()),
    }
}

fn refused(head: &[u8]) -> Box<dyn std::error::Error> {
    let head = String::from_utf8_lossy(head);
    format!("refused: {}", head.lines().next().unwrap_or_default()).into()
}

/// The first byte of a frame and where its payload stands, once all of it is there.
fn frame_bounds(bytes: &[u8]) -> Outcome<Option<(u8, usize, usize)>> {
    let &[first, length, ..] = bytes else { return Ok(None) };
    let (from, length) = match (length, bytes) {
        (0..=125, _) => (2, usize::from(length)),
        (126, &[_, _, high, low, ..]) => (4, usize::from(u16::from_be_bytes([high, low]))),
        (126, _) => return Ok(None),
        _ => return Err("a frame that is masked or huge".into()),
    };
    Ok((bytes.len() >= from + length).then_some((first, from, from + length)))
}

fn frame(bytes: &[u8], tell: &mut impl FnMut(Said<'_>) -> Outcome) -> Outcome<usize> {
    let Some((first, from, to)) = frame_bounds(bytes)? else { return Ok(0) };
    let body = &bytes[from..to];
    match first {
        0x81 if body.is_empty() => tell(Said::Head)?,
        0x81 | 0x82 => tell(Said::Payload(body))?,
        0x89 if body.is_empty() => tell(Said::Wants(PONG))?,
        other => return Err(format!("a frame that begins with {other:#x}").into()),
    }
    Ok(to)
}

/// A text frame with a packet of Engine.IO, and mostly one of Socket.IO in it.
fn socket_io(bytes: &[u8], tell: &mut impl FnMut(Said<'_>) -> Outcome) -> Outcome<usize> {
    let Some((first, from, to)) = frame_bounds(bytes)? else { return Ok(0) };
    let packet = std::str::from_utf8(&bytes[from..to])?;
    let event = packet.strip_prefix("42[\"").and_then(|rest| rest.strip_prefix(SOCKET_IO_EVENT));
    match (first, event.and_then(|rest| rest.strip_prefix("\",")?.strip_suffix(']'))) {
        (0x81, Some(payload)) => tell(Said::Payload(payload.as_bytes()))?,
        (0x81, _) if packet.starts_with('0') => tell(Said::Wants(SOCKET_IO_CONNECT))?,
        (0x81, _) if packet.starts_with("40") => tell(Said::Head)?,
        (0x81, _) if packet == "2" => tell(Said::Wants(SOCKET_IO_PONG))?,
        _ => return Err(format!("a frame that begins with {first:#x} and says {packet}").into()),
    }
    Ok(to)
}

/// The events that have come whole.
fn whole_events(bytes: &[u8], tell: &mut impl FnMut(Said<'_>) -> Outcome) -> Outcome<usize> {
    let Some(end) = bytes.windows(2).rposition(|pair| pair == b"\n\n") else {
        return if bytes.len() < PIECE_BYTES_MAX { Ok(0) } else { Err("an event without an end".into()) };
    };
    events(&bytes[..end + 2], tell)?;
    Ok(end + 2)
}

/// Whole events; what is a comment or a control holds no payload.
fn events(mut text: &[u8], tell: &mut impl FnMut(Said<'_>) -> Outcome) -> Outcome {
    let mut is_control = false;
    while let Some(end) = text.iter().position(|b| *b == b'\n') {
        let line = &text[..end];
        if line.is_empty() {
            is_control = false;
        } else if line.starts_with(b"event: $") {
            is_control = true;
        } else if let Some(data) = line.strip_prefix(b"data: ")
            && !is_control
        {
            tell(Said::Payload(data))?;
        }
        text = &text[end + 1..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::text;

    /// What a connection says, cut in two at every byte and whole.
    fn check(wire: Wire, bytes: &[u8], expected: &[&str]) {
        for cut in 0..bytes.len() {
            let (mut decoder, mut said) = (Decoder::new(wire, 128), Vec::new());
            for piece in [&bytes[..cut], &bytes[cut..]] {
                decoder
                    .feed(piece, |what| {
                        said.push(match what {
                            Said::Head => "head".to_owned(),
                            Said::Answer => "answer".to_owned(),
                            Said::Wants(_) => "wants".to_owned(),
                            Said::Payload(payload) => String::from_utf8(payload.to_vec()).unwrap(),
                        });
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(said, expected, "cut at {cut}");
        }
    }

    #[test]
    fn every_wire_is_understood_however_it_is_cut() {
        let (one, two) = (text(1, 128), text(2, 128));
        check(
            Wire::WebSocket,
            &[b"HTTP/1.1 101 Ok\r\na: b\r\n\r\n\x81\x02hi\x89\x00\x81\x7e\x00\x80", one.as_bytes()].concat(),
            &["head", "hi", "wants", &one],
        );
        check(Wire::Frames, b"\x81\x00\x81\x01a", &["head", "a"]);
        check(
            Wire::Sse,
            b"HTTP/1.1 200 OK\r\n\r\nC\r\nretry: 2000\n\r\n16\r\nevent: $open\ndata: 7\n\n\r\n\
              9\r\ndata: a\n\n\r\nc\r\n:\nid: 1\ndata\r\n5\r\n: b\n\n\r\n",
            &["head", "a", "b"],
        );
        check(
            Wire::SocketIo,
            b"HTTP/1.1 101 Ok\r\n\r\n\x81\x030{}\x81\x0440{}\x81\x012\x81\x1042[\"message\",{}]",
            &["wants", "head", "wants", "{}"],
        );
        check(Wire::StreamSse, b"event: $open\ndata: 7\n\nid: 1\ndata: a\n\ndata: b\n\n", &["a", "b"]);
        check(Wire::StreamWebSocket, b"\x81\x01a\x81\x01b", &["a", "b"]);
        let empty = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nETag: x\r\n\r\n{\"events\":[]}";
        check(Wire::Poll, empty, &["answer"]);
        check(Wire::NotModified, empty, &["answer"]);
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: 130\r\nstream-next-offset: x\r\n\r\n[{one}]");
        let again = format!("HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n{two}");
        check(Wire::LongPoll, [answer.clone(), again].concat().as_bytes(), &[&one, &two]);
        let mut decoder = Decoder::new(Wire::LongPoll, 128);
        decoder.feed(answer.as_bytes(), |_| Ok(())).unwrap();
        assert_eq!(decoder.next.as_deref(), Some("x"));
    }

    #[test]
    fn what_is_not_the_wire_is_an_error() {
        for (wire, bytes) in [
            (Wire::WebSocket, &b"HTTP/1.1 503 No\r\n\r\n"[..]),
            (Wire::Sse, b"HTTP/1.1 404 No\r\n\r\n"),
            (Wire::Sse, b"HTTP/1.1 200 OK\r\n\r\n0\r\n\r\n"),
            (Wire::Sse, b"HTTP/1.1 200 OK\r\n\r\n1\r\naXX"),
            (Wire::LongPoll, b"HTTP/1.1 204 No Content\r\n\r\n"),
            (Wire::LongPoll, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
            (Wire::Poll, b"HTTP/1.1 304 Not Modified\r\n\r\n"),
            (Wire::NotModified, b"HTTP/1.1 304 Not Modified\r\n\r\n"),
            (Wire::Deflate, b"HTTP/1.1 101 Ok\r\n\r\n"),
            (Wire::SocketIo, b"HTTP/1.1 101 Ok\r\n\r\n\x81\x0142"),
            (Wire::Frames, b"\x88\x00"),
            (Wire::Frames, b"\x81\xff"),
        ] {
            assert!(Decoder::new(wire, 128).feed(bytes, |_| Ok(())).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn each_deflated_message_is_inflated_by_itself() {
        let mut bytes = b"HTTP/1.1 101 Ok\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n".to_vec();
        for n in [1, 2] {
            let mut compress = flate2::Compress::new(flate2::Compression::fast(), false);
            let mut out = Vec::with_capacity(1_024);
            compress.compress_vec(text(n, 128).as_bytes(), &mut out, flate2::FlushCompress::Sync).unwrap();
            out.truncate(out.len() - 4);
            bytes.extend([0xc1, out.len() as u8]);
            bytes.extend(out);
        }
        bytes.extend(*b"\x81\x02hi");
        check(Wire::Deflate, &bytes, &["head", &text(1, 128), &text(2, 128), "hi"]);
    }
}
