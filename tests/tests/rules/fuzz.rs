//! A-12 lite: requests drawn from what is dangerous, from a seed. None panics, none is a 5xx, none stays open.

use std::time::Duration;

use realtime_tests::rules::{case_async, twin_async};

use crate::mount::{Mount, at};
use crate::raw::Lines;

/// Draws one of them.
fn one<'a>(draw: &mut fastrand::Rng, of: &[&'a str]) -> &'a str {
    of[draw.usize(0..of.len())]
}

/// A value: one that is meant, or one broken from it, or bytes.
fn value(draw: &mut fastrand::Rng, good: &[&str]) -> Vec<u8> {
    let mut value = match draw.u8(0..8) {
        0 => (0..draw.usize(0..24)).map(|_| draw.u8(..)).collect(),
        1 => format!("{},{}", one(draw, good), one(draw, good)).into_bytes(),
        2 => format!("{};q=0.{}", one(draw, good), draw.u32(..)).into_bytes(),
        _ => one(draw, good).as_bytes().to_vec(),
    };
    if draw.u8(0..4) == 0 && !value.is_empty() {
        let at = draw.usize(0..value.len());
        match draw.u8(0..3) {
            0 => value[at] = draw.u8(..),
            1 => drop(value.remove(at)),
            _ => value.insert(at, one(draw, &[",", ";", "=", "\"", " ", "\t", "*", "%"]).as_bytes()[0]),
        }
    }
    // What would end the line is the host's to refuse, and is put to it elsewhere.
    value.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    value
}

