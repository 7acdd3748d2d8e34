//! what bad input gets. Nothing panics, every refusal is finished, and none loses a place.

use std::time::Duration;

use http::Method;
use realtime_core::{Cursor, Event, EventErrorKind, Keep, Log, PublishErrorKind, Topic, TopicSet};
use realtime_tests::client::{Place, Reader, Seen, Transport};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, builder};

use crate::mount::{Mount, at};
use crate::raw::{Lines, frame};
use crate::sse::open;
use crate::ws_frames::Mode;

/// Texts that are no cursor.
pub(crate) fn malformed() -> Vec<String> {
    let good = at(1);
    let mut all: Vec<String> = [
        "0",
        "1",
        "-0",
        "-2",
        "+5",
        "1e9",
        "00",
        "null",
        "undefined",
        "*",
        "1,2",
        "1:0",
        "1.5",
        "NaN",
        "now%20",
        "%20now",
        "Now",
        "%2D1x",
        "last-",
        "last-0",
        "last-01",
        "last-10001",
        "last--1",
        "last-1e3",
        "last-99999999999999999999",
        "%00",
        "%0D%0A",
        "%C3%A4",
        "%EF%BB%BF-1",
        "%E2%80%AE",
        "%FF",
        "%F0%9F%92%A9",
        "....",
        "~~~~",
        "-1,-1",
        "now,now",
        "../../etc/passwd",
        "%3Cscript%3E",
        "'%20OR%201=1--",
        "%7B%7D",
        "%5B%5D",
        "1523799472:0",
        "1523799472:-1",
        "%2B",
        "%20",
    ]
    .map(str::to_owned)
    .to_vec();
    all.extend([
        good.to_uppercase(),
        good.replace('.', "~"),
        good.replace('.', "-"),
        good.replace('.', "%2C"),
        format!("{good}0"),
        format!("0{good}"),
        format!("{good},{good}"),
        format!("{good}%00"),
        format!("{good}%0A"),
        format!("%20{good}"),
        good[1..].to_owned(),
        good[..32].to_owned(),
        good.replace("8f3a", "8g3a"),
        // A place has one text: what fits in the short form never has the long one.
        format!("8f3a61c0d2e94b17~{:032x}", 1),
        "x".repeat(60_000),
        "9".repeat(40),
        "-".repeat(97),
    ]);
    all
}

#[tokio::test(start_paused = true)]
async fn a_malformed_cursor_is_400_on_every_transport() {
    for text in malformed() {
        case_async("A-12", &format!("{:.60}", text), async {
            let mount = Mount::new();
            mount.publish(1..=3);
            let path = format!("/events?offset={text}");
            for headers in [
                &[][..],
                &[("prefer", "wait=20")],
                &[("accept", "text/event-stream")],
                &[("accept", "application/x-ndjson")],
            ] {
                let answer = mount.get(&path, headers).await;
                assert_eq!(
                    (answer.status, answer.media()),
                    (400, Some("application/problem+json")),
                    "{text:.60}"
                );
            }
            assert_eq!(mount.shaken(&Lines::v1(&path)).await.0, 400, "{text:.60}");
            assert_eq!((mount.made(), mount.readers()), (0, 0));
        })
        .await;
    }
    for (what, path, headers) in [
        ("two parameters", format!("/events?offset={}&offset={}", at(1), at(1)), vec![]),
        ("two aliases", format!("/events?offset={}&lastEventId={}", at(1), at(1)), vec![]),
        ("offset without a value", "/events?offset=".to_owned(), vec![]),
        ("offset without an equals sign", "/events?offset".to_owned(), vec![]),
        ("two headers", "/events".to_owned(), vec![at(1), at(1)]),
        ("two headers, one empty", "/events".to_owned(), vec![at(1), String::new()]),
        ("a list in one header", "/events".to_owned(), vec![format!("{}, {}", at(1), at(1))]),
        ("a bad header beside a good query", format!("/events?offset={}", at(1)), vec!["x".to_owned()]),
    ] {
        case_async("A-12", what, async {
            let mount = Mount::new();
            let headers: Vec<_> = headers.iter().map(|value| ("last-event-id", value.as_str())).collect();
            assert_eq!((mount.get(&path, &headers).await.status, mount.made()), (400, 0));
        })
        .await;
    }
    case_async("A-12", "a header of bytes above 0x7F, and of UTF-16", async {
        for value in [&b"\xFF\xFE"[..], b"-\xC2\xA01", b"1\x80"] {
            assert_eq!(
                Mount::new().ask(Method::GET, "/events", &[("last-event-id", value)]).await.status,
                400
            );
        }
    })
    .await;
}

