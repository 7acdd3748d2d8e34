//! Messages up: what a client may send, in which order it is answered, and how.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use http::StatusCode;
use proptest::prelude::*;
use realtime_core::Payload;
use tokio::sync::oneshot;

use crate::uplink::{
    Inbound, IntoReply, NoUplink, Reply, Uplink, UplinkError, WAITING_BYTES_MAX, WAITING_MAX, uplink_fn,
};
use crate::ws::messages::{Messages, Mode};

/// Says back what it was sent: name and payload.
fn echo() -> impl Uplink {
    uplink_fn(|message: Inbound| async move {
        let payload = String::from_utf8_lossy(message.payload().bytes()).into_owned();
        serde_json::json!([message.name(), payload])
    })
}

fn messages<U: Uplink>(uplink: U, mode: Mode) -> Messages<U> {
    Messages::new(uplink, None, mode)
}

/// The payload of a frame, and whether it is binary.
fn payload(mut frame: Bytes) -> (bool, Bytes) {
    let is_binary = frame[0] & 0x0f == 2;
    let length = frame[1];
    frame.advance(match length {
        126 => 4,
        127 => 10,
        _ => 2,
    });
    (is_binary, frame)
}

/// What is answered to one message.
fn answer<U: Uplink>(messages: &mut Messages<U>, sent: Payload) -> Option<String> {
    messages.push(sent);
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(reply) = messages.poll_reply(&mut cx) else { panic!("a ready handler answers at once") };
    reply.map(|frame| String::from_utf8_lossy(&payload(frame).1).into_owned())
}

fn text(text: impl Into<String>) -> Payload {
    Payload::Text(text.into().into())
}

