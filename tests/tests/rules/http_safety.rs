//! P-HT-07 to 10: hostile values, smuggling, layers around a stream, and what a refusal says.

use std::time::Duration;

use http::Method;
use realtime_core::SourceExt;
use realtime_tests::client::http::Answer;
use realtime_tests::client::{Place, Target};
use realtime_tests::host::{Host, Protocol};
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::{Config, Realtime};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use tower_http::timeout::{ResponseBodyTimeoutLayer, TimeoutLayer};

use crate::mount::{Mount, log, tick};
use crate::raw::{Lines, frame};
use crate::sse::{bytes_for, parse};

/// The headers that somebody here reads.
const READ: [&str; 18] = [
    "accept",
    "connection",
    "content-type",
    "cookie",
    "if-none-match",
    "last-event-id",
    "origin",
    "prefer",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "upgrade",
    "x-forwarded-host",
    "host",
    "idempotency-key",
    "access-control-request-method",
    "sec-fetch-site",
];

#[tokio::test(start_paused = true)]
async fn a_header_value_never_panics() {
    for name in READ {
        case_async("P-HT-07", &format!("bytes above 0x7F in {name}, on every way of asking"), async {
            for value in [&b"\xFF"[..], b"\x80\xFF\xFE", b"caf\xE9", b"wait=\xB2", b"W/\"\xA0\"", b"\xC3\xA4"]
            {
                for lines in [
                    Lines::get("/events?offset=-1"),
                    Lines::get("/events?offset=-1").with("accept", "text/event-stream"),
                    Lines::get("/events?offset=-1").with("prefer", "wait=1"),
                    Lines::v1("/events?offset=-1"),
                    Lines::get("/events")
                        .first("POST /events HTTP/1.1")
                        .with("content-type", "application/json")
                        .with("content-length", "1"),
                    Lines::get("/events").first("OPTIONS /events HTTP/1.1"),
                    Lines::get("/events").first("HEAD /events HTTP/1.1"),
                ] {
                    let mount = Mount::new();
                    mount.publish(1..=1);
                    let mut raw = mount.raw();
                    raw.send(lines.with(name, value).followed_by("1")).await;
                    let head = raw.head().await.expect("an answer");
                    assert!(head.status < 500, "{name}: {value:?} is {}", head.status);
                    for (_, value) in &head.headers {
                        assert!(value.as_bytes().is_ascii(), "nothing comes back: {head:?}");
                    }
                }
            }
        })
        .await;
    }
    twin_async("P-HT-07", "the same in a header that nobody reads", async {
        let answer = Mount::new().ask(Method::GET, "/events", &[("x-name", b"caf\xE9")]).await;
        assert_eq!(answer.status, 200);
    })
    .await;
    case_async("P-HT-07", "CR, LF and NUL of a topic, a name or a cursor reach no value of ours", async {
        for text in ["a%0D%0AX-Injected:%20yes", "a%00", "%0A", "%0D"] {
            let mount = Mount::new();
            for path in [
                format!("/events?offset={text}"),
                format!("/events?live={text}"),
                format!("/events?x={text}"),
            ] {
                let answer = mount.get(&path, &[]).await;
                assert!(answer.status < 500 && answer.text("x-injected").is_none(), "{path}");
            }
            let sent = mount
                .post(&format!("/events?event={text}"), &[("content-type", "application/json")], "1")
                .await;
            assert_eq!((sent.status, sent.text("x-injected")), (400, None));
        }
    })
    .await;
    case_async("P-HT-07", "percent signs that are no encoding, and encodings that are no UTF-8", async {
        for query in
            ["offset=%", "offset=%zz", "offset=%FF%FE", "live=%C0%80", "=", "&&&", "offset", "live", "%"]
        {
            let answer = Mount::new().get(&format!("/events?{query}"), &[]).await;
            assert!(answer.status < 500, "{query}");
        }
    })
    .await;
}

