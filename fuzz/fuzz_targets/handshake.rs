//! Handshakes through hyper: an answer that is none of our faults, a `101` only to a handshake that is whole, for the key that
//! tungstenite derives too, and nothing in it that was not asked for.
//!
//! Input: lines of headers that stand behind `GET /events HTTP/1.1`.

#![no_main]

use http::HeaderMap;
use libfuzzer_sys::{Corpus, fuzz_target};
use realtime_fuzz::{Input, Mount, request, run};
use realtime_tests::host::Host;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tungstenite::handshake::derive_accept_key;

fuzz_target!(|headers: &[u8]| -> Corpus {
    let head = [b"GET /events HTTP/1.1\n", headers].concat();
    let Some(parts) = request(&mut Input::new(&head)) else { return Corpus::Reject };
    let wire = on_the_wire(&parts.headers);
    let (status, answered) = run(answer(&wire));
    // 431 is hyper's, to more lines than it takes.
    assert!(matches!(status, 101 | 200 | 304 | 400..500), "{status}");
    if status == 101 {
        assert_begun(&parts.headers, &answered);
    }
    Corpus::Keep
});

fn on_the_wire(headers: &HeaderMap) -> Vec<u8> {
    let mut wire = b"GET /events?offset=-1&live=poll HTTP/1.1\r\n".to_vec();
    for (name, value) in headers {
        wire.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    wire.extend_from_slice(b"\r\n");
    wire
}

async fn answer(wire: &[u8]) -> (u16, HeaderMap) {
    let (mount, service) = Mount::new();
    let host = Host::new(service);
    let mut io = host.connect();
    io.write_all(wire).await.expect("the host reads");
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        assert!(io.read_buf(&mut read).await.expect("the host writes") > 0, "no answer: {read:?}");
    };
    drop(io);
    host.all_gone().await;
    mount.is_empty().await;
    let head = std::str::from_utf8(&read[..end]).expect("our heads are text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|first| first.split(' ').nth(1)).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| {
        (name.parse::<http::HeaderName>().expect("a name"), value.parse().expect("a value"))
    });
    (status.parse().expect("a number"), headers.collect())
}

/// Whom we let in has all that RFC 6455, section 4.2.1, asks for, and is answered for its own key.
fn assert_begun(asked: &HeaderMap, answered: &HeaderMap) {
    let only = |name: &str| {
        let mut lines = asked.get_all(name).iter();
        let line = lines.next().map(|line| line.as_bytes().trim_ascii());
        line.filter(|_| lines.next().is_none())
    };
    assert!(has_token(asked, "upgrade", b"websocket"), "no websocket in Upgrade");
    assert!(has_token(asked, "connection", b"upgrade"), "no upgrade in Connection");
    assert_eq!(only("sec-websocket-version"), Some(&b"13"[..]));
    let key = only("sec-websocket-key").expect("one key");
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    assert!(key.len() == 24 && key[..22].iter().all(is_base64) && key.ends_with(b"=="), "16 octets: {key:?}");
    assert_eq!(answered["sec-websocket-accept"], derive_accept_key(key));
    assert_eq!(answered["upgrade"], "websocket");
    assert!(!answered.contains_key("sec-websocket-extensions"), "nothing is extended");
    let chosen = answered.get("sec-websocket-protocol").map(|chosen| chosen.to_str().expect("text"));
    let offers = elements(asked, "sec-websocket-protocol");
    assert_eq!(chosen, offers.into_iter().any(|offer| offer == b"realtime.v1").then_some("realtime.v1"));
}

/// The elements of a list, over all its lines.
fn elements<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let lines = headers.get_all(name).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect()
}

fn has_token(headers: &HeaderMap, name: &str, token: &[u8]) -> bool {
    elements(headers, name).into_iter().any(|element| element.eq_ignore_ascii_case(token))
}
