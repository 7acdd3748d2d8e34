//! One source, four transports, side by side: `cargo run --release --bin showcase`, then open the printed URL.
//!
//! The machine's own figures are published four times a second into ONE log. Each pane of the page reads it through a
//! mount of its own, so that the server can count what that pane costs, whatever transport it is moved to.

mod assets;
mod figures;

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use realtime_axum::Realtime;
use realtime_core::{Keep, Log, Start, TopicSet};
use realtime_tower::{Handle, Inbound, TransportStats, UplinkError};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> io::Result<()> {
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(2_400)).build();
    let (app, handles) = app(log.clone());
    let listener = realtime_examples::listen("/").await?;
    figures::publish_from_a_thread(log);
    axum::serve(listener, app).with_graceful_shutdown(stopped(handles)).await
}

/// The panes of the page; each is at `/events/NAME`.
const PANES: [&str; 4] = ["poll", "long-poll", "sse", "websocket"];

#[derive(Clone)]
struct App {
    log: Log,
    handles: Vec<Handle>,
}

fn app(log: Log) -> (Router, Vec<Handle>) {
    let (mounts, handles): (Vec<_>, Vec<_>) =
        PANES.map(|_| realtime_axum::mount().default_start(Start::Last(1)).build()).into_iter().unzip();
    let mut router = Router::new().merge(assets::routes()).route("/stats", get(stats));
    for (pane, mount) in PANES.into_iter().zip(&mounts) {
        router = router.route(&format!("/events/{pane}"), mount.route(events));
    }
    (router.with_state(App { log, handles: handles.clone() }), handles)
}

/// The events of one pane, and its echo, which works on every transport.
async fn events(State(app): State<App>, rt: Realtime) -> Response {
    rt.serve(app.log).on_message(echo).await
}

/// What came, with the time of the server's clock: so the page learns how its own clock stands to it.
async fn echo(message: Inbound) -> Result<Value, UplinkError> {
    Ok(json!({ "echo": message.json::<Value>()?, "at": figures::now_ms() }))
}

/// What each pane has cost so far, all open tabs together, as the server counts it.
async fn stats(State(app): State<App>) -> Json<Value> {
    let costs = app.handles.iter().map(|handle| {
        let sum = |figure: fn(&TransportStats) -> u64| -> u64 {
            handle.stats().transports.iter().map(|(_, stats)| figure(stats)).sum()
        };
        json!({
            "readers": sum(|s| s.connections),
            "requests": sum(|s| s.requests),
            "empties": sum(|s| s.empties),
            "deliveries": sum(|s| s.deliveries),
            "bytes": sum(|s| s.bytes),
            "gaps": sum(|s| s.gaps),
        })
    });
    Json(PANES.into_iter().zip(costs).map(|(pane, cost)| (pane.to_owned(), cost)).collect())
}

/// Every pane's readers are told, with their cursor; then the server may stop.
async fn stopped(handles: Vec<Handle>) {
    _ = tokio::signal::ctrl_c().await;
    for handle in handles {
        handle.drain(Duration::from_secs(2)).await;
    }
}
