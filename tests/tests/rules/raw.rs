//! Bytes on a connection, for rules that are about bytes.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use realtime_tests::dial::Conn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The longest that anything is waited for, in paused time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request, line by line.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    first: String,
    lines: Vec<(String, Vec<u8>)>,
}

impl Lines {
    pub(crate) fn get(path: &str) -> Self {
        Self::of(&format!("GET {path} HTTP/1.1")).with("Host", "realtime.test")
    }

    /// A WebSocket handshake that lacks nothing, in bare mode.
    pub(crate) fn upgrade(path: &str) -> Self {
        Self::get(path)
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")
            .with("Sec-WebSocket-Version", "13")
            .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// A handshake that asks for `realtime.v1`.
    pub(crate) fn v1(path: &str) -> Self {
        Self::upgrade(path).with("Sec-WebSocket-Protocol", "realtime.v1")
    }

    pub(crate) fn of(first: &str) -> Self {
        Self { first: first.to_owned(), lines: Vec::new() }
    }

    /// Another first line.
    pub(crate) fn first(mut self, first: &str) -> Self {
        first.clone_into(&mut self.first);
        self
    }

    /// A header in place of what it was.
    pub(crate) fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).and(name, value)
    }

    /// One more line of a header.
    pub(crate) fn and(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.lines.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.lines.retain(|(kept, _)| !kept.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.first).into_bytes();
        for (name, value) in &self.lines {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The request and what follows it, in one piece.
    pub(crate) fn followed_by(&self, rest: impl AsRef<[u8]>) -> Vec<u8> {
        let mut out = self.bytes();
        out.extend_from_slice(rest.as_ref());
        out
    }
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
}

impl Head {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A frame as a server sends it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub(crate) first: u8,
    pub(crate) payload: Bytes,
}

impl Frame {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("a server's text is UTF-8")
    }

    /// The code and reason of a Close; 0 for one that is empty.
    pub(crate) fn close(&self) -> Option<(u16, &str)> {
        (self.first == 0x88).then(|| match self.payload.len() {
            0 => (0, ""),
            _ => {
                let reason = std::str::from_utf8(&self.payload[2..]).expect("a reason is UTF-8");
                (u16::from_be_bytes([self.payload[0], self.payload[1]]), reason)
            }
        })
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Raw {
    io: Conn,
    read: BytesMut,
}

impl Raw {
    pub(crate) fn over(io: impl realtime_tests::dial::Wire) -> Self {
        Self { io: Box::new(io), read: BytesMut::new() }
    }

    /// Sends what the server may not want any more.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has hung up is found out by what is read.
        let _ = self.io.write_all(bytes.as_ref()).await;
        let _ = self.io.flush().await;
    }

    /// Sends byte by byte, the server being given time for each.
    pub(crate) async fn trickle(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.send([*byte]).await;
            tokio::task::yield_now().await;
        }
    }

    /// Ends our direction.
    pub(crate) async fn half_close(&mut self) {
        let _ = self.io.shutdown().await;
    }

    /// Reads once more; false at the end.
    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.io.read_buf(&mut self.read)).await;
        let Ok(read) = read else { panic!("nothing came after {:?}", self.read) };
        matches!(read, Ok(n) if n > 0)
    }

    /// The head of the next answer; none if the connection ends before.
    pub(crate) async fn head(&mut self) -> Option<Head> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            if !self.more().await {
                assert!(self.read.is_empty(), "a head was cut: {:?}", self.read);
                return None;
            }
        };
        let head = self.read.split_to(end + 4);
        let mut lines = head[..end].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut headers = HeaderMap::new();
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':').expect("a header has a colon");
            let name = HeaderName::from_bytes(&line[..colon]).expect("a header name");
            headers.append(
                name,
                HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).expect("a header value"),
            );
        }
        Some(Head { status: status.unwrap_or_else(|| panic!("no status in {first}")), headers })
    }

    /// The body that a head announces by its length.
    pub(crate) async fn body(&mut self, head: &Head) -> Bytes {
        let len = head.text("content-length").map_or(0, |len| len.parse().expect("a length"));
        while self.read.len() < len && self.more().await {}
        self.read.split_to(len).freeze()
    }

    /// All that comes until the connection ends.
    pub(crate) async fn rest(&mut self) -> Bytes {
        while self.more().await {}
        self.read.split().freeze()
    }

    /// What has come within the next while, the connection being open still or not.
    pub(crate) async fn for_a_while(&mut self, pause: Duration) -> Bytes {
        let _ = tokio::time::timeout(pause, async {
            while matches!(self.io.read_buf(&mut self.read).await, Ok(n) if n > 0) {}
        })
        .await;
        self.read.split().freeze()
    }

    /// The next frame; none if the connection ends before.
    ///
    /// # Panics
    /// It is masked, or not in its shortest form.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.whole_frame() {
                return Some(frame);
            }
            if !self.more().await {
                assert!(self.read.is_empty(), "a frame was cut: {:?}", self.read);
                return None;
            }
        }
    }

    fn whole_frame(&mut self) -> Option<Frame> {
        let bytes = &self.read[..];
        let second = *bytes.get(1)?;
        assert_eq!(second & 0x80, 0, "a server never masks (RFC 6455, section 5.1)");
        let (head, len) = match second {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
            len => (2, usize::from(len)),
        };
        let shortest = match len {
            0..126 => 2,
            126..=0xFFFF => 4,
            _ => 10,
        };
        assert_eq!(head, shortest, "the length {len} is in its shortest form");
        if bytes.len() < head + len {
            return None;
        }
        let first = self.read[0];
        self.read.advance(head);
        Some(Frame { first, payload: self.read.split_to(len).freeze() })
    }

    /// Reads frames until the Close, and gives its code and reason; none if the connection ends without one.
    pub(crate) async fn close(&mut self) -> Option<(u16, String)> {
        while let Some(frame) = self.frame().await {
            if let Some((code, reason)) = frame.close() {
                return Some((code, reason.to_owned()));
            }
        }
        None
    }
}

/// The key of a client's mask. Nothing in it is zero, so that a payload left masked shows.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client's frame in its shortest form: `first` is FIN, the reserved bits and the opcode.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut out = vec![first];
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    masked(&mut out, payload);
    out
}

/// A client's frame whose length is written as 126 with two bytes or 127 with eight, whether it has to be or not.
pub(crate) fn frame_of_length(first: u8, form: u8, length: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first, 0x80 | form];
    let length = length.to_be_bytes();
    out.extend_from_slice(if form == 126 { &length[6..] } else { &length });
    masked(&mut out, payload);
    out
}

/// The Close of a client.
pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    body.extend_from_slice(reason.as_ref());
    frame(0x88, body)
}

fn masked(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}
