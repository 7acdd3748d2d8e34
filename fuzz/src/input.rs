//! Bytes, read as lines.

use http::Request;
use http::request::Parts;

/// An input that is read line by line; what was not read is the rest.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of it.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next line without its LF; empty where there is none.
    pub fn line(&mut self) -> &'a [u8] {
        match self.0.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line = &self.0[..end];
                self.0 = &self.0[end + 1..];
                line
            }
            None => std::mem::take(&mut self.0),
        }
    }

    /// The next line, if it is text.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.line()).ok()
    }

    /// What is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// A request: `GET /events?offset=-1`, then lines of headers up to an empty one; nothing where HTTP knows no such head.
///
/// A third word is the version: `1.0`, `2`, and else 1.1.
pub fn request(input: &mut Input<'_>) -> Option<Parts> {
    let mut first = input.text()?.split(' ');
    let request = Request::builder().method(first.next()?).uri(first.next()?);
    let mut request = request.version(match first.next() {
        Some("1.0") => http::Version::HTTP_10,
        Some("2") => http::Version::HTTP_2,
        _ => http::Version::HTTP_11,
    });
    loop {
        let line = input.line();
        if line.is_empty() {
            return Some(request.body(()).ok()?.into_parts().0);
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
}

/// The same bytes in pieces; where they are cut depends on the bytes alone, so that a crash is one again.
pub fn cut(bytes: &[u8]) -> Vec<&[u8]> {
    let seed = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut random = fastrand::Rng::with_seed(seed);
    let piece_bytes_max = *random.choice(&[1, 3, 40, usize::MAX]).unwrap_or(&1);
    let (mut pieces, mut bytes) = (Vec::new(), bytes);
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(random.usize(1..=bytes.len().min(piece_bytes_max)));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
