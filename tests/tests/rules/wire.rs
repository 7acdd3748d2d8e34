//! The rules of docs/wire.md that a first implementation gets wrong, and the forms that it gives.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use realtime_core::{
    Batch, BoxFeed, Cursor, Delivery, Entry, Event, Gap, GapReason, Keep, Log, Opened, Source, SourceExt,
    Start, TopicSet,
};
use realtime_tests::client::Place;
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, PageLimits, PollConfig, PollTransport, UplinkError, builder, uplink_fn};
use tokio::time::Instant;

use crate::mount::{Answered, Mount, at, log, tick};
use crate::raw::{Raw, frame};
use crate::sse::{Late, bytes_for, open, parse};
use crate::ws_frames::Mode;

/// The lines of an NDJSON page, or the text frames of a WebSocket, as JSON.
fn lines(answer: &Answered) -> Vec<serde_json::Value> {
    assert_eq!(answer.media(), Some("application/x-ndjson"));
    let text = std::str::from_utf8(&answer.body).expect("UTF-8");
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON in a line")).collect()
}

/// The next text frame, as JSON.
async fn message(raw: &mut Raw) -> serde_json::Value {
    loop {
        let frame = raw.frame().await.expect("a message");
        if frame.first == 0x81 {
            return serde_json::from_slice(&frame.payload).expect("JSON");
        }
    }
}

/// A source that says these deliveries after it has opened, and then nothing.
struct Says(Vec<Delivery>);

impl Source for Says {
    type Feed = BoxFeed;

    fn subscribe(&self, _: Start) -> BoxFeed {
        let opened = Delivery::Open(Opened::new(Cursor::new(1, 0)));
        let all: Vec<_> = std::iter::once(opened).chain(self.0.clone()).map(Ok).collect();
        Box::pin(futures_util::StreamExt::chain(
            futures_util::stream::iter(all),
            futures_util::stream::pending(),
        ))
    }
}

fn events(from: u64, to: u64) -> Delivery {
    let entries: Vec<_> = (from..=to).map(|n| Entry::new(Cursor::new(1, n.into()), tick(n))).collect();
    Delivery::Events(Batch::new(entries, Cursor::new(1, to.into()), false).expect("not empty"))
}

