//! An event in a source, with its place and its encoded bytes.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::cursor::Cursor;
use crate::event::Event;
use crate::limits::{ENCODING_OVERHEAD_BYTES, FORMATS_CACHED_MAX};
use crate::log::ledger::Charge;

/// An event that has a place. Cloning shares it, with the bytes that were encoded for it.
///
/// ```
/// use bytes::Bytes;
/// use realtime_core::{Cursor, Entry, Event, Format};
///
/// const SHOUT: Format = Format::new("example/shout");
/// fn shout(entry: &Entry) -> Bytes {
///     entry.event().name().to_uppercase().into()
/// }
///
/// let entry = Entry::new(Cursor::new(1, 1), Event::text("note", "hi")?);
/// assert_eq!(entry.encoded(SHOUT, shout), "NOTE");
/// # Ok::<(), realtime_core::EventError>(())
/// ```
#[derive(Clone)]
pub struct Entry(Arc<Inner>);

/// What the handles of one entry share.
pub(crate) struct Inner {
    cursor: Cursor,
    event: Event,
    /// When a log took it, by the log's clock.
    taken_at: Duration,
    encodings: Encodings,
    /// What it costs its log; none outside one.
    charge: Option<Charge>,
}

/// Bytes by format. Filled from the front; a slot is never emptied, so readers look without a lock.
#[derive(Default)]
struct Encodings {
    few: [OnceLock<(Format, Bytes)>; FEW],
    /// Most entries never need any.
    more: OnceLock<Box<Self>>,
}

/// Formats for which an entry has room before it takes more: an event stream, a WebSocket and a poll.
const FEW: usize = 3;

impl Entry {
    /// An entry of a source of one's own.
    pub fn new(cursor: Cursor, event: Event) -> Self {
        Self(Arc::new(Inner {
            cursor,
            event,
            taken_at: Duration::ZERO,
            encodings: Default::default(),
            charge: None,
        }))
    }

    pub(crate) fn charged(cursor: Cursor, event: Event, taken_at: Duration, charge: Charge) -> Self {
        Self(Arc::new(Inner { cursor, event, taken_at, encodings: Default::default(), charge: Some(charge) }))
    }

    /// Its place: a reader that has it stands here.
    pub fn cursor(&self) -> Cursor {
        self.0.cursor
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.0.event
    }

    /// Another handle to what a log's slot holds.
    pub(crate) fn of(inner: &Arc<Inner>) -> Self {
        Self(inner.clone())
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    pub(crate) fn taken_at(&self) -> Duration {
        self.0.taken_at
    }

    pub(crate) fn charge(&self) -> Option<&Charge> {
        self.0.charge.as_ref()
    }

    /// Its bytes in a wire format, encoded by the first who asks and shared by everybody after.
    ///
    /// `encode` must give the same bytes for the same entry whenever it is asked with this format. Once an entry
    /// has [`FORMATS_CACHED_MAX`] formats, or its log's budget is spent and it is old, the bytes are made anew.
    pub fn encoded(&self, format: Format, encode: fn(&Entry) -> Bytes) -> Bytes {
        let mut made: Option<Bytes> = None;
        let may_grow =
            || self.0.charge.as_ref().is_none_or(|charge| charge.may_grow(self.0.cursor.position()));
        let grow = |bytes| self.0.charge.iter().for_each(|charge| charge.grow(bytes));
        let mut encodings = &self.0.encodings;
        for at in 0..FORMATS_CACHED_MAX {
            if at > 0 && at % FEW == 0 {
                if encodings.more.get().is_none() && !may_grow() {
                    break;
                }
                encodings = encodings.more.get_or_init(|| {
                    grow(size_of::<Encodings>());
                    Box::default()
                });
            }
            let slot = &encodings.few[at % FEW];
            if slot.get().is_none() {
                // Encoded before the slot is taken, not while: an encoder may ask this entry for another format. Two
                // readers that come at once may both encode; one is kept, and both go on with that.
                let bytes = made.get_or_insert_with(|| encode(self)).clone();
                if !may_grow() {
                    return bytes;
                }
                let len = bytes.len();
                if slot.set((format, bytes)).is_ok() {
                    grow(len + ENCODING_OVERHEAD_BYTES);
                }
            }
            if let Some((kept, bytes)) = slot.get()
                && *kept == format
            {
                return bytes.clone();
            }
        }
        made.unwrap_or_else(|| encode(self))
    }
}

impl Inner {
    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor
    }

