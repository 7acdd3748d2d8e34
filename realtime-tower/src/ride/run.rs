//! What is written to each rider: the frames of a batch, one behind the other.

use bytes::Bytes;
use realtime_core::{Batch, Cursor, Entry, Format};

/// How news look on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) format: Format,
    pub(crate) encode: fn(&Entry) -> Bytes,
    /// What is sent when nothing was for a while; the place is the reader's.
    pub(crate) beat: fn(Cursor) -> Bytes,
}

/// Frames in one piece.
#[derive(Debug)]
pub(super) struct Run {
    bytes: Bytes,
    frames: Vec<Frame>,
    /// Whether its frames are events. Else it is one beat.
    pub(super) are_events: bool,
}

#[derive(Debug)]
struct Frame {
    /// As it was encoded: what is left of it after a short write then holds no other frames.
    bytes: Bytes,
    /// The place of who has it.
    at: u64,
    /// Where it ends in the run.
    ends: usize,
}

/// What came of a short write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Frames that have begun, whole or not.
    pub(super) begun: usize,
    /// The place behind the last whole one; none where there is none.
    pub(super) whole: Option<u64>,
    /// The rest of the one that has begun, and the place of who has it.
    pub(super) left: Option<(Bytes, u64)>,
}

impl Run {
    pub(super) fn of(batch: &Batch, wire: &Wire) -> Self {
        let mut ends = 0;
        let frames: Vec<_> = batch
            .encoded(wire.format, wire.encode)
            .zip(batch)
            .map(|(bytes, entry)| {
                ends += bytes.len();
                Frame { bytes, at: position(entry.cursor()), ends }
            })
            .collect();
        let bytes = match &frames[..] {
            [only] => only.bytes.clone(),
            many => {
                let mut all = Vec::with_capacity(ends);
                many.iter().for_each(|frame| all.extend_from_slice(&frame.bytes));
                all.into()
            }
        };
        Self { bytes, frames, are_events: true }
    }

    /// A sign of life, for whoever stands at this place.
    pub(super) fn beat(place: Cursor, wire: &Wire) -> Self {
        let bytes = (wire.beat)(place);
        let frames = vec![Frame { bytes: bytes.clone(), at: position(place), ends: bytes.len() }];
        Self { bytes, frames, are_events: false }
    }

    /// The place of who has had it all.
    pub(super) fn to(&self) -> u64 {
        self.frames.last().map_or(0, |last| last.at)
    }

    /// How many of the frames a reader at this place has had.
    pub(super) fn had(&self, at: u64) -> usize {
        match self.frames.first() {
            // Nearly everybody.
            Some(first) if at < first.at || !self.are_events => 0,
            _ => self.frames.partition_point(|frame| frame.at <= at),
        }
    }

    /// How many frames it has.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The bytes behind so many frames.
    pub(super) fn behind(&self, had: usize) -> &[u8] {
        &self.bytes[self.starts(had)..]
    }

    fn starts(&self, frame: usize) -> usize {
        frame.checked_sub(1).map_or(0, |before| self.frames[before].ends)
    }

    /// What came of it where so many bytes behind so many frames were written, and not all.
    pub(super) fn cut(&self, had: usize, written: usize) -> Cut {
        let written = self.starts(had) + written;
        let broken = self.frames.partition_point(|frame| frame.ends <= written);
        let whole = (broken > had).then(|| self.frames[broken - 1].at);
        let left = self.frames.get(broken).and_then(|frame| {
            let done = written - self.starts(broken);
            (done > 0).then(|| (frame.bytes.slice(done..), frame.at))
        });
        Cut { begun: broken - had + usize::from(left.is_some()), whole, left }
    }
}

/// Positions of a log are of 64 bits.
pub(super) fn position(cursor: Cursor) -> u64 {
    u64::try_from(cursor.position()).unwrap_or(u64::MAX)
}
