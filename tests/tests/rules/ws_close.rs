//! P-WF-06, 08 and 09: how a WebSocket ends, and what is said then.

use std::future::{pending, ready};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use http::StatusCode;
use realtime_core::{
    BoxFeed, Cursor, Delivery, Log, Opened, Source, SourceError, SourceErrorKind, SourceExt, Start, TopicSet,
};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, Slow, WebSocketConfig, WebSocketTransport, builder};
use tokio::time::Instant;

use crate::mount::{Mount, at, log, tick};
use crate::raw::{Lines, Raw, close, frame};
use crate::ws_frames::{BOTH, Mode};

/// A source that opens and then goes by this: an error at once, or none.
pub(crate) struct Ends(pub(crate) Option<SourceErrorKind>);

impl Source for Ends {
    type Feed = BoxFeed;

    fn subscribe(&self, _: Start) -> BoxFeed {
        let place = Cursor::new(1, 7);
        let opened = [Ok(Delivery::Open(Opened::new(place))), Ok(Delivery::Live(place))];
        let end = self.0.map(|kind| Err(SourceError::new(kind, "the wire was cut")));
        Box::pin(stream::iter(opened).chain(stream::iter(end)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_and_nothing_follows_it() {
    case_async("P-WF-06", "the code is given back, no event after it, and the server hangs up", async {
        for mode in BOTH {
            let mount = Mount::new();
            let mut raw = mode.open(&mount).await;
            raw.send(close(4321, "enough")).await;
            assert_eq!(raw.frame().await.expect("a Close").close(), Some((4321, "")));
            mount.publish(1..=3);
            let start = Instant::now();
            assert_eq!(raw.rest().await, "");
            assert_eq!(start.elapsed(), Duration::ZERO, "the server closes first, at once");
            mount.host.all_gone().await;
            assert_eq!(mount.readers(), 0);
        }
    })
    .await;
    case_async(
        "P-WF-06",
        "what waits for the socket is dropped at a Close, but for the rest of a frame",
        async {
            let mount = Mount::new();
            let host = mount.host.clone().buffer_bytes(64);
            let mut raw = Raw::over(host.connect());
            raw.send(Lines::upgrade("/events").bytes()).await;
            assert_eq!(raw.head().await.map(|head| head.status), Some(101));
            mount.publish(1..=100);
            tokio::task::yield_now().await;
            raw.send(close(1000, "")).await;
            let mut events = 0;
            while let Some(frame) = raw.frame().await {
                match frame.close() {
                    Some(said) => assert_eq!(said, (1000, "")),
                    None => events += 1,
                }
            }
            assert!(events < 100, "{events}");
        },
    )
    .await;
    twin_async("P-WF-06", "both close at once", async {
        for mode in BOTH {
            let mount = Mount::new();
            let mut raw = mode.open(&mount).await;
            mount.log.close();
            raw.send(close(1000, "")).await;
            let (code, _) = raw.close().await.expect("a Close");
            assert_eq!(code, 1000);
            assert_eq!(raw.rest().await, "");
            mount.host.all_gone().await;
        }
    })
    .await;
    twin_async("P-WF-06", "the answer to our Close ends the connection at once", async {
        for mode in BOTH {
            let mount = Mount::new();
            let mut raw = mode.open(&mount).await;
            mount.log.close();
            let (code, _) = raw.close().await.expect("a Close");
            let start = Instant::now();
            raw.send(close(code, "")).await;
            assert_eq!(raw.rest().await, "");
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    })
    .await;
    case_async("P-WF-06", "a client that broke the protocol sees the server hang up at once", async {
        for mode in BOTH {
            let mount = Mount::new();
            let mut raw = mode.open(&mount).await;
            raw.send(frame(0x83, "")).await;
            let start = Instant::now();
            assert_eq!(raw.close().await.map(|(code, _)| code), Some(1002));
            assert_eq!(raw.rest().await, "");
            assert_eq!(start.elapsed(), Duration::ZERO, "RFC 6455, section 7.1.7: no answer is waited for");
            drop(raw);
            mount.host.all_gone().await;
            assert_eq!(mount.readers(), 0);
        }
    })
    .await;
    case_async("P-WF-06", "a peer that never answers is dropped within the close time-out", async {
        for (what, breach) in [("an end", None), ("a breach", Some(frame(0x83, "")))] {
            let mount = Mount::new();
            let mut raw = Mode::Bare.open(&mount).await;
            let start = Instant::now();
            match breach {
                Some(bytes) => raw.send(bytes).await,
                None => mount.log.close(),
            }
            raw.close().await.expect("a Close");
            mount.host.all_gone().await;
            let close_wait = WebSocketConfig::default().close_wait;
            assert!(start.elapsed() <= close_wait, "{what}: {:?}", start.elapsed());
            assert_eq!(mount.readers(), 0);
        }
    })
    .await;
    case_async("P-WF-06", "a peer that is gone without a Close leaves nothing", async {
        for mode in BOTH {
            let mount = Mount::new();
            drop(mode.open(&mount).await);
            mount.host.all_gone().await;
            assert_eq!(mount.readers(), 0);
        }
    })
    .await;
}

/// The code of the Close, and that its reason is this place.
async fn closes(raw: &mut Raw, code: u16, place: &str) {
    let (said, reason) = raw.close().await.expect("a Close");
    assert_eq!((said, reason.as_str()), (code, place));
}

#[tokio::test(start_paused = true)]
async fn the_code_says_why() {
    case_async("P-WF-08", "1000: the source has ended", async {
        for mode in BOTH {
            let mount = Mount::new();
            let mut raw = mode.open(&mount).await;
            mount.publish(1..=2);
            mount.log.close();
            closes(&mut raw, 1000, &at(2)).await;
        }
    })
    .await;
    case_async("P-WF-08", "1001: this server stops", async {
        for mode in BOTH {
            let mount = Mount::new();
            let mut raw = mode.open(&mount).await;
            mount.publish(1..=2);
            let handle = mount.handle.clone();
            let drained = tokio::spawn(async move { handle.drain(Duration::from_secs(10)).await });
            closes(&mut raw, 1001, &at(2)).await;
            raw.send(close(1001, "")).await;
            let drained = drained.await.expect("drained");
            assert_eq!((drained.told, drained.left), (1, 0));
        }
    })
    .await;
    case_async("P-WF-08", "1003: a message where nobody listens, in bare mode", async {
        let mut raw = Mode::Bare.open(&Mount::deaf()).await;
        raw.send(frame(0x81, "hello")).await;
        closes(&mut raw, 1003, &at(0)).await;
    })
    .await;
    case_async("P-WF-08", "1008: too many fragments", async {
        let mut raw = Mode::V1.open(&Mount::new()).await;
        raw.send([frame(0x01, ""), frame(0x00, "").repeat(200)].concat()).await;
        closes(&mut raw, 1008, &at(0)).await;
    })
    .await;
    case_async("P-WF-08", "1009: a message too big, whole or in fragments", async {
        let limit = Config::default().message_bytes_max;
        let fragments = [frame(0x01, vec![b'x'; limit]), frame(0x80, "x")].concat();
        for bytes in [frame(0x81, vec![b'x'; limit + 1]), fragments] {
            let mut raw = Mode::Bare.open(&Mount::new()).await;
            raw.send(bytes).await;
            closes(&mut raw, 1009, &at(0)).await;
        }
    })
    .await;
    case_async("P-WF-08", "1011: the source failed, 1013: it is away", async {
        for (kind, code) in [(SourceErrorKind::Failed, 1011), (SourceErrorKind::Unavailable, 1013)] {
            for mode in BOTH {
                let mount = Mount::over(Ends(Some(kind)).boxed(), Config::default());
                let (status, mut raw) = mount.shaken(&mode.lines("/events")).await;
                assert_eq!(status, 101);
                closes(&mut raw, code, &Cursor::new(1, 7).to_string()).await;
            }
        }
    })
    .await;
    case_async(
        "P-WF-08",
        "4000: a reader too slow for a mount that does not skip, told the place it had",
        async {
            let keep = realtime_core::Keep::history().entries(4);
            let kept = Log::builder().epoch(1).keep(TopicSet::all(), keep).build();
            let mount =
                Mount::of(builder().config(Config { slow: Slow::Disconnect, ..Config::default() }), kept);
            let mut raw = Mode::V1.open(&mount).await;
            // All in one go: the reader has no turn in between.
            mount.log.publish_all((1..=100).map(tick)).expect("the log is open");
            closes(&mut raw, 4000, &Cursor::new(1, 0).to_string()).await;
        },
    )
    .await;
    case_async("P-WF-08", "4001: a gap in bare mode, told the place that reading goes on from", async {
        let mount = Mount::new();
        mount.publish(1..=2);
        let foreign = Cursor::new(1, 1).to_string();
        let (status, mut raw) = mount.shaken(&Lines::upgrade(&format!("/events?offset={foreign}"))).await;
        assert_eq!(status, 101);
        closes(&mut raw, 4001, &at(0)).await;
        // Back at that place, nothing more is lost.
        let (_, mut raw) = mount.shaken(&Lines::upgrade(&format!("/events?offset={}", at(0)))).await;
        for n in 1..=2 {
            assert_eq!(raw.frame().await.expect("an event").text(), format!("{{\"n\":{n}}}"));
        }
    })
    .await;
    case_async(
        "P-WF-08",
        "503 before the upgrade where there is no room, and where the source is away",
        async {
            let full = Mount::with(Config { readers_max: 0, ..Config::default() });
            let away = Mount::over(Away.boxed(), Config::default());
            for mount in [full, away] {
                let mut raw = mount.raw();
                raw.send(Lines::v1("/events").bytes()).await;
                let head = raw.head().await.expect("an answer");
                assert_eq!(head.status, StatusCode::SERVICE_UNAVAILABLE);
                assert!(head.text("retry-after").is_some_and(|value| value.parse::<u64>().is_ok()));
            }
        },
    )
    .await;
}

/// A source that cannot be reached.
pub(crate) struct Away;

impl Source for Away {
    type Feed = BoxFeed;

    fn subscribe(&self, _: Start) -> BoxFeed {
        let error = SourceError::new(SourceErrorKind::Unavailable, "nobody there");
        Box::pin(stream::once(ready(Err(error))).chain(stream::once(pending())))
    }
}

/// The waiting itself is the client's duty; the server's half is to say a time that differs for each.
#[tokio::test(start_paused = true)]
async fn each_is_told_another_time_to_come_back() {
    case_async(
        "P-WF-09",
        "the server's half: `$end` of a drain has its own jittered retry for each connection",
        async {
            let mount = Mount::with(Config { retry: Duration::from_secs(8), ..Config::default() });
            let mut raws = Vec::new();
            for _ in 0..32 {
                raws.push(Mode::V1.open(&mount).await);
            }
            let handle = mount.handle.clone();
            let drained = tokio::spawn(async move { handle.drain(Duration::from_secs(10)).await });
            let mut waits = Vec::new();
            for raw in &mut raws {
                let end = raw.frame().await.expect("an end");
                let end: serde_json::Value = serde_json::from_slice(&end.payload).expect("JSON");
                assert_eq!((&end["event"], &end["data"]["reason"]), (&"$end".into(), &"drain".into()));
                waits.push(end["data"]["retry"].as_u64().expect("milliseconds"));
                let (code, _) = raw.close().await.expect("a Close");
                assert_eq!(code, 1001);
                raw.send(close(code, "")).await;
            }
            assert_eq!(drained.await.expect("drained").left, 0);
            assert!(waits.iter().all(|wait| (6_000..=10_000).contains(wait)), "{waits:?}");
            waits.sort_unstable();
            waits.dedup();
            assert!(waits.len() > 16, "all but alike: {waits:?}");
        },
    )
    .await;
    case_async(
        "P-WF-09",
        "the server's half: no time to come back where there is nothing to come back for",
        async {
            let transport = WebSocketTransport::default();
            let mount = Mount::of(builder().transports((transport,)), log());
            let mut raw = Mode::V1.open(&mount).await;
            mount.log.close();
            let end = raw.frame().await.expect("an end");
            assert!(
                end.text().ends_with(r#""event":"$end","data":{"reason":"closed","retry":false}}"#),
                "{end:?}"
            );
        },
    )
    .await;
}
