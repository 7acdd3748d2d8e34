//! Clients without a socket, to test a handler with: an answer goes in, typed messages come out.
//!
//! ```text
//! Response ─► sse(..)         ─► SseReader ─► Message, Message, ..
//!          ─► page(..)        ─► Page                                 a poll's or a long-poll's answer
//! Service  ─► web_socket(..)  ─► WebSocket ─► Message, ..; sends too  handshake and frames over memory
//! ```
//!
//! They take the answers of any tower service: a [`Realtime`](crate::Realtime), a layered page, an axum `Router`. No
//! port is opened and nothing waits for real, so that `#[tokio::test(start_paused = true)]` runs an hour of heartbeats
//! in no time.
//!
//! ```
//! use http::Request;
//! use realtime_core::{Event, Log};
//! use realtime_tower::testing::{self, Message};
//! use realtime_tower::{Body, Realtime};
//! use tower::ServiceExt;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let log = Log::new();
//! let service = Realtime::new(log.clone());
//! let first = log.publish(Event::json("tick", &1)?)?;
//!
//! // What a poll gives ..
//! let page = testing::page(service.clone().oneshot(Request::get("/?offset=-1").body(Body::empty())?).await?).await?;
//! assert_eq!(page.events[0].json::<u64>()?, 1);
//!
//! // .. an EventSource goes on from ..
//! let request = Request::get("/").header("accept", "text/event-stream").header("last-event-id", first.to_string());
//! let mut sse = testing::sse(service.clone().oneshot(request.body(Body::empty())?).await?).await?;
//! log.publish(Event::json("tick", &2)?)?;
//! assert_eq!(sse.event().await?.json::<u64>()?, 2);
//!
//! // .. and a WebSocket from there.
//! let offset = format!("/?offset={}", sse.place().ok_or("an event has a place")?);
//! let mut socket = testing::web_socket(service, Request::get(offset).body(Body::empty())?).await?;
//! assert!(matches!(socket.next().await?, Some(Message::Open { .. })));
//! log.publish(Event::json("tick", &3)?)?;
//! assert_eq!(socket.event().await?.json::<u64>()?, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The WebSocket's frames are read by the parser that the server's half uses too, in its other direction: a library
//! with a client would weigh more than the fifty lines around it, and what these clients test is your handler. That
//! the frames are right is shown against foreign clients in this project's own tests.

mod envelope;
mod error;
mod message;
mod page;
mod sse;
mod sse_lines;
mod web_socket;

pub use error::Unexpected;
pub use message::{Event, Message, Outcome, Reply};
pub use page::{Page, page};
pub use sse::{SseReader, sse};
pub use web_socket::{WebSocket, bare_web_socket, web_socket};

/// Heartbeats without an event after which waiting for one fails: with time paused a minute of waiting is a moment,
/// and a test that waits for what never comes must end.
const PINGS_MAX: usize = 1_000;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
