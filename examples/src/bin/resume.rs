//! What a client is told when it comes back: `cargo run --bin resume`, then, in another terminal,
//!
//! ```text
//! $ curl -s 'http://127.0.0.1:3000/events?offset=last-1'       # `next` is your place; come back with it
//! $ curl -s 'http://127.0.0.1:3000/events?offset=NEXT'         # at once: what follows, nothing lost
//! $ curl -s 'http://127.0.0.1:3000/events?offset=NEXT'         # a minute later: that something is lost is said
//! {"gap":{"reason":"trimmed","from":"99865516a05efcb9.0000000000000004","to":"99865516a05efcb9.000000000000000d"},
//!  "events":[{"id":"99865516a05efcb9.000000000000000e","event":"tick","data":{"n":14}}, ...
//! $ # stop the app, start it again
//! $ curl -s 'http://127.0.0.1:3000/events?offset=NEXT'         # the log is another one, and that is said
//! {"gap":{"reason":"epoch","from":"99865516a05efcb9.0000000000000004","to":"57c46dcd39470ff6.0000000000000000"},
//!  "events":[{"id":"57c46dcd39470ff6.0000000000000001","event":"tick","data":{"n":1}}, ...
//! ```
//!
//! A place is never lost in silence. What follows it comes, or a gap does, in front of the first event behind it: with
//! reason `trimmed` (the log keeps the last fifty here) or `epoch` (another life of the log). A reader that is
//! connected and does not keep up is told the same (`overflow`), or, at `/strict`, disconnected with its place.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use realtime_axum::Realtime;
use realtime_core::{Keep, Log, TopicSet};
use realtime_examples::{Result, listen, publish_ticks, stop};
use realtime_tower::{Handle, Slow};

#[tokio::main]
async fn main() -> Result {
    let log = log();
    let (app, [handle, strict]) = app(log.clone());
    let listener = listen("/events").await?;
    tokio::spawn(publish_ticks(log, Duration::from_millis(200)));
    let wait = Duration::from_secs(5);
    // Both mounts are drained at once, on the one signal.
    let drain = async move {
        stop().await;
        tokio::join!(handle.drain(wait), strict.drain(wait));
    };
    axum::serve(listener, app).with_graceful_shutdown(drain).await?;
    Ok(())
}

/// It keeps ten seconds' worth. Its epoch is drawn at random, so that a restart is never taken for the same log.
fn log() -> Log {
    Log::builder().keep(TopicSet::all(), Keep::history().entries(50)).build()
}

fn app(log: Log) -> (Router, [Handle; 2]) {
    let (skip, handle) = realtime_axum::mount().slow(Slow::Skip).build();
    let (disconnect, strict) = realtime_axum::mount().slow(Slow::Disconnect).build();
    let app = Router::new()
        .route("/events", skip.route(events))
        .route("/strict", disconnect.route(events))
        .with_state(log);
    (app, [handle, strict])
}

async fn events(State(log): State<Log>, rt: Realtime) -> Response {
    rt.serve(log).await
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use realtime_core::envelope::EndReason;
    use realtime_core::{Cursor, Event, GapReason};
    use realtime_tower::testing::{self, Message, Page};
    use tower::ServiceExt;

    use super::*;

    fn publish_now(log: &Log, count: u64) -> Result {
        log.publish_all((0..count).map(|n| Event::json("tick", &n).expect("a number is JSON")))?;
        Ok(())
    }

    async fn come_back(log: &Log, place: Cursor) -> Result<Page> {
        let request = Request::get(format!("/events?offset={place}")).body(Body::empty())?;
        Ok(testing::page(app(log.clone()).0.oneshot(request).await?).await?)
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_resumed_or_its_loss_is_said() -> Result {
        let log = log();
        let place = log.tail();
        publish_now(&log, 50)?;
        let page = come_back(&log, place).await?;
        assert_eq!((page.gap, page.events.len()), (None, 50));

        publish_now(&log, 1)?;
        let page = come_back(&log, place).await?;
        assert_eq!(page.gap.map(|gap| (gap.reason, gap.from)), Some((GapReason::Trimmed, Some(place))));
        assert_eq!(page.events.len(), 50);

        let restarted = self::log();
        publish_now(&restarted, 2)?;
        let page = come_back(&restarted, place).await?;
        assert_eq!((page.gap.map(|gap| gap.reason), page.events.len()), (Some(GapReason::Epoch), 2));
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_keep_up_is_told_or_disconnected_with_its_place() -> Result {
        for (uri, is_strict) in [("/events", false), ("/strict", true)] {
            let log = log();
            let request = Request::get(uri).header("accept", "text/event-stream").body(Body::empty())?;
            let mut reader = testing::sse(app(log.clone()).0.oneshot(request).await?).await?;
            while !matches!(reader.next().await?, Some(Message::Live(_))) {}
            publish_now(&log, 51)?;
            match reader.next().await? {
                Some(Message::Gap(gap)) if !is_strict => assert_eq!(gap.reason, GapReason::Overflow),
                Some(Message::End { reason, retry, .. }) if is_strict => {
                    assert_eq!((reason, retry.is_some()), (EndReason::Slow, true));
                }
                other => panic!("{uri}: {other:?}"),
            }
        }
        Ok(())
    }
}
