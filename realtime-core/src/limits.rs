//! Every bound of this crate, with its unit and its reason.

use std::time::Duration;

/// Bytes of an event name, a topic or a key. Names travel with every event, and a topic is a key of an index.
pub const NAME_BYTES_MAX: usize = 128;

/// Events a fresh reader may ask for by `last-N`: ten pages of a poll.
pub const LAST_MAX: u32 = 10_000;

/// Topics one reader may name. Each read looks at every one of them.
pub const TOPICS_PER_READER_MAX: usize = 100;

/// Entries in one batch: what a reader takes under the log's lock in one go.
pub const BATCH_ENTRIES_MAX: usize = 256;

/// Payload bytes in one batch, beyond its first entry: what a slow connection can hold of the log's memory at once.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Bytes charged for an entry beyond payload, names and cached encodings: the entry itself, its place in the indexes and
/// what the allocator adds. Measured: 440 to 500 with glibc.
pub const ENTRY_OVERHEAD_BYTES: usize = 512;

/// Bytes charged for each cached encoding beyond its length: the count of who shares it, and what the encoder reserved
/// and did not use. Measured: about 70.
pub const ENCODING_OVERHEAD_BYTES: usize = 64;

/// Wire formats whose bytes an entry keeps; one more is encoded anew by each reader. Clients choose among the formats of a mount, so
/// that it has to be more than all that one has: else a few who ask for odd ones would have all others' encoded anew.
pub const FORMATS_CACHED_MAX: usize = 12;

/// Newest entries whose encodings are kept even where the budget is spent: that is where all live readers stand.
pub const HOT_ENTRIES: u64 = 64;

/// The bounds of one [`Log`](crate::Log).
///
/// ```
/// use realtime_core::{Limits, Log};
///
/// let log = Log::builder().limits(Limits { budget_bytes: 8 << 20, ..Limits::default() }).build();
/// # drop(log);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all entries together, with cached encodings and [`ENTRY_OVERHEAD_BYTES`] each. Over it, the topic
    /// furthest above its share loses its oldest entries. What the newest [`HOT_ENTRIES`] are encoded as may stand above it until
    /// the next publish: each in as many formats as readers ask for, [`FORMATS_CACHED_MAX`] at most. Default 64 MiB.
    pub budget_bytes: usize,
    /// Topics the log remembers. Over it, the one that was quiet longest, has no reader, and keeps no latest per
    /// key is forgotten. Default 10,000.
    pub topics_max: usize,
    /// Payload bytes of one event. Default 1 MiB.
    pub event_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { budget_bytes: 64 << 20, topics_max: 10_000, event_bytes_max: 1 << 20 }
    }
}

/// What a topic keeps.
///
/// ```
/// use std::time::Duration;
/// use realtime_core::{Keep, Log, TopicSet};
///
/// let log = Log::builder()
///     .keep(TopicSet::prefix("price/")?, Keep::latest_per_key(500))
///     .keep(TopicSet::all(), Keep::history().entries(10_000).age(Duration::from_secs(3600)))
///     .build();
/// # drop(log);
/// # Ok::<(), realtime_core::EventError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    pub(crate) entries_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) age_max: Option<Duration>,
    pub(crate) keys_max: Option<usize>,
}

impl Keep {
    /// The newest events: 1,024 of them and 16 MiB, of any age, unless told otherwise.
    pub const fn history() -> Self {
        Self { entries_max: 1024, bytes_max: 16 << 20, age_max: None, keys_max: None }
    }

    /// The latest event of every key, for `keys_max` keys: a table that readers mirror.
    ///
    /// Such a topic is never trimmed. A fresh reader starts at its beginning, and what it holds is the whole
    /// table from the first `Live` on. A deletion is a value of your own, for example JSON `null`.
    pub const fn latest_per_key(keys_max: usize) -> Self {
        Self { entries_max: usize::MAX, bytes_max: usize::MAX, age_max: None, keys_max: Some(keys_max) }
    }

    /// At most so many entries; the log keeps at least one. No effect on a topic that keeps the latest per key.
    #[must_use]
    pub const fn entries(mut self, entries_max: usize) -> Self {
        if self.keys_max.is_none() {
            self.entries_max = if entries_max == 0 { 1 } else { entries_max };
        }
        self
    }

    /// At most so many bytes of events, [`ENTRY_OVERHEAD_BYTES`] each among them. What is encoded for readers counts
    /// for the budget alone. No effect on a topic that keeps the latest per key.
    #[must_use]
    pub const fn bytes(mut self, bytes_max: usize) -> Self {
        if self.keys_max.is_none() {
            self.bytes_max = bytes_max;
        }
        self
    }

    /// Nothing older than this, by the log's clock. No effect on a topic that keeps the latest per key.
    #[must_use]
    pub const fn age(mut self, age_max: Duration) -> Self {
        if self.keys_max.is_none() {
            self.age_max = Some(age_max);
        }
        self
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self::history()
    }
}
