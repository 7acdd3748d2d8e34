//! Bytes as no library would write them, and enough of what comes back to know what was said.

const PATH: &str = "/events";
const HOST: &str = "realtime.test";
/// A mask that masks nothing: a peer may choose it.
const MASK: [u8; 4] = [0; 4];

/// The handshake of a WebSocket.
pub(super) fn upgrade() -> Vec<u8> {
    format!(
        "GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: realtime.v1\r\n\r\n"
    )
    .into_bytes()
}

/// A request whose query names so many bytes of topics.
pub(super) fn query(bytes: usize) -> Vec<u8> {
    let mut topics: String = (0_u64..).map(|n| format!("&topic=t{n}")).take(bytes / 8).collect();
    topics.truncate(bytes);
    format!("GET {PATH}?{topics} HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\n\r\n").into_bytes()
}

/// The head of a message that is to have so many bytes.
pub(super) fn post(bytes: usize) -> Vec<u8> {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n"
    )
    .into_bytes()
}

/// The first frame of a text that is never finished, and so many of a byte behind it.
pub(super) fn fragments(frames: usize) -> Vec<u8> {
    let frame = |first: u8| [&[first, 0x81], &MASK[..], b"a"].concat();
    [frame(0x01), frame(0x00).repeat(frames)].concat()
}

/// The header of a text of so many bytes, in its shortest form where that is not the seven bits.
pub(super) fn header(length: u64) -> Vec<u8> {
    if let Ok(length) = u16::try_from(length) {
        return [&[0x81, 0x80 | 126], &length.to_be_bytes()[..], &MASK[..]].concat();
    }
    [&[0x81, 0x80 | 127], &length.to_be_bytes()[..], &MASK[..]].concat()
}

/// Empty pings.
pub(super) fn pings(frames: usize) -> Vec<u8> {
    [&[0x89, 0x80], &MASK[..]].concat().repeat(frames)
}

/// A message of `realtime.v1` whose data is arrays in arrays, all of them closed.
pub(super) fn nested(depth: usize) -> Vec<u8> {
    let data = ["[".repeat(depth / 2), "]".repeat(depth / 2)].concat();
    let text = format!(r#"{{"ref":1,"event":"message","data":{data}}}"#);
    [header(text.len() as u64), text.into_bytes()].concat()
}

/// What HTTP/2 begins with, and empty SETTINGS.
pub(super) fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &[])].concat()
}

/// Requests for an event stream, each reset at once (CVE-2023-44487).
pub(super) fn resets(streams: u32) -> Vec<u8> {
    let (block, cancel) = (block(PATH, "text/event-stream"), 8_u32.to_be_bytes());
    (0..streams)
        .flat_map(|nth| [frame(1, 0x05, nth * 2 + 1, &block), frame(3, 0, nth * 2 + 1, &cancel)])
        .flatten()
        .collect()
}

/// Long-polls that wait, and a ping behind them.
pub(super) fn long_polls(first: u32, streams: u32) -> Vec<u8> {
    let block = block("/events?live=long-poll&offset=now", "application/json");
    let asks = (first..first + streams).flat_map(|nth| frame(1, 0x05, nth * 2 + 1, &block));
    asks.chain(ping()).collect()
}

/// They are reset.
pub(super) fn cancels(first: u32, streams: u32) -> Vec<u8> {
    (first..first + streams).flat_map(|nth| frame(3, 0, nth * 2 + 1, &8_u32.to_be_bytes())).collect()
}

/// A ping of HTTP/2.
pub(super) fn ping() -> Vec<u8> {
    frame(6, 0, 0, &[0; 8])
}

/// Kind and flags of the answer to it.
pub(super) const PONG: (u8, u8) = (6, 1);

/// The kind of a GOAWAY.
pub(super) const GOAWAY: u8 = 7;

/// Kind and flags of the first frame of HTTP/2 in what was said, if it is there as a whole: it is taken out.
pub(super) fn take_frame(said: &mut Vec<u8>) -> Option<(u8, u8)> {
    let length = u32::from_be_bytes([0, *said.first()?, *said.get(1)?, *said.get(2)?]) as usize;
    let of_frame = said.get(3..9 + length)?;
    let head = (of_frame[0], of_frame[1]);
    said.drain(..9 + length);
    Some(head)
}

