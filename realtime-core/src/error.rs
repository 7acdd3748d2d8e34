//! What can go wrong, and for whom.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::cursor::Cursor;

/// A client's place could not be read. It never repeats the input.
///
/// ```
/// use realtime_core::{Cursor, CursorErrorKind};
///
/// let error = "1e9".parse::<Cursor>().unwrap_err();
/// assert_eq!(error.kind(), CursorErrorKind::Form);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorError(CursorErrorKind);

/// Why a place could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CursorErrorKind {
    /// Neither a cursor nor a reserved word.
    Form,
    /// `last-N` with N outside `1..=LAST_MAX`, or written in another way than plain digits.
    Last,
}

impl CursorError {
    /// What was wrong with it.
    pub fn kind(&self) -> CursorErrorKind {
        self.0
    }
}

impl From<CursorErrorKind> for CursorError {
    fn from(kind: CursorErrorKind) -> Self {
        Self(kind)
    }
}

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            CursorErrorKind::Form => "not a cursor: send back one that the server gave, or -1, now or last-N",
            CursorErrorKind::Last => "last-N takes a whole number from 1 to 10000",
        })
    }
}

impl StdError for CursorError {}

/// A name or a payload that no event may have.
///
/// ```
/// use realtime_core::{Event, EventErrorKind};
///
/// let error = Event::text("$open", "mine").unwrap_err();
/// assert_eq!(error.kind(), EventErrorKind::Reserved);
/// ```
#[derive(Debug)]
pub struct EventError {
    kind: EventErrorKind,
    source: Option<serde_json::Error>,
}

/// Why an event could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventErrorKind {
    /// The event name, topic or key is empty.
    Empty,
    /// The event name, topic or key is longer than [`NAME_BYTES_MAX`](crate::limits::NAME_BYTES_MAX) bytes.
    TooLong,
    /// The event name, topic or key holds a control character (CR, LF and NUL too) or one that reorders or hides text.
    Unprintable,
    /// The event name starts with `$`, as the control messages do.
    Reserved,
    /// The value does not turn into JSON; [`source`](StdError::source) says why.
    Json,
}

impl EventError {
    pub(crate) fn json(source: serde_json::Error) -> Self {
        Self { kind: EventErrorKind::Json, source: Some(source) }
    }

    /// What was wrong with it.
    pub fn kind(&self) -> EventErrorKind {
        self.kind
    }
}

impl From<EventErrorKind> for EventError {
    fn from(kind: EventErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            EventErrorKind::Empty => "an event name, topic or key must not be empty",
            EventErrorKind::TooLong => "an event name, topic or key takes at most 128 bytes",
            EventErrorKind::Unprintable => {
                "an event name, topic or key must be printable: no control characters"
            }
            EventErrorKind::Reserved => {
                "event names that start with $ are those of control messages: choose another"
            }
            EventErrorKind::Json => "the value does not turn into JSON",
        })
    }
}

impl StdError for EventError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

/// The log did not take an event. Nothing of it was stored and no position was spent.
///
/// ```
/// use realtime_core::{Event, Log, PublishErrorKind};
///
/// let log = Log::new();
/// log.close();
/// let error = log.publish(Event::text("note", "too late")?).unwrap_err();
/// assert_eq!(error.kind(), PublishErrorKind::Closed);
/// # Ok::<(), realtime_core::EventError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishError {
    kind: PublishErrorKind,
    taken: Vec<Cursor>,
}

/// Why a log did not take an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishErrorKind {
    /// The log, or the event's topic, was closed.
    Closed,
    /// The payload is larger than the log's `event_bytes_max`.
    TooBig,
    /// The topic keeps the latest event per key, and this event has no key.
    KeyMissing,
    /// The topic keeps the latest event per key, and has as many keys as it may.
    TooManyKeys,
    /// Topics that keep the latest per key fill the log's budget: they are never trimmed, so nothing can make room.
    Full,
}

impl PublishError {
    pub(crate) fn after(taken: Vec<Cursor>, kind: PublishErrorKind) -> Self {
        Self { kind, taken }
    }

    /// Why it was not taken.
    pub fn kind(&self) -> PublishErrorKind {
        self.kind
    }

    /// The cursors of the events before it in the same [`publish_all`](crate::Log::publish_all), which were taken.
    pub fn taken(&self) -> &[Cursor] {
        &self.taken
    }
}

impl From<PublishErrorKind> for PublishError {
    fn from(kind: PublishErrorKind) -> Self {
        Self { kind, taken: Vec::new() }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            PublishErrorKind::Closed => "the log or the topic is closed",
            PublishErrorKind::TooBig => "the payload is larger than the log's event_bytes_max",
            PublishErrorKind::KeyMissing => "this topic keeps the latest event per key: give the event a key",
            PublishErrorKind::TooManyKeys => "this topic has as many keys as it may hold",
            PublishErrorKind::Full => "topics that keep the latest per key fill the log's budget",
        })
    }
}

impl StdError for PublishError {}

/// A source could not go on. It is the last item of a feed; the reader keeps its place and may come back with it.
///
/// Transports answer with what [`kind`](Self::kind) says; the rest is for the log, never for the client.
///
/// ```
/// use realtime_core::{SourceError, SourceErrorKind};
///
/// let error = SourceError::new(SourceErrorKind::Unavailable, "the broker does not answer");
/// assert_eq!(error.kind(), SourceErrorKind::Unavailable);
/// ```
#[derive(Debug)]
pub struct SourceError {
    kind: SourceErrorKind,
    source: Box<dyn StdError + Send + Sync>,
    retry_after: Option<Duration>,
}

/// What a reader may expect of a source that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// Away for now; the same place may be read later.
    Unavailable,
    /// Broken; trying again may help, but nobody promises it.
    Failed,
    /// What was asked for can never exist, a topic name beyond its bound for example: the client's mistake.
    Invalid,
}

impl SourceError {
    /// An error with its cause.
    pub fn new(kind: SourceErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, source: source.into(), retry_after: None }
    }

    /// The same error with a hint when to come back.
    #[must_use]
    pub fn with_retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// What a reader may expect.
    pub fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// When to come back, if the source knows.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SourceErrorKind::Unavailable => "the source is away for now",
            SourceErrorKind::Failed => "the source failed",
            SourceErrorKind::Invalid => "the source cannot have what was asked for",
        })
    }
}

impl StdError for SourceError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}
