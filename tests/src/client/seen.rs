//! What a client sees, and the place it keeps.

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;

/// Where a reader begins, and the place it would resume from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Says nothing: the mount decides.
    #[default]
    Default,
    /// `-1`, the oldest retained.
    Earliest,
    /// `now`, the tail.
    Live,
    /// `last-n`.
    Last(u32),
    /// After this cursor, as the server wrote it.
    After(String),
}

impl Place {
    /// The cursor, if it is one.
    pub fn cursor(&self) -> Option<&str> {
        if let Self::After(cursor) = self { Some(cursor) } else { None }
    }

    /// The word or cursor as the wire has it; `None` for the default.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Default => None,
            Self::Earliest => Some("-1".to_owned()),
            Self::Live => Some("now".to_owned()),
            Self::Last(n) => Some(format!("last-{n}")),
            Self::After(cursor) => Some(cursor.clone()),
        }
    }

    /// Moves as the JSON transports say: by an event's id, a gap's `to`, and the cursor of a control.
    pub(crate) fn follow(&mut self, seen: &Seen) {
        let moved = match seen {
            Seen::Open { cursor, .. } | Seen::Live { cursor } | Seen::Ping { cursor } => cursor,
            Seen::Event(Event { id: Some(id), .. }) => id,
            Seen::End { cursor: Some(cursor), .. } => cursor,
            Seen::Gap(gap) => &gap.to,
            _ => return,
        };
        *self = Self::After(moved.clone());
    }
}

/// An application's event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its cursor; bare WebSocket messages have none.
    pub id: Option<String>,
    /// `message` if the wire says nothing; empty on a bare WebSocket, where it is not said at all.
    pub name: String,
    /// The topic, where the transport says it.
    pub topic: Option<String>,
    /// The key, where the transport says it.
    pub key: Option<String>,
    /// The payload: JSON as its text, a text's characters, binary decoded.
    pub data: Vec<u8>,
    /// Whether the wire marked it as binary.
    pub binary: bool,
}

/// A loss said out loud.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Gap {
    /// trimmed, epoch, diverged, overflow or source.
    pub reason: String,
    /// The place that the loss begins after.
    #[serde(default)]
    pub from: Option<String>,
    /// The place that reading goes on from.
    pub to: String,
}

/// One thing that a client was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// `$open`.
    Open {
        /// The place before the first event.
        cursor: String,
        /// fresh, resumed or gap.
        outcome: String,
        /// The longest silence to expect.
        heartbeat_ms: Option<u64>,
    },
    /// An event.
    Event(Event),
    /// `$gap`, or the head of a page.
    Gap(Gap),
    /// `$live`, or a page that is up to date.
    Live {
        /// Where the tail is.
        cursor: String,
    },
    /// `$ping`, or an SSE heartbeat that moves the place without an event.
    Ping {
        /// The place it moves to.
        cursor: String,
    },
    /// `$end`, or a page that is closed (reason `closed`, no retry).
    End {
        /// closed, drain, source, expired or slow.
        reason: String,
        /// Milliseconds to wait before coming back; `None`: do not come back.
        retry_ms: Option<u64>,
        /// The place it was said at; a page says it as `next` instead.
        cursor: Option<String>,
    },
    /// Any other control, `$reply` above all: its whole envelope.
    Control {
        /// With the `$`.
        name: String,
        /// The envelope as it came.
        envelope: serde_json::Value,
    },
    /// An answer that carries no page: 204 or 304.
    Status {
        /// Which.
        status: StatusCode,
        /// Its headers.
        headers: HeaderMap,
    },
    /// The server answered, but not with what was asked for; nothing follows.
    Refused {
        /// The status.
        status: StatusCode,
        /// Its headers.
        headers: HeaderMap,
        /// Its body.
        body: Bytes,
    },
    /// A WebSocket Close; nothing but the end follows.
    Close {
        /// The code, 1005 if there was none.
        code: u16,
        /// The reason; a server puts the place here.
        reason: String,
    },
    /// The wire was broken, and how. An honest client goes no further.
    Broken(String),
}

impl Seen {
    /// The event, if it is one.
    pub fn event(&self) -> Option<&Event> {
        if let Self::Event(event) = self { Some(event) } else { None }
    }

    /// Whether the server says that there is nothing more for now: [`Live`](Seen::Live), or an answer without a page.
    pub fn caught_up(&self) -> bool {
        matches!(self, Self::Live { .. } | Self::Status { .. })
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// As the protocol says that it ends.
    Clean,
    /// In the middle of something, or before an answer: the connection was lost.
    Cut(String),
}

impl Over {
    pub(crate) fn cut(why: impl std::fmt::Display) -> Self {
        Self::Cut(why.to_string())
    }
}
