//! What the generator understands of each wire: enough to find payloads, and no more work than that.

use crate::Outcome;
use crate::kind::Wire;
use crate::payload::{self, PREFIX};

/// One thing that a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    /// The head of an answer, or a greeting: the reader is connected.
    Head,
    Payload(&'a [u8]),
    /// A WebSocket ping without payload.
    Ping,
}

/// The reading half of one connection, without its I/O.
#[derive(Debug)]
pub(crate) struct Decoder {
    wire: Wire,
    is_open: bool,
    /// What has come of something that is not whole.
    pending: Vec<u8>,
    /// What has come of an SSE event whose chunks are.
    event: Vec<u8>,
    /// Where a long-poll goes on.
    pub(crate) next: Option<String>,
}

/// A head longer than this is none.
const HEAD_BYTES_MAX: usize = 4_096;
/// And an answer, frame or chunk longer than this neither.
const PIECE_BYTES_MAX: usize = 64 * 1024;

impl Decoder {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, is_open: false, pending: Vec::new(), event: Vec::new(), next: None }
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
                Wire::LongPoll => self.answer(rest, &mut tell)?,
                Wire::WebSocket | Wire::Sse if !self.is_open => self.head(rest, &mut tell)?,
                Wire::WebSocket | Wire::Frames => frame(rest, &mut tell)?,
                Wire::Sse => self.chunk(rest, &mut tell)?,
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
        let expected: &[u8] = if self.wire == Wire::WebSocket { b"HTTP/1.1 101 " } else { b"HTTP/1.1 200 " };
        if !bytes.starts_with(expected) {
            return Err(refused(&bytes[..len]));
        }
        self.is_open = true;
        tell(Said::Head)?;
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
        if !text.starts_with("HTTP/1.1 200 ") {
            return Err(refused(&bytes[..head]));
        }
        let field = |name: &str| {
            let line = text.split("\r\n").filter_map(|line| line.split_once(": "));
            line.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let length: usize = field("content-length").ok_or("an answer without a length")?.parse()?;
        if length > PIECE_BYTES_MAX {
            return Err(format!("an answer of {length} bytes").into());
        }
        if bytes.len() < head + length {
            return Ok(0);
        }
        self.next = field("stream-next-offset").map(Into::into);
        let body = &bytes[head..head + length];
        let mut places = (0..body.len()).filter(|at| body[*at..].starts_with(PREFIX));
        let (Some(at), None) = (places.next(), places.next()) else {
            return Err("an answer with other than one event".into());
        };
        let payload = body.get(at..at + payload::BYTES).ok_or("a payload that was cut off")?;
        tell(Said::Payload(payload))?;
        Ok(head + length)
    }
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

fn frame(bytes: &[u8], tell: &mut impl FnMut(Said<'_>) -> Outcome) -> Outcome<usize> {
    let &[first, length, ..] = bytes else { return Ok(0) };
    let (from, length) = match (length, bytes) {
        (0..=125, _) => (2, usize::from(length)),
        (126, &[_, _, high, low, ..]) => (4, usize::from(u16::from_be_bytes([high, low]))),
        (126, _) => return Ok(0),
        _ => return Err("a frame that is masked or huge".into()),
    };
    if bytes.len() < from + length {
        return Ok(0);
    }
    let body = &bytes[from..from + length];
    match first {
        0x81 if body.is_empty() => tell(Said::Head)?,
        0x81 | 0x82 => tell(Said::Payload(body))?,
        0x89 => tell(Said::Ping)?,
        other => return Err(format!("a frame that begins with {other:#x}").into()),
    }
    Ok(from + length)
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

    /// What a connection says, cut in two at every byte and whole.
    fn check(wire: Wire, bytes: &[u8], expected: &[&str]) {
        for cut in 0..bytes.len() {
            let (mut decoder, mut said) = (Decoder::new(wire), Vec::new());
            for piece in [&bytes[..cut], &bytes[cut..]] {
                decoder
                    .feed(piece, |what| {
                        said.push(match what {
                            Said::Head => "head".to_owned(),
                            Said::Ping => "ping".to_owned(),
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
        let (one, two) = (payload::text(1), payload::text(2));
        check(
            Wire::WebSocket,
            &[b"HTTP/1.1 101 Ok\r\na: b\r\n\r\n\x81\x02hi\x89\x00\x81\x7e\x00\x80", one.as_bytes()].concat(),
            &["head", "hi", "ping", &one],
        );
        check(Wire::Frames, b"\x81\x00\x81\x01a", &["head", "a"]);
        check(
            Wire::Sse,
            b"HTTP/1.1 200 OK\r\n\r\nC\r\nretry: 2000\n\r\n16\r\nevent: $open\ndata: 7\n\n\r\n\
              9\r\ndata: a\n\n\r\nc\r\n:\nid: 1\ndata\r\n5\r\n: b\n\n\r\n",
            &["head", "a", "b"],
        );
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: 130\r\nstream-next-offset: x\r\n\r\n[{one}]");
        let again = format!("HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n{two}");
        check(Wire::LongPoll, [answer.clone(), again].concat().as_bytes(), &[&one, &two]);
        let mut decoder = Decoder::new(Wire::LongPoll);
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
            (Wire::Frames, b"\x88\x00"),
            (Wire::Frames, b"\x81\xff"),
        ] {
            assert!(Decoder::new(wire).feed(bytes, |_| Ok(())).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
