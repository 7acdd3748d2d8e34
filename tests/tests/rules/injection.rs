//! what is put in by one and shown to another: to a page that takes an answer for a document, to whoever splits headers.
//! What a log file shows is in `tests/tests/secrets`, which alone listens to tracing.

use http::{HeaderMap, Method};
use realtime_core::{Event, Topic};
use realtime_tests::client::{Http, Place, Reader, Seen, Target, Transport};
use realtime_tests::rules::{case_async, twin_async};

use crate::mount::{Mount, ask, at};
use crate::raw::Lines;

/// What a page would run, or lose its way by.
const PAYLOADS: [&str; 6] = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\u{2028}\u{2029}",
    "\u{1B}[31m\u{9B}0m\u{202E}",
    "\r\n\r\nHTTP/1.1 200 OK",
    "]]>&lt;\0",
];

/// An event that has it, in an object: so that it is JSON by every transport.
fn said(payload: &str) -> Event {
    Event::json("said", &serde_json::json!({ "text": payload })).expect("JSON")
}

/// Types that no browser makes a document of which runs, once it may not guess.
const INERT: [&str; 4] =
    ["application/json", "application/x-ndjson", "text/event-stream", "application/problem+json"];

/// No answer may be taken for a page: its type is one of ours, and there is no guessing at it.
fn is_inert(headers: &HeaderMap, what: &str) {
    let text = |name| headers.get(name).map(|value| value.to_str().expect("our headers are text"));
    assert_eq!(text("x-content-type-options"), Some("nosniff"), "{what}");
    let media = text("content-type").and_then(|media| media.split(';').next()).map(str::trim);
    assert!(media.is_none_or(|media| INERT.contains(&media)), "{what}: {media:?}");
}

#[tokio::test(start_paused = true)]
async fn a_payload_is_given_as_it_is_and_never_as_a_page() {
    for payload in PAYLOADS {
        for transport in Transport::ALL {
            for http in Http::ALL {
                twin_async(
                    "A-14",
                    &format!("{payload:?} by {transport:?}, {http:?}: byte for byte"),
                    async {
                        let mount = Mount::new();
                        mount.log.publish(said(payload)).expect("open");
                        let target = Target { http, ..mount.target() };
                        let mut reader = Reader::connect(transport, &target, Place::Earliest).await;
                        let seen = reader.collect_until(|seen| seen.event().is_some()).await;
                        let data = &seen.last().and_then(Seen::event).expect("an event").data;
                        let data: serde_json::Value = serde_json::from_slice(data).expect("JSON");
                        assert_eq!(data, serde_json::json!({ "text": payload }));
                    },
                )
                .await;
            }
        }
        case_async("A-14", &format!("{payload:?}: no answer that has it can be taken for a page"), async {
            let mount = Mount::new();
            mount.log.publish(said(payload)).expect("open");
            for (what, headers) in [
                ("a page of JSON", &[][..]),
                ("lines", &[("accept", "application/x-ndjson")]),
                ("a long-poll", &[("prefer", "wait=5")]),
            ] {
                let answer = mount.get("/events?offset=-1", headers).await;
                assert_eq!(answer.status, 200, "{what}");
                is_inert(&answer.headers, what);
            }
            let stream = crate::sse::open(&mount, "/events?offset=-1", &[]).await;
            is_inert(&stream.headers, "a stream");
            let body = serde_json::Value::from(payload).to_string();
            for (path, status) in [("/events", 200), ("/events?event=refused", 429)] {
                let answer = mount.post(path, &[("content-type", "application/json")], body.clone()).await;
                assert_eq!(answer.status, status);
                is_inert(&answer.headers, path);
            }
        })
        .await;
    }
    case_async("A-14", "a browser that asks for a page is given none", async {
        let mount = Mount::new();
        let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let answer = mount.get("/events?offset=-1", &[("accept", accept)]).await;
        is_inert(&answer.headers, "a page");
        assert_eq!(mount.get("/events?offset=-1", &[("accept", "text/html")]).await.status, 406);
    })
    .await;
}

/// What stands in everything that is sent, beside what would split a header where it can be sent at all.
const MARK: &str = "r3fl3ct<b>";

fn has_mark(bytes: &[u8]) -> bool {
    let mark = MARK.as_bytes();
    bytes.windows(mark.len()).any(|at| at.eq_ignore_ascii_case(mark))
}

