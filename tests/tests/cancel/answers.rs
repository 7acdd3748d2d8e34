//! The answer of every transport before its head is there: opening the source, waiting for news.

use tower::ServiceExt;

use crate::limit::{polled, sweep};
use crate::world::{EARLY, Kind, World, request};

/// What a mount is asked for, and how many polls that takes of a near source and of a far one at least.
const ASKED: [(&str, &[(&str, &str)], usize, usize); 7] = [
    ("a poll", &[("accept", "application/json")], 1, 3),
    ("a poll of lines", &[("accept", "application/x-ndjson")], 1, 3),
    ("a long-poll with something to read", &[("prefer", "wait=5")], 1, 3),
    ("a long-poll that waits", &[("prefer", "wait=5"), ("place", "now")], 2, 3),
    ("an event stream", &[("accept", "text/event-stream")], 1, 2),
    ("a handshake that nobody gives a connection to", HANDSHAKE, 1, 2),
    ("a handshake that is broken", &[("upgrade", "websocket"), ("connection", "upgrade")], 1, 1),
];

const HANDSHAKE: &[(&str, &str)] = &[
    ("host", "here"),
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test(start_paused = true)]
async fn an_answer_in_the_making_leaves_nothing() {
    for (what, headers, near, far) in ASKED {
        for (kind, least) in [(Kind::Log, near), (Kind::Remote, far)] {
            let what = format!("{what} of a {kind:?}");
            let place = headers.iter().find(|(name, _)| *name == "place").map_or("-1", |(_, place)| place);
            sweep(&what, least, async |polls| {
                let world = World::new(kind);
                let going = world.goes_on();
                let asked = world.service.clone().oneshot(request(&format!("/?offset={place}"), headers));
                let answer = polled(asked, polls).await;
                let is_done = answer.is_some();
                drop(answer);
                world.is_left(&what);
                going.await.unwrap();
                let seen = if place == "now" { EARLY } else { 0 };
                if seen == 0 {
                    world.loses_nothing(&what, place, seen).await;
                }
                world.is_left(&what);
                is_done
            })
            .await;
        }
    }
}

/// The same behind a layer: its `ResponseFuture` is ours or the inner service's.
#[tokio::test(start_paused = true)]
async fn a_layers_answer_leaves_nothing() {
    use realtime_tower::{Body, RealtimeLayer};
    use tower::{Layer, service_fn};

    sweep("the answer of a layer", 3, async |polls| {
        let world = World::new(Kind::Remote);
        let inner = service_fn(|_: http::Request<crate::world::RequestBody>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty()))
        });
        let (layer, handle) = realtime_tower::builder().source(world.source.clone()).layer();
        let _: &RealtimeLayer<_, _, _> = &layer;
        let asked = layer.layer(inner).oneshot(request("/?offset=-1", &[("prefer", "wait=5")]));
        let answer = polled(asked, polls).await;
        let is_done = answer.is_some();
        drop(answer);
        let readers: u64 = handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum();
        assert_eq!(readers, 0);
        world.is_left("the answer of a layer");
        is_done
    })
    .await;
}

/// And in axum: the gate, the extractor, and `serve(..).await` in a handler.
#[tokio::test(start_paused = true)]
async fn a_handlers_answer_leaves_nothing() {
    use axum::Router;
    use axum::body::Body;
    use realtime_axum::Realtime;

    for (what, headers) in [
        ("the answer of a handler to a long-poll", &[("prefer", "wait=5")][..]),
        ("the answer of a handler to an event stream", &[("accept", "text/event-stream")][..]),
    ] {
        sweep(what, 2, async |polls| {
            let world = World::new(Kind::Remote);
            let (mount, handle) = realtime_axum::mount().build();
            let source = world.source.clone();
            let events = async move |rt: Realtime| {
                tokio::task::yield_now().await;
                rt.serve(source).await
            };
            let app: Router = Router::new().route("/", mount.route(events));
            let answer = polled(app.oneshot(request("/?offset=-1", headers).map(Body::new)), polls).await;
            let is_done = answer.is_some();
            drop(answer);
            let readers: u64 = handle.stats().transports.iter().map(|(_, stats)| stats.connections).sum();
            assert_eq!(readers, 0, "{what}");
            world.is_left(what);
            is_done
        })
        .await;
    }
}
