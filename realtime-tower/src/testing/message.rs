use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use realtime_core::envelope::EndReason;
use realtime_core::{Cursor, Gap};
use serde::de::DeserializeOwned;

use super::Unexpected;

/// One message of a stream.
///
/// ```
/// use http::Request;
/// use realtime_core::{Event, Log};
/// use realtime_tower::testing::{self, Message};
/// use realtime_tower::{Body, Realtime};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let log = Log::new();
/// log.publish(Event::json("tick", &1)?)?;
/// log.close();
/// let request = Request::get("/?offset=-1").body(Body::empty())?;
/// let mut socket = testing::web_socket(Realtime::new(log), request).await?;
/// let mut ticks = 0;
/// while let Some(message) = socket.next().await? {
///     match message {
///         Message::Event(event) if event.name() == "tick" => ticks += event.json::<u64>()?,
///         Message::Gap(gap) => panic!("{gap:?}"),
///         Message::Close { code, .. } => assert_eq!(code, 1000),
///         _ => {}
///     }
/// }
/// assert_eq!(ticks, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// `$open`, always the first: where the stream begins, and how.
    Open {
        /// The place before the first event.
        cursor: Cursor,
        /// Whether something was lost.
        outcome: Outcome,
        /// The longest silence to expect.
        heartbeat: Duration,
    },
    /// An event.
    Event(Event),
    /// `$gap`: events that are gone.
    Gap(Gap),
    /// `$live`: caught up with the tail.
    Live(Cursor),
    /// A heartbeat, in any form, with the client's place where it carries one.
    Ping(Option<Cursor>),
    /// `$end`: the server ends the stream.
    End {
        /// Why.
        reason: EndReason,
        /// The client's place.
        cursor: Option<Cursor>,
        /// When to come back; never, where there is none.
        retry: Option<Duration>,
    },
    /// `$reply` to a message that was sent.
    Reply(Reply),
    /// The WebSocket was closed by the server. It is the last message.
    Close {
        /// The close code; 1005 where there was none.
        code: u16,
        /// The reason: the place to resume from, where the server knows one.
        reason: String,
    },
}

/// How a stream begins.
///
/// A member of [`Message::Open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No cursor came.
    Fresh,
    /// A cursor came, and nothing after it is lost.
    Resumed,
    /// Something is lost: the `$gap` follows.
    Gap,
}

/// An event as a client has it.
///
/// What is known of it depends on what the wire says: Server-Sent Events know no topic, a bare WebSocket nothing but
/// the payload.
///
/// Readers make it: see [`sse`](super::sse()), [`page`](super::page()) and [`web_socket`](super::web_socket()).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub(super) id: Option<Cursor>,
    pub(super) name: String,
    pub(super) topic: Option<String>,
    pub(super) key: Option<String>,
    pub(super) data: Data,
}

/// A payload as it stood on the wire.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// The `data` of an envelope: a JSON text.
    Member(String),
    /// A text of its own.
    Text(String),
    Binary(Bytes),
}

impl Event {
    /// The place after it; none on a bare WebSocket.
    pub fn id(&self) -> Option<Cursor> {
        self.id
    }

    /// Its name; `message` where the wire has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its topic.
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Its key.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The payload read as JSON.
    ///
    /// # Errors
    /// It is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Unexpected> {
        let read = match &self.data {
            Data::Member(text) | Data::Text(text) => serde_json::from_str(text),
            Data::Binary(bytes) => serde_json::from_slice(bytes),
        };
        read.map_err(|error| {
            Unexpected::new(format!("{:?} is not the JSON that was asked for", self.data)).because(error)
        })
    }

    /// The payload as text: of an envelope the content of a string, or the JSON text of any other value.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<String, Unexpected> {
        match &self.data {
            Data::Member(json) => {
                Ok(serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned()))
            }
            Data::Text(text) => Ok(text.clone()),
            Data::Binary(bytes) => String::from_utf8(bytes.to_vec())
                .map_err(|error| Unexpected::new("a binary payload is no text").because(error)),
        }
    }

    /// The bytes of a binary payload; none of any other.
    pub fn binary(&self) -> Option<&Bytes> {
        match &self.data {
            Data::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// An answer to a message that was sent.
///
/// [`WebSocket::ask`](super::WebSocket::ask) returns it, and shows how it is read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reply {
    /// The `ref` of the message, as JSON text.
    pub reference: Option<String>,
    /// What the handler said: the payload as JSON, or status and title of its refusal.
    pub answer: Result<serde_json::Value, (StatusCode, String)>,
}

impl Reply {
    /// The payload.
    ///
    /// # Errors
    /// The handler refused, or it is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Unexpected> {
        match &self.answer {
            Ok(value) => T::deserialize(value).map_err(|error| {
                Unexpected::new(format!("{value} is not what was asked for")).because(error)
            }),
            Err((status, title)) => {
                Err(Unexpected::new(format!("the handler refused with {status}: {title}")))
            }
        }
    }
}
