//! What clients send: bounded, in order, and no burden to what goes down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use realtime_core::{Event, Log, SourceExt};
use realtime_tests::client::{Over, Place, Reader, Seen, Transport};
use realtime_tests::fault::{Plan, Way};
use realtime_tower::{Inbound, WAITING_MAX, uplink_fn};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::mount::{Knobs, Mount, eventually, is_event, is_live, until};

fn event(n: u64) -> Event {
    Event::json("tick", &n).unwrap()
}

fn replies(seen: &[Seen]) -> Vec<String> {
    let envelope = |seen: &Seen| match seen {
        Seen::Control { name, envelope } if name == "$reply" => Some(envelope["ref"].as_str()?.to_owned()),
        _ => None,
    };
    seen.iter().filter_map(envelope).collect()
}

/// One is handled, 16 wait, then the server stops reading. What goes down goes on; nothing that was sent is lost.
#[tokio::test(start_paused = true)]
async fn a_slow_handler_stops_the_reading_and_neither_the_downlink_nor_a_message() {
    let (gate, taken) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = uplink_fn({
        let (gate, taken) = (gate.clone(), taken.clone());
        move |_: Inbound| {
            taken.fetch_add(1, Ordering::SeqCst);
            let gate = gate.clone();
            async move { gate.acquire().await.map(drop).expect("the gate stays") }
        }
    });
    let log = Log::new();
    let knobs = Knobs { buffer_bytes: Some(2048), ..Knobs::default() };
    let mount = Mount::with(log.clone().boxed(), knobs, handler);
    let (target, links) = mount.faulty(|_| Plan::default());
    let mut reader = Reader::connect(Transport::WebSocket, &target, Place::Live).await;
    until(&mut reader, "live", is_live).await;
    let text = format!("\"{}\"", "x".repeat(1000));
    let mut sent = 0;
    loop {
        let reference = sent.to_string();
        let sending = reader.web_socket().unwrap().send(&reference, "say", &text);
        let went = timeout(Duration::from_secs(1), sending).await;
        sent += 1; // one that had to wait stands in the client's buffer
        if went.is_err() {
            break;
        }
        assert!(sent < 1000, "the server reads on for ever");
    }
    // Beside what waits: one read of 4 KiB and the buffers of the connection.
    assert!((WAITING_MAX + 1..=WAITING_MAX + 1 + 10).contains(&sent), "{sent}");
    assert_eq!(taken.load(Ordering::SeqCst), 1, "one at a time");
    let up = links.nth(0).unwrap().bytes(Way::Up);
    for n in 0..20 {
        let id = log.publish(event(n)).unwrap().to_string();
        until(&mut reader, "the downlink goes on", is_event(&id)).await;
    }
    let heartbeats = until(&mut reader, "heartbeats", |seen| !matches!(seen, Seen::Ping { .. }));
    assert!(
        timeout(Duration::from_secs(250), heartbeats).await.is_err(),
        "it is not dead, but not listened to"
    );
    assert!(links.nth(0).unwrap().bytes(Way::Up) - up < 2048, "nothing more is read");
    gate.add_permits(sent);
    let mut seen = Vec::new();
    while replies(&seen).len() < sent {
        seen.extend(
            until(&mut reader, "every message is answered", |s| matches!(s, Seen::Control { .. })).await,
        );
    }
    assert_eq!(replies(&seen), (0..sent).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(mount.stats("websocket").messages, sent as u64);
}

/// A handler that panics ends the connection that it handled, on either path, and gives its place back.
#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_costs_its_own_connection_alone() {
    let handler = uplink_fn(|message: Inbound| async move {
        assert_ne!(message.as_str(), Some("\"panic\""), "a handler's bug");
        "fine"
    });
    let log = Log::new();
    let mount = Mount::with(log.clone().boxed(), Knobs::default(), handler);
    let mut bad = mount.reader(Transport::WebSocket, Place::Live).await;
    let mut good = mount.reader(Transport::WebSocket, Place::Live).await;
    let mut sse = mount.reader(Transport::Sse, Place::Live).await;
    for reader in [&mut bad, &mut good, &mut sse] {
        until(reader, "live", is_live).await;
    }
    bad.web_socket().unwrap().send("1", "say", "\"panic\"").await.unwrap();
    assert_eq!(until(&mut bad, "it dies", |_| false).await, []);
    assert!(matches!(bad.over(), Some(Over::Cut(_))));
    assert!(mount.target().post(None, "\"panic\"").await.is_err());
    assert_eq!((mount.readers(), mount.stats("websocket").connections), (2, 1));
    let id = log.publish(event(1)).unwrap().to_string();
    for reader in [&mut good, &mut sse] {
        until(reader, "the others read on", is_event(&id)).await;
    }
    good.web_socket().unwrap().send("2", "say", "\"hello\"").await.unwrap();
    assert_eq!(replies(&until(&mut good, "a reply", |_| true).await), ["2"]);
    let answer = mount.target().post(None, "\"hello\"").await.unwrap();
    assert_eq!((answer.status, &answer.whole().await.unwrap()[..]), (StatusCode::OK, &b"fine"[..]));
    drop((bad, good, sse));
    mount.is_left().await;
}

