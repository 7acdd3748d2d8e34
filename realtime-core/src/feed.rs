//! What a reader is given: deliveries, one after another.

use std::num::NonZeroUsize;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;

use crate::cursor::Cursor;
use crate::entry::{Entry, Format};
use crate::error::SourceError;

/// A stream of deliveries: what [`Source::subscribe`](crate::Source::subscribe) returns. An alias with a blanket impl.
///
/// Polling it has these outcomes:
///
/// | outcome | meaning |
/// |---|---|
/// | `Ready(Some(Ok(Open)))` | first, and once |
/// | `Ready(Some(Ok(Events)))` | the next events, in order, each one position further |
/// | `Ready(Some(Ok(Gap)))` | events are gone; it comes before any event after them, and reading goes on at its `to` |
/// | `Ready(Some(Ok(Live)))` | everything up to this place has been read; said before the feed waits for the first time, and again when the place moved without an event for this reader |
/// | `Ready(Some(Err))` | the source failed; nothing follows |
/// | `Ready(None)` | the source is closed and all of it was read |
/// | `Pending` | the task is woken at news. Before the first `Live` this means that the source is slow, after it that nothing is new |
///
/// # Cancel safety
/// A feed may be dropped at any time; it leaves no subscription. What was delivered and not handled is not lost:
/// subscribe again after the last cursor that was.
///
/// ```
/// use futures_util::StreamExt;
/// use realtime_core::{Delivery, Event, Log, Source, Start};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let log = Log::new();
/// log.publish(Event::text("note", "hi")?)?;
/// let mut feed = log.subscribe(Start::Earliest);
/// assert!(matches!(feed.next().await, Some(Ok(Delivery::Open(_)))));
/// let Some(Ok(Delivery::Events(batch))) = feed.next().await else { panic!("one event is there") };
/// assert_eq!(batch.len(), 1);
/// assert!(matches!(feed.next().await, Some(Ok(Delivery::Live(_)))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Feed: Stream<Item = Result<Delivery, SourceError>> + Send + 'static {}

impl<F: Stream<Item = Result<Delivery, SourceError>> + Send + 'static> Feed for F {}

/// A feed of any source.
///
/// ```
/// use futures_util::stream;
/// use realtime_core::{BoxFeed, Cursor, Delivery};
///
/// let feed: BoxFeed = Box::pin(stream::iter([Ok(Delivery::Live(Cursor::new(1, 2)))]));
/// # drop(feed);
/// ```
pub type BoxFeed = Pin<Box<dyn Stream<Item = Result<Delivery, SourceError>> + Send>>;

/// One item of a feed. The order they come in is told at [`Feed`].
///
/// ```
/// use realtime_core::{Cursor, Delivery};
///
/// /// The place of a client that has handled this.
/// fn place(delivery: &Delivery) -> Option<Cursor> {
///     match delivery {
///         Delivery::Open(opened) => Some(opened.place()),
///         Delivery::Events(batch) => Some(batch.cursor()),
///         Delivery::Gap(gap) => Some(gap.to),
///         Delivery::Live(cursor) => Some(*cursor),
///         _ => None,
///     }
/// }
/// assert_eq!(place(&Delivery::Live(Cursor::new(1, 2))), Some(Cursor::new(1, 2)));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Delivery {
    /// The reader's place before the first event.
    Open(Opened),
    /// Events.
    Events(Batch),
    /// Events that are gone.
    Gap(Gap),
    /// Caught up: everything up to here has been read.
    Live(Cursor),
}

/// The first delivery: where the reader stands.
///
/// ```
/// use realtime_core::{Cursor, Gap, GapReason, Opened};
///
/// let came = Cursor::new(1, 2);
/// assert_eq!(Opened::new(came).place(), came);
/// let gap = Gap::new(GapReason::Trimmed, Some(came), Cursor::new(1, 9));
/// assert_eq!(Opened::new(came).with_gap(gap).place(), Cursor::new(1, 9));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The place before the first event. With a gap it is the place the reader came with, and reading goes on at
    /// the gap's `to`.
    pub cursor: Cursor,
    /// What is gone since the place the reader came with.
    pub gap: Option<Gap>,
    /// The source is closed and holds nothing after this place.
    pub at_end: bool,
}

impl Opened {
    /// A reader that stands at `cursor` and has lost nothing.
    pub const fn new(cursor: Cursor) -> Self {
        Self { cursor, gap: None, at_end: false }
    }

    /// The same with a gap.
    #[must_use]
    pub const fn with_gap(mut self, gap: Gap) -> Self {
        self.gap = Some(gap);
        self
    }

    /// The same, of a source that is closed and holds nothing after this place.
    #[must_use]
    pub const fn with_end(mut self) -> Self {
        self.at_end = true;
        self
    }

    /// The place reading goes on from.
    pub fn place(&self) -> Cursor {
        self.gap.map_or(self.cursor, |gap| gap.to)
    }
}

