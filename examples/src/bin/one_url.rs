//! All transports at one URL: `cargo run --bin one_url`, then
//!
//! ```text
//! curl -N -H 'Accept: text/event-stream' http://127.0.0.1:3000/events
//! curl http://127.0.0.1:3000/events
//! curl -H 'Prefer: wait=20' 'http://127.0.0.1:3000/events?offset=now'
//! ```

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use realtime_axum::Realtime;
use realtime_core::{Event, Log, Start};
use realtime_tower::Handle;

#[tokio::main]
async fn main() -> io::Result<()> {
    let log = Log::new();
    tokio::spawn(publish(log.clone()));
    let (app, handle) = app(log);
    let listener = realtime_examples::listen("/events").await?;
    let stop = async { _ = tokio::signal::ctrl_c().await };
    axum::serve(listener, app).with_graceful_shutdown(handle.drain_on(stop, Duration::from_secs(5))).await
}

/// One route, every transport; who names no place gets the last five and what follows.
fn app(log: Log) -> (Router, Handle) {
    let (mount, handle) = realtime_axum::mount().default_start(Start::Last(5)).build();
    (Router::new().route("/events", mount.route(events)).with_state(log), handle)
}

async fn events(State(log): State<Log>, rt: Realtime) -> Response {
    rt.serve(log).await
}

/// `{"n":1}`, `{"n":2}` and so on, ten times a second.
async fn publish(log: Log) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for n in 1_u64.. {
        ticks.tick().await;
        let tick =
            Event::json("tick", &serde_json::json!({ "n": n })).expect("a number in an object is JSON");
        if log.publish(tick).is_err() {
            return;
        }
    }
}
