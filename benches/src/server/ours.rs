//! Ours, as a user mounts it: every transport at one place, with the defaults.

use axum::Router;
use realtime_core::{Event, Log};
use realtime_tower::Realtime;
use tokio::net::TcpListener;

use super::Publish;
use crate::payload;

pub(super) fn serve(data: TcpListener) -> Publish {
    let log = Log::new();
    super::axum::spawn(data, Router::new().route("/events", realtime_axum::source(log.clone())));
    publish(log)
}

/// The service alone, without axum around it.
pub(super) fn serve_bare(data: TcpListener) -> Publish {
    let log = Log::new();
    super::hyper::spawn(data, Realtime::new(log.clone()));
    publish(log)
}

fn publish(log: Log) -> Publish {
    Box::new(move |events| {
        let events = events.map(|n| {
            let json = serde_json::value::RawValue::from_string(payload::text(n));
            let json = json.expect("a payload is JSON: its test says so");
            Event::raw_json("message", json).expect("the name is a plain one")
        });
        log.publish_all(events).expect("the log is open, and a payload small");
    })
}