/// Events that cannot be replayed any more, said in place of them.
///
/// ```
/// use realtime_core::{Delivery, Event, Keep, Log, Source, Start, TopicSet};
/// # use futures_util::StreamExt;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(1)).build();
/// let first = log.publish(Event::text("note", "kept for now")?)?;
/// log.publish(Event::text("note", "the first has to go")?)?;
/// let third = log.publish(Event::text("note", "and the second")?)?;
///
/// let mut feed = log.subscribe(Start::After(first));
/// let Some(Ok(Delivery::Open(opened))) = feed.next().await else { panic!("a feed opens first") };
/// let gap = opened.gap.expect("the second is gone");
/// assert_eq!((gap.from, gap.to), (Some(first), third.at(third.position() - 1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Why they are gone.
    pub reason: GapReason,
    /// The place the reader had; none when it had none that the source knows.
    pub from: Option<Cursor>,
    /// The place reading goes on from. It is not the end of what was lost: events that are still there follow,
    /// and some of the lost ones may lie between them.
    pub to: Cursor,
}

impl Gap {
    /// A gap between two places.
    pub const fn new(reason: GapReason, from: Option<Cursor>, to: Cursor) -> Self {
        Self { reason, from, to }
    }
}

/// Why events are gone.
///
/// ```
/// use realtime_core::GapReason;
///
/// assert_eq!(GapReason::Overflow.as_str(), "overflow");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// They were dropped from the source before the reader came.
    Trimmed,
    /// The place belongs to another history, or to a future that this one does not have: the source started over.
    Epoch,
    /// The source holds another event at the reader's place than the reader saw.
    Diverged,
    /// The reader was connected and did not keep up.
    Overflow,
    /// They were lost on the way into the source.
    Source,
}

impl GapReason {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Epoch => "epoch",
            Self::Diverged => "diverged",
            Self::Overflow => "overflow",
            Self::Source => "source",
        }
    }
}

/// One or more events in order. It is never empty.
///
/// ```
/// use realtime_core::{Batch, Cursor, Entry, Event};
///
/// let entries = (1..=3).map(|n| Entry::new(Cursor::new(1, n), Event::json("n", &(n as u64)).unwrap()));
/// let mut batch = Batch::new(entries.collect(), Cursor::new(1, 9), true).expect("three entries");
/// assert_eq!((batch.len(), batch.cursor(), batch.is_live()), (3, Cursor::new(1, 9), true));
///
/// batch.truncate(2.try_into()?);
/// assert_eq!((batch.len(), batch.cursor(), batch.is_live()), (2, Cursor::new(1, 2), false));
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    entries: Entries,
    cursor: Cursor,
    is_live: bool,
}

/// A lone entry, which is what a live reader gets, takes no allocation.
#[derive(Debug, Clone)]
enum Entries {
    One([Entry; 1]),
    Many(Vec<Entry>),
}

impl Batch {
    /// A batch of a source of one's own; none when there are no entries. `cursor` is the place after it, at or
    /// beyond the last entry; `is_live` says that nothing more was there when it was read.
    pub fn new(mut entries: Vec<Entry>, cursor: Cursor, is_live: bool) -> Option<Self> {
        let entries = match entries.len() {
            0 => return None,
            1 => Entries::One([entries.remove(0)]),
            _ => Entries::Many(entries),
        };
        Some(Self { entries, cursor, is_live })
    }

    pub(crate) fn one(entry: Entry, is_live: bool) -> Self {
        Self { cursor: entry.cursor(), entries: Entries::One([entry]), is_live }
    }

    fn as_slice(&self) -> &[Entry] {
        match &self.entries {
            Entries::One(one) => one,
            Entries::Many(many) => many,
        }
    }

    /// The entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.as_slice().iter()
    }

    /// How many entries it has: one or more.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// The place after the whole batch.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Whether nothing more was there when it was read.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Keeps the first `len` entries; what is cut off is read again from [`cursor`](Self::cursor).
    pub fn truncate(&mut self, len: NonZeroUsize) {
        if let Entries::Many(many) = &mut self.entries
            && len.get() < many.len()
        {
            many.truncate(len.get());
            self.is_live = false;
            if let Some(last) = many.last() {
                self.cursor = last.cursor();
            }
        }
    }

    /// The bytes of each entry in a wire format; see [`Entry::encoded`].
    pub fn encoded(&self, format: Format, encode: fn(&Entry) -> Bytes) -> impl Iterator<Item = Bytes> + '_ {
        self.iter().map(move |entry| entry.encoded(format, encode))
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    /// D-01: what is cut off is read again from its place; what was behind the last entry and not of the reader is passed over.
    #[test]
    fn a_batch_that_is_cut_ends_where_its_last_entry_is_and_one_that_fits_is_left_alone() {
        let at = |position| Cursor::new(1, position);
        let entry = |position| Entry::new(at(position), Event::text("e", "x").unwrap());
        for (count, len, expected) in [
            (3, 1, (1, at(1), false)),
            (3, 2, (2, at(2), false)),
            (3, 3, (3, at(9), true)),
            (3, 4, (3, at(9), true)),
            (1, 1, (1, at(9), true)),
            (1, 2, (1, at(9), true)),
        ] {
            let mut batch = Batch::new((1..=count).map(entry).collect(), at(9), true).unwrap();
            batch.truncate(NonZeroUsize::new(len).unwrap());
            assert_eq!((batch.len(), batch.cursor(), batch.is_live()), expected, "{len} of {count}");
        }
    }
}
