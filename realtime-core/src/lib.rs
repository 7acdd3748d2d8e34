//! Event sources that are logs.
//!
//! **A source is a log; a transport is a way of reading it.** A reader keeps its own place, a [`Cursor`]; the source
//! keeps the events, once, however many read them. What cannot be replayed any more is said as a [`Gap`] and never
//! passed over in silence.
//!
//! ```text
//! producer -> adapt -> Log =(trait Source)=> Feed -> deliveries
//! ```
//!
//! ```
//! use futures_util::StreamExt;
//! use realtime_core::{Delivery, Event, Log, Source, Start};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let log = Log::new();
//! let cursor = log.publish(Event::json("tick", &1)?)?;
//! log.publish(Event::json("tick", &2)?)?;
//!
//! let mut feed = log.subscribe(Start::After(cursor));          // a client that saw the first
//! let Some(Ok(Delivery::Open(opened))) = feed.next().await else { panic!("a feed opens first") };
//! assert_eq!((opened.cursor, opened.gap), (cursor, None));     // it lost nothing
//! let Some(Ok(Delivery::Events(batch))) = feed.next().await else { panic!("there is a second") };
//! assert_eq!(batch.iter().next().map(|entry| &entry.event().payload().bytes()[..]), Some(&b"2"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`limits`] | every bound, with unit and reason |
//! | [`adapt`] | streams, broadcast and watch channels as sources; filters; merging |
//! | [`envelope`] | the JSON form of events and controls that transports share |
//! | [`testing`] | the laws that any source can be put through by its author |

#![warn(missing_docs)]

pub mod adapt;
pub mod envelope;
pub mod limits;
pub mod testing;

mod cursor;
mod entry;
mod error;
mod event;
mod feed;
mod log;
mod source;
mod sync;
mod topic;

pub use cursor::{Cursor, Start};
pub use entry::{Entry, Format};
pub use error::{
    CursorError, CursorErrorKind, EventError, EventErrorKind, PublishError, PublishErrorKind, SourceError,
    SourceErrorKind,
};
pub use event::{DEFAULT_NAME, Event, Payload};
pub use feed::{Batch, BoxFeed, Delivery, Feed, Gap, GapReason, Opened};
pub use limits::{Keep, Limits};
pub use log::{Log, LogBuilder, LogFeed, LogView, ViewFeed};
pub use source::{BoxSource, Source, SourceExt};
pub use topic::{Topic, TopicSet};

/// The examples of the README run with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