#[test]
fn a_message_of_v1_has_a_name_data_and_perhaps_a_ref() {
    let said = |name: &str, data: &str, reference: Option<&str>| {
        let data = serde_json::to_string(data).unwrap();
        let reference = reference.map(|r| format!("\"ref\":{r},")).unwrap_or_default();
        Some(format!(r#"{{{reference}"event":"$reply","data":["{name}",{data}]}}"#))
    };
    let cases = [
        (
            r#"{"ref":"7","event":"hello","data":{"to":"all"}}"#,
            said("hello", r#"{"to":"all"}"#, Some("\"7\"")),
        ),
        (r#"{"ref":7,"event":"hello","data":1}"#, said("hello", "1", Some("7"))),
        (r#"{"ref":{"a":[1]},"data":1}"#, said("message", "1", Some(r#"{"a":[1]}"#))),
        (r#"{"event":"hello","data":"x"}"#, said("hello", "\"x\"", None)),
        // Absent and null are alike, and share no byte with what came.
        (r#"{"ref":"1","event":"hello"}"#, said("hello", "null", Some("\"1\""))),
        (r#"{"ref":"1","event":"hello","data":null}"#, said("hello", "null", Some("\"1\""))),
        (r#"{}"#, said("message", "null", None)),
        (r#"{"later":"members","are":"ignored","data":1}"#, said("message", "1", None)),
        (r#" { "data" : [ 1 , 2 ] } "#, said("message", "[ 1 , 2 ]", None)),
    ];
    for (sent, expected) in cases {
        assert_eq!(answer(&mut messages(echo(), Mode::V1), text(sent)), expected, "{sent}");
    }
}

#[test]
fn what_is_no_message_is_answered_with_an_error() {
    let long = "r".repeat(127);
    let at_limit = format!(r#"{{"ref":"{}","data":1}}"#, &long[1..]);
    let beyond = format!(r#"{{"ref":"{long}","data":1}}"#);
    let cases = [
        ("rubbish", false),
        ("[]", false),
        (r#"[1,"e",2]"#, false),
        ("7", false),
        (r#"{"event":7}"#, false),
        (r#"{"data":1,"data":2}"#, false),
        (r#"{"data":1} x"#, false),
        (&beyond, false),
        // Twins that pass.
        (r#"{"event":"7"}"#, true),
        (r#"{"data":1}"#, true),
        (&at_limit, true),
    ];
    for (sent, passes) in cases {
        let answer = answer(&mut messages(echo(), Mode::V1), text(sent)).unwrap_or_default();
        let value: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(value["event"], "$reply", "{sent}");
        assert_eq!(value["error"]["status"] == 400, !passes, "{sent} {answer}");
        // Nothing of what came is given back but a ref within its bounds.
        assert!(passes || !answer.contains(&long), "{answer}");
    }
}

#[test]
fn a_handlers_answer_looks_as_the_mode_wants_it() {
    type Answer = Result<Option<Payload>, UplinkError>;
    let refusal = || Err(UplinkError::new(StatusCode::CONFLICT, "no \"twice\""));
    let cases: [(Answer, Option<&str>, Option<&str>); 5] = [
        (Ok(Some(text("a\"b"))), Some(r#""data":"a\"b""#), Some("a\"b")),
        (Ok(Some(Payload::Json("{\"a\":1}".into()))), Some(r#""data":{"a":1}"#), Some("{\"a\":1}")),
        (
            Ok(Some(Payload::Binary(vec![1, 2].into()))),
            Some(r#""encoding":"base64","data":"AQI=""#),
            Some("\u{1}\u{2}"),
        ),
        (Ok(None), Some(r#""data":null"#), None),
        (
            refusal(),
            Some(r#""error":{"status":409,"title":"no \"twice\""}"#),
            Some(r#"{"status":409,"title":"no \"twice\""}"#),
        ),
    ];
    for (answered, v1, bare) in cases {
        let uplink = uplink_fn(move |_: Inbound| {
            let answered = answered.clone();
            async move { answered.map(Reply) }
        });
        let in_v1 = answer(&mut messages(uplink.clone(), Mode::V1), text(r#"{"ref":1}"#));
        assert_eq!(in_v1, v1.map(|data| format!(r#"{{"ref":1,"event":"$reply",{data}}}"#)));
        assert_eq!(answer(&mut messages(uplink, Mode::Bare), text("x")).as_deref(), bare);
    }
}

#[test]
fn without_a_ref_a_handler_that_says_nothing_is_not_answered() {
    let silent = || uplink_fn(|_: Inbound| async {});
    assert_eq!(answer(&mut messages(silent(), Mode::V1), text(r#"{"data":1}"#)), None);
    assert!(answer(&mut messages(silent(), Mode::V1), text(r#"{"ref":1,"data":1}"#)).is_some());
}

#[test]
fn without_a_handler_a_message_of_v1_is_an_error() {
    let answer = answer(&mut messages(NoUplink, Mode::V1), text(r#"{"ref":1,"data":1}"#)).unwrap_or_default();
    assert!(answer.contains(r#""error":{"status":405"#), "{answer}");
    assert!(!messages(NoUplink, Mode::Bare).takes_any());
    assert!(messages(echo(), Mode::Bare).takes_any());
}

#[test]
fn binary_is_a_payload_in_both_modes() {
    for mode in [Mode::V1, Mode::Bare] {
        let uplink = uplink_fn(|message: Inbound| async move { message.payload().bytes().clone() });
        let mut messages = messages(uplink, mode);
        messages.push(Payload::Binary(vec![0, 255].into()));
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(frame)) = messages.poll_reply(&mut cx) else { panic!("no answer") };
        let (is_binary, payload) = payload(frame);
        match mode {
            Mode::Bare => assert_eq!((is_binary, &payload[..]), (true, &[0, 255][..])),
            Mode::V1 => assert!(!is_binary && payload.ends_with(br#""encoding":"base64","data":"AP8="}"#)),
        }
    }
}

/// A handler whose answers the test gives: one sender a call, in the order of the calls.
type Calls = Arc<Mutex<Vec<(String, oneshot::Sender<&'static str>)>>>;

fn held() -> (impl Uplink, Calls) {
    let calls = Calls::default();
    let kept = calls.clone();
    let uplink = uplink_fn(move |message: Inbound| {
        let (sender, receiver) = oneshot::channel();
        let text = message.as_str().unwrap_or_default().to_owned();
        kept.lock().unwrap().push((text, sender));
        async move { receiver.await.map_err(|_| UplinkError::new(StatusCode::GONE, "gone")) }
    });
    (uplink, calls)
}

#[test]
fn messages_are_handled_in_order_and_one_at_a_time() {
    let (uplink, calls) = held();
    let mut messages = messages(uplink, Mode::Bare);
    let mut cx = Context::from_waker(Waker::noop());
    for n in 0..3 {
        messages.push(text(n.to_string()));
    }
    for n in 0..3 {
        assert!(messages.poll_reply(&mut cx).is_pending());
        let mut called = calls.lock().unwrap();
        assert_eq!(called.len(), 1, "one at a time");
        let (sent, sender) = called.remove(0);
        assert_eq!(sent, n.to_string());
        sender.send("done").unwrap();
        drop(called);
        assert!(messages.poll_reply(&mut cx).is_ready());
    }
    assert!(messages.poll_reply(&mut cx).is_pending(), "nothing is left");
}

#[test]
fn sixteen_wait_besides_the_one_that_is_handled() {
    let (uplink, calls) = held();
    let mut messages = messages(uplink, Mode::Bare);
    let mut cx = Context::from_waker(Waker::noop());
    messages.push(text("running"));
    assert!(messages.poll_reply(&mut cx).is_pending());
    for n in 0..WAITING_MAX {
        assert!(messages.has_room(), "{n} wait");
        messages.push(text("waiting"));
    }
    assert!(!messages.has_room(), "{WAITING_MAX} wait");
    calls.lock().unwrap().remove(0).1.send("done").unwrap();
    assert!(messages.poll_reply(&mut cx).is_ready());
    assert!(!messages.has_room(), "the next has not been taken up");
    assert!(messages.poll_reply(&mut cx).is_pending());
    assert!(messages.has_room());
}

/// A-06: bytes that wait are bounded, not their messages alone; refused ones count too, until they are answered.
#[test]
fn large_messages_wait_by_their_bytes() {
    let sent = |bytes: usize| text(format!("\"{}\"", "x".repeat(bytes - 2)));
    for mode in [Mode::Bare, Mode::V1] {
        for (first, may_more) in
            [(WAITING_BYTES_MAX - 1, true), (WAITING_BYTES_MAX, false), (WAITING_BYTES_MAX + 1, false)]
        {
            let (uplink, _calls) = held();
            let mut messages = messages(uplink, mode);
            messages.push(sent(first));
            assert_eq!(messages.has_room(), may_more, "{mode:?} {first}");
            messages.push(sent(2));
            assert!(!messages.has_room(), "{mode:?} {first} and a short one");
            // Taken up, it does not wait; answered, it is gone. The short one alone is left.
            let _ = messages.poll_reply(&mut Context::from_waker(Waker::noop()));
            assert!(messages.has_room(), "{mode:?} {first} is at the handler");
            messages.push(sent(first));
            messages.forget_waiting();
            assert!(messages.has_room(), "{mode:?} {first} is forgotten, its bytes too");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_answered_or_refused(sent in ".{0,200}", is_v1: bool) {
        let mode = if is_v1 { Mode::V1 } else { Mode::Bare };
        let answer = answer(&mut messages(echo(), mode), text(sent)).unwrap_or_default();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&answer).is_ok(), "{answer}");
    }

    #[test]
    fn any_json_object_is_answered_or_refused(
        members in proptest::collection::vec(("(ref|event|data|x)", "(null|1|\"a\"|\\[\\]|\\{\\}|true|x)"), 0..4),
    ) {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let sent = format!("{{{}}}", members.join(","));
        let answer = answer(&mut messages(echo(), Mode::V1), text(sent)).unwrap_or_default();
        let value: serde_json::Value = serde_json::from_str(&answer).unwrap();
        prop_assert_eq!(&value["event"], "$reply");
    }
}

#[test]
fn a_reply_of_every_kind_is_one() {
    let replies = [
        ().into_reply(),
        "text".into_reply(),
        String::from("text").into_reply(),
        Bytes::from_static(b"bytes").into_reply(),
        serde_json::json!({ "a": 1 }).into_reply(),
        Some("perhaps").into_reply(),
        None::<&str>.into_reply(),
        realtime_core::Event::text("note", "text").unwrap().into_reply(),
        Ok::<_, UplinkError>("fine").into_reply(),
    ];
    let kinds = replies.map(|reply| match reply.unwrap().0 {
        None => "none",
        Some(Payload::Text(_)) => "text",
        Some(Payload::Json(_)) => "json",
        Some(_) => "binary",
    });
    assert_eq!(kinds, ["none", "text", "text", "binary", "json", "text", "none", "text", "text"]);
    let refused = Err::<(), _>(UplinkError::new(StatusCode::OK, "no error at all")).into_reply();
    assert_eq!(refused.unwrap_err().status(), StatusCode::INTERNAL_SERVER_ERROR);
}
