//! A place in a source, and where a reader begins.

use std::fmt;
use std::str::FromStr;

use crate::error::{CursorError, CursorErrorKind};
use crate::limits::LAST_MAX;

/// An ordered place in a source: every event up to and including it has been read.
///
/// A client treats the text form as opaque: it keeps the last one it was given and hands it back, on any
/// transport. It is 16 hex digits of epoch, a dot and 16 hex digits of position (33 bytes); a position of more
/// than 64 bits takes a tilde and 32 digits (49 bytes). Tokens of one epoch sort as bytes in reading order, and
/// each cursor has one text form only.
///
/// Cursors are ordered by epoch and then by position. The order says something only within one epoch: another
/// epoch is another history, and a source answers a cursor of it with a gap.
///
/// ```
/// use realtime_core::Cursor;
///
/// let cursor = Cursor::new(0xfeed, 7);
/// assert_eq!(cursor.to_string(), "000000000000feed.0000000000000007");
/// assert_eq!("000000000000feed.0000000000000007".parse(), Ok(cursor));
/// assert!("feed.7".parse::<Cursor>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    epoch: u64,
    /// The upper half, then the lower: what is aligned to 16 bytes pads all that holds it, and each reader holds several.
    position: [u64; 2],
}

impl Cursor {
    /// A cursor a source mints: `epoch` names one history of the source, `position` the last event read.
    ///
    /// Position 0 is the place before the first event.
    pub const fn new(epoch: u64, position: u128) -> Self {
        Self { epoch, position: [(position >> 64) as u64, position as u64] }
    }

    /// The history this place belongs to; a source that starts over draws another.
    pub const fn epoch(self) -> u64 {
        self.epoch
    }

    /// The position of the last event read; 0 before the first.
    pub const fn position(self) -> u128 {
        let [upper, lower] = self.position;
        (upper as u128) << 64 | lower as u128
    }

    /// Writes the text form into `out`, and returns what was written: for those who put it among other bytes, without an
    /// allocation.
    ///
    /// ```
    /// use realtime_core::Cursor;
    ///
    /// let mut out = [0; Cursor::TEXT_BYTES_MAX];
    /// assert_eq!(Cursor::new(0xfeed, 7).encode(&mut out), b"000000000000feed.0000000000000007");
    /// ```
    pub fn encode(self, out: &mut [u8; Self::TEXT_BYTES_MAX]) -> &[u8] {
        let [upper, lower] = self.position;
        hex(&mut out[..16], self.epoch);
        if upper == 0 {
            out[16] = b'.';
            hex(&mut out[17..NARROW], lower);
            &out[..NARROW]
        } else {
            out[16] = b'~';
            hex(&mut out[17..33], upper);
            hex(&mut out[33..], lower);
            out
        }
    }

    /// Bytes of the longest text form.
    pub const TEXT_BYTES_MAX: usize = WIDE;

    /// The same history at another position.
    #[must_use]
    pub const fn at(self, position: u128) -> Self {
        Self::new(self.epoch, position)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; WIDE];
        f.write_str(std::str::from_utf8(self.encode(&mut text)).unwrap_or_default())
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    /// Reads the text form.
    ///
    /// # Errors
    /// Anything but the one text form of a cursor, reserved words too. The error does not repeat the input.
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let bytes = text.as_bytes();
        let digits = |from: usize| unhex(&bytes[from..from + 16]).ok_or(CursorErrorKind::Form);
        let position = match (bytes.len(), bytes.get(16)) {
            (NARROW, Some(b'.')) => [0, digits(17)?],
            (WIDE, Some(b'~')) => match digits(17)? {
                // It has a shorter form.
                0 => return Err(CursorErrorKind::Form.into()),
                upper => [upper, digits(33)?],
            },
            _ => return Err(CursorErrorKind::Form.into()),
        };
        Ok(Self { epoch: digits(0)?, position })
    }
}

/// Where a reader begins.
///
/// As text it is what a client sends: a cursor, or one of the reserved words `-1`, `now` and `last-N`, which no
/// source ever mints.
///
/// ```
/// use realtime_core::{Cursor, Start};
///
/// assert_eq!("-1".parse(), Ok(Start::Earliest));
/// assert_eq!("now".parse(), Ok(Start::Live));
/// assert_eq!("last-5".parse(), Ok(Start::Last(5)));
/// let cursor = Cursor::new(1, 2);
/// assert_eq!(cursor.to_string().parse(), Ok(Start::After(cursor)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Start {
    /// `-1`: at the oldest event that is still there. What went before is not a loss: nobody asked for it. A hole that
    /// the producer declared after it is one.
    Earliest,
    /// `now`: at the tail.
    #[default]
    Live,
    /// `last-n`: so many events before the tail, or as many as are still there; 0 is `now`, more than
    /// [`LAST_MAX`](crate::limits::LAST_MAX) is that many.
    Last(u32),
    /// After a cursor that a client kept.
    After(Cursor),
}

impl FromStr for Start {
    type Err = CursorError;

