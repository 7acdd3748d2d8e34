//! T-02, T-10 and T-11: what a broker does to a naive reader, put to every transport by a log that does it.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use realtime_axum::Realtime;
use realtime_core::limits::NAME_BYTES_MAX;
use realtime_core::{Event, EventErrorKind, Log, Topic, adapt};
use realtime_tests::client::{Gap, Http, Place, Reader, Seen, SseForm, Target, Transport};
use realtime_tests::host::{Host, Protocol};
use realtime_tests::rules::{case, case_async, twin, twin_async};
use realtime_tower::{Config, builder};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::mount::{Mount, ask, at, log};
use crate::raw::frame;
use crate::ws_frames::Mode;

/// Every transport over every HTTP.
fn ways() -> impl Iterator<Item = (Transport, Http)> {
    Transport::ALL.into_iter().flat_map(|transport| Http::ALL.map(|http| (transport, http)))
}

async fn reader(mount: &Mount, (transport, http): (Transport, Http), place: Place) -> Reader {
    Reader::connect(transport, &Target { http, ..mount.target() }, place).await
}

fn gaps(seen: &[Seen]) -> Vec<&Gap> {
    seen.iter().filter_map(|seen| if let Seen::Gap(gap) = seen { Some(gap) } else { None }).collect()
}

/// Gaps and numbers of events, in the order that they came in.
fn told(seen: &[Seen]) -> Vec<String> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Gap(gap) => Some(gap.reason.clone()),
            Seen::Event(event) => Some(String::from_utf8_lossy(&event.data).into_owned()),
            _ => None,
        })
        .collect()
}

/// A mount after a failover: the epoch is what it was, and of ten events the last three are gone.
fn failed_over() -> Mount {
    let mount = Mount::new();
    mount.publish(1..=7);
    mount
}

