//! A message of `realtime.v1`: what the handler hears is what was sent, a `ref` comes back as it was, and whatever was sent,
//! the next message is answered.
//!
//! Input: the message; where it is no text it is sent as a binary one.

#![no_main]

use http::Request;
use libfuzzer_sys::{Corpus, fuzz_target};
use realtime_core::Payload;
use realtime_fuzz::{Heard, Mount, run};
use realtime_tower::Body;
use realtime_tower::testing::{self, Message, Reply};
use serde_json::Value;

fuzz_target!(|message: &[u8]| -> Corpus {
    // Ours would be mistaken for it.
    if message.windows(LAST.len()).any(|part| part == LAST.as_bytes()) {
        return Corpus::Reject;
    }
    let (replies, heard) = run(said(message));
    match std::str::from_utf8(message) {
        Ok(text) => check(text, &replies, &heard),
        Err(_) => {
            let payload = Payload::Binary(message.to_vec().into());
            assert_eq!(heard, [Heard { name: "message".into(), payload }]);
        }
    }
    Corpus::Keep
});

/// The name of the message that is sent behind the fuzzer's.
const LAST: &str = "the last of them";

/// Sends it and then a good one; returns what was answered and heard up to there.
async fn said(message: &[u8]) -> (Vec<Reply>, Vec<Heard>) {
    let (mount, service) = Mount::new();
    let request = Request::get("/").body(Body::empty()).expect("a request");
    let mut socket = testing::web_socket(service, request).await.expect("a WebSocket");
    match std::str::from_utf8(message) {
        Ok(text) => socket.send_text(text).await,
        Err(_) => socket.send_binary(message).await,
    }
    .expect("it is sent");
    let last = socket.send(LAST, &()).await.expect("it is sent");
    let mut replies = Vec::new();
    loop {
        match socket.next().await.expect("a message that reads") {
            Some(Message::Reply(reply)) if is_last(&reply, &last) => break,
            Some(Message::Reply(reply)) => replies.push(reply),
            Some(Message::Open { .. } | Message::Live(_)) => {}
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(message)),
        }
    }
    drop(socket);
    mount.is_empty().await;
    let mut heard = mount.heard();
    assert_eq!(heard.pop().map(|heard| heard.name).as_deref(), Some(LAST));
    (replies, heard)
}

/// The handler answers with the name.
fn is_last(reply: &Reply, reference: &str) -> bool {
    reply.reference.as_deref() == Some(reference) && reply.answer.as_ref().is_ok_and(|name| name == LAST)
}

fn check(text: &str, replies: &[Reply], heard: &[Heard]) {
    assert!(replies.len() <= 1 && heard.len() <= 1, "{replies:?} {heard:?}");
    if heard.is_empty() {
        assert!(matches!(replies, [Reply { answer: Err((status, _)), .. }] if *status == 400), "{replies:?}");
    }
    // Another reader of the same text; one that looks deeper, and may give up where we need not look.
    let read = serde_json::from_str::<Value>(text);
    for Heard { name, payload } in heard {
        assert!(text.trim_start().starts_with('{'), "only an object is a message: {text}");
        assert!(!name.is_empty() && !name.starts_with('$'));
        let Ok(sent) = &read else { continue };
        assert_eq!(sent["event"].as_str().filter(|name| !name.is_empty()).unwrap_or("message"), name);
        let data: Value = serde_json::from_slice(payload.bytes()).expect("a part of JSON is JSON");
        assert_eq!(sent["data"], data);
        let is_asked = sent.get("ref").is_some_and(|reference| !reference.is_null());
        assert!(replies.len() == 1 || !is_asked, "{replies:?}");
    }
    if let (Ok(sent), [Reply { reference: Some(reference), .. }]) = (&read, replies) {
        let reference: Value = serde_json::from_str(reference).expect("a part of JSON is JSON");
        assert_eq!(sent["ref"], reference);
    }
}
