//! P-SE: server-sent events (WHATWG HTML, section 9.2).

use std::future::{pending, ready};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::Method;
use realtime_core::{
    BoxFeed, Cursor, Delivery, Event, EventErrorKind, Opened, Source, SourceError, SourceErrorKind,
    SourceExt, Start,
};
use realtime_tests::client::http::Answer;
use realtime_tests::client::sse::Sse;
use realtime_tests::client::sse_parser::{Block, Parser};
use realtime_tests::client::{Place, Seen};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, Data, Pings, SseConfig, SseTransport, builder};
use tokio::time::Instant;

use crate::mount::{Mount, at, log};
use crate::ws_close::{Away, Ends};

/// Opens a stream.
pub(crate) async fn open(mount: &Mount, path: &str, headers: &[(&str, &str)]) -> Answer {
    let target = realtime_tests::client::Target::new(mount.host.dialer(), path);
    let mut request = target.request(Method::GET, &Place::Default).header("accept", "text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    target.send(request, "").await.expect("an answer")
}

/// All bytes that come within this time, or until the end.
pub(crate) async fn bytes_for(answer: &mut Answer, pause: Duration) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = tokio::time::timeout(pause, async {
        while let Some(piece) = answer.piece().await.expect("no cut") {
            out.extend_from_slice(&piece);
        }
    })
    .await;
    out
}

const A_MOMENT: Duration = Duration::from_millis(10);

/// The blocks of an event stream, and when it says to come back.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<Block>, Option<u64>) {
    let mut parser = Parser::default();
    (parser.feed(bytes), parser.retry_ms())
}

/// The lines of a stream.
fn lines(bytes: &[u8]) -> Vec<&str> {
    std::str::from_utf8(bytes).expect("UTF-8").split('\n').collect()
}

