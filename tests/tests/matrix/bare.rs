//! A WebSocket without a subprotocol: payloads and nothing else, the place in the reason of the Close alone.

use std::time::Duration;

use realtime_core::{Event, Keep, Log, SourceErrorKind, SourceExt, TopicSet};
use realtime_tests::client::{Place, Reader, Seen, Target, Transport};
use realtime_tests::remote::{Failure, Manners, Remote};
use realtime_tower::{Inbound, Slow, UplinkError, uplink_fn};
use tokio_tungstenite::tungstenite::Message;

use crate::mount::{Knobs, Mount, until};

async fn bare(mount: &Mount, place: Place) -> Reader {
    let target = Target { subprotocol: None, ..mount.target() };
    Reader::connect(Transport::WebSocket, &target, place).await
}

fn event(n: u64) -> Event {
    Event::json("tick", &n).unwrap()
}

/// What was said, in short: payloads as text, and how it closed.
fn told(seen: &[Seen]) -> (Vec<String>, Option<(u16, String)>) {
    let payloads = seen.iter().filter_map(Seen::event).map(|e| String::from_utf8_lossy(&e.data).into_owned());
    let close = seen.iter().find_map(|seen| match seen {
        Seen::Close { code, reason } => Some((*code, reason.clone())),
        _ => None,
    });
    assert!(seen.iter().all(|s| matches!(s, Seen::Event(_) | Seen::Close { .. })), "no controls: {seen:?}");
    (payloads.collect(), close)
}

#[tokio::test(start_paused = true)]
async fn a_bare_frame_is_the_payload_and_the_end_of_the_source_closes_with_1000() {
    let log = Log::new();
    let mount = Mount::new(log.clone().boxed(), Knobs::default());
    log.publish(event(1)).unwrap();
    log.publish(Event::text("note", "two\r\nlines").unwrap()).unwrap();
    log.publish(Event::text("note", "").unwrap()).unwrap();
    let tail = log.publish(Event::binary("raw", &[0, 255, 7][..]).unwrap()).unwrap();
    log.close();
    let mut reader = bare(&mount, Place::Earliest).await;
    let seen = until(&mut reader, "closed", |_| false).await;
    let binary: Vec<_> = seen.iter().filter_map(Seen::event).map(|event| event.binary).collect();
    assert_eq!(binary, [false, false, false, true]);
    assert_eq!(seen[3].event().unwrap().data, [0, 255, 7]);
    let (payloads, close) = told(&seen);
    assert_eq!((payloads[0].as_str(), payloads[1].as_str(), payloads[2].as_str()), ("1", "two\r\nlines", ""));
    assert_eq!(close, Some((1000, tail.to_string())));
    mount.is_left().await;
}

/// D-05 for bare mode: whatever the server closes with, the reason is where reading goes on, on any transport.
#[tokio::test(start_paused = true)]
async fn the_reason_of_a_close_resumes_on_every_transport() {
    for to in Transport::ALL {
        let log = Log::new();
        let mount = Mount::new(log.clone().boxed(), Knobs::default());
        (1..=3).for_each(|n| drop(log.publish(event(n)).unwrap().to_string()));
        let mut reader = bare(&mount, Place::Earliest).await;
        let mut seen =
            until(&mut reader, "three", |seen| matches!(seen.event(), Some(e) if e.data == b"3")).await;
        let drain = tokio::spawn({
            let handle = mount.handle.clone();
            async move { handle.drain(Duration::from_secs(20)).await }
        });
        seen.extend(until(&mut reader, "drained", |_| false).await);
        let (payloads, close) = told(&seen);
        assert_eq!(payloads, ["1", "2", "3"]);
        assert_eq!(close, Some((1001, log.tail().to_string())));
        assert_eq!(drain.await.unwrap().left, 0);

        let place = reader.place().clone();
        log.publish(event(4)).unwrap();
        let mount = Mount::new(log.boxed(), Knobs::default());
        let seen =
            until(&mut mount.reader(to, place).await, "the fourth", |seen| seen.event().is_some()).await;
        assert_eq!(seen.last().and_then(Seen::event).unwrap().data, b"4", "{to:?}: {seen:?}");
    }
}