fn request(draw: &mut fastrand::Rng) -> Vec<u8> {
    let (good, wide) = (at(2), at(u128::MAX));
    let cursors = [
        &good,
        &wide,
        "-1",
        "now",
        "last-3",
        "",
        "x",
        "8f3a61c0d2e94b17.",
        "1e9",
        "last-0",
        "%00",
        "%FF",
        "-1%0A",
    ];
    let mut query = String::new();
    for _ in 0..draw.usize(0..3) {
        let name = one(
            draw,
            &["offset", "lastEventId", "last_event_id", "live", "event", "x", "", "%00", "offset%00"],
        );
        let of = match name {
            "live" => &["sse", "poll", "long-poll", "websocket", "", "SSE", "%FF"][..],
            "event" => &["hello", "quiet", "refused", "$end", "", "%0A", "%FF"],
            _ => &cursors,
        };
        query += &format!("{}{name}={}", if query.is_empty() { '?' } else { '&' }, one(draw, of));
    }
    let method = one(draw, &["GET", "GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "POST", "PUT", "x"]);
    let mut lines =
        Lines::get("/").first(&format!("{method} /events{query} HTTP/1.{}", draw.u8(0..20).min(1)));
    let table: [(&str, &[&str]); 14] = [
        (
            "Accept",
            &["*/*", "application/json", "text/event-stream", "application/x-ndjson", "text/*", "image/png"],
        ),
        ("Prefer", &["wait=1", "wait=0", "wait=-1", "wait=99999999999999999999", "wait", "return=minimal"]),
        ("Last-Event-ID", &cursors),
        ("If-None-Match", &["*", "W/\"x\"", "\"", "W/", ""]),
        (
            "Origin",
            &["http://realtime.test", "null", "https://evil.example", "http://[::1", "://", "http://a@b"],
        ),
        ("Cookie", &["a=b"]),
        ("Content-Type", &["application/json", "text/plain", "application/", "/", "application/json;x"]),
        ("Upgrade", &["websocket", "h2c", "WebSocket", ""]),
        ("Connection", &["upgrade", "keep-alive", "close", "keep-alive, Upgrade"]),
        ("Sec-WebSocket-Version", &["13", "8", ""]),
        ("Sec-WebSocket-Key", &["AAAAAAAAAAAAAAAAAAAAAA==", "x", ""]),
        ("Sec-WebSocket-Protocol", &["realtime.v1", "x", ",", ""]),
        ("Sec-WebSocket-Extensions", &["permessage-deflate", "x; y", ";", "x; y=\"z"]),
        ("Host", &["realtime.test", "", "a b", "[::1]:9", "x:99999"]),
    ];
    let upgrades = draw.u8(0..3) == 0;
    for (name, good) in table {
        let is_websocket = name.starts_with("Sec-") || matches!(name, "Upgrade" | "Connection");
        let odds = if is_websocket && upgrades { 1 } else { 4 };
        for _ in 0..usize::from(draw.u8(0..odds) == 0) + usize::from(draw.u8(0..32) == 0) {
            // Most of an upgrade is whole, or nothing would get past the handshake.
            let value = if is_websocket && draw.u8(0..8) > 0 { good[0].into() } else { value(draw, good) };
            lines = if name == "Host" { lines.with(name, value) } else { lines.and(name, value) };
        }
    }
    let body: &[u8] = match draw.u8(0..4) {
        0 => b"1",
        1 => b"{\"a\":[1,2,",
        2 => b"\xFF\xFE",
        _ => b"",
    };
    if method == "POST" || draw.u8(0..16) == 0 {
        lines = lines.with("Content-Length", body.len().to_string());
        return lines.followed_by(body);
    }
    lines.bytes()
}

#[tokio::test(start_paused = true)]
async fn drawn_requests_get_an_answer_below_500() {
    const REQUESTS: usize = 10_000;
    case_async("A-12", "10,000 drawn requests", async {
        let mount = Mount::new();
        mount.publish(1..=5);
        let mut draw = fastrand::Rng::with_seed(0xA12);
        let mut counts = std::collections::BTreeMap::<u16, usize>::new();
        for n in 0..REQUESTS {
            let bytes = request(&mut draw);
            let mut raw = mount.raw();
            raw.send(&bytes).await;
            let Some(head) = raw.head().await else {
                panic!("{n}: no answer to {:?}", String::from_utf8_lossy(&bytes))
            };
            assert!(head.status < 500, "{n}: {} to {:?}", head.status, String::from_utf8_lossy(&bytes));
            *counts.entry(head.status).or_default() += 1;
        }
        mount.host.all_gone().await;
        assert_eq!(mount.readers(), 0);
        // What is drawn must get everywhere, or it shows nothing.
        for status in [101, 200, 204, 304, 400, 403, 405, 406, 415, 426] {
            assert!(counts.contains_key(&status), "{status} was never answered: {counts:?}");
        }
    })
    .await;
    twin_async("A-12", "and then a plain request", async {
        let mount = Mount::new();
        mount.publish(1..=5);
        let answer = mount.get("/events?offset=last-2", &[]).await;
        assert_eq!(answer.json()["events"].as_array().map(Vec::len), Some(2));
    })
    .await;
}

/// Cursors alone, near to good ones: 400 or a page, never anything else.
#[tokio::test(start_paused = true)]
async fn drawn_cursors_are_a_page_or_400() {
    case_async("A-12", "3,000 drawn cursors", async {
        let mount = Mount::new();
        mount.publish(1..=5);
        let mut draw = fastrand::Rng::with_seed(0xC0DE);
        let (mut pages, mut refused) = (0, 0);
        for _ in 0..3_000 {
            let mut text = at(draw.u128(..) >> draw.u32(0..128)).into_bytes();
            for _ in 0..draw.usize(0..3) {
                let place = draw.usize(0..text.len());
                text[place] = one(&mut draw, &["0", "f", "F", "g", ".", "~", "-", "_"]).as_bytes()[0];
            }
            let text = String::from_utf8(text).expect("ASCII");
            let path = format!("/events?offset={text}");
            let answer = tokio::time::timeout(Duration::from_secs(1), mount.get(&path, &[]));
            let answer = answer.await.expect("no wait");
            match answer.status {
                200 => {
                    let page = answer.json();
                    let is_ours = text.starts_with("8f3a61c0d2e94b17.000000000000000") && text < at(6);
                    assert!(page.get("gap").is_some() || is_ours, "{text}: {page}");
                    pages += 1;
                }
                400 => refused += 1,
                other => panic!("{text}: {other}"),
            }
        }
        assert!(pages > 100 && refused > 100, "{pages} {refused}");
    })
    .await;
}
