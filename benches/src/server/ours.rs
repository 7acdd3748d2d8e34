//! Ours, as a user mounts it: every transport at one place, with the defaults.

use axum::Router;
use realtime_core::{Event, Log, Source};
use realtime_tower::{Compression, Realtime, WebSocketConfig, WebSocketTransport};
use tokio::net::TcpListener;

use super::slowed::Slowed;
use super::{Asked, Publish};
use crate::payload;

/// Who brings the connections.
#[derive(Debug, Clone, Copy)]
pub(super) enum Host {
    /// `axum::serve`.
    Axum,
    /// Our own `serve`.
    Ours,
    /// `axum::serve`, where WebSockets may agree on permessage-deflate.
    Deflating,
    /// hyper, and the service alone, without axum around it.
    Hyper,
}

pub(super) fn serve(asked: &Asked, data: TcpListener, host: Host) -> Publish {
    let log = Log::new();
    if asked.is_slowed {
        listen(Slowed(log.clone()), data, host);
    } else {
        listen(log.clone(), data, host);
    }
    publish(log, asked.payload_bytes)
}

fn listen<S: Source + Clone>(source: S, data: TcpListener, host: Host) {
    match host {
        Host::Axum => super::axum::spawn(data, Router::new().route("/events", realtime_axum::source(source))),
        Host::Deflating => {
            let config = WebSocketConfig { compression: Compression::Deflate, ..WebSocketConfig::default() };
            let (mount, _handle) = realtime_axum::mount().transports((WebSocketTransport(config),)).build();
            super::axum::spawn(data, Router::new().route("/events", mount.source(source)));
        }
        Host::Ours => {
            let (mount, handle) = realtime_axum::mount().build();
            let app = Router::new().route("/events", mount.source(source));
            tokio::spawn(async move { realtime_axum::serve(data, app, handle).await });
        }
        Host::Hyper => super::hyper::spawn(data, Realtime::new(source)),
    }
}

/// A burst is so many calls, as services make them.
fn publish(log: Log, bytes: usize) -> Publish {
    Box::new(move |events| {
        for n in events {
            let json = serde_json::value::RawValue::from_string(payload::text(n, bytes));
            let json = json.expect("a payload is JSON: its test says so");
            let event = Event::raw_json("message", json).expect("the name is a plain one");
            log.publish(event).expect("the log is open, and a payload small");
        }
    })
}