/// There is no room for a gap in bare mode: the connection closes, and the reason leads on behind it.
#[tokio::test(start_paused = true)]
async fn a_gap_closes_with_4001_and_its_reason_leads_behind_it() {
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(4)).build();
    let mount = Mount::new(log.clone().boxed(), Knobs::default());
    let first = log.publish(event(1)).unwrap().to_string();
    (2..=10).for_each(|n| drop(log.publish(event(n)).unwrap().to_string()));
    let mut reader = bare(&mount, Place::After(first)).await;
    let (payloads, close) = told(&until(&mut reader, "a gap", |_| false).await);
    let (code, reason) = close.unwrap();
    assert_eq!((payloads.len(), code, reader.place().cursor()), (0, 4001, Some(reason.as_str())));
    let mut reader = bare(&mount, reader.place().clone()).await;
    let seen =
        until(&mut reader, "the rest", |seen| matches!(seen.event(), Some(e) if e.data == b"10")).await;
    assert_eq!(told(&seen).0, ["7", "8", "9", "10"], "what is retained comes");
}

#[tokio::test(start_paused = true)]
async fn a_slow_bare_reader_is_closed_as_the_mount_says() {
    for (slow, expected) in [(Slow::Skip, 4001), (Slow::Disconnect, 4000)] {
        let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(4)).build();
        let mut knobs = Knobs::default().config(|config| config.slow = slow);
        knobs.buffer_bytes = Some(256);
        let mount = Mount::new(log.clone().boxed(), knobs);
        let mut reader = bare(&mount, Place::Earliest).await;
        let mut sent = Vec::new();
        for n in 0..500 {
            sent.push(log.publish(Event::text("tick", format!("{n:0>1000}")).unwrap()).unwrap().to_string());
            tokio::task::yield_now().await;
        }
        let (payloads, close) = told(&until(&mut reader, "closed", |_| false).await);
        let (code, reason) = close.unwrap();
        assert_eq!(code, expected);
        // Bare events have no ids: that they are the first so many, in order, shows that none was passed over.
        for (n, payload) in payloads.iter().enumerate() {
            assert_eq!(*payload, format!("{n:0>1000}"));
        }
        assert!(!payloads.is_empty() && payloads.len() < sent.len());
        if slow == Slow::Disconnect {
            assert_eq!(reason, sent[payloads.len() - 1], "the place of what was sent before the Close");
        } else {
            assert!(reason >= sent[payloads.len()], "the gap's to");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_closes_bare_readers_with_their_place() {
    for (kind, expected) in [(SourceErrorKind::Failed, 1011), (SourceErrorKind::Unavailable, 1013)] {
        let remote = Remote::new(Manners::default());
        let place = remote.publish(event(1)).to_string();
        let mount = Mount::new(remote.clone().boxed(), Knobs::default());
        let mut reader = bare(&mount, Place::Earliest).await;
        until(&mut reader, "the first", |seen| seen.event().is_some()).await;
        remote.fail_to_read(Some(Failure { kind, retry_after: None }));
        let (payloads, close) = told(&until(&mut reader, "closed", |_| false).await);
        assert_eq!((payloads.len(), close), (0, Some((expected, place))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_bare_message_is_answered_by_a_payload_or_closes_with_1003() {
    let deaf = Mount::new(Log::new().boxed(), Knobs::default());
    let mut reader = bare(&deaf, Place::Live).await;
    reader.web_socket().unwrap().send_message(Message::text("hello")).await.unwrap();
    let (_, close) = told(&until(&mut reader, "closed", |_| false).await);
    assert_eq!(close.unwrap().0, 1003);

    let echo = uplink_fn(|message: Inbound| async move {
        match message.as_str() {
            Some("refuse") => Err(UplinkError::new(http::StatusCode::FORBIDDEN, "not you")),
            Some("quiet") => Ok(None),
            text => Ok(Some(format!("Roger that! {}", text.unwrap_or("bytes")))),
        }
    });
    let mount = Mount::with(Log::new().boxed(), Knobs::default(), echo);
    let mut reader = bare(&mount, Place::Live).await;
    let socket = reader.web_socket().unwrap();
    for message in ["hello", "quiet", "refuse"] {
        socket.send_message(Message::text(message)).await.unwrap();
    }
    socket.send_message(Message::binary(vec![1, 2])).await.unwrap();
    let is_last = |seen: &Seen| matches!(seen.event(), Some(event) if event.data.ends_with(b"bytes"));
    let (replies, close) = told(&until(&mut reader, "replies", is_last).await);
    let refused = r#"{"status":403,"title":"not you"}"#;
    assert_eq!(replies, ["Roger that! hello", refused, "Roger that! bytes"]);
    assert_eq!(close, None);
}