    pub(crate) fn event(&self) -> &Event {
        &self.event
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("cursor", &self.0.cursor)
            .field("event", &self.0.event)
            .finish_non_exhaustive()
    }
}

/// Names a wire format in the caches of entries. The core knows none of them: whoever owns an encoder makes one.
///
/// Two formats are the same when their names are; begin the name with your crate's.
///
/// ```
/// use realtime_core::Format;
///
/// const JSON: Format = Format::new("my-crate/json");
/// assert_eq!(JSON, Format::new("my-crate/json"));
/// assert_ne!(JSON, Format::new("my-crate/sse"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format(u64);

impl Format {
    /// The format of this name.
    pub const fn new(name: &str) -> Self {
        // FNV-1a: a comparison of one word on the path of every event.
        let bytes = name.as_bytes();
        let (mut hash, mut i) = (0xcbf2_9ce4_8422_2325_u64, 0);
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
            i += 1;
        }
        Self(hash)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static ENCODED: AtomicUsize = AtomicUsize::new(0);

    fn count(entry: &Entry) -> Bytes {
        ENCODED.fetch_add(1, Ordering::Relaxed);
        entry.event().payload().bytes().clone()
    }

    #[test]
    fn bytes_are_encoded_once_per_format() {
        let entry = Entry::new(Cursor::new(1, 1), Event::text("a", "b").unwrap());
        let first = entry.encoded(Format::new("x"), count);
        entry.encoded(Format::new("y"), |_| Bytes::from_static(b"y"));
        let again = entry.encoded(Format::new("x"), count);
        assert_eq!((first.as_ptr(), ENCODED.load(Ordering::Relaxed)), (again.as_ptr(), 1));
    }

    #[test]
    fn what_is_cached_is_charged_with_what_it_takes_to_keep_it() {
        use crate::log::ledger::{Ledger, TopicLedger};

        for (budget, is_kept) in [(usize::MAX, true), (0, false)] {
            let log = Ledger::new(budget);
            // Far from the newest, where the budget counts.
            log.moved_to(1_000_000);
            let charge = Charge::new(TopicLedger::new(log.clone(), 0), 7);
            let (event, taken_at) = (Event::text("a", "b").unwrap(), Duration::from_secs(5));
            let entry = Entry::charged(Cursor::new(1, 1), event, taken_at, charge);
            assert_eq!((log.used(), entry.taken_at(), entry.charge().is_some()), (7, taken_at, true));
            let encode: fn(&Entry) -> Bytes = |_| Bytes::from(vec![b'x'; 100]);
            let first = entry.encoded(Format::new("charged"), encode);
            let again = entry.encoded(Format::new("charged"), encode);
            let grown = if is_kept { 100 + ENCODING_OVERHEAD_BYTES } else { 0 };
            assert_eq!((log.used(), first.as_ptr() == again.as_ptr()), (7 + grown, is_kept));
        }
    }

    #[test]
    fn an_entry_shows_its_place_and_its_event() {
        let entry = Entry::new(Cursor::new(1, 1), Event::text("tick", "b").unwrap());
        let shown = format!("{entry:?}");
        assert!(shown.contains(&format!("{:?}", entry.cursor())) && shown.contains("tick"), "{shown}");
    }