    /// Reads what a client sent as its place.
    ///
    /// # Errors
    /// Neither a cursor nor a reserved word, or `last-N` with N outside `1..=LAST_MAX`.
    fn from_str(text: &str) -> Result<Self, CursorError> {
        match text {
            "-1" => Ok(Self::Earliest),
            "now" => Ok(Self::Live),
            _ => match text.strip_prefix("last-") {
                Some(count) => last(count),
                None => text.parse().map(Self::After),
            },
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("-1"),
            Self::Live => f.write_str("now"),
            Self::Last(count) => write!(f, "last-{count}"),
            Self::After(cursor) => cursor.fmt(f),
        }
    }
}

fn last(count: &str) -> Result<Start, CursorError> {
    let canonical = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit()) && !count.starts_with('0');
    match count.parse() {
        Ok(n) if canonical && n <= LAST_MAX => Ok(Start::Last(n)),
        _ => Err(CursorErrorKind::Last.into()),
    }
}

const NARROW: usize = 33;
const WIDE: usize = 49;

/// Sixteen digits, eight at a time: every answer has several cursors.
fn hex(out: &mut [u8], value: u64) {
    let (high, low) = out.split_at_mut(8);
    high.copy_from_slice(&digits((value >> 32) as u32));
    low.copy_from_slice(&digits(value as u32));
}

/// The digits of 32 bits: each half-byte into a byte of its own, and then 0 to 9 and a to f in all of them at once.
fn digits(value: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut halves = u64::from(value);
    halves = (halves | halves << 16) & 0x0000_ffff_0000_ffff;
    halves = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    halves = (halves | halves << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // One where a half is ten or more: six added to it carries into the bit above.
    let letters = (halves + 6 * ONES) >> 4 & ONES;
    (halves + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// Sixteen digits at most, looked up, and judged once: every request has a cursor.
fn unhex(digits: &[u8]) -> Option<u64> {
    let (value, seen) = digits.iter().fold((0, 0), |(value, seen), digit| {
        let half = DIGITS[usize::from(*digit)];
        (value << 4 | u64::from(half), seen | half)
    });
    (seen < 16).then_some(value)
}

/// What each byte stands for as a digit; 255 for one that is none.
const DIGITS: [u8; 256] = {
    let (mut of, mut half) = ([u8::MAX; 256], 0);
    while half < 16 {
        of[b"0123456789abcdef"[half as usize] as usize] = half;
        half += 1;
    }
    of
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_reads_back_and_sorts_as_bytes() {
        let positions = [0, 1, 9, 10, 255, u128::from(u64::MAX), 1 << 64, u128::MAX];
        let texts: Vec<_> = positions.iter().map(|p| Cursor::new(u64::MAX, *p).to_string()).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        for (n, shift) in (0..2_000_u64).zip((0..64).cycle()) {
            // Every digit in every place, more or less: a multiplication mixes well.
            let (epoch, position) = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15), u64::MAX >> shift ^ n);
            let wide = u128::from(epoch | 1) << 64 | u128::from(position);
            assert_eq!(
                Cursor::new(epoch, position.into()).to_string(),
                format!("{epoch:016x}.{position:016x}")
            );
            assert_eq!(Cursor::new(epoch, wide).to_string(), format!("{epoch:016x}~{wide:032x}"));
        }
        for (text, position) in texts.iter().zip(positions) {
            assert_eq!(text.parse(), Ok(Cursor::new(u64::MAX, position)));
            assert!(
                text.len() <= 96 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
            );
        }
    }

    #[test]
    fn only_the_canonical_form_is_a_cursor() {
        let good = Cursor::new(1, 2).to_string();
        assert!(good.parse::<Cursor>().is_ok());
        let wide_but_small = format!("{}~{}", "0".repeat(16), "0".repeat(32));
        for bad in [
            "",
            "0",
            "-1",
            "now",
            "1e9",
            "+5",
            &good.to_uppercase().replace('0', "A"),
            &good.replace('.', "-"),
            &good.replace('.', "~"),
            &format!("{good} "),
            &format!("{good}0"),
            &wide_but_small,
            "\u{e9}".repeat(17).as_str(),
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reserved_words_read_back_and_are_no_cursors() {
        let cursor = Cursor::new(1, 2);
        let words = [(Start::Earliest, "-1"), (Start::Live, "now"), (Start::Last(5), "last-5")];
        for (start, word) in words.into_iter().chain([(Start::After(cursor), &*cursor.to_string())]) {
            assert_eq!(word.parse(), Ok(start));
            assert_eq!(start.to_string(), word);
        }
        assert_eq!(format!("{cursor:?}"), "Cursor(0000000000000001.0000000000000002)");
    }

    #[test]
    fn last_n_is_bounded() {
        assert_eq!("last-1".parse(), Ok(Start::Last(1)));
        assert_eq!(format!("last-{LAST_MAX}").parse(), Ok(Start::Last(LAST_MAX)));
        for bad in
            ["last-", "last-0", "last-01", "last-+1", "last--1", "last-1x", &format!("last-{}", LAST_MAX + 1)]
        {
            assert!(bad.parse::<Start>().is_err(), "{bad}");
        }
    }
}