/// Without a handler the answer is an error with the same `ref`, and the connection stays.
#[tokio::test(start_paused = true)]
async fn a_message_without_a_handler_is_answered_with_an_error_and_read_on() {
    let log = Log::new();
    let mount = Mount::new(log.clone().boxed(), Knobs::default());
    let mut reader = mount.reader(Transport::WebSocket, Place::Live).await;
    until(&mut reader, "live", is_live).await;
    reader.web_socket().unwrap().send("seven", "say", "{}").await.unwrap();
    match until(&mut reader, "a reply", |_| true).await.pop() {
        Some(Seen::Control { name, envelope }) => {
            assert_eq!((name.as_str(), envelope["ref"].as_str()), ("$reply", Some("seven")));
            assert_eq!(envelope["error"]["status"], 405);
        }
        other => panic!("{other:?}"),
    }
    let id = log.publish(event(1)).unwrap().to_string();
    until(&mut reader, "it stays", is_event(&id)).await;
}

/// A call of the handler that is there.
struct Call(Arc<AtomicUsize>);

impl Call {
    fn begin(calls: &Arc<AtomicUsize>) -> Self {
        calls.fetch_add(1, Ordering::SeqCst);
        Self(calls.clone())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A reply is for its sender, and a client that goes while its message is handled leaves nothing behind. (D-16)
#[tokio::test(start_paused = true)]
async fn a_reply_goes_to_its_sender_alone_and_a_sender_that_goes_leaves_nothing() {
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = uplink_fn({
        let calls = calls.clone();
        move |message: Inbound| {
            let call = Call::begin(&calls);
            async move {
                if message.name() == "wait" {
                    std::future::pending::<()>().await;
                }
                drop(call);
                "done"
            }
        }
    });
    let running = |n: usize| eventually("so many calls run", move || calls.load(Ordering::SeqCst) == n);
    let mount = Mount::with(Log::new().boxed(), Knobs::default(), handler);
    let mut first = mount.reader(Transport::WebSocket, Place::Live).await;
    let mut second = mount.reader(Transport::WebSocket, Place::Live).await;
    for reader in [&mut first, &mut second] {
        until(reader, "live", is_live).await;
    }
    first.web_socket().unwrap().send("a", "say", "1").await.unwrap();
    assert_eq!(replies(&until(&mut first, "a reply", |_| true).await), ["a"]);
    assert!(timeout(Duration::from_secs(5), second.next()).await.is_err(), "the other hears nothing of it");

    second.web_socket().unwrap().send("b", "wait", "1").await.unwrap();
    let posting = tokio::spawn({
        let target = mount.target();
        async move { target.post(Some("wait"), "1").await.map(drop) }
    });
    running.clone()(2).await;
    drop((first, second));
    posting.abort();
    running(0).await;
    mount.is_left().await;
}