#[tokio::test(start_paused = true)]
async fn a_cursor_beyond_the_tail_is_a_gap_and_not_a_wait() {
    for way in ways() {
        for beyond in [8, 10] {
            case_async("T-02", &format!("{way:?}: {} beyond the tail of the epoch", beyond - 7), async {
                let before = Mount::new();
                before.publish(1..=beyond);
                let mut there = reader(&before, way, Place::Earliest).await;
                there.collect_until(Seen::caught_up).await;
                let came = at(beyond.into());
                assert_eq!(there.place(), &Place::After(came.clone()));

                let after = failed_over();
                let start = Instant::now();
                let mut back = reader(&after, way, there.place().clone()).await;
                let seen = back.collect_until(Seen::caught_up).await;
                assert!(start.elapsed() < Duration::from_secs(1), "it waits: {seen:?}");
                let gap = Gap { reason: "epoch".to_owned(), from: Some(came), to: at(0) };
                assert_eq!(gaps(&seen), [&gap]);
                let ids: Vec<_> = seen.iter().filter_map(|seen| seen.event()?.id.clone()).collect();
                assert_eq!(ids, (1..=7).map(at).collect::<Vec<_>>(), "all that is retained");
                assert_eq!(back.place(), &Place::After(at(7)));
            })
            .await;
        }
        twin_async("T-02", &format!("{way:?}: the tail itself is resumed at, and goes on"), async {
            let mount = failed_over();
            let mut back = reader(&mount, way, Place::After(at(7))).await;
            let mut seen = back.collect_until(Seen::caught_up).await;
            mount.publish(8..=8);
            seen.extend(back.collect_until(|seen| seen.event().is_some()).await);
            assert_eq!(told(&seen), [r#"{"n":8}"#]);
        })
        .await;
    }
    case_async("T-02", "a bare WebSocket is closed with 4001, and told where to go on", async {
        let (status, mut raw) =
            failed_over().shaken(&Mode::Bare.lines(&format!("/events?offset={}", at(8)))).await;
        assert_eq!((status, raw.close().await), (101, Some((4001, at(0)))));
    })
    .await;
}

/// Numbers through a broadcast channel that holds four.
fn channel() -> (broadcast::Sender<u64>, Mount) {
    let (sender, receiver) = broadcast::channel(4);
    let (log, pump) = adapt::broadcast(Log::builder(), receiver, |n: u64| Event::json("tick", &n));
    tokio::spawn(pump);
    (sender, Mount::by(builder(), log))
}

fn send(sender: &broadcast::Sender<u64>, numbers: std::ops::RangeInclusive<u64>) {
    // In one go: the pump has no turn before all are sent.
    for n in numbers {
        sender.send(n).expect("the pump is there");
    }
}

fn is_number(n: u64) -> impl Fn(&Seen) -> bool {
    move |seen| seen.event().is_some_and(|event| event.data == n.to_string().as_bytes())
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_lagged_is_a_gap() {
    let lossy = ["source", "7", "8", "9", "10"];
    for way in ways() {
        case_async("T-10", &format!("{way:?}: six of ten passed over while it reads"), async {
            let (sender, mount) = channel();
            let mut there = reader(&mount, way, Place::Earliest).await;
            there.collect_until(Seen::caught_up).await;
            send(&sender, 1..=10);
            let seen = there.collect_until(is_number(10)).await;
            assert_eq!(told(&seen), lossy, "{seen:?}");
        })
        .await;
        case_async("T-10", &format!("{way:?}: six of ten passed over while it is away"), async {
            let (sender, mount) = channel();
            send(&sender, 0..=0);
            let mut there = reader(&mount, way, Place::Earliest).await;
            there.collect_until(is_number(0)).await;
            let place = there.place().clone();
            drop(there);
            send(&sender, 1..=10);
            let mut back = reader(&mount, way, place.clone()).await;
            let seen = back.collect_until(is_number(10)).await;
            assert_eq!(told(&seen), lossy, "{seen:?}");
            assert_eq!(gaps(&seen)[0].from.as_deref(), place.cursor());
        })
        .await;
        twin_async("T-10", &format!("{way:?}: as many as the channel holds are no gap"), async {
            let (sender, mount) = channel();
            let mut there = reader(&mount, way, Place::Earliest).await;
            there.collect_until(Seen::caught_up).await;
            send(&sender, 1..=4);
            assert_eq!(told(&there.collect_until(is_number(4)).await), ["1", "2", "3", "4"]);
        })
        .await;
        twin_async("T-10", &format!("{way:?}: a watch merges, and what it merged is no gap"), async {
            let (sender, receiver) = watch::channel(0);
            let (log, pump) = adapt::watch(Log::builder(), receiver, |n: &u64| Event::json("tick", n));
            tokio::spawn(pump);
            let mount = Mount::by(builder(), log);
            let mut there = reader(&mount, way, Place::Earliest).await;
            there.collect_until(is_number(0)).await;
            for n in 1..=10 {
                sender.send_replace(n);
            }
            assert_eq!(told(&there.collect_until(is_number(10)).await), ["10"]);
        })
        .await;
    }
}

/// Names at the limit of what a name may be.
fn legal() -> Vec<String> {
    let mut names = vec!["x".repeat(NAME_BYTES_MAX), "\u{10FFFF}".repeat(NAME_BYTES_MAX / 4)];
    // Beside everything that is refused below; what is 0x20 and `/` and `%` a URL has to escape.
    let edges = [
        " ",
        "~",
        "\u{A0}",
        "\u{61B}",
        "\u{61D}",
        "\u{180D}",
        "\u{180F}",
        "\u{200A}",
        "\u{2010}",
        "\u{2027}",
        "\u{202F}",
        "\u{205F}",
        "\u{206A}",
        "\u{FEFE}",
        "\u{FF00}",
        "\u{D7FF}",
        "\u{E000}",
        "\u{10FFFF}",
        "/",
        "%2F",
        "*",
        "\"",
        "\\",
        "</script>",
        "-9223372036854775808",
        "170141183460469231731687303715884105728",
    ];
    names.extend(edges.map(str::to_owned));
    names
}

/// The same, one beyond.
fn illegal() -> Vec<(String, EventErrorKind)> {
    let too_long = ["x".repeat(NAME_BYTES_MAX + 1), "x".repeat(NAME_BYTES_MAX - 1) + "\u{E4}"];
    let hidden = [
        "\u{1F}",
        "\u{7F}",
        "\u{80}",
        "\u{9F}",
        "\u{61C}",
        "\u{180E}",
        "\u{200B}",
        "\u{200F}",
        "\u{2028}",
        "\u{202E}",
        "\u{2060}",
        "\u{2069}",
        "\u{FEFF}",
        "\0",
        "\u{1B}[31m",
    ];
    let too_long = too_long.map(|name| (name, EventErrorKind::TooLong)).into_iter();
    let hidden = hidden.map(|name| (format!("a{name}"), EventErrorKind::Unprintable));
    too_long.chain(hidden).chain([(String::new(), EventErrorKind::Empty)]).collect()
}

fn escaped(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A mount whose topics are named in the URL.
fn rooms(log: &Log) -> Host {
    async fn room(Path(room): Path<String>, State(log): State<Log>, rt: Realtime) -> Response {
        rt.serve(log.topic(room)).await
    }
    let router = Router::new().route("/rooms/{room}", realtime_axum::route(room)).with_state(log.clone());
    Host::with(Protocol::Auto, router)
}

#[tokio::test(start_paused = true)]
async fn topics_hash_and_measure_safely_at_their_limits() {
    twin(
        "T-11",
        "the longest names and the characters beside what is refused are topics, each its own",
        || {
            let names: BTreeSet<_> = legal().iter().map(|name| Topic::new(name).expect("a topic")).collect();
            assert_eq!(names.len(), legal().len());
        },
    );
    case("T-11", "a byte longer, and characters that none can see, are refused, each for what it is", || {
        for (name, kind) in illegal() {
            assert_eq!(Topic::new(&name).expect_err("refused").kind(), kind, "{name:?}");
        }
    });
    for way in ways() {
        twin_async("T-11", &format!("{way:?}: a topic in a URL is read, it and no other"), async {
            let log = log();
            let host = rooms(&log);
            let publish = || {
                for name in legal() {
                    let event = Event::text("said", &name).expect("text");
                    log.publish(event.with_topic(Topic::new(&name).expect("a topic"))).expect("open");
                }
            };
            publish();
            for name in legal() {
                let path = format!("/rooms/{}", escaped(&name));
                let target =
                    Target { http: way.1, sse: SseForm::Envelope, ..Target::new(host.dialer(), path) };
                let mut target = target;
                if way.0 == Transport::Sse {
                    let envelope = http::HeaderValue::from_static("text/event-stream;data=envelope");
                    target.headers.insert("accept", envelope);
                }
                let mut reader = Reader::connect(way.0, &target, Place::Earliest).await;
                let seen = reader.collect_until(Seen::caught_up).await;
                let events: Vec<_> = seen.iter().filter_map(Seen::event).collect();
                assert_eq!(events.len(), 1, "{name:?}: {seen:?}");
                assert_eq!(events[0].topic.as_ref(), Some(&name));
                assert_eq!(events[0].data, name.as_bytes());
            }
        })
        .await;
        case_async("T-11", &format!("{way:?}: one beyond in a URL is 400, and nobody reads"), async {
            let log = log();
            let host = rooms(&log);
            for (name, _) in illegal().into_iter().filter(|(name, _)| !name.is_empty()) {
                let path = format!("/rooms/{}", escaped(&name));
                let target = Target { http: way.1, ..Target::new(host.dialer(), path) };
                let mut reader = Reader::connect(way.0, &target, Place::Earliest).await;
                let seen = reader.next().await;
                let is_400 = matches!(&seen, Some(Seen::Refused { status, .. }) if status.as_u16() == 400);
                assert!(is_400, "{name:?}: {seen:?}");
            }
        })
        .await;
    }
}

/// An event's name has the form of a topic's, and clients choose it.
#[tokio::test(start_paused = true)]
async fn a_message_is_named_up_to_the_limit_and_not_beyond() {
    let json = [("content-type", &b"application/json"[..])];
    twin_async("T-11", "names at the limit reach the handler, by POST and by WebSocket", async {
        let mount = Mount::with(Config::default());
        let mut raw = Mode::V1.open(&mount).await;
        for name in legal() {
            let target = Target::new(mount.host.dialer(), format!("/events?event={}", escaped(&name)));
            assert_eq!(ask(&target, http::Method::POST, &json, "1").await.status, 200, "{name:?}");
            let message = serde_json::json!({"ref": 1, "event": name, "data": 1});
            raw.send(frame(0x81, message.to_string())).await;
            let reply = raw.frame().await.expect("a reply");
            assert!(reply.text().contains(r#""event":"$reply","data":1"#), "{reply:?}");
            let heard: Vec<_> = mount.heard().into_iter().rev().take(2).map(|heard| heard.name).collect();
            assert_eq!(heard, [name.clone(), name]);
        }
    })
    .await;
    case_async("T-11", "names beyond it are 400 and reach nobody, by POST and by WebSocket", async {
        let mount = Mount::new();
        let mut raw = Mode::V1.open(&mount).await;
        for (name, _) in illegal().into_iter().filter(|(name, _)| !name.is_empty()) {
            let target = Target::new(mount.host.dialer(), format!("/events?event={}", escaped(&name)));
            assert_eq!(ask(&target, http::Method::POST, &json, "1").await.status, 400, "{name:?}");
            let message = serde_json::json!({"ref": 1, "event": name, "data": 1});
            raw.send(frame(0x81, message.to_string())).await;
            let reply = raw.frame().await.expect("a reply");
            assert!(reply.text().contains(r#""status":400"#), "{name:?}: {reply:?}");
        }
        assert!(mount.heard().is_empty());
    })
    .await;
}