#[tokio::test(start_paused = true)]
async fn no_header_and_no_refusal_reflects_what_came_in() {
    let names = [
        "user-agent",
        "accept",
        "prefer",
        "if-none-match",
        "last-event-id",
        "idempotency-key",
        "content-type",
        "origin",
        "referer",
        "range",
        "x-forwarded-host",
        "access-control-request-headers",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
        "sec-websocket-version",
        "sec-websocket-key",
        "upgrade",
    ];
    for name in names {
        case_async("A-14", &format!("{name}: not in an answer, whatever it is"), async {
            for (value, http) in [MARK.to_owned(), format!("\"{MARK}\""), format!("{MARK}, x=\"{MARK}\"")]
                .into_iter()
                .flat_map(|value| Http::ALL.map(|http| (value.clone(), http)))
            {
                for method in [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS, Method::DELETE] {
                    let mount = Mount::new();
                    mount.publish(1..=1);
                    let target = Target { http, ..Target::new(mount.host.dialer(), "/events?offset=-1") };
                    let mut headers = vec![(name, value.as_bytes())];
                    if method == Method::POST && name != "content-type" {
                        headers.push(("content-type", b"application/json"));
                    }
                    let answer = ask(&target, method.clone(), &headers, "1").await;
                    for (key, said) in &answer.headers {
                        assert!(!has_mark(said.as_bytes()), "{name} by {method} in {key}: {said:?}");
                    }
                    assert!(!has_mark(&answer.body), "{name} by {method}: {:?}", answer.body);
                }
            }
            for offered in [format!("{MARK}, realtime.v1"), MARK.to_owned()] {
                let mount = Mount::new();
                let mut raw = mount.raw();
                let lines = Lines::v1("/events");
                let lines = if name == "sec-websocket-protocol" {
                    lines.with(name, offered)
                } else {
                    lines.with(name, MARK)
                };
                raw.send(lines.bytes()).await;
                let head = raw.head().await.expect("an answer");
                for (key, said) in &head.headers {
                    assert!(!has_mark(said.as_bytes()), "{name} of a handshake in {key}: {said:?}");
                }
                assert!(!has_mark(&raw.body(&head).await), "{name} of a handshake");
            }
        })
        .await;
    }
    for query in ["offset", "lastEventId", "event", "live", "x", "%0D%0Aset-cookie:%20r3fl3ct<b>"] {
        case_async(
            "A-14",
            &format!("{query} in the query: no header of it, and no line of its own"),
            async {
                for value in [
                    "r3fl3ct%3Cb%3E",
                    "%0D%0Ar3fl3ct%3Cb%3E:%201",
                    "%E5%98%8D%E5%98%8Ar3fl3ct%3Cb%3E:1",
                    "r3fl3ct<b>",
                ] {
                    for method in [Method::GET, Method::POST] {
                        let path = format!("/events?{query}={value}");
                        let mount = Mount::new();
                        let json: &[(&str, &[u8])] = &[("content-type", b"application/json")];
                        let mut raw = mount.raw();
                        let lines = Lines::get(&path).first(&format!("{method} {path} HTTP/1.1"));
                        let lines = lines.with(json[0].0, json[0].1).with("content-length", "1");
                        raw.send(lines.followed_by("1")).await;
                        let head = raw.head().await.expect("an answer");
                        for (key, said) in &head.headers {
                            let is_clean = !has_mark(key.as_str().as_bytes()) && !has_mark(said.as_bytes());
                            assert!(is_clean, "{method} {path}: {key}: {said:?}");
                        }
                        assert!(!head.headers.contains_key("set-cookie"), "{method} {path}");
                        assert!(!has_mark(&raw.body(&head).await), "{method} {path}");
                    }
                }
            },
        )
        .await;
    }
    twin_async("A-14", "the one thing given back is a place, which has a form", async {
        let mount = Mount::new();
        mount.publish(1..=2);
        let answer = mount.get("/events", &[("last-event-id", &at(2)), ("prefer", "wait=1")]).await;
        let given = (answer.text("stream-next-offset"), answer.text("preference-applied"));
        assert_eq!(given, (Some(at(2).as_str()), Some("wait=1")));
    })
    .await;
    case_async("A-14", "a topic that a page or a terminal would take for more is refused", async {
        for name in
            ["a\r\nset-cookie: b", "\u{1B}]0;b\u{7}", "\u{9B}31m", "a\u{202E}b", "a\u{200D}b", "\u{2066}b"]
        {
            assert!(Topic::new(name).is_err(), "{name:?}");
        }
    })
    .await;
}
