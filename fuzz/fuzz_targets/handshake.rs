//! Handshakes through hyper: an answer that is none of our faults, a `101` only to what tungstenite would begin too, and
//! nothing in it that was not asked for.
//!
//! Input: lines of headers that stand behind `GET /events HTTP/1.1`.

#![no_main]

use http::{HeaderMap, Request};
use libfuzzer_sys::{Corpus, fuzz_target};
use realtime_fuzz::{Input, Mount, request, run};
use realtime_tests::host::Host;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::server::create_response;

fuzz_target!(|headers: &[u8]| -> Corpus {
    let head = [b"GET /events HTTP/1.1\n", headers].concat();
    let Some(parts) = request(&mut Input::new(&head)) else { return Corpus::Reject };
    let wire = on_the_wire(&parts.headers);
    let (status, answered) = run(answer(&wire));
    // 431 is hyper's, to more lines than it takes.
    assert!(matches!(status, 101 | 200 | 304 | 400..500), "{status}");
    if status == 101 {
        assert_begun(parts.headers, &answered);
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

/// We are the stricter of two: whom we let in, tungstenite lets in, with the same key.
fn assert_begun(asked: HeaderMap, answered: &HeaderMap) {
    let offers: Vec<_> = asked.get_all("sec-websocket-protocol").iter().cloned().collect();
    let key = asked["sec-websocket-key"].as_bytes().trim_ascii().to_vec();
    let mut request = Request::get("/events").body(()).expect("a request");
    *request.headers_mut() = asked;
    // It wants `Connection` and its like in one line, where HTTP takes several.
    for name in ["connection", "upgrade"] {
        let joined = request.headers().get_all(name).iter().map(|line| line.as_bytes()).collect::<Vec<_>>();
        let joined = joined.join(&b", "[..]);
        request.headers_mut().insert(name, joined.try_into().expect("a value"));
    }
    // A line that has a byte beyond ASCII in it is none to tungstenite; to us each element of the list is for itself.
    let is_text = |name: &str| request.headers()[name].to_str().is_ok();
    // Bits that are left over in a key's last character are held against a client by tungstenite alone.
    let is_canonical = key.get(21).is_some_and(|last| b"AQgw".contains(last));
    if is_text("connection")
        && is_text("upgrade")
        && is_canonical
        && let Err(error) = create_response(&request)
    {
        panic!("tungstenite would not begin: {error}");
    }
    assert_eq!(answered["sec-websocket-accept"], derive_accept_key(&key));
    assert_eq!(answered["upgrade"], "websocket");
    assert!(!answered.contains_key("sec-websocket-extensions"), "nothing is extended");
    let chosen = answered.get("sec-websocket-protocol").map(|chosen| chosen.to_str().expect("text"));
    let is_offered = offers.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let is_offered = is_offered.map(<[u8]>::trim_ascii).any(|offer| offer == b"realtime.v1");
    assert_eq!(chosen, is_offered.then_some("realtime.v1"));
}