    #[test]
    fn an_encoder_may_ask_for_another_format_of_the_same_entry() {
        let entry = Entry::new(Cursor::new(1, 1), Event::text("a", "b").unwrap());
        let outer = entry.encoded(Format::new("outer"), |entry| {
            let inner = entry.encoded(Format::new("inner"), |entry| entry.event().payload().bytes().clone());
            [b"<", &inner[..], b">"].concat().into()
        });
        assert_eq!(outer, "<b>");
        assert_eq!(entry.encoded(Format::new("outer"), |_| Bytes::new()), "<b>");
    }

    #[test]
    fn readers_that_come_at_once_share_what_one_of_them_made() {
        let entry = Entry::new(Cursor::new(1, 1), Event::text("a", "b").unwrap());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let entry = entry.clone();
                std::thread::spawn(move || entry.encoded(Format::new("z"), |_| Bytes::from(vec![b'z'])))
            })
            .collect();
        let made: std::collections::HashSet<_> =
            threads.into_iter().map(|thread| thread.join().unwrap().as_ptr()).collect();
        assert_eq!(made.len(), 1);
    }

    #[test]
    fn an_entry_weighs_no_more_than_it_is_charged() {
        use std::mem::size_of;

        use crate::limits::ENTRY_OVERHEAD_BYTES;

        // Maps and queues are between half full and full: each place counts twice.
        let shared = size_of::<Inner>() + 2 * size_of::<usize>();
        let places = 2 * (size_of::<(u64, Entry)>() + size_of::<Entry>());
        let key = 2 * size_of::<(Arc<str>, u64)>();
        assert!(shared + places + key <= ENTRY_OVERHEAD_BYTES, "{shared} + {places} + {key}");
        assert!(ENTRY_OVERHEAD_BYTES < 2 * shared, "nor much less");
    }

    #[test]
    fn each_of_so_many_formats_is_kept_and_one_too_many_is_encoded_anew() {
        let entry = Entry::new(Cursor::new(1, 1), Event::text("a", "b").unwrap());
        let made =
            |i: usize| entry.encoded(Format::new(&i.to_string()), |_| Bytes::from(vec![b'z'])).as_ptr();
        let first: Vec<_> = (0..FORMATS_CACHED_MAX).map(made).collect();
        let again: Vec<_> = (0..FORMATS_CACHED_MAX).map(made).collect();
        assert_eq!(first, again);
        let held = entry.encoded(Format::new("more"), |_| Bytes::from(vec![b'w']));
        assert_eq!(held, "w");
        assert_ne!(made(FORMATS_CACHED_MAX), made(0));
        assert_ne!(entry.encoded(Format::new("more"), |_| Bytes::from(vec![b'w'])).as_ptr(), held.as_ptr());
    }

    #[test]
    fn room_for_more_formats_is_charged_and_an_old_entry_takes_none_over_the_budget() {
        use crate::log::ledger::{Ledger, TopicLedger};

        let log = Ledger::new(0);
        let charge = Charge::new(TopicLedger::new(log.clone(), 0), 7);
        let entry = Entry::charged(Cursor::new(1, 1), Event::text("a", "b").unwrap(), Duration::ZERO, charge);
        let made =
            |i: usize| entry.encoded(Format::new(&i.to_string()), |_| Bytes::from(vec![b'z'])).as_ptr();
        let few: Vec<_> = (0..FEW).map(made).collect();
        let each = 1 + ENCODING_OVERHEAD_BYTES;
        assert_eq!(log.used(), 7 + FEW * each);
        made(FEW);
        assert_eq!(log.used(), 7 + (FEW + 1) * each + size_of::<Encodings>());
        // Grown old, it keeps what it has, and nothing more.
        log.moved_to(1_000_000);
        made(FEW + 1);
        assert_eq!(few, (0..FEW).map(made).collect::<Vec<_>>());
        assert_eq!(log.used(), 7 + (FEW + 1) * each + size_of::<Encodings>());
    }
}
