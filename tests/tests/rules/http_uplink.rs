//! P-HT-06 and A-20: messages by POST, and what is told to come back.

use std::time::Duration;

use realtime_core::SourceExt;
use realtime_tests::host::Protocol;
use realtime_tests::rules::{case_async, twin_async};
use realtime_tower::Config;

use crate::mount::{Heard, Mount};
use crate::raw::{Lines, Raw};
use crate::sse::Late;
use crate::ws_close::Away;

const JSON: (&str, &str) = ("content-type", "application/json");
const LIMIT: usize = 64 * 1024;

/// JSON of exactly this many bytes.
fn json_of(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

#[tokio::test(start_paused = true)]
async fn too_much_is_413() {
    case_async("P-HT-06", "a body over the limit, announced: refused by its head", async {
        let mount = Mount::new();
        let mut raw = mount.raw();
        let lines = Lines::of("POST /events HTTP/1.1").with("Host", "realtime.test").with(JSON.0, JSON.1);
        raw.send(lines.with("Content-Length", (LIMIT + 1).to_string()).bytes()).await;
        assert_eq!(raw.head().await.map(|head| head.status), Some(413), "not a byte of the body was sent");
        assert_eq!((mount.heard().len(), mount.made()), (0, 0));
    })
    .await;
    case_async("P-HT-06", "a body over the limit, in chunks: refused where it passes it", async {
        let mount = Mount::new();
        let mut raw = mount.raw();
        let lines = Lines::of("POST /events HTTP/1.1").with("Host", "realtime.test").with(JSON.0, JSON.1);
        raw.send(lines.with("Transfer-Encoding", "chunked").bytes()).await;
        for _ in 0..65 {
            raw.send([b"400\r\n", &[b'1'; 1024][..], b"\r\n"].concat()).await;
        }
        assert_eq!(raw.head().await.map(|head| head.status), Some(413), "its end was never sent");
        assert_eq!(mount.heard().len(), 0);
    })
    .await;
    case_async("P-HT-06", "a limit of the mount's own", async {
        let mount = Mount::with(Config { message_bytes_max: 10, ..Config::default() });
        assert_eq!(mount.post("/events", &[JSON], json_of(11)).await.status, 413);
        assert_eq!(mount.post("/events", &[JSON], json_of(10)).await.status, 200);
    })
    .await;
    twin_async("P-HT-06", "a body of just the limit", async {
        let mount = Mount::new();
        let sent = mount.post("/events", &[JSON], json_of(LIMIT)).await;
        assert_eq!((sent.status, sent.body.len(), mount.heard().len()), (200, LIMIT, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_type_is_415() {
    for (what, media) in [
        ("no type", &[][..]),
        ("text/plain, as a form of another site sends it", &["text/plain"]),
        ("a form", &["application/x-www-form-urlencoded"]),
        ("a form of files", &["multipart/form-data; boundary=x"]),
        ("JSON behind text/plain", &["text/plain; application/json"]),
        ("JSON in a parameter", &["text/plain;charset=application/json"]),
        ("text/json", &["text/json"]),
        ("a list of types", &["application/json, text/plain"]),
        ("an octet stream", &["application/octet-stream"]),
        ("an empty type", &[""]),
        ("two types", &["application/json", "text/plain"]),
        ("two types, the other first", &["text/plain", "application/json"]),
    ] {
        for rule in ["A-20", "P-HT-06"] {
            case_async(rule, &format!("{what} is 415"), async {
                let mount = Mount::new();
                let headers: Vec<_> = media.iter().map(|media| ("content-type", *media)).collect();
                let sent = mount.post("/events", &headers, "{\"a\":1}").await;
                assert_eq!((sent.status, mount.made(), mount.heard().len()), (415, 0, 0), "{what}");
            })
            .await;
        }
    }
    for media in
        ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"]
    {
        twin_async("A-20", media, async {
            let mount = Mount::new();
            let sent = mount.post("/events?event=hello", &[("content-type", media)], " {\"a\":1}\n").await;
            assert_eq!((sent.status, &sent.body[..]), (200, &b"{\"a\":1}"[..]));
            assert_eq!(mount.heard(), [Heard { name: "hello".to_owned(), payload: "{\"a\":1}".into() }]);
        })
        .await;
    }
    for (what, body) in [
        ("no body", ""),
        ("a body of spaces", "  "),
        ("no JSON", "{"),
        ("two values", "1 2"),
        ("JSON and a NUL", "1\0"),
        ("a number that is none", "01"),
        ("one byte that is no UTF-8", "\"\u{FFFD}"),
        ("ten thousand brackets that do not close", &"[".repeat(10_000)),
    ] {
        case_async("P-HT-06", &format!("{what} is 400, and has no effect"), async {
            let mount = Mount::new();
            assert_eq!(
                (mount.post("/events", &[JSON], body.to_owned()).await.status, mount.heard().len()),
                (400, 0)
            );
        })
        .await;
    }
    case_async("P-HT-06", "JSON strings of bytes that are no UTF-8 are 400", async {
        let mount = Mount::new();
        assert_eq!(mount.post("/events", &[JSON], &b"\"\xFF\""[..]).await.status, 400);
    })
    .await;
    twin_async(
        "P-HT-06",
        "thirty thousand brackets that do close reach the handler or are refused, and nothing falls",
        async {
            let mount = Mount::new();
            let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
            assert!([200, 400, 422].contains(&mount.post("/events", &[JSON], deep).await.status));
            assert_eq!(mount.post("/events", &[JSON], "1").await.status, 200);
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_is_answered() {
    for (what, path, status, body) in [
        ("the reply, as JSON", "/events", 200, "{\"a\":1}"),
        ("204 where there is none", "/events?event=quiet", 204, ""),
        (
            "the handler's own refusal",
            "/events?event=refused",
            429,
            r#"{"status":429,"title":"one a second, please"}"#,
        ),
        ("an empty name is the default one", "/events?event=", 200, "{\"a\":1}"),
    ] {
        twin_async("P-HT-06", what, async {
            let mount = Mount::new();
            let sent = mount.post(path, &[JSON], "{\"a\":1}").await;
            let same = sent.body == body
                || (!body.is_empty()
                    && sent.json() == serde_json::from_str::<serde_json::Value>(body).expect("JSON"));
            assert!(sent.status == status && same, "{sent:?}");
            assert_eq!(mount.heard().len(), 1);
        })
        .await;
    }
    for (what, name) in [
        ("129 bytes", "x".repeat(129)),
        ("a control character", "a%00b".into()),
        ("a line end", "a%0Ab".into()),
        ("a leading $", "$end".into()),
    ] {
        case_async("P-HT-06", &format!("a name with {what} is 400"), async {
            let mount = Mount::new();
            let sent = mount.post(&format!("/events?event={name}"), &[JSON], "1").await;
            assert_eq!((sent.status, mount.heard().len()), (400, 0));
        })
        .await;
    }
    case_async("P-HT-06", "a body that takes longer than it may is 408, and has no effect (A-03)", async {
        let mount = Mount::new();
        let mut raw = mount.raw();
        let lines = Lines::of("POST /events HTTP/1.1").with("Host", "realtime.test").with(JSON.0, JSON.1);
        raw.send(lines.with("Content-Length", "100").bytes()).await;
        let start = tokio::time::Instant::now();
        let drip = async {
            for _ in 0..99 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                raw.send("1").await;
            }
        };
        tokio::select! {
            () = drip => panic!("the body has a deadline in all"),
            () = async {
                while mount.host.open() > 0 && start.elapsed() < Duration::from_secs(11) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            } => {}
        }
        assert_eq!((raw.head().await.map(|head| head.status), mount.heard().len()), (Some(408), 0));
    })
    .await;
    case_async("P-HT-06", "a body that breaks off has no effect", async {
        let mount = Mount::new();
        let mut raw = mount.raw();
        let lines = Lines::of("POST /events HTTP/1.1").with("Host", "realtime.test").with(JSON.0, JSON.1);
        raw.send(lines.with("Content-Length", "10").followed_by("123")).await;
        raw.half_close().await;
        if let Some(head) = raw.head().await {
            assert_eq!(head.status, 400);
        }
        assert_eq!(mount.heard().len(), 0);
    })
    .await;
}

/// `Retry-After` of an answer, in seconds.
fn retry_after(answer: &crate::mount::Answered) -> u64 {
    let text = answer.text("retry-after").expect("Retry-After");
    assert!(text.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    text.parse().expect("seconds")
}

#[tokio::test(start_paused = true)]
async fn who_is_kept_away_is_told_when_to_come_back() {
    let polls = [&[][..], &[("prefer", "wait=5")], &[("accept", "application/x-ndjson")]];
    case_async("P-HT-06", "no room: 503 and seconds, by poll and long-poll", async {
        let mount = Mount::with(Config { readers_max: 0, ..Config::default() });
        for headers in polls {
            let answer = mount.get("/events", headers).await;
            assert_eq!((answer.status, answer.text("stream-next-offset")), (503, None));
            assert!((1..=3).contains(&retry_after(&answer)));
        }
        assert_eq!(mount.made(), 0);
    })
    .await;
    case_async("P-HT-06", "a source away, and one that is slow to open", async {
        for source in [Away.boxed(), Late(Duration::from_secs(5)).boxed()] {
            let mount = Mount::over(source, Config::default());
            for headers in polls {
                let start = tokio::time::Instant::now();
                let answer = mount.get("/events", headers).await;
                assert_eq!(answer.status, 503);
                assert!(retry_after(&answer) >= 1 && start.elapsed() <= Duration::from_secs(2));
            }
            assert_eq!(mount.readers(), 0);
        }
    })
    .await;
    case_async("P-HT-06", "a mount that drains", async {
        let mount = Mount::new();
        mount.handle.drain(Duration::from_secs(1)).await;
        assert_eq!(mount.get("/events", &[]).await.status, 503);
    })
    .await;
    case_async("P-HT-06", "jittered per answer", async {
        let mount =
            Mount::with(Config { readers_max: 0, retry: Duration::from_secs(60), ..Config::default() });
        let mut waits = Vec::new();
        for _ in 0..64 {
            waits.push(retry_after(&mount.get("/events", &[]).await));
        }
        assert!(waits.iter().all(|wait| (45..=75).contains(wait)), "{waits:?}");
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 8, "{waits:?}");
    })
    .await;
    twin_async("P-HT-06", "who comes back finds its place", async {
        let mount = Mount::with(Config { readers_max: 1, ..Config::default() });
        mount.publish(1..=2);
        let held = crate::sse::open(&mount, "/events", &[]).await;
        let path = format!("/events?offset={}", crate::mount::at(1));
        assert_eq!(mount.get(&path, &[]).await.status, 503);
        drop(held);
        mount.host.all_gone().await;
        let answer = mount.get(&path, &[]).await;
        assert_eq!(answer.json()["events"][0]["id"], crate::mount::at(2));
    })
    .await;
    case_async("P-HT-06", "a head that is too large is hyper's 431, a URI that is too long its 414", async {
        let mount = Mount::new();
        let h1 = realtime_tests::host::Host::with(
            Protocol::Http1,
            realtime_tower::Realtime::new(mount.log.clone()),
        );
        for (lines, status) in [
            (Lines::get("/events").with("x", "y".repeat(1 << 20)), 431),
            (Lines::get(&format!("/events?x={}", "y".repeat(66_000))), 414),
            (Lines::get("/events?offset=-1").with("x", "y".repeat(10_000)), 200),
        ] {
            let mut raw = Raw::over(h1.connect());
            raw.send(lines.bytes()).await;
            assert_eq!(raw.head().await.map(|head| head.status), Some(status));
        }
    })
    .await;
}
