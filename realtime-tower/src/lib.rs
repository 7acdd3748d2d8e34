//! Layers and services that turn any event [source](realtime_core::Source) into polling, long-polling, Server-Sent
//! Events and WebSocket, at one URL and with one cursor.
//!
//! ```text
//! request ─► facts ─► transport ─► source ─► feed ─► page      ─► poll, long-poll
//!            negotiate  endpoint                     downlink  ─► sse, ws
//! ```
//!
//! ```
//! use http::Request;
//! use realtime_core::{Event, Log};
//! use realtime_tower::{Body, Realtime};
//! use tower::ServiceExt;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let log = Log::new();
//! let service = Realtime::new(log.clone());                    // mount it in any tower framework
//! log.publish(Event::json("tick", &1)?)?;                      // from anywhere
//!
//! let sse = Request::get("/").header("accept", "text/event-stream").body(Body::empty())?;
//! let response = service.oneshot(sse).await?;
//! assert_eq!(response.headers()["content-type"], "text/event-stream");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | answer every request at a path | [`Realtime`], or [`Poll`], [`LongPoll`], [`Sse`], [`WebSocket`] for one transport |
//! | leave a page's ordinary requests alone | [`RealtimeLayer`], or [`PollLayer`], [`LongPollLayer`], [`SseLayer`], [`WebSocketLayer`] |
//! | choose the source by the request, and authorise | [`Builder::make_source`] |
//! | end a stream when its authorisation ends | [`Session`] |
//! | hear what clients send | [`Builder::uplink`] |
//! | hear it once, however often it is sent | [`OnceConfig`], [`Principal`] |
//! | say which hosts are answered for, and whose word is believed | [`Hosts`], [`Proxies`] |
//! | hold one client to so many readers | [`Config::readers_per_address_max`], [`Config::readers_per_principal_max`] |
//! | stop gracefully, read figures | [`Handle`] |
//! | evict peers that read nothing, in a host of one's own | [`WriteDeadline`] |
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `testing` | `testing`: clients without a socket, to test a handler with |
//! | `metrics` | counters on the `metrics` facade, see below |
//!
//! # What an operator sees
#![doc = include_str!("observe.md")]

mod answered;
mod answering;
mod body;
mod builder;
mod config;
mod downlink;
mod endpoint;
#[cfg(test)]
mod fixture;
mod future;
mod handle;
mod headers;
mod hosts;
mod layer;
mod long_poll;
mod mount;
mod negotiate;
mod observe;
mod once;
mod origin;
mod page;
mod poll;
mod proxies;
mod quota;
mod receive;
mod reject;
mod resume;
mod ride;
mod seat;
mod service;
mod session;
mod signed;
mod source;
mod sse;
mod stats;
#[cfg(feature = "testing")]
pub mod testing;
mod timer;
mod transport;
mod upgrade;
mod uplink;
mod write_deadline;
mod ws;

pub use answering::Answering;
pub use body::Body;
pub use builder::{Builder, NoSource, builder};
pub use config::{Config, Slow};
pub use endpoint::{Admitted, Endpoint};
pub use future::{ResponseBody, ResponseFuture};
pub use handle::{Drained, Handle};
pub use hosts::Hosts;
pub use layer::{Layered, RealtimeLayer};
pub use long_poll::{LongPollConfig, LongPollTransport};
pub use once::{OnceConfig, Principal};
pub use origin::Origins;
pub use page::PageLimits;
pub use poll::{PollConfig, PollTransport};
pub use proxies::{Peer, Proxies};
pub use service::Realtime;
pub use session::{Guarded, Revoke, Session};
pub use signed::{
    CURSOR_KEY_BYTES_MIN, CURSOR_KEYS_MAX, CursorKeys, CursorKeysError, CursorKeysErrorKind, CursorScope,
};
pub use source::{Fixed, Made, MakeSource};
pub use sse::{Data, Pings, SseConfig, SseTransport};
pub use stats::{Stats, TransportStats};
pub use transport::{Transport, Transports};
pub use uplink::{
    Inbound, IntoReply, NoUplink, Reply, Uplink, UplinkError, UplinkFn, WAITING_BYTES_MAX, WAITING_MAX,
    uplink_fn,
};
pub use write_deadline::{Stalled, WriteDeadline};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use ws::fuzzing;
pub use ws::{Compression, WebSocketConfig, WebSocketTransport};

/// All transports of this crate, the order being that in which they are preferred where a request does not mind.
pub type All = (WebSocketTransport, SseTransport, LongPollTransport, PollTransport);

/// Polling alone, as a service.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{Fixed, Poll, PollTransport, builder};
///
/// let (service, _handle) = builder().source(Log::new()).transports((PollTransport::default(),)).service();
/// let service: Poll<Fixed<Log>> = service;
/// # drop(service);
/// ```
pub type Poll<M, U = NoUplink> = Realtime<(PollTransport,), M, U>;
/// Long-polling alone, as a service; made as [`Poll`] is.
pub type LongPoll<M, U = NoUplink> = Realtime<(LongPollTransport,), M, U>;
/// Server-Sent Events alone, as a service; made as [`Poll`] is.
pub type Sse<M, U = NoUplink> = Realtime<(SseTransport,), M, U>;
/// WebSocket alone, as a service; made as [`Poll`] is.
pub type WebSocket<M, U = NoUplink> = Realtime<(WebSocketTransport,), M, U>;

/// Polling alone, around a service: it takes what asks for it by name, `?live=poll`, or comes with a cursor.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{Fixed, PollLayer, PollTransport, builder};
///
/// let (layer, _handle) = builder().source(Log::new()).transports((PollTransport::default(),)).layer();
/// let layer: PollLayer<Fixed<Log>> = layer;
/// # drop(layer);
/// ```
pub type PollLayer<M, U = NoUplink> = RealtimeLayer<(PollTransport,), M, U>;
/// Long-polling alone, around a service; made as [`PollLayer`] is.
pub type LongPollLayer<M, U = NoUplink> = RealtimeLayer<(LongPollTransport,), M, U>;
/// Server-Sent Events alone, around a service; made as [`PollLayer`] is.
pub type SseLayer<M, U = NoUplink> = RealtimeLayer<(SseTransport,), M, U>;
/// WebSocket alone, around a service; made as [`PollLayer`] is.
pub type WebSocketLayer<M, U = NoUplink> = RealtimeLayer<(WebSocketTransport,), M, U>;

#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;