/// What answers come back for these bytes, until the connection ends or rests.
async fn answers(bytes: impl AsRef<[u8]>) -> (Vec<u16>, bool, usize) {
    let mount = Mount::new();
    let mut raw = mount.raw();
    raw.send(bytes).await;
    let all = raw.for_a_while(Duration::from_secs(5)).await;
    let text = String::from_utf8_lossy(&all).into_owned();
    let statuses =
        text.match_indices("HTTP/1.").filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok()).collect();
    (statuses, mount.host.open() == 0, mount.heard().len())
}

/// hyper's work: kept here so that an update that lets one through is seen.
#[tokio::test(start_paused = true)]
async fn smuggling_ends_in_400_and_close() {
    let post = "POST /events HTTP/1.1\r\nHost: realtime.test\r\nContent-Type: application/json\r\n";
    let smuggled = "GET /events?offset=-1 HTTP/1.1\r\nHost: realtime.test\r\n\r\n";
    for (what, bytes) in [
        (
            "two lengths that differ",
            format!("{post}Content-Length: 1\r\nContent-Length: 5\r\n\r\n1{smuggled}"),
        ),
        ("a length in a list that differs", format!("{post}Content-Length: 1, 5\r\n\r\n1{smuggled}")),
        ("a length with a sign", format!("{post}Content-Length: +1\r\n\r\n1{smuggled}")),
        (
            "a coding that is not chunked",
            format!("{post}Transfer-Encoding: xchunked\r\n\r\n1\r\n1\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "chunked, but not last",
            format!("{post}Transfer-Encoding: chunked, gzip\r\n\r\n1\r\n1\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a coding over HTTP/1.0",
            format!("{}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}", post.replace("/1.1", "/1.0")),
        ),
        ("a folded line", format!("{post}X-Fold: a\r\n b\r\nContent-Length: 1\r\n\r\n1{smuggled}")),
        ("a space before the colon", format!("{post}Content-Length : 1\r\n\r\n1{smuggled}")),
        ("a bare CR in a value", format!("{post}X: a\rb\r\nContent-Length: 1\r\n\r\n1{smuggled}")),
        ("a NUL in a value", format!("{post}X: a\0b\r\nContent-Length: 1\r\n\r\n1{smuggled}")),
    ] {
        case_async("P-HT-08", what, async {
            let (statuses, closed, heard) = answers(bytes).await;
            assert_eq!((statuses.as_slice(), closed, heard), (&[400][..], true, 0), "{what}");
        })
        .await;
    }
    case_async("P-HT-08", "a length beside a coding: the coding alone counts, and the connection ends behind it (RFC 9112, section 6.1)", async {
        let both = format!("{post}Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n{smuggled}");
        let (statuses, closed, heard) = answers(both).await;
        assert_eq!((statuses.as_slice(), closed, heard), (&[200][..], true, 1));
    })
    .await;
    case_async("P-HT-08", "bare LFs for line ends: each request is seen once, or none", async {
        let (statuses, closed, _) = answers("GET /events HTTP/1.1\nHost: realtime.test\n\n").await;
        assert!(statuses == [200] || (statuses == [400] && closed), "{statuses:?}");
    })
    .await;
    twin_async("P-HT-08", "a message and a request behind it", async {
        let (statuses, closed, heard) = answers(format!("{post}Content-Length: 1\r\n\r\n1{smuggled}")).await;
        assert_eq!((statuses.as_slice(), closed, heard), (&[200, 200][..], false, 1));
    })
    .await;
    twin_async("P-HT-08", "a message in chunks and a request behind it", async {
        let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n{smuggled}");
        let (statuses, closed, heard) = answers(chunked).await;
        assert_eq!((statuses.as_slice(), closed, heard), (&[200, 200][..], false, 1));
    })
    .await;
}

/// Opens a stream of a host, asking for compression.
async fn stream(host: &Host, accept: &str) -> Answer {
    let target = Target::new(host.dialer(), "/events?offset=-1");
    let request = target
        .request(Method::GET, &Place::Default)
        .header("accept", accept)
        .header("accept-encoding", "gzip");
    target.send(request, "").await.expect("an answer")
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_never_transformed() {
    case_async("P-HT-09", "under CompressionLayer by its default predicate the stream is as it was", async {
        let log = log();
        let service =
            ServiceBuilder::new().layer(CompressionLayer::new()).service(Realtime::new(log.clone()));
        let mut answer = stream(&Host::with(Protocol::Auto, service), "text/event-stream").await;
        assert_eq!(
            (answer.header("content-encoding"), answer.header("cache-control")),
            (None, Some("no-store, no-transform"))
        );
        for n in 1..=3 {
            log.publish(tick(n)).expect("open");
            let (blocks, _) = parse(&bytes_for(&mut answer, Duration::from_millis(100)).await);
            assert!(
                blocks.iter().any(|block| block.event.as_ref().is_some_and(|(name, _)| name == "tick")),
                "{n}"
            );
        }
    })
    .await;
    case_async(
        "P-HT-09",
        "under CompressionLayer by a predicate that takes all, every event still leaves at once",
        async {
            let log = log();
            let layer = CompressionLayer::new().compress_when(SizeAbove::new(0));
            let service = ServiceBuilder::new().layer(layer).service(Realtime::new(log.clone()));
            let mut answer = stream(&Host::with(Protocol::Auto, service), "text/event-stream").await;
            assert!(answer.header("cache-control").is_some_and(|value| value.contains("no-transform")));
            let is_compressed = answer.header("content-encoding").is_some();
            bytes_for(&mut answer, Duration::from_millis(100)).await;
            for n in 1..=3 {
                log.publish(tick(n)).expect("open");
                let bytes = bytes_for(&mut answer, Duration::from_millis(100)).await;
                assert!(!bytes.is_empty(), "event {n} was held back; compressed: {is_compressed}");
            }
        },
    )
    .await;
    case_async("P-HT-09", "a page may be compressed, and keeps its headers", async {
        let log = log();
        let service =
            ServiceBuilder::new().layer(CompressionLayer::new()).service(Realtime::new(log.clone()));
        for n in 1..=100 {
            log.publish(tick(n)).expect("open");
        }
        let answer = stream(&Host::with(Protocol::Auto, service), "application/json").await;
        assert_eq!((answer.status.as_u16(), answer.header("content-encoding")), (200, Some("gzip")));
        assert!(
            answer.header("stream-next-offset").is_some()
                && answer.header("etag").is_some_and(|tag| tag.starts_with("W/"))
        );
    })
    .await;
    case_async("P-HT-09", "TimeoutLayer cuts no stream, and a long-poll that waits longer than it", async {
        let log = log();
        let layer =
            TimeoutLayer::with_status_code(http::StatusCode::REQUEST_TIMEOUT, Duration::from_secs(10));
        let host = Host::with(
            Protocol::Auto,
            ServiceBuilder::new().layer(layer).service(Realtime::new(log.clone())),
        );
        let mut answer = stream(&host, "text/event-stream").await;
        assert!(!bytes_for(&mut answer, Duration::from_secs(60)).await.is_empty());
        log.publish(tick(1)).expect("open");
        assert!(answer.piece().await.expect("no cut").is_some());
        let target = Target::new(host.dialer(), "/events");
        for (wait, status) in [("wait=9", 204), ("wait=20", 408)] {
            let answer = crate::mount::ask(&target, Method::GET, &[("prefer", wait.as_bytes())], "").await;
            assert_eq!(answer.status, status, "{wait}");
        }
    })
    .await;
    case_async("P-HT-09", "a body time-out above the heartbeat cuts no stream, however quiet", async {
        let layer = ResponseBodyTimeoutLayer::new(Duration::from_secs(20));
        let host =
            Host::with(Protocol::Auto, ServiceBuilder::new().layer(layer).service(Realtime::new(log())));
        let mut answer = stream(&host, "text/event-stream").await;
        assert!(!bytes_for(&mut answer, Duration::from_secs(600)).await.is_empty(), "and no cut");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_problem_is_static_text() {
    const MARK: &str = "cAnArY7";
    let marked = |name: &'static str| (name, MARK);
    for (what, method, path, headers) in [
        ("a bad cursor", Method::GET, format!("/{MARK}?offset={MARK}"), vec![]),
        ("a bad cursor in a header", Method::GET, "/events".into(), vec![marked("last-event-id")]),
        ("two cursors", Method::GET, format!("/events?offset={MARK}&offset={MARK}"), vec![]),
        ("nothing acceptable", Method::GET, format!("/events?live={MARK}"), vec![("accept", "x/cAnArY7")]),
        (
            "a wrong method",
            Method::from_bytes(MARK.as_bytes()).expect("a method"),
            format!("/{MARK}"),
            vec![],
        ),
        ("another type", Method::POST, format!("/events?event={MARK}"), vec![("content-type", "x/cAnArY7")]),
        ("no JSON", Method::POST, "/events".into(), vec![("content-type", "application/json")]),
        (
            "a name that is none",
            Method::POST,
            format!("/events?event=${MARK}"),
            vec![("content-type", "application/json")],
        ),
        (
            "a foreign origin",
            Method::POST,
            "/events".into(),
            vec![("origin", "https://cAnArY7.example"), ("content-type", "application/json")],
        ),
        (
            "a broken handshake",
            Method::GET,
            "/events".into(),
            vec![("upgrade", "websocket"), marked("sec-websocket-key")],
        ),
        (
            "another version",
            Method::GET,
            "/events".into(),
            vec![
                ("upgrade", "websocket"),
                ("connection", "upgrade"),
                marked("sec-websocket-version"),
                ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ],
        ),
    ] {
        case_async("P-HT-10", what, async {
            let mount = Mount::new();
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            let answer =
                crate::mount::ask(&Target::new(mount.host.dialer(), path), method, &headers, MARK).await;
            assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
            assert_eq!(answer.media(), Some("application/problem+json"), "{what}");
            assert_eq!(answer.json()["status"], answer.status, "{what}");
            let all = format!("{:?} {:?}", answer.headers, answer.body).to_ascii_lowercase();
            assert!(!all.contains(&MARK.to_ascii_lowercase()), "{what}: {all}");
            for inside in ["realtime", "src/", "panicked", "serde", "hyper", "tokio", ".rs"] {
                assert!(
                    !answer.body.windows(inside.len()).any(|at| at == inside.as_bytes()),
                    "{what} tells of {inside}"
                );
            }
        })
        .await;
    }
    case_async("P-HT-10", "what a source says when it fails stays with us", async {
        let mount = Mount::over(
            crate::ws_close::Ends(Some(realtime_core::SourceErrorKind::Failed)).boxed(),
            Config::default(),
        );
        for headers in [&[][..], &[("prefer", "wait=5")], &[("accept", "text/event-stream")]] {
            let answer = mount.get("/events", headers).await;
            let all = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!all.contains("the wire was cut"), "{all}");
        }
    })
    .await;
    case_async("P-HT-10", "a name beyond its bound in a path is 400 and comes back in nothing", async {
        let mount = Mount::over(log().topic("x".repeat(200)).boxed(), Config::default());
        let answer = mount.get("/events", &[]).await;
        assert_eq!(answer.status, 400);
        assert!(!answer.body.windows(8).any(|at| at == b"xxxxxxxx"));
    })
    .await;
    case_async("P-HT-10", "a message that is no envelope is told so in our words", async {
        let mount = Mount::new();
        let mut raw = crate::ws_frames::Mode::V1.open(&mount).await;
        raw.send(frame(0x81, format!("{{\"{MARK}"))).await;
        let reply = raw.frame().await.expect("a reply");
        assert!(reply.text().contains("\"status\":400") && !reply.text().contains(MARK), "{reply:?}");
    })
    .await;
}
