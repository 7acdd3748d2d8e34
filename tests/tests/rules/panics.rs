//! whatever of the application's panics, that connection alone ends, and its reader's place is free again.

use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream;
use futures_util::{Stream, StreamExt};
use realtime_core::{BoxFeed, Cursor, Delivery, Opened, Source, SourceError, SourceExt, Start};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, builder, uplink_fn};

use crate::mount::{Mount, at, log};
use crate::raw::{Lines, Raw, frame};

/// Where a source panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Subscribed,
    Opened,
    Read,
    Dropped,
    Never,
}

struct Panics(When);

impl Source for Panics {
    type Feed = BoxFeed;

    fn subscribe(&self, _: Start) -> BoxFeed {
        let (when, place) = (self.0, Cursor::new(1, 7));
        assert!(when != When::Subscribed, "on purpose: subscribe");
        let first = stream::once(async move {
            assert!(when != When::Opened, "on purpose: the first poll");
            Ok(Delivery::Open(Opened::new(place)))
        });
        let then = stream::once(async move {
            // Behind the head of a stream, as far as it can be told.
            tokio::task::yield_now().await;
            assert!(when != When::Read, "on purpose: a later poll");
            Ok(Delivery::Live(place))
        });
        let feed = first.chain(then).chain(stream::once(pending()));
        Box::pin(Dropped(Box::pin(feed), when))
    }
}

/// A feed that may panic when it goes.
struct Dropped(Pin<Box<dyn Stream<Item = Result<Delivery, SourceError>> + Send>>, When);

impl Stream for Dropped {
    type Item = Result<Delivery, SourceError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        assert!(self.1 != When::Dropped || std::thread::panicking(), "on purpose: drop");
    }
}

/// One request for each transport.
fn requests() -> [(&'static str, Lines); 4] {
    [
        ("poll", Lines::get("/events")),
        ("long-poll", Lines::get("/events").with("Prefer", "wait=2")),
        ("SSE", Lines::get("/events").with("Accept", "text/event-stream")),
        ("WebSocket", Lines::v1("/events")),
    ]
}

/// Asks, and goes when something has come, or the server has hung up.
async fn visit(mount: &Mount, lines: &Lines) {
    let mut raw = mount.raw();
    raw.send(lines.bytes()).await;
    raw.for_a_while(std::time::Duration::from_secs(3)).await;
    drop(raw);
    mount.host.all_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_ends_its_own_connection() {
    for when in [When::Subscribed, When::Opened, When::Read, When::Dropped] {
        for (transport, lines) in requests() {
            case_async("A-26", &format!("a source, {when:?}, by {transport}"), async {
                let mount = Mount::over(Panics(when).boxed(), Config { readers_max: 1, ..Config::default() });
                // The second finds the one place free, and no lock that is poisoned.
                for _ in 0..2 {
                    visit(&mount, &lines).await;
                    assert_eq!(mount.readers(), 0, "{when:?} {transport}");
                }
                assert_eq!(mount.made(), 2, "{when:?} {transport}");
                mount.handle.drain(std::time::Duration::from_secs(1)).await;
            })
            .await;
        }
    }
    for (transport, lines) in requests() {
        twin_async("A-26", &format!("a source that does not, by {transport}"), async {
            let mount = Mount::over(Panics(When::Never).boxed(), Config::default());
            visit(&mount, &lines).await;
            assert_eq!((mount.readers(), mount.made()), (0, 1));
        })
        .await;
    }
}

/// A mount whose handler panics on whatever it is sent, and its log.
fn panicking() -> Mount {
    let log = log();
    Mount::by(
        builder().uplink(uplink_fn(|message: realtime_tower::Inbound| async move {
            assert!(message.name() == "good", "on purpose: the handler");
            "fine"
        })),
        log,
    )
}

fn post(event: &str) -> Lines {
    Lines::of(&format!("POST /events?event={event} HTTP/1.1"))
        .with("Host", "realtime.test")
        .with("Content-Type", "application/json")
        .with("Content-Length", "1")
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_ends_its_own_connection() {
    case_async("A-26", "a handler, by POST: no answer, and the next is handled", async {
        let mount = panicking();
        let mut raw = mount.raw();
        raw.send(post("bad").followed_by("1")).await;
        assert!(raw.head().await.is_none(), "the connection is over");
        let mut raw = mount.raw();
        raw.send(post("good").followed_by("1")).await;
        assert_eq!(raw.head().await.expect("an answer").status, 200);
    })
    .await;
    case_async("A-26", "a handler, by WebSocket: others, and the log, go on", async {
        let mount = panicking();
        let open = async |mount: &Mount| {
            let mut raw: Raw = mount.raw();
            raw.send(Lines::v1("/events").bytes()).await;
            assert_eq!(raw.head().await.expect("an answer").status, 101);
            for _ in ["$open", "$live"] {
                raw.frame().await.expect("a control");
            }
            raw
        };
        let (mut bad, mut good) = (open(&mount).await, open(&mount).await);
        bad.send(frame(0x81, "{\"ref\":1,\"event\":\"bad\"}")).await;
        assert_eq!(bad.frame().await, None, "the connection is over");
        assert_eq!(mount.readers(), 1);
        mount.publish(1..=1);
        assert!(good.frame().await.expect("an event").text().contains(&at(1)));
        good.send(frame(0x81, "{\"ref\":2,\"event\":\"good\"}")).await;
        assert!(good.frame().await.expect("a reply").text().contains("fine"));
    })
    .await;
    twin_async("A-26", "with a key it is answered: 500, now and again", async {
        let mount = panicking();
        for _ in 0..2 {
            let mut raw = mount.raw();
            raw.send(post("bad").with("Idempotency-Key", "k").followed_by("1")).await;
            assert_eq!(raw.head().await.expect("an answer").status, 500);
        }
    })
    .await;
}