fn text(answer: &Answer, name: &str) -> Option<String> {
    answer.header(name).map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn the_type_is_text_event_stream() {
    for (what, accept) in [
        ("as EventSource asks", "text/event-stream"),
        ("as a polyfill asks", "text/event-stream, */*"),
        ("with a parameter", "text/event-stream; charset=utf-8"),
        ("in capitals", "Text/Event-Stream"),
    ] {
        case_async("P-SE-01", what, async {
            let mount = Mount::new();
            let target = mount.target();
            let request = target.request(Method::GET, &Place::Default).header("accept", accept);
            let answer = target.send(request, "").await.expect("an answer");
            assert_eq!(
                (answer.status.as_u16(), text(&answer, "content-type").as_deref()),
                (200, Some("text/event-stream"))
            );
            assert_eq!(text(&answer, "x-content-type-options").as_deref(), Some("nosniff"));
            assert_eq!(text(&answer, "content-encoding"), None);
        })
        .await;
    }
}

/// `retry`, `$end` with this reason and no id, and the end of the body.
async fn sent_away(mount: &Mount, reason: &str) -> u64 {
    let mut answer = open(mount, "/events", &[("last-event-id", &at(0))]).await;
    assert_eq!(
        (answer.status.as_u16(), text(&answer, "content-type").as_deref()),
        (200, Some("text/event-stream"))
    );
    let start = Instant::now();
    let bytes = bytes_for(&mut answer, Duration::from_secs(60)).await;
    assert_eq!(start.elapsed(), Duration::ZERO, "the body ends");
    let (blocks, retry) = parse(&bytes);
    let Some((name, data)) = &blocks.last().expect("a block").event else { panic!("no event in {blocks:?}") };
    assert_eq!(name, "$end");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert_eq!((&data["reason"], data["retry"].as_u64()), (&reason.into(), retry), "{blocks:?}");
    retry.expect("a time to come back")
}

#[tokio::test(start_paused = true)]
async fn overload_is_200_and_the_end() {
    let full = || Mount::with(Config { readers_max: 0, ..Config::default() });
    case_async("P-SE-02", "no room", async {
        let mount = full();
        sent_away(&mount, "source").await;
        assert_eq!((mount.readers(), mount.made()), (0, 0));
    })
    .await;
    case_async("P-SE-02", "a source that cannot be reached", async {
        sent_away(&Mount::over(Away.boxed(), Config::default()), "source").await;
    })
    .await;
    case_async("P-SE-02", "a mount that drains", async {
        let mount = Mount::new();
        mount.handle.drain(Duration::from_secs(1)).await;
        sent_away(&mount, "drain").await;
    })
    .await;
    case_async("P-SE-02", "a drain in mid stream", async {
        let mount = Mount::new();
        let mut answer = open(&mount, "/events", &[]).await;
        mount.publish(1..=1);
        let handle = mount.handle.clone();
        let drained = tokio::spawn(async move { handle.drain(Duration::from_secs(5)).await });
        let (blocks, retry) = parse(&bytes_for(&mut answer, Duration::from_secs(60)).await);
        let last = blocks.last().expect("an end");
        assert_eq!(last.event.as_ref().map(|(name, _)| name.as_str()), Some("$end"));
        assert_eq!(last.last_id, at(1), "the place is kept");
        assert!(retry.is_some_and(|retry| (1_500..=2_500).contains(&retry)));
        assert_eq!(drained.await.expect("drained").left, 0);
    })
    .await;
    case_async("P-SE-02", "the source fails in mid stream", async {
        for kind in [SourceErrorKind::Failed, SourceErrorKind::Unavailable] {
            sent_away(&Mount::over(Ends(Some(kind)).boxed(), Config::default()), "source").await;
        }
    })
    .await;
    case_async("P-SE-02", "the time to come back differs for each", async {
        let mount =
            Mount::with(Config { readers_max: 0, retry: Duration::from_secs(8), ..Config::default() });
        let mut waits = Vec::new();
        for _ in 0..32 {
            waits.push(sent_away(&mount, "source").await);
        }
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 16 && waits.iter().all(|wait| (6_000..=10_000).contains(wait)), "{waits:?}");
    })
    .await;
    case_async("P-SE-02", "204 is for the end of a source that is closed, and for that only", async {
        let mount = Mount::new();
        mount.publish(1..=1);
        mount.log.close();
        let answer = open(&mount, "/events", &[("last-event-id", &at(1))]).await;
        assert_eq!((answer.status.as_u16(), text(&answer, "stream-closed").as_deref()), (204, Some("true")));
        for place in [at(0), "-1".to_owned(), Cursor::new(1, 1).to_string()] {
            let mut answer = open(&mount, &format!("/events?offset={place}"), &[]).await;
            assert_eq!(answer.status.as_u16(), 200, "{place}");
            let (blocks, _) = parse(&bytes_for(&mut answer, Duration::from_secs(60)).await);
            let names: Vec<_> =
                blocks.iter().filter_map(|block| Some(block.event.as_ref()?.0.as_str())).collect();
            assert_eq!((names.first(), names.last()), (Some(&"$open"), Some(&"$end")), "{place}");
            assert!(names.contains(&"tick"), "{place}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_id_cannot_inject_or_rewind() {
    case_async("P-SE-04", "every id that is sent is of the cursor's alphabet and not empty", async {
        let mount = Mount::new();
        mount.publish(1..=3);
        let mut answer = open(&mount, "/events?offset=-1", &[]).await;
        mount.log.close();
        let bytes = bytes_for(&mut answer, Duration::from_secs(60)).await;
        let ids: Vec<_> = lines(&bytes).into_iter().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!(ids.len(), 6, "$open, three events, $live, $end");
        for id in ids {
            assert!((1..=96).contains(&id.len()), "{id}");
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)), "{id}");
        }
    })
    .await;
    for (what, sent) in [
        ("a cursor with a NUL", "8f3a61c0d2e94b17%00.0000000000000001"),
        ("a cursor with CR and LF", "8f3a61c0d2e94b17.0000000000000001%0D%0Aevent:x"),
        ("a cursor with LF alone", "%0A"),
        ("a cursor cut short", "8f3a61c0d2e94b17.000000000000000"),
    ] {
        case_async(
            "P-SE-04",
            &format!("{what}, sent by a client, is 400 and comes back in nothing"),
            async {
                let answer = open(&Mount::new(), &format!("/events?offset={sent}"), &[]).await;
                assert_eq!(answer.status.as_u16(), 400);
                let head = format!("{:?}", answer.headers);
                let body = answer.whole().await.expect("a body");
                assert!(!head.contains("8f3a") && !body.windows(4).any(|at| at == b"8f3a"), "{what}");
            },
        )
        .await;
    }
    twin_async("P-SE-04", "a good cursor is resumed from", async {
        let mount = Mount::new();
        mount.publish(1..=2);
        let mut answer = open(&mount, "/events", &[("last-event-id", &at(1))]).await;
        let (blocks, _) = parse(&bytes_for(&mut answer, A_MOMENT).await);
        assert_eq!(blocks[1].last_id, at(2));
    })
    .await;
    twin_async("P-SE-04", "a block without id keeps the id before it: `$open` with a gap", async {
        let mut answer =
            open(&Mount::new(), "/events", &[("last-event-id", &Cursor::new(1, 1).to_string())]).await;
        let (blocks, _) = parse(&bytes_for(&mut answer, A_MOMENT).await);
        assert_eq!((blocks[0].sets_id, blocks[1].sets_id), (false, true), "{blocks:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_id_per_event_and_an_id_may_come_alone() {
    case_async("P-SE-05", "a batch of a hundred has a hundred ids, each with its event", async {
        let mount = Mount::new();
        mount.publish(1..=100);
        let mut answer = open(&mount, "/events?offset=-1", &[]).await;
        let (blocks, _) = parse(&bytes_for(&mut answer, A_MOMENT).await);
        let ticks =
            blocks.iter().filter(|block| block.event.as_ref().is_some_and(|(name, _)| name == "tick"));
        let mut count = 0;
        for (n, block) in ticks.enumerate() {
            assert!(block.sets_id);
            assert_eq!(block.last_id, at(n as u128 + 1));
            count += 1;
        }
        assert_eq!(count, 100);
    })
    .await;
    case_async("P-SE-05", "a heartbeat moves a filtered reader by an id without data", async {
        let log = log();
        let mount =
            Mount::over(log.clone().filter(|event| event.name() != "tick").boxed(), Config::default());
        let mut client = Sse::connect(&mount.target(), Place::Live).await;
        while !matches!(client.next().await, Some(Seen::Live { .. })) {}
        log.publish(crate::mount::tick(1)).expect("open");
        // The kit's client takes a block that has an id and no data for a ping.
        assert_eq!(client.next().await, Some(Seen::Ping { cursor: at(1) }));
        assert_eq!(client.place(), &Place::After(at(1)));
    })
    .await;
    case_async("P-SE-05", "a stream cut at any byte never gives an id without the event before it", async {
        let mount = Mount::new();
        mount.publish(1..=3);
        let mut answer = open(&mount, "/events?offset=-1", &[]).await;
        let bytes = bytes_for(&mut answer, A_MOMENT).await;
        for cut in 0..bytes.len() {
            let (blocks, _) = parse(&bytes[..cut]);
            let seen = blocks
                .iter()
                .filter(|block| block.event.as_ref().is_some_and(|(name, _)| name == "tick"))
                .count();
            let place = blocks.last().map(|block| block.last_id.clone());
            assert!(place.is_none_or(|place| place == at(seen as u128)), "cut at {cut}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn fields_are_four_and_no_other() {
    case_async(
        "P-SE-06",
        "every line is a field that is known, a comment, or empty, and values follow a space",
        async {
            let mount = Mount::new();
            mount.publish(1..=2);
            mount
                .log
                .publish(Event::text("t", "a\n b\r\nfoo: bar\r:c\nid: x\nretry: 1").expect("text"))
                .expect("open");
            let mut answer =
                open(&mount, "/events", &[("last-event-id", &Cursor::new(1, 1).to_string())]).await;
            let mut bytes = bytes_for(&mut answer, Duration::from_secs(40)).await;
            mount.log.close();
            bytes.extend(bytes_for(&mut answer, Duration::from_secs(40)).await);
            assert!(bytes.ends_with(b"\n\n") && !bytes.contains(&b'\r'));
            for line in lines(&bytes) {
                let known =
                    ["id: ", "event: ", "data: ", "retry: "].iter().any(|field| line.starts_with(field));
                assert!(known || line == ":" || line.is_empty(), "{line:?}");
            }
            let retries: Vec<_> =
                lines(&bytes).into_iter().filter_map(|line| line.strip_prefix("retry: ")).collect();
            assert_eq!(retries.len(), 1, "the payload's own is data");
            assert!(retries[0].bytes().all(|byte| byte.is_ascii_digit()));
        },
    )
    .await;
    case_async("P-SE-06", "`retry` is bounded, whatever a source says", async {
        let mount = Mount::over(Moody(Duration::MAX).boxed(), Config::default());
        let wait = sent_away(&mount, "source").await;
        assert!(wait <= 24 * 60 * 60 * 1000, "{wait}");
    })
    .await;
    case_async("P-SE-06", "`retry` is bounded, whatever the mount says", async {
        let mount = Mount::with(Config { retry: Duration::MAX, readers_max: 0, ..Config::default() });
        let wait = sent_away(&mount, "source").await;
        assert!(wait <= 24 * 60 * 60 * 1000, "{wait}");
    })
    .await;
}

/// Away, with a hint of when to come back.
struct Moody(Duration);

impl Source for Moody {
    type Feed = BoxFeed;

    fn subscribe(&self, _: Start) -> BoxFeed {
        let error = SourceError::new(SourceErrorKind::Unavailable, "not now").with_retry_after(self.0);
        Box::pin(stream::once(ready(Err(error))).chain(stream::once(pending())))
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_is_utf8_and_never_starts_with_a_payload() {
    let blob = || Event::binary("blob", vec![0u8, 0xFF, 0xFE]).expect("an event");
    let mount = |data| {
        let config = SseConfig { data, ..SseConfig::default() };
        Mount::of(builder().transports((SseTransport(config),)), log())
    };
    case_async("P-SE-07", "binary on a mount of bare payloads ends the stream, and loses no place", async {
        let mount = mount(Data::Payload);
        mount.publish(1..=1);
        mount.log.publish(blob()).expect("open");
        let mut answer = open(&mount, "/events?offset=-1", &[]).await;
        let bytes = bytes_for(&mut answer, Duration::from_secs(60)).await;
        assert!(std::str::from_utf8(&bytes).is_ok());
        let (blocks, retry) = parse(&bytes);
        let last = blocks.last().expect("an end");
        assert_eq!(last.last_id, at(1), "the place is before what could not be sent");
        assert!(
            last.event.as_ref().is_some_and(|(name, data)| name == "$end" && data.contains("\"source\""))
        );
        assert!(retry.is_some());
    })
    .await;
    twin_async("P-SE-07", "binary as base64, where the knob allows it", async {
        let mount = mount(Data::PayloadOrBase64);
        mount.log.publish(blob()).expect("open");
        let mut answer = open(&mount, "/events?offset=-1", &[]).await;
        let (blocks, _) = parse(&bytes_for(&mut answer, A_MOMENT).await);
        assert_eq!(blocks[1].event, Some(("blob".to_owned(), "AP/+".to_owned())));
    })
    .await;
    const ASKED: (&str, &str) = ("accept", "text/event-stream;data=envelope");
    for (what, by_knob, header) in [
        ("binary in an envelope says that it is", Data::Envelope, None),
        ("binary in an envelope that the client asks for", Data::Payload, Some(ASKED)),
    ] {
        twin_async("P-SE-07", what, async {
            let mount = mount(by_knob);
            mount.log.publish(blob()).expect("open");
            let mut answer = open(&mount, "/events?offset=-1", header.as_slice()).await;
            let (blocks, _) = parse(&bytes_for(&mut answer, A_MOMENT).await);
            let of = |at: usize| -> (String, serde_json::Value) {
                let (name, data) = blocks[at].event.clone().expect("an event");
                (name, serde_json::from_str(&data).expect("an envelope"))
            };
            let (name, open) = of(0);
            assert_eq!(
                (name.as_str(), &open["event"]),
                ("$open", &"$open".into()),
                "controls come in theirs"
            );
            let (name, data) = of(1);
            assert_eq!(
                (name.as_str(), &data["encoding"], &data["data"]),
                ("blob", &"base64".into(), &"AP/+".into())
            );
        })
        .await;
    }
    case_async("P-SE-07", "the first bytes are ours, so that a leading BOM stays", async {
        let mount = Mount::new();
        mount.log.publish(Event::text("message", "\u{FEFF}marked").expect("text")).expect("open");
        let mut answer = open(&mount, "/events?offset=-1", &[]).await;
        let bytes = bytes_for(&mut answer, A_MOMENT).await;
        assert!(bytes.starts_with(b"retry: "));
        let (blocks, _) = parse(&bytes);
        assert_eq!(blocks[1].event, Some(("message".to_owned(), "\u{FEFF}marked".to_owned())));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_within_twenty_seconds() {
    case_async("P-SE-08", "the head and `$open` come at once, without padding", async {
        let mut answer = open(&Mount::new(), "/events", &[]).await;
        let start = Instant::now();
        let first = bytes_for(&mut answer, Duration::from_nanos(1)).await;
        assert!(first.windows(5).any(|at| at == b"$open") && first.len() < 512, "{}", first.len());
        assert!(start.elapsed() < Duration::from_millis(2));
    })
    .await;
    case_async("P-SE-08", "something comes within 20 s, for an hour", async {
        let mut answer = open(&Mount::new(), "/events", &[]).await;
        bytes_for(&mut answer, A_MOMENT).await;
        for _ in 0..240 {
            let start = Instant::now();
            let piece = answer.piece().await.expect("no cut").expect("no end");
            assert!(start.elapsed() < Duration::from_secs(20) && piece.ends_with(b"\n\n"));
            assert!(piece.starts_with(b":\nid: "), "a comment, and the place");
        }
    })
    .await;
    case_async("P-SE-08", "an event puts the heartbeat off, what is said of it in $open holds", async {
        let mount = Mount::new();
        let mut answer = open(&mount, "/events", &[]).await;
        let (blocks, _) = parse(&bytes_for(&mut answer, A_MOMENT).await);
        assert!(blocks[0].event.as_ref().is_some_and(|(_, data)| data.contains("\"heartbeatMs\":15000")));
        tokio::time::sleep(Duration::from_secs(10)).await;
        mount.publish(1..=1);
        let start = Instant::now();
        answer.piece().await.expect("no cut").expect("an event");
        answer.piece().await.expect("no cut").expect("a heartbeat");
        assert_eq!(start.elapsed().as_secs(), 15);
    })
    .await;
    case_async("P-SE-08", "by knob it is a `$ping` event that a script sees", async {
        let config = SseConfig { pings: Pings::Events, ..SseConfig::default() };
        let mount = Mount::of(builder().transports((SseTransport(config),)), log());
        let mut answer = open(&mount, "/events", &[]).await;
        let (blocks, _) = parse(&bytes_for(&mut answer, Duration::from_secs(16)).await);
        assert_eq!(
            blocks.last().and_then(|block| block.event.clone()).map(|(name, _)| name),
            Some("$ping".to_owned())
        );
    })
    .await;
    case_async(
        "P-SE-08",
        "a source that is slow to open: the head after 2 s, heartbeats, `$open` when it is there",
        async {
            let mount = Mount::over(Late(Duration::from_secs(40)).boxed(), Config::default());
            let start = Instant::now();
            let mut answer = open(&mount, "/events", &[]).await;
            assert_eq!(
                (start.elapsed(), text(&answer, "stream-next-offset")),
                (Duration::from_secs(2), None)
            );
            let bytes = bytes_for(&mut answer, Duration::from_secs(39)).await;
            assert!(
                bytes.starts_with(b"retry: ")
                    && lines(&bytes).iter().filter(|line| **line == ":").count() >= 2
            );
            assert!(lines(&bytes).contains(&"event: $open"));
            assert!(!lines(&bytes)[..4].contains(&"event: $open"), "the heartbeats came first");
        },
    )
    .await;
}

/// Opens after this long.
pub(crate) struct Late(pub(crate) Duration);

impl Source for Late {
    type Feed = BoxFeed;

    fn subscribe(&self, _: Start) -> BoxFeed {
        let (pause, place) = (self.0, Cursor::new(1, 7));
        let opened = async move {
            tokio::time::sleep(pause).await;
            Ok(Delivery::Open(Opened::new(place)))
        };
        Box::pin(
            stream::once(opened)
                .chain(stream::iter([Ok(Delivery::Live(place))]))
                .chain(stream::once(pending())),
        )
    }
}

#[tokio::test(start_paused = true)]
async fn last_event_id_stays_safelisted() {
    case_async(
        "P-SE-09",
        "every cursor of every transport, its longest form too, needs no preflight",
        async {
            let wide = Cursor::new(u64::MAX, u128::MAX).to_string();
            let mount = Mount::new();
            mount.publish(1..=1);
            let page = mount.get("/events?offset=-1", &[]).await;
            let next = page.text("stream-next-offset").expect("a place").to_owned();
            let id = page.json()["events"][0]["id"].as_str().expect("an id").to_owned();
            for cursor in [wide, next, id] {
                assert!(cursor.len() <= 96, "{cursor}");
                let unsafe_byte =
                    |byte: u8| byte < 0x20 || byte == 0x7F || b"\"():<>?@[\\]{}".contains(&byte);
                assert!(!cursor.bytes().any(unsafe_byte), "{cursor}");
                assert!(
                    cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)),
                    "{cursor}"
                );
            }
        },
    )
    .await;
}

/// Where a stream opens, as its head says it and as `$open` does.
async fn opens_at(mount: &Mount, path: &str, headers: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let mut answer = open(mount, path, headers).await;
    let head = text(&answer, "stream-next-offset");
    let (blocks, _) = parse(&bytes_for(&mut answer, A_MOMENT).await);
    let opened = blocks.first().filter(|block| block.sets_id).map(|block| block.last_id.clone());
    (head, opened)
}

#[tokio::test(start_paused = true)]
async fn the_cursor_may_come_in_the_query_and_the_header_wins() {
    for (what, path, headers, place) in [
        ("by offset", format!("/events?offset={}", at(2)), vec![], 2),
        ("by lastEventId", format!("/events?lastEventId={}", at(2)), vec![], 2),
        ("by last_event_id", format!("/events?last_event_id={}", at(2)), vec![], 2),
        ("among other parameters", format!("/events?x=1&offset={}&y", at(2)), vec![], 2),
        ("by header", "/events".to_owned(), vec![at(1)], 1),
        ("by both: the header wins", format!("/events?offset={}", at(2)), vec![at(1)], 1),
        ("rubbish in the query beside a good header", "/events?offset=rubbish".to_owned(), vec![at(1)], 1),
        ("an empty header is absent", format!("/events?offset={}", at(2)), vec![String::new()], 2),
        ("neither: the mount's default, the tail", "/events".to_owned(), vec![], 3),
    ] {
        case_async("P-SE-10", what, async {
            let mount = Mount::new();
            mount.publish(1..=3);
            let headers: Vec<_> = headers.iter().map(|value| ("last-event-id", value.as_str())).collect();
            let place = Some(at(place));
            assert_eq!(opens_at(&mount, &path, &headers).await, (place.clone(), place), "{what}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_place_is_known_before_the_first_event() {
    for (what, place, opens) in [
        ("fresh", "now", 3),
        ("from the beginning", "-1", 0),
        ("the last two", "last-2", 1),
        ("resumed", &at(2), 2),
    ] {
        case_async("P-SE-11", what, async {
            let mount = Mount::new();
            mount.publish(1..=3);
            let opens = Some(at(opens));
            let said = opens_at(&mount, &format!("/events?offset={place}"), &[]).await;
            assert_eq!(said, (opens.clone(), opens), "in the head, and in band with its id");
        })
        .await;
    }
    case_async("P-SE-11", "cut right after `$open`, nothing is lost", async {
        let mount = Mount::new();
        let mut client = Sse::connect(&mount.target(), Place::Live).await;
        assert!(matches!(client.next().await, Some(Seen::Open { .. })));
        let place = client.place().clone();
        drop(client);
        mount.publish(1..=1);
        let mut client = Sse::connect(&mount.target(), place).await;
        assert!(matches!(client.next().await, Some(Seen::Open { .. })));
        assert_eq!(
            client.next().await.as_ref().and_then(Seen::event).and_then(|event| event.id.clone()),
            Some(at(1))
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn reserved_words_are_never_minted() {
    for word in
        ["last-0", "last-10001", "last-01", "last-", "last-x", "NOW", "-2", "earliest", "0", "1e9", "+5"]
    {
        case_async("P-SE-12", &format!("{word} is no word of ours"), async {
            let mount = Mount::new();
            let answer = open(&mount, &format!("/events?offset={}", word.replace('+', "%2B")), &[]).await;
            assert_eq!((answer.status.as_u16(), mount.made()), (400, 0));
        })
        .await;
    }
    for (word, first) in [("-1", 1), ("now", 0), ("last-2", 4), ("last-10000", 1)] {
        twin_async("P-SE-12", &format!("{word} is"), async {
            let mount = Mount::new();
            mount.publish(1..=5);
            // As header too: a client may keep the word it came with until it is told a place.
            for (path, headers) in [
                (format!("/events?offset={word}"), vec![]),
                ("/events".to_owned(), vec![("last-event-id", word)]),
            ] {
                let mut answer = open(&mount, &path, &headers).await;
                let (blocks, _) = parse(&bytes_for(&mut answer, A_MOMENT).await);
                let tick =
                    blocks.iter().find(|block| block.event.as_ref().is_some_and(|(name, _)| name == "tick"));
                assert_eq!(tick.map(|block| block.last_id.clone()), (first > 0).then(|| at(first)), "{word}");
            }
        })
        .await;
    }
    case_async("P-SE-12", "no cursor reads as a word, at the edges of what a cursor can be", async {
        for (epoch, position) in [(0, 0), (u64::MAX, u128::MAX), (0, u128::from(u64::MAX) + 1), (1, 1)] {
            let text = Cursor::new(epoch, position).to_string();
            assert_eq!(text.parse::<Start>(), Ok(Start::After(Cursor::new(epoch, position))));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_application_event_cannot_pass_for_a_control() {
    for name in ["$open", "$gap", "$end", "$anything", "$"] {
        case_async(
            "P-SE-13",
            &format!("an event named {name} is refused, typed, where it is published"),
            async {
                for made in [Event::json(name, &1), Event::text(name, "x"), Event::binary(name, vec![1])] {
                    assert_eq!(made.expect_err("refused").kind(), EventErrorKind::Reserved);
                }
            },
        )
        .await;
        case_async("P-SE-13", &format!("a message named {name} is refused at the uplink"), async {
            let mount = Mount::new();
            let json = [("content-type", "application/json")];
            let sent = mount.post(&format!("/events?event={}", name.replace('$', "%24")), &json, "1").await;
            assert_eq!((sent.status, mount.heard().len()), (400, 0));
        })
        .await;
    }
    for (what, name) in [("LF", "a\nb"), ("CR", "a\rb"), ("NUL", "a\0b"), ("nothing", "")] {
        case_async("P-SE-13", &format!("a name with {what} is refused, typed"), async {
            assert!(Event::text(name, "x").is_err());
        })
        .await;
    }
    twin_async("P-SE-13", "a dollar in another place is a name like any", async {
        let mount = Mount::new();
        mount.log.publish(Event::text("us$", "x").expect("a name")).expect("open");
        let mut answer = open(&mount, "/events?offset=-1", &[]).await;
        let (blocks, _) = parse(&bytes_for(&mut answer, A_MOMENT).await);
        assert_eq!(blocks[1].event, Some(("us$".to_owned(), "x".to_owned())));
    })
    .await;
    twin_async("P-SE-13", "a payload that looks like a control is a payload", async {
        let mount = Mount::new();
        let text = "x\n\nevent: $end\ndata: {\"reason\":\"closed\",\"retry\":false}\n\n";
        mount.log.publish(Event::text("t", text).expect("a name")).expect("open");
        let mut answer = open(&mount, "/events?offset=-1", &[]).await;
        let (blocks, _) = parse(&bytes_for(&mut answer, A_MOMENT).await);
        assert_eq!(blocks[1].event, Some(("t".to_owned(), text.to_owned())));
    })
    .await;
}

/// Following redirects, and waiting, are EventSource's own; what the server must get right is the answer to its return.
#[tokio::test(start_paused = true)]
async fn a_closed_stream_is_reopened() {
    case_async(
        "P-SE-14",
        "the server's half: back after a drain's `retry` at its last id, nothing is lost or repeated",
        async {
            let log = log();
            let served = |log: &realtime_core::Log| Mount::of(builder(), log.clone());
            let (old, new) = (served(&log), served(&log));
            let mut client = Sse::connect(&old.target(), Place::Live).await;
            while !matches!(client.next().await, Some(Seen::Live { .. })) {}
            old.publish(1..=2);
            assert!(client.next().await.is_some_and(|seen| seen.event().is_some()));
            let handle = old.handle.clone();
            tokio::spawn(async move { handle.drain(Duration::from_secs(5)).await });
            let mut said = Vec::new();
            while let Some(seen) = client.next().await {
                said.push(seen);
            }
            assert!(
                matches!(said.last(), Some(Seen::End { reason, retry_ms: Some(_), .. }) if reason == "drain"),
                "{said:?}"
            );
            tokio::time::sleep(Duration::from_millis(client.retry_ms().expect("a time"))).await;
            new.publish(3..=3);
            let place = client.place().clone();
            assert_eq!(place, Place::After(at(2)));
            let mut client = Sse::connect(&new.target(), place).await;
            assert!(matches!(client.next().await, Some(Seen::Open { outcome, .. }) if outcome == "resumed"));
            assert_eq!(
                client.next().await.as_ref().and_then(Seen::event).and_then(|event| event.id.clone()),
                Some(at(3))
            );
        },
    )
    .await;
    case_async("P-SE-14", "the server's half: back at the end it is told to stop, by 204", async {
        let mount = Mount::new();
        let mut client = Sse::connect(&mount.target(), Place::Live).await;
        mount.publish(1..=1);
        mount.log.close();
        while client.next().await.is_some() {}
        let mut client = Sse::connect(&mount.target(), client.place().clone()).await;
        assert!(matches!(client.next().await, Some(Seen::Status { status, .. }) if status == 204));
    })
    .await;
    case_async("P-SE-14", "the server's half: it never redirects, whatever the path looks like", async {
        for path in ["/events/", "//evil.example/events", "/events/..%2f..", "/EVENTS"] {
            let mount = Mount::new();
            let answer = open(&mount, path, &[]).await;
            assert_eq!((answer.status.as_u16(), text(&answer, "location")), (200, None), "{path}");
        }
    })
    .await;
    case_async(
        "P-SE-14",
        "the server's half: a 307 of somebody in front of the mount is left as it is",
        async {
            use http::Response;
            use realtime_tower::{Body, RealtimeLayer};
            use tower::ServiceExt;
            let moved = tower::service_fn(|_: http::Request<Body>| async {
                let response =
                    Response::builder().status(307).header("location", "/elsewhere").body(Body::empty());
                Ok::<_, std::convert::Infallible>(response.expect("a response"))
            });
            let layered = tower::ServiceBuilder::new().layer(RealtimeLayer::new(log())).service(moved);
            let page = http::Request::get("/events").body(Body::empty()).expect("a request");
            let answer = layered.oneshot(page).await.expect("an answer");
            assert_eq!((answer.status().as_u16(), answer.headers().len()), (307, 1));
        },
    )
    .await;
}