fn forgetful() -> Mount {
    let keep = Keep::history().entries(4);
    let mount =
        Mount::of(builder(), Log::builder().epoch(0x8f3a_61c0_d2e9_4b17).keep(TopicSet::all(), keep).build());
    mount.publish(1..=10);
    mount
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_said_in_one_form_everywhere() {
    let gap = format!(r#"{{"reason":"trimmed","from":"{}","to":"{}"}}"#, at(2), at(6));
    let path = format!("/events?offset={}", at(2));
    case_async(
        "D-04",
        "SSE: `$open` with the client's place and no id, then `$gap` with its `to` as id",
        async {
            let mut answer = open(&forgetful(), &path, &[]).await;
            assert_eq!(
                answer.header("stream-next-offset"),
                Some(at(2).as_str()),
                "the place that it opens at"
            );
            let (blocks, _) = parse(&bytes_for(&mut answer, Duration::from_millis(10)).await);
            let (name, data) = blocks[0].event.clone().expect("an event");
            assert_eq!((name.as_str(), blocks[0].sets_id), ("$open", false));
            assert_eq!(data, format!(r#"{{"cursor":"{}","outcome":"gap","heartbeatMs":15000}}"#, at(2)));
            assert_eq!(blocks[1].event, Some(("$gap".to_owned(), gap.clone())));
            assert_eq!((blocks[1].sets_id, &blocks[1].last_id), (true, &at(6)));
            assert_eq!(blocks[2].last_id, at(7));
        },
    )
    .await;
    case_async("D-04", "realtime.v1: the same, as envelopes", async {
        let (_, mut raw) = forgetful().shaken(&Mode::V1.lines(&path)).await;
        let open = raw.frame().await.expect("$open");
        let said = format!(
            r#"{{"event":"$open","data":{{"cursor":"{}","outcome":"gap","heartbeatMs":15000}}}}"#,
            at(2)
        );
        assert_eq!(open.text(), said);
        let told = raw.frame().await.expect("$gap");
        assert_eq!(told.text(), format!(r#"{{"id":"{}","event":"$gap","data":{gap}}}"#, at(6)));
        assert_eq!(message(&mut raw).await["id"], at(7));
    })
    .await;
    case_async("D-04", "a page: the first key; NDJSON: the first line, as in realtime.v1", async {
        let mount = forgetful();
        let page = mount.get(&path, &[]).await;
        assert!(page.body.starts_with(format!(r#"{{"gap":{gap},"events":[{{"id":"{}""#, at(7)).as_bytes()), "{page:?}");
        let page = lines(&mount.get(&path, &[("accept", "application/x-ndjson")]).await);
        assert_eq!(page[0], serde_json::json!({"id": at(6), "event": "$gap", "data": serde_json::from_str::<serde_json::Value>(&gap).expect("JSON")}));
        assert_eq!(page[1]["id"], at(7));
    })
    .await;
    case_async("D-04", "a gap where there was no place says `null`", async {
        let lost = Delivery::Gap(Gap::new(GapReason::Source, None, Cursor::new(1, 5)));
        let mount =
            Mount::over(Says(vec![lost, Delivery::Live(Cursor::new(1, 5))]).boxed(), Config::default());
        let page = mount.get("/events", &[]).await;
        assert!(page.body.starts_with(br#"{"gap":{"reason":"source","from":null,"to":""#), "{page:?}");
    })
    .await;
    case_async(
        "D-04",
        "a gap in mid page ends the page before it, and stands at the head of the next",
        async {
            let lost =
                Delivery::Gap(Gap::new(GapReason::Overflow, Some(Cursor::new(1, 3)), Cursor::new(1, 7)));
            let says = vec![events(1, 3), lost.clone(), events(8, 9), Delivery::Live(Cursor::new(1, 9))];
            let mount = Mount::over(Says(says).boxed(), Config::default());
            for headers in [&[][..], &[("prefer", "wait=5")]] {
                let page = mount.get("/events", headers).await.json();
                assert_eq!(page["events"].as_array().map(Vec::len), Some(3));
                assert_eq!(
                    (&page["next"], &page["upToDate"], page.get("gap")),
                    (&Cursor::new(1, 3).to_string().into(), &false.into(), None)
                );
            }
            let page = lines(&mount.get("/events", &[("accept", "application/x-ndjson")]).await);
            assert_eq!(page.last().map(|line| &line["event"]), Some(&"$ping".into()), "cut: {page:?}");
            let mount = Mount::over(
                Says(vec![lost, events(8, 9), Delivery::Live(Cursor::new(1, 9))]).boxed(),
                Config::default(),
            );
            let page = mount.get("/events", &[]).await.json();
            assert_eq!(
                (&page["gap"]["reason"], page["events"].as_array().map(Vec::len)),
                (&"overflow".into(), Some(2))
            );
        },
    )
    .await;
    case_async("D-04", "a gap answers a long-poll at once", async {
        let start = Instant::now();
        let foreign = Cursor::new(1, 1);
        let answer = Mount::new().get(&format!("/events?offset={foreign}"), &[("prefer", "wait=20")]).await;
        assert_eq!((answer.status, start.elapsed(), answer.text("etag")), (200, Duration::ZERO, None));
    })
    .await;
    twin_async("D-04", "`-1` and `now` and `last-N` owe no gap", async {
        for word in ["-1", "now", "last-2", "last-10000"] {
            let page = forgetful().get(&format!("/events?offset={word}"), &[]).await;
            assert!(page.body.starts_with(b"{\"events\":["), "{word}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_page_says_where_it_ends() {
    let page = PageLimits { events_max: 2.try_into().expect("not 0"), ..PageLimits::default() };
    let mount = || {
        let mount = Mount::of(builder().transports((PollTransport(PollConfig { page }),)), log());
        mount.publish(1..=3);
        mount
    };
    let accept = [("accept", "application/x-ndjson")];
    case_async("D-06", "NDJSON: `$ping` where the page was cut, `$live` at the tail, `$end` at the end of the source", async {
        let mount = mount();
        for (offset, name, place, events) in [("-1".to_owned(), "$ping", at(2), 2), (at(2), "$live", at(3), 1), (at(3), "$live", at(3), 0)] {
            let answer = mount.get(&format!("/events?offset={offset}"), &accept).await;
            let page = lines(&answer);
            let last = page.last().expect("a line");
            assert_eq!((&last["event"], &last["id"], &last["data"]["cursor"]), (&name.into(), &place.clone().into(), &place.clone().into()));
            assert_eq!((page.len(), answer.text("stream-next-offset")), (events + 1, Some(place.as_str())));
        }
        mount.log.close();
        let page = lines(&mount.get(&format!("/events?offset={}", at(2)), &accept).await);
        let end = serde_json::json!({"id": at(3), "event": "$end", "data": {"reason": "closed", "retry": false}});
        assert_eq!((page.len(), &page[1]), (2, &end));
    })
    .await;
    case_async(
        "D-06",
        "JSON: a cut page's `next` is the id of its last event, and it is not up to date",
        async {
            let mount = mount();
            let page = mount.get("/events?offset=-1", &[]).await;
            let text = String::from_utf8_lossy(&page.body).into_owned();
            assert!(
                text.ends_with(&format!(r#""next":"{}","upToDate":false,"closed":false}}"#, at(2))),
                "{text}"
            );
            assert_eq!((page.text("stream-up-to-date"), page.text("stream-closed")), (None, None));
        },
    )
    .await;
    case_async("D-06", "NDJSON is the messages of realtime.v1, byte for byte", async {
        let mount = Mount::new();
        mount.log.publish(Event::text("t", "a\nb").expect("text")).expect("open");
        mount.log.publish(Event::binary("b", vec![0u8, 255]).expect("bytes")).expect("open");
        let page = mount.get("/events?offset=-1", &accept).await;
        let (_, mut raw) = mount.shaken(&Mode::V1.lines("/events?offset=-1")).await;
        raw.frame().await.expect("$open");
        let mut said = Vec::new();
        for _ in 0..3 {
            said.extend_from_slice(&raw.frame().await.expect("a message").payload);
            said.push(b'\n');
        }
        assert_eq!(page.body, said);
    })
    .await;
    case_async("D-06", "a text and a JSON string look alike in JSON forms, binary says what it is", async {
        let mount = Mount::new();
        mount.log.publish(Event::text("t", "hello").expect("text")).expect("open");
        mount.log.publish(Event::json("t", "hello").expect("JSON")).expect("open");
        mount.log.publish(Event::binary("t", &b"hello"[..]).expect("bytes")).expect("open");
        let events = mount.get("/events?offset=-1", &[]).await.json()["events"].clone();
        assert_eq!((&events[0]["data"], &events[1]["data"]), (&"hello".into(), &"hello".into()));
        assert_eq!((&events[2]["encoding"], &events[2]["data"]), (&"base64".into(), &"aGVsbG8=".into()));
        assert_eq!((events[0].get("encoding"), events[1].get("encoding")), (None, None));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_place_is_known_and_never_minted_by_a_control() {
    case_async("D-06", "`$live` once, after the replay, with the place of the last event", async {
        let mount = Mount::new();
        mount.publish(1..=2);
        let (_, mut raw) = mount.shaken(&Mode::V1.lines("/events?offset=-1")).await;
        let mut said = Vec::new();
        for _ in 0..4 {
            said.push(message(&mut raw).await);
        }
        let names: Vec<_> = said.iter().map(|said| said["event"].as_str().expect("a name")).collect();
        assert_eq!(names, ["$open", "tick", "tick", "$live"]);
        assert_eq!((&said[0]["id"], &said[3]["id"]), (&at(0).into(), &at(2).into()));
        mount.publish(3..=4);
        for n in 3..=4 {
            assert_eq!(message(&mut raw).await["id"], at(n));
        }
        let beat = message(&mut raw).await;
        assert_eq!(
            (&beat["event"], &beat["id"], &beat["data"]["cursor"]),
            (&"$ping".into(), &at(4).into(), &at(4).into())
        );
    })
    .await;
    case_async(
        "D-06",
        "a filtered reader's place moves: by heartbeat on a WebSocket, by header on a poll",
        async {
            let log = log();
            let mount =
                Mount::over(log.clone().filter(|event| event.name() != "tick").boxed(), Config::default());
            let mut raw = Mode::V1.open(&mount).await;
            log.publish(tick(1)).expect("open");
            let beat = message(&mut raw).await;
            assert_eq!((&beat["event"], &beat["id"]), (&"$ping".into(), &at(1).into()));
            let page = mount.get(&format!("/events?offset={}", at(0)), &[]).await;
            assert_eq!(
                (page.text("stream-next-offset"), &page.json()["next"]),
                (Some(at(1).as_str()), &at(1).into())
            );
        },
    )
    .await;
    case_async(
        "D-06",
        "a bare WebSocket's place is the reason of its Close, after what it was sent",
        async {
            let mount = Mount::new();
            mount.publish(1..=3);
            let (_, mut raw) = mount.shaken(&Mode::Bare.lines("/events?offset=last-2")).await;
            for n in 2..=3 {
                assert_eq!(raw.frame().await.expect("an event").text(), format!("{{\"n\":{n}}}"));
            }
            mount.log.close();
            assert_eq!(raw.close().await, Some((1000, at(3))));
        },
    )
    .await;
    case_async("D-06", "the head of a WebSocket's 101 has its place too", async {
        let mount = Mount::new();
        mount.publish(1..=3);
        let mut raw = mount.raw();
        raw.send(Mode::V1.lines("/events?offset=last-1").bytes()).await;
        assert_eq!(raw.head().await.expect("an answer").text("stream-next-offset"), Some(at(2).as_str()));
    })
    .await;
    case_async("D-01", "subscribed before the 101 and the 200: what is published meanwhile comes", async {
        let mount = Mount::new();
        let (status, mut raw) = mount.shaken(&Mode::Bare.lines("/events")).await;
        mount.publish(1..=1);
        assert_eq!((status, raw.frame().await.expect("an event").text()), (101, "{\"n\":1}"));
        let mut answer = open(&mount, "/events", &[]).await;
        mount.publish(2..=2);
        let bytes = bytes_for(&mut answer, Duration::from_millis(10)).await;
        assert!(bytes.windows(7).any(|at| at == b"{\"n\":2}"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_end_is_not_silence() {
    let ended = || {
        let mount = Mount::new();
        mount.publish(1..=1);
        mount.log.close();
        mount
    };
    let tail = format!("/events?offset={}", at(1));
    case_async("D-13", "poll and long-poll: `closed`, at once, and the header", async {
        for headers in [&[][..], &[("prefer", "wait=20")]] {
            let start = Instant::now();
            for path in [&tail, "/events?offset=-1"] {
                let answer = ended().get(path, headers).await;
                assert_eq!((answer.status, &answer.json()["closed"]), (200, &true.into()));
                assert_eq!((answer.text("stream-closed"), start.elapsed()), (Some("true"), Duration::ZERO));
            }
        }
    })
    .await;
    case_async(
        "D-13",
        "SSE: 204 at the end; before it, the events and `$end` without a time to come back",
        async {
            assert_eq!(open(&ended(), &tail, &[]).await.status.as_u16(), 204);
            let mut answer = open(&ended(), "/events?offset=-1", &[]).await;
            let bytes = bytes_for(&mut answer, Duration::from_secs(60)).await;
            let end =
                format!("id: {}\nevent: $end\ndata: {{\"reason\":\"closed\",\"retry\":false}}\n\n", at(1));
            assert!(bytes.ends_with(end.as_bytes()), "{}", String::from_utf8_lossy(&bytes));
        },
    )
    .await;
    case_async("D-13", "SSE: at the end, but with a gap: 200, `$gap`, events, `$end`", async {
        let foreign = Cursor::new(1, 1);
        let mut answer = open(&ended(), &format!("/events?offset={foreign}"), &[]).await;
        assert_eq!(answer.status.as_u16(), 200);
        let (blocks, _) = parse(&bytes_for(&mut answer, Duration::from_secs(60)).await);
        let names: Vec<_> = blocks.iter().filter_map(|block| Some(block.event.clone()?.0)).collect();
        assert_eq!(
            names.iter().filter(|name| *name != "$live").collect::<Vec<_>>(),
            ["$open", "$gap", "tick", "$end"]
        );
    })
    .await;
    case_async("D-13", "WebSocket: `$end` and 1000, also when it opens at the end", async {
        for path in [tail.as_str(), "/events?offset=-1"] {
            let (status, mut raw) = ended().shaken(&Mode::V1.lines(path)).await;
            assert_eq!(status, 101);
            let mut said = Vec::new();
            while let Some(frame) = raw.frame().await {
                if let Some(close) = frame.close() {
                    assert_eq!(close, (1000, at(1).as_str()));
                    raw.send(crate::raw::close(1000, "")).await;
                    continue;
                }
                said.push(frame.text().to_owned());
            }
            assert!(
                said.last().is_some_and(|last| last.contains("\"$end\"") && last.contains("closed")),
                "{said:?}"
            );
        }
    })
    .await;
    case_async("D-13", "a long-poll that waits when the source ends is answered at once", async {
        let mount = Mount::new();
        let asked = tokio::spawn({
            let mount = mount.clone();
            async move { mount.get("/events", &[("prefer", "wait=20")]).await }
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        mount.log.close();
        let start = Instant::now();
        assert_eq!(
            (asked.await.expect("an answer").json()["closed"].clone(), start.elapsed()),
            (true.into(), Duration::ZERO)
        );
    })
    .await;
    case_async(
        "D-13",
        "a long-poll that waits when the mount drains is answered at once, with its place",
        async {
            let mount = Mount::new();
            let asked = tokio::spawn({
                let mount = mount.clone();
                async move { mount.get("/events", &[("prefer", "wait=20")]).await }
            });
            tokio::time::sleep(Duration::from_secs(3)).await;
            let start = Instant::now();
            assert_eq!(mount.handle.drain(Duration::from_secs(10)).await.left, 0);
            let answer = asked.await.expect("an answer");
            assert_eq!((answer.status, answer.text("stream-next-offset")), (204, Some(at(0).as_str())));
            assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_keeps_nobody_in_the_dark() {
    case_async(
        "D-09",
        "WebSocket: the 101 after 2 s, a sign of life within the heartbeat, `$open` when it is there",
        async {
            let mount = Mount::over(Late(Duration::from_secs(40)).boxed(), Config::default());
            let start = Instant::now();
            let (status, mut raw) = mount.shaken(&Mode::V1.lines("/events")).await;
            assert_eq!((status, start.elapsed()), (101, Duration::from_secs(2)));
            let mut pings = 0;
            let open = loop {
                let said = raw.frame().await.expect("the connection is open");
                if said.first == 0x81 {
                    break serde_json::from_slice::<serde_json::Value>(&said.payload).expect("JSON");
                }
                assert_eq!(
                    (said.first, start.elapsed() <= Duration::from_secs(15 * (pings + 1) + 2)),
                    (0x89, true)
                );
                pings += 1;
                raw.send(frame(0x8A, "")).await;
            };
            assert!(pings >= 2, "{pings}");
            assert_eq!((&open["event"], start.elapsed().as_secs()), (&"$open".into(), 40));
        },
    )
    .await;
    twin_async("D-09", "a source that opens within 2 s is waited for", async {
        let mount = Mount::over(Late(Duration::from_millis(1_900)).boxed(), Config::default());
        assert_eq!(mount.get("/events", &[]).await.status, 200);
        let answer = open(&mount, "/events", &[]).await;
        assert_eq!(answer.header("stream-next-offset"), Some(Cursor::new(1, 7).to_string().as_str()));
    })
    .await;
}

/// What a WebSocket is answered to one message, if anything.
async fn answered(mount: &Mount, mode: Mode, bytes: Vec<u8>) -> Option<String> {
    let mut raw = mode.open(mount).await;
    raw.send(bytes).await;
    // Well before the first heartbeat.
    let frame = tokio::time::timeout(Duration::from_secs(1), raw.frame())
        .await
        .ok()?
        .expect("the connection is open");
    Some(frame.close().map_or_else(|| frame.text().to_owned(), |(code, _)| format!("close {code}")))
}

#[tokio::test(start_paused = true)]
async fn a_message_is_answered_to_its_sender() {
    let bad = r#""event":"$reply","error":{"status":400,"#;
    for (what, sent, said) in [
        (
            "a reply with its ref",
            r#"{"ref":"7","event":"hello","data":{"a":1}}"#,
            Some(r#"{"ref":"7","event":"$reply","data":{"a":1}}"#),
        ),
        (
            "a ref that is a number comes back as one",
            r#"{"ref":7,"data":1}"#,
            Some(r#"{"ref":7,"event":"$reply","data":1}"#),
        ),
        (
            "a ref of 128 bytes",
            &format!(r#"{{"ref":"{}","data":1}}"#, "x".repeat(126)),
            Some(&format!(r#"{{"ref":"{}","event":"$reply","data":1}}"#, "x".repeat(126))),
        ),
        (
            "a ref, and a handler that says nothing: null",
            r#"{"ref":"7","event":"quiet","data":1}"#,
            Some(r#"{"ref":"7","event":"$reply","data":null}"#),
        ),
        ("no ref, and a handler that says nothing: nothing", r#"{"event":"quiet","data":1}"#, None),
        ("no ref, and a reply", r#"{"data":1}"#, Some(r#"{"event":"$reply","data":1}"#)),
        ("no data is null", r#"{"ref":"7"}"#, Some(r#"{"ref":"7","event":"$reply","data":null}"#)),
        ("null is null", r#"{"ref":"7","data":null}"#, Some(r#"{"ref":"7","event":"$reply","data":null}"#)),
        (
            "the handler's refusal",
            r#"{"ref":"7","event":"refused"}"#,
            Some(r#"{"ref":"7","event":"$reply","error":{"status":429,"title":"one a second, please"}}"#),
        ),
        (
            "members that are not known",
            r#"{"ref":"7","data":1,"x":[]}"#,
            Some(r#"{"ref":"7","event":"$reply","data":1}"#),
        ),
    ] {
        twin_async("D-09", &format!("realtime.v1: {what}"), async {
            let reply = answered(&Mount::new(), Mode::V1, frame(0x81, sent)).await;
            assert_eq!(reply.as_deref(), said, "{what}");
        })
        .await;
    }
    for (what, sent) in [
        ("no JSON", "hello".to_owned()),
        ("no object", "[1]".to_owned()),
        ("an event that is no string", r#"{"event":1,"data":1}"#.to_owned()),
        ("a member twice", r#"{"data":1,"data":2}"#.to_owned()),
        ("a ref of 129 bytes", format!(r#"{{"ref":"{}","data":1}}"#, "x".repeat(127))),
        ("a name that starts with $", r#"{"event":"$end","data":1}"#.to_owned()),
        ("a name with a line end", r#"{"event":"a\nb","data":1}"#.to_owned()),
        ("a name of 129 bytes", format!(r#"{{"event":"{}","data":1}}"#, "x".repeat(129))),
    ] {
        case_async(
            "D-09",
            &format!("realtime.v1: {what} is an error of 400, and the connection goes on"),
            async {
                let mount = Mount::new();
                let reply = answered(&mount, Mode::V1, frame(0x81, sent)).await.expect("a reply");
                assert!(reply.contains(bad) && !reply.contains("\"ref\""), "{what}: {reply}");
                assert_eq!(mount.heard().len(), 0);
            },
        )
        .await;
    }
    for (what, mode, bytes, said) in [
        ("bare: the payload of the reply", Mode::Bare, frame(0x81, "hello"), "hello"),
        ("bare: binary for binary", Mode::Bare, frame(0x82, "hello"), "hello"),
    ] {
        twin_async("D-09", what, async {
            let mount = Mount::new();
            assert_eq!(answered(&mount, mode, bytes).await.as_deref(), Some(said), "{what}");
            assert_eq!(mount.heard()[0].name, "message");
        })
        .await;
    }
    case_async("D-09", "bare: a handler's refusal is a text frame of status and title", async {
        let (service, _handle) = builder()
            .source(log())
            .uplink(uplink_fn(|_| async {
                Err::<(), _>(UplinkError::new(http::StatusCode::CONFLICT, "not now"))
            }))
            .service();
        let host = realtime_tests::host::Host::new(service);
        let mut raw = Raw::over(host.connect());
        raw.send(Mode::Bare.lines("/events").followed_by(frame(0x81, "x"))).await;
        assert_eq!(raw.head().await.map(|head| head.status), Some(101));
        assert_eq!(message(&mut raw).await, serde_json::json!({"status": 409, "title": "not now"}));
    })
    .await;
    case_async("D-09", "without a handler: `$reply` with an error of 405, bare 1003", async {
        let reply = answered(&Mount::deaf(), Mode::V1, frame(0x81, r#"{"ref":"7","data":1}"#))
            .await
            .expect("a reply");
        assert!(
            reply.starts_with(r#"{"ref":"7","event":"$reply","error":{"status":405,"title":"#),
            "{reply}"
        );
        assert_eq!(
            answered(&Mount::deaf(), Mode::Bare, frame(0x81, "x")).await.as_deref(),
            Some("close 1003")
        );
    })
    .await;
    case_async(
        "D-03",
        "messages are handled in order, a hundred in one segment, and each is answered",
        async {
            let mount = Mount::new();
            let mut raw = Mode::V1.open(&mount).await;
            let all: Vec<u8> =
                (0..100).flat_map(|n| frame(0x81, format!(r#"{{"ref":{n},"data":{n}}}"#))).collect();
            raw.send(all).await;
            for n in 0..100 {
                let reply = message(&mut raw).await;
                assert_eq!((&reply["ref"], &reply["data"]), (&n.into(), &n.into()));
            }
        },
    )
    .await;
    case_async("D-11", "a handler that never answers does not hold up what comes down", async {
        let log = log();
        let (service, _handle) =
            builder().source(log.clone()).uplink(uplink_fn(|_| std::future::pending::<()>())).service();
        let host = realtime_tests::host::Host::new(service);
        let mut raw = Raw::over(host.connect());
        raw.send(Mode::Bare.lines("/events").followed_by(frame(0x81, "x").repeat(100))).await;
        assert_eq!(raw.head().await.map(|head| head.status), Some(101));
        log.publish(tick(1)).expect("open");
        assert_eq!(raw.frame().await.expect("an event").text(), "{\"n\":1}");
    })
    .await;
}

/// Over HTTP/2, by a client with extended CONNECT.
async fn connect(mount: &Mount, protocol: Option<&'static str>) -> (u16, Version, Option<String>) {
    let io = TokioIo::new(mount.host.connect());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), io)
            .await
            .expect("HTTP/2");
    let driver = tokio::spawn(connection);
    // The server's SETTINGS say whether it may be asked.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut request = Request::builder().method(Method::CONNECT).version(Version::HTTP_2);
    request = match protocol {
        Some(protocol) => {
            request.uri("https://realtime.test/events").extension(Protocol::from_static(protocol))
        }
        None => request.uri("realtime.test:443"),
    };
    let answer =
        sender.send_request(request.body(Empty::new()).expect("a request")).await.expect("an answer");
    let media = answer.headers().get("content-type").map(|media| media.to_str().expect("text").to_owned());
    let said = (answer.status().as_u16(), answer.version(), media);
    driver.abort();
    said
}

#[tokio::test(start_paused = true)]
async fn http_2_is_spoken_and_no_tunnel_is_opened() {
    for (what, protocol) in [("another protocol", Some("morse")), ("none at all", None)] {
        case_async("P-H2-03", &format!("CONNECT for {what} is 501"), async {
            let mount = Mount::new();
            let (status, version, media) = connect(&mount, protocol).await;
            assert_eq!((status, version, mount.made()), (501, Version::HTTP_2, 0));
            assert_eq!(media.as_deref(), Some("application/problem+json"));
        })
        .await;
    }
    case_async("P-H2-04", "no connection header on any answer over HTTP/2", async {
        let mount = Mount::new();
        mount.publish(1..=1);
        let io = TokioIo::new(mount.host.connect());
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        let driver = tokio::spawn(connection);
        for (path, accept, upgrade, status) in [
            ("/events?offset=-1", "*/*", None, 200),
            ("/events", "text/event-stream", None, 200),
            ("/events?offset=x", "*/*", None, 400),
            ("/events", "image/png", None, 406),
            ("/events", "*/*", Some("8"), 200),
        ] {
            let mut request = Request::get(format!("https://realtime.test{path}")).header("accept", accept);
            if let Some(version) = upgrade {
                request = request.header("sec-websocket-version", version).header("sec-websocket-key", "x");
            }
            let answer = sender
                .send_request(request.body(Empty::<Bytes>::new()).expect("a request"))
                .await
                .expect("an answer");
            assert_eq!(
                (answer.status().as_u16(), answer.version()),
                (status, Version::HTTP_2),
                "{path} {accept}"
            );
            for name in ["connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"] {
                assert!(!answer.headers().contains_key(name), "{name} on {path}");
            }
            if status != 200 {
                assert!(!answer.into_body().collect().await.expect("a body").to_bytes().is_empty());
            }
        }
        driver.abort();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_answer_that_reached_a_source_has_its_headers() {
    case_async(
        "D-06",
        "place, flags, Vary, Cache-Control and what a page may read, by every transport",
        async {
            let mount = Mount::new();
            mount.publish(1..=2);
            for (what, headers, up_to_date, cache) in [
                ("poll", &[][..], Some("true"), "private, no-cache"),
                ("long-poll", &[("prefer", "wait=1")], Some("true"), "no-store"),
                ("lines", &[("accept", "application/x-ndjson")], Some("true"), "private, no-cache"),
                ("SSE", &[("accept", "text/event-stream")], None, "no-store, no-transform"),
            ] {
                let target = mount.target();
                let mut request = target.request(Method::GET, &Place::After(at(1)));
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                let answer = target.send(request, "").await.expect("an answer");
                let place = if what == "SSE" { at(1) } else { at(2) };
                assert_eq!(answer.header("stream-next-offset"), Some(place.as_str()), "{what}");
                assert_eq!(
                    (answer.header("stream-up-to-date"), answer.header("stream-closed")),
                    (up_to_date, None),
                    "{what}"
                );
                assert_eq!(answer.header("cache-control"), Some(cache), "{what}");
                assert_eq!(answer.header("x-accel-buffering"), (what == "SSE").then_some("no"), "{what}");
                assert!(
                    answer.header("vary").is_some()
                        && answer.header("access-control-expose-headers").is_some(),
                    "{what}"
                );
            }
        },
    )
    .await;
}