/// A log that has forgotten its beginning.
fn forgetful() -> Mount {
    let keep = Keep::history().entries(4);
    let log = Log::builder().epoch(0x8f3a_61c0_d2e9_4b17).keep(TopicSet::all(), keep).build();
    let mount = Mount::of(builder(), log);
    mount.publish(1..=10);
    mount
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_is_well_formed_is_a_gap_or_resumed_never_silence() {
    for (what, came, reason, to) in [
        ("old", at(2), "trimmed", at(6)),
        ("of another epoch", Cursor::new(1, 3).to_string(), "epoch", at(6)),
        ("of the epoch 0", Cursor::new(0, 0).to_string(), "epoch", at(6)),
        ("from the future", at(11), "epoch", at(6)),
        ("from the far future, in the long form", at(u128::MAX), "epoch", at(6)),
    ] {
        for transport in Transport::ALL {
            case_async("A-12", &format!("{what}: a gap, by {transport:?}"), async {
                let mount = forgetful();
                let mut reader =
                    Reader::connect(transport, &mount.target(), Place::After(came.clone())).await;
                let seen = reader.collect_until(Seen::caught_up).await;
                let gap =
                    seen.iter().find_map(|seen| if let Seen::Gap(gap) = seen { Some(gap) } else { None });
                let gap = gap.unwrap_or_else(|| panic!("no gap in {seen:?}"));
                assert_eq!(
                    (gap.reason.as_str(), gap.from.as_deref(), &gap.to),
                    (reason, Some(came.as_str()), &to)
                );
                let ids: Vec<_> = seen.iter().filter_map(|seen| seen.event()?.id.clone()).collect();
                assert_eq!(ids, (7..=10).map(at).collect::<Vec<_>>(), "all that is retained");
            })
            .await;
        }
    }
    for transport in Transport::ALL {
        twin_async(
            "A-12",
            &format!("within what is retained: resumed without a gap, by {transport:?}"),
            async {
                let mount = forgetful();
                let mut reader = Reader::connect(transport, &mount.target(), Place::After(at(8))).await;
                let seen = reader.collect_until(Seen::caught_up).await;
                assert!(!seen.iter().any(|seen| matches!(seen, Seen::Gap(_))), "{seen:?}");
                let ids: Vec<_> = seen.iter().filter_map(|seen| seen.event()?.id.clone()).collect();
                assert_eq!(ids, [at(9), at(10)]);
            },
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_is_finished() {
    let json = ("content-type", "application/json");
    for (what, lines, status) in [
        ("a bad cursor", Lines::get("/events?offset=x"), 400),
        (
            "a bad cursor for a stream",
            Lines::get("/events?offset=x").with("Accept", "text/event-stream"),
            400,
        ),
        ("nothing acceptable", Lines::get("/events").with("Accept", "image/png"), 406),
        ("a wrong method", Lines::get("/events").first("DELETE /events HTTP/1.1"), 405),
        (
            "another type",
            Lines::get("/events").first("POST /events HTTP/1.1").with("Content-Length", "0"),
            415,
        ),
        (
            "an empty message",
            Lines::get("/events")
                .first("POST /events HTTP/1.1")
                .with(json.0, json.1)
                .with("Content-Length", "0"),
            400,
        ),
        (
            "a foreign page's message",
            Lines::get("/events")
                .first("POST /events HTTP/1.1")
                .with("Origin", "https://evil.example")
                .with("Content-Length", "0"),
            403,
        ),
        ("a foreign page's WebSocket", Lines::v1("/events").with("Origin", "https://evil.example"), 403),
        ("a broken handshake", Lines::v1("/events").without("Sec-WebSocket-Key"), 400),
        ("another version", Lines::v1("/events").with("Sec-WebSocket-Version", "8"), 426),
        ("nobody", Lines::get("/events").with("Authorization", "nobody"), 401),
    ] {
        case_async("A-24", what, async {
            let mount = Mount::new();
            mount.publish(1..=1);
            let mut raw = mount.raw();
            raw.send(lines.bytes()).await;
            let start = tokio::time::Instant::now();
            let head = raw.head().await.expect("an answer");
            assert_eq!(head.status, status, "{what}");
            raw.body(&head).await;
            raw.send(Lines::get("/events?offset=-1").bytes()).await;
            if let Some(next) = raw.head().await {
                assert_eq!(next.status, 200, "{what}: the connection is in step");
            }
            assert!(start.elapsed() < Duration::from_secs(1), "{what}");
            assert_eq!(mount.readers(), 0, "{what}: nobody waits");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_big_or_badly_named_is_said_where_it_happens() {
    case_async("A-08", "a message over the limit: 1009 on a WebSocket, at its head", async {
        let mut raw = Mode::Bare.open(&Mount::new()).await;
        raw.send(crate::raw::frame_of_length(0x82, 127, 1 << 40, b"")).await;
        assert_eq!(raw.close().await, Some((1009, at(0))));
    })
    .await;
    twin_async("A-08", "a message of just the limit", async {
        let mut raw = Mode::Bare.open(&Mount::new()).await;
        raw.send(frame(0x82, vec![1; Config::default().message_bytes_max])).await;
        assert_eq!(
            raw.frame().await.map(|frame| frame.payload.len()),
            Some(Config::default().message_bytes_max)
        );
    })
    .await;
    case_async(
        "A-14",
        "CR, LF, NUL, bidi and a leading $ in a name or topic: typed, at the publisher",
        async {
            for (name, kind) in [
                ("a\rb", EventErrorKind::Unprintable),
                ("a\nb", EventErrorKind::Unprintable),
                ("a\0b", EventErrorKind::Unprintable),
                ("a\u{202E}b", EventErrorKind::Unprintable),
                ("a\u{200B}b", EventErrorKind::Unprintable),
                ("a\u{1b}[0m", EventErrorKind::Unprintable),
                ("", EventErrorKind::Empty),
            ] {
                assert_eq!(Event::text(name, "x").expect_err("refused").kind(), kind);
                assert_eq!(Topic::new(name).expect_err("refused").kind(), kind);
            }
            assert_eq!(Event::text("$end", "x").expect_err("refused").kind(), EventErrorKind::Reserved);
            let long = "x".repeat(129);
            assert_eq!(Event::text(long.clone(), "x").expect_err("refused").kind(), EventErrorKind::TooLong);
            assert_eq!(Topic::new(&long).expect_err("refused").kind(), EventErrorKind::TooLong);
            assert!(Event::text("x".repeat(128), "x").is_ok() && Topic::new("x".repeat(128)).is_ok());
            let log = crate::mount::log();
            let huge = Event::text("t", "x".repeat((1 << 20) + 1)).expect("an event");
            assert_eq!(log.publish(huge).expect_err("refused").kind(), PublishErrorKind::TooBig);
        },
    )
    .await;
    case_async("A-24", "a refusal for want of room loses no place, on any transport", async {
        let mount = Mount::with(Config { readers_max: 1, ..Config::default() });
        mount.publish(1..=3);
        let held = open(&mount, "/events", &[]).await;
        for transport in Transport::ALL {
            let mut reader = Reader::connect(transport, &mount.target(), Place::After(at(1))).await;
            let seen = reader.next().await.expect("a word");
            assert!(matches!(seen, Seen::Refused { .. } | Seen::End { .. }), "{transport:?}: {seen:?}");
            assert_eq!(reader.place(), &Place::After(at(1)), "{transport:?}");
        }
        drop(held);
        mount.host.all_gone().await;
        for transport in Transport::ALL {
            let mut reader = Reader::connect(transport, &mount.target(), Place::After(at(1))).await;
            let seen = reader.collect_until(Seen::caught_up).await;
            assert_eq!(seen.iter().filter(|seen| seen.event().is_some()).count(), 2, "{transport:?}");
            drop(reader);
            mount.host.all_gone().await;
        }
    })
    .await;
}
