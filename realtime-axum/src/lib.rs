//! Every transport for an axum service: hand over a source, and one URL speaks polling, long-polling, Server-Sent Events
//! and WebSocket, with one cursor that resumes on any of them.
//!
//! ```
//! use axum::{Router, extract::{Path, State}, response::Response};
//! use realtime_axum::Realtime;
//! use realtime_core::{Event, Log, TopicSet};
//!
//! async fn events(Path(room): Path<String>, State(log): State<Log>, rt: Realtime) -> Response {
//!     rt.serve(log.topic(format!("room/{room}"))).await        // negotiates the transport
//! }
//!
//! let log = Log::new();
//! let app: Router = Router::new()
//!     .route("/events", realtime_axum::source(log.topics(TopicSet::unnamed()))) // a fixed source: no room
//!     .route("/rooms/{room}", realtime_axum::route(events))    // a handler of one's own
//!     .with_state(log.clone());
//! log.publish(Event::json("tick", &42)?)?;                     // from anywhere
//! # drop(app);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `source(log)` would serve every topic of the log, the rooms too, past the extractors that guard them.
//!
//! | to | use |
//! |---|---|
//! | give everybody the same source | [`source`] |
//! | choose the source in a handler, behind one's own extractors | [`route`] and [`Realtime`] |
//! | end a stream when its token ends | [`Realtime::session`] |
//! | hear what clients send | [`Serve::on_message`] |
//! | evict peers that read nothing, stop gracefully | [`serve()`] |
//! | set knobs and limits, drain, read figures | [`mount`], [`Mount`], [`realtime_tower::Handle`] |
//!
//! This crate is sugar without behaviour of its own; what a transport does is told in [`realtime_tower`].
//!
//! **Where to mount.** With these helpers, `route_service`, `nest_service` or `any(handler).layer(..)`; never with
//! `Router::layer` over a whole router (it wraps the fallback: any path at all would stream), nor with `route_layer`
//! (a WebSocket over HTTP/2 comes as CONNECT, and would get 405).

mod extract;
mod mount;
mod reply;
mod route;
mod serve;

pub use extract::{FromMount, Realtime};
pub use mount::{Mount, MountBuilder, mount};
// What a service names of `realtime_tower`, so that it needs no line of its own in Cargo.toml.
#[doc(inline)]
pub use realtime_tower::{
    All, Compression, Config, CursorKeys, CursorKeysError, CursorKeysErrorKind, CursorScope, Data, Drained,
    Handle, Hosts, Inbound, IntoReply, LongPollConfig, LongPollTransport, OnceConfig, Origins, PageLimits,
    Peer, Pings, PollConfig, PollTransport, Principal, Proxies, RealtimeLayer, Reply, Revoke, Session, Slow,
    SseConfig, SseTransport, Stats, TransportStats, Transports, Uplink, UplinkError, WebSocketConfig,
    WebSocketTransport,
};
pub use reply::{Serve, ServeFuture};
pub use route::{route, source};
pub use serve::{Listen, ServeConfig, Server, ServerFuture, Stopped, serve};
#[cfg(feature = "tls")]
pub use serve::{Tls, TlsIo};

#[cfg(feature = "testing")]
pub use realtime_tower::testing;

#[cfg(all(doctest, feature = "tls"))]
#[doc = include_str!("../README.md")]
struct Readme;
