//! Messages: without a key the client that leaves takes its handler along, with one the handler ends and its answer is kept.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::ServiceExt;

use crate::limit::{polled, sweep};
use crate::world::{Kind, RequestBody, World};

/// A message whose body comes in three pieces, each a while after the other.
fn message(key: Option<&str>) -> Request<RequestBody> {
    let pieces = stream::unfold([&b"{\"a\""[..], b": ", b"1}"].into_iter(), |mut pieces| async move {
        let piece = pieces.next()?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece))), pieces))
    });
    let mut request = Request::post("/?event=say").header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.body(StreamBody::new(pieces).boxed_unsync()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_dropped_is_handled_to_the_end_or_not_at_all() {
    sweep("a message without a key", 5, async |polls| {
        let world = World::new(Kind::Log);
        let answer = polled(world.service.clone().oneshot(message(None)), polls).await;
        let is_done = answer.is_some();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (begun, ended) = (world.begun.load(Ordering::SeqCst), world.ended.load(Ordering::SeqCst));
        assert!(begun <= 1 && ended == usize::from(is_done), "{polls} polls: {begun} begun, {ended} ended");
        world.is_left("a message without a key");
        is_done
    })
    .await;
    sweep("a message with a key", 5, async |polls| {
        let world = World::new(Kind::Log);
        let answer = polled(world.service.clone().oneshot(message(Some("\"k-1\""))), polls).await;
        let is_done = answer.is_some();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (begun, ended) = (world.begun.load(Ordering::SeqCst), world.ended.load(Ordering::SeqCst));
        assert_eq!(begun, ended, "{polls} polls: whose handling has begun is handled");
        // Again, as a client does that had no answer: it is handled once in all.
        let again = world.service.clone().oneshot(message(Some("\"k-1\""))).await.unwrap();
        assert_eq!(again.status(), 200);
        assert_eq!(again.headers().contains_key("idempotent-replayed"), ended == 1, "{polls} polls");
        assert_eq!(world.ended.load(Ordering::SeqCst), 1);
        // A drain waits for handlers: there is none.
        let begun = tokio::time::Instant::now();
        world.handle.drain(Duration::from_secs(60)).await;
        assert!(begun.elapsed() < Duration::from_secs(1));
        is_done
    })
    .await;
}
