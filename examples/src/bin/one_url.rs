//! All transports at one URL: `cargo run --bin one_url`, then hand the cursor of one to the next.
//!
//! ```text
//! $ curl 'http://127.0.0.1:3000/events?offset=last-1'                                  # poll
//! {"events":[{"id":"5b7ce09ae55f4714.0000000000000008","event":"tick","data":{"n":8}}],
//!  "next":"5b7ce09ae55f4714.0000000000000008","upToDate":true,"closed":false}
//! $ NEXT=5b7ce09ae55f4714.0000000000000008
//! $ curl -H 'Prefer: wait=20' "http://127.0.0.1:3000/events?offset=$NEXT"              # long-poll
//! $ curl -N -H 'Accept: text/event-stream' "http://127.0.0.1:3000/events?offset=$NEXT" # SSE
//! $ npx wscat -c "ws://127.0.0.1:3000/events?offset=$NEXT" -s realtime.v1              # WebSocket
//! < {"id":"5b7ce09ae55f4714.0000000000000008","event":"$open","data":{"cursor":"5b7ce09ae55f4714.0000000000000008",
//!   "outcome":"resumed","heartbeatMs":15000}}
//! < {"id":"5b7ce09ae55f4714.0000000000000009","event":"tick","data":{"n":9}}
//! ```

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use realtime_axum::Realtime;
use realtime_core::{Log, Start};
use realtime_examples::{Result, listen, publish_ticks, stop};
use realtime_tower::Handle;

#[tokio::main]
async fn main() -> Result {
    let log = Log::new();
    let (app, handle) = app(log.clone());
    let listener = listen("/events").await?;
    tokio::spawn(publish_ticks(log, Duration::from_millis(100)));
    axum::serve(listener, app)
        .with_graceful_shutdown(handle.drain_on(stop(), Duration::from_secs(5)))
        .await?;
    Ok(())
}

/// One route, every transport; who names no place gets the last five and what follows.
fn app(log: Log) -> (Router, Handle) {
    let (mount, handle) = realtime_axum::mount().default_start(Start::Last(5)).build();
    (Router::new().route("/events", mount.route(events)).with_state(log), handle)
}

async fn events(State(log): State<Log>, rt: Realtime) -> Response {
    rt.serve(log).await
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::http::request::Builder;
    use realtime_tower::testing::{self, Event};
    use tower::ServiceExt;

    use super::*;

    fn n(event: &Event) -> u64 {
        event.json::<serde_json::Value>().unwrap()["n"].as_u64().unwrap()
    }

    /// A request that goes on from an event, or from nowhere.
    fn after(event: Option<&Event>) -> Builder {
        let offset = event.and_then(Event::id).map_or(String::new(), |id| format!("?offset={id}"));
        Request::get(format!("/events{offset}"))
    }

    #[tokio::test(start_paused = true)]
    async fn every_transport_goes_on_where_the_one_before_it_stood() -> Result {
        let log = Log::new();
        let (app, _handle) = app(log.clone());
        tokio::spawn(publish_ticks(log, Duration::from_millis(100)));
        tokio::time::sleep(Duration::from_secs(1)).await;

        let poll = testing::page(app.clone().oneshot(after(None).body(Body::empty())?).await?).await?;
        let mut seen: Vec<Event> = poll.events;
        assert_eq!(seen.len(), 5, "the mount's default start");

        let request = after(seen.last()).header("prefer", "wait=20").body(Body::empty())?;
        let long_poll = testing::page(app.clone().oneshot(request).await?).await?;
        assert_eq!(long_poll.events.len(), 1, "it waits for the first new event");
        seen.extend(long_poll.events);

        let request = after(seen.last()).header("accept", "text/event-stream").body(Body::empty())?;
        let mut sse = testing::sse(app.clone().oneshot(request).await?).await?;
        for _ in 0..3 {
            seen.push(sse.event().await?);
        }
        let mut socket = testing::web_socket(app, after(seen.last()).body(Body::empty())?).await?;
        for _ in 0..3 {
            seen.push(socket.event().await?);
        }
        let numbers: Vec<u64> = seen.iter().map(n).collect();
        let first = numbers[0];
        assert_eq!(numbers, (first..first + 12).collect::<Vec<_>>(), "none lost, none twice");
        Ok(())
    }
}