/// A head that goes on and on (CVE-2024-27316).
pub(super) fn continuations(frames: usize) -> Vec<u8> {
    // A field with a name of its own, not to be kept: x-a, and 126 bytes, which one byte of length can say.
    let field = [b"\x00\x03x-a\x7e".as_slice(), &[b'a'; 126]].concat().repeat(8);
    [frame(1, 0, 1, &block(PATH, "text/event-stream")), frame(9, 0, 1, &field).repeat(frames)].concat()
}

/// The fields of a request, as HPACK has them without a table of its own.
fn block(path: &str, accept: &str) -> Vec<u8> {
    let literal = |index: &[u8], value: &str| [index, &[value.len() as u8], value.as_bytes()].concat();
    [
        vec![0x82, 0x86], // GET, http
        literal(&[0x04], path),
        literal(&[0x01], HOST),
        literal(&[0x0f, 0x04], accept),
    ]
    .concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = &(payload.len() as u32).to_be_bytes()[1..];
    [length, &[kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// A status, the code of a Close, a refusal of a message or a GOAWAY in what was said so far: the first of them.
pub(super) fn read(said: &[u8]) -> Option<String> {
    if said.starts_with(b"HTTP/1.1 ") {
        let head = said.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let status = String::from_utf8_lossy(said.get(9..12)?).into_owned();
        return if status == "101" { web_socket(&said[head..]) } else { Some(status) };
    }
    http2(said)
}

fn web_socket(mut said: &[u8]) -> Option<String> {
    loop {
        let (length, behind) = match said.get(1)? & 0x7f {
            126 => (u16::from_be_bytes(said.get(2..4)?.try_into().ok()?).into(), 4),
            127 => (usize::try_from(u64::from_be_bytes(said.get(2..10)?.try_into().ok()?)).ok()?, 10),
            short => (short.into(), 2),
        };
        let payload = said.get(behind..behind + length)?;
        match said[0] & 0x0f {
            0x08 => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                return Some(format!("close {code}"));
            }
            0x01 => {
                let envelope: serde_json::Value = serde_json::from_slice(payload).ok()?;
                if envelope["event"] == "$reply" {
                    return Some(format!("reply {}", envelope["error"]["status"]));
                }
            }
            _ => {}
        }
        said = &said[behind + length..];
    }
}

fn http2(mut said: &[u8]) -> Option<String> {
    loop {
        let length = u32::from_be_bytes([0, *said.first()?, *said.get(1)?, *said.get(2)?]) as usize;
        if *said.get(3)? == GOAWAY {
            return Some("GOAWAY".into());
        }
        said = said.get(9 + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_as_soon_as_it_is_there() {
        let answer = b"HTTP/1.1 431 Too Large\r\n\r\n";
        assert_eq!((read(answer), read(&answer[..20])), (Some("431".into()), None));
        let switched = b"HTTP/1.1 101 Switching\r\n\r\n".as_slice();
        let reply = br#"{"ref":1,"event":"$reply","error":{"status":400}}"#;
        let reply = [&[0x81, reply.len() as u8], &reply[..]].concat();
        let close = [0x88, 5, 0x03, 0xf0, b'a', b'b', b'c'];
        assert_eq!(read(&[switched, &[0x89, 0], &close].concat()), Some("close 1008".into()));
        assert_eq!(read(&[switched, &reply, &close].concat()), Some("reply 400".into()));
        assert_eq!(read(&[switched, &close[..6]].concat()), None);
        let goaway = [frame(4, 0, 0, &[0; 6]), frame(7, 0, 0, &[0; 8])].concat();
        assert_eq!((read(&goaway), read(&goaway[..15])), (Some("GOAWAY".into()), None));
        let mut frames = [goaway, frame(6, 1, 0, &[0; 8])].concat();
        let mut taken = || take_frame(&mut frames);
        assert_eq!((taken(), taken(), taken(), taken()), (Some((4, 0)), Some((GOAWAY, 0)), Some(PONG), None));
    }

    #[test]
    fn what_is_sent_has_the_length_that_it_says() {
        assert_eq!(fragments(3).len(), 4 * 7);
        assert_eq!(pings(2), [0x89, 0x80, 0, 0, 0, 0, 0x89, 0x80, 0, 0, 0, 0]);
        assert_eq!((header(1 << 16).len(), header(60_000).len()), (14, 8));
        let block = block(PATH, "text/event-stream");
        assert_eq!(resets(1).len(), 9 + block.len() + 9 + 4);
        assert!(String::from_utf8(query(64)).unwrap().starts_with("GET /events?&topic=t0&topic=t1"));
        assert!((40_000..41_100).contains(&query(40 * 1024).len()), "{}", query(40 * 1024).len());
    }
}
