//! Peers that are slow, dead, too loud or too big: each costs itself its connection, and nobody else anything.

use std::time::Duration;

use http::StatusCode;
use realtime_core::{Event, Log, SourceExt};
use realtime_tests::client::{Place, Reader, Seen, Transport};
use realtime_tests::fault::{Plan, Way};
use realtime_tests::rules::case_async;
use realtime_tower::{Inbound, uplink_fn};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::mount::{Knobs, Mount, is_event, is_live, until};

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

async fn live(reader: &mut Reader) {
    until(reader, "live", is_live).await;
}

/// Reads on in the background, so that the other side's bytes are taken.
fn reading(mut reader: Reader) -> tokio::task::JoinHandle<Vec<Seen>> {
    tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(said) = reader.next().await {
            seen.push(said);
        }
        seen
    })
}

/// D-10, D-11: one that takes nothing is gone after `write_wait`; the others have everything at once; and it has lost
/// nothing when it comes back.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_evicted_and_holds_nobody_up() {
    case_async("D-11", "beside a peer that takes nothing, which is evicted, nobody waits", async {
        let log = Log::new();
        let knobs = Knobs { buffer_bytes: Some(1024), ..Knobs::default() };
        let mount = Mount::new(log.clone().boxed(), knobs);
        let mut stalled = mount.reader(Transport::WebSocket, Place::Live).await;
        live(&mut stalled).await;
        let mut others = Vec::new();
        for transport in [Transport::WebSocket, Transport::Sse] {
            let mut other = mount.reader(transport, Place::Live).await;
            live(&mut other).await;
            others.push(other);
        }
        let begun = Instant::now();
        for n in 0..200 {
            let id = log.publish(Event::text("tick", format!("{n:0>1000}")).unwrap()).unwrap().to_string();
            for other in &mut others {
                until(other, "every event", is_event(&id)).await;
            }
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waited");
        sleep(seconds(9.9)).await;
        assert_eq!(mount.stats("websocket").connections, 2);
        sleep(seconds(0.2)).await;
        let stats = mount.stats("websocket");
        assert_eq!((stats.connections, stats.evictions), (1, 1));
        assert_eq!(mount.stats("sse").evictions, 0);

        // It has some of them in its buffers, and gets the others when it comes back.
        let mut seen = until(&mut stalled, "what it had", |_| false).await;
        let mut again = stalled.resume(Transport::WebSocket).await;
        seen.extend(until(&mut again, "the rest", is_live).await);
        let numbers: Vec<_> = seen.iter().filter_map(Seen::event).map(|event| event.data.clone()).collect();
        let all: Vec<_> = (0..200).map(|n| format!("{n:0>1000}").into_bytes()).collect();
        assert_eq!(numbers, all);
    })
    .await;
}

/// The server asks after 25 s and waits for 8 s more: with the defaults a dead peer is known in 33.
#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_dead_and_one_that_does_is_not() {
    let mount = Mount::new(Log::new().boxed(), Knobs::default());
    let (target, links) = mount.faulty(|_| Plan::default());
    let mut dead = Reader::connect(Transport::WebSocket, &target, Place::Live).await;
    live(&mut dead).await;
    let mut alive = mount.reader(Transport::WebSocket, Place::Live).await;
    live(&mut alive).await;
    links.nth(0).unwrap().stall(Way::Up);
    let (dead, alive) = (reading(dead), reading(alive));
    sleep(seconds(32.9)).await;
    assert_eq!(mount.stats("websocket").connections, 2);
    sleep(seconds(0.2)).await;
    assert_eq!(mount.stats("websocket").connections, 1);
    assert!(dead.await.unwrap().iter().all(|seen| !matches!(seen, Seen::Close { .. })));
    sleep(seconds(600.0)).await;
    assert_eq!(mount.stats("websocket").connections, 1, "one that answers stays");
    alive.abort();
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_ends_after_its_wait_and_one_that_is_ends_at_once() {
    for answers in [true, false] {
        let log = Log::new();
        let mount = Mount::new(log.clone().boxed(), Knobs::default());
        let (target, links) = mount.faulty(|_| Plan::default());
        let mut reader = Reader::connect(Transport::WebSocket, &target, Place::Live).await;
        live(&mut reader).await;
        if !answers {
            links.nth(0).unwrap().stall(Way::Up);
        }
        let (begun, reader) = (Instant::now(), reading(reader));
        log.close();
        sleep(seconds(0.1)).await;
        assert_eq!(mount.readers(), u64::from(!answers), "answers: {answers}");
        if !answers {
            sleep(seconds(4.8)).await;
            assert_eq!(mount.readers(), 1);
            sleep(seconds(0.2)).await;
            assert_eq!((mount.readers(), begun.elapsed() > seconds(5.0)), (0, true));
        }
        let seen = reader.await.unwrap();
        assert!(matches!(&seen[..], [Seen::End { .. }, Seen::Close { code: 1000, .. }]), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_client_is_given_back_and_nothing_follows_it() {
    let log = Log::new();
    let mount = Mount::new(log.clone().boxed(), Knobs::default());
    let mut reader = mount.reader(Transport::WebSocket, Place::Live).await;
    live(&mut reader).await;
    let close = CloseFrame { code: 4321.into(), reason: "enough".into() };
    reader.web_socket().unwrap().send_message(Message::Close(Some(close))).await.unwrap();
    log.publish(Event::text("late", "x").unwrap()).unwrap();
    let seen = until(&mut reader, "closed", |_| false).await;
    let is_closed = |seen: &Seen| matches!(seen, Seen::Close { code: 4321, .. });
    assert!(seen.last().is_some_and(is_closed), "{seen:?}");
    mount.is_left().await;
}

/// 60 at once and 20 a second are a chatty client; more is a flood.
#[tokio::test(start_paused = true)]
async fn control_frames_are_allowed_up_to_their_limit_and_closed_with_1008_beyond() {
    let log = Log::new();
    let place = log.publish(Event::json("tick", &1).unwrap()).unwrap().to_string();
    let mount = Mount::new(log.boxed(), Knobs::default());
    for (burst, is_flood) in [(59, false), (60, false), (61, true)] {
        let mut reader = mount.reader(Transport::WebSocket, Place::Live).await;
        live(&mut reader).await;
        for n in 0..burst {
            reader.web_socket().unwrap().send_message(Message::Ping(vec![n].into())).await.unwrap();
        }
        let next = tokio::time::timeout(seconds(2.0), reader.next()).await;
        match next {
            Ok(Some(Seen::Close { code, reason })) if is_flood => {
                assert_eq!((code, reason), (1008, place.clone()))
            }
            Err(_) if !is_flood => {}
            other => panic!("{burst}: {other:?}"),
        }
        for n in 0..if is_flood { 0 } else { 200 } {
            sleep(seconds(0.05)).await;
            let sent = reader.web_socket().unwrap().send_message(Message::Ping(vec![n].into())).await;
            assert!(sent.is_ok(), "20 a second may go on for ever");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_taken_up_to_its_limit_and_refused_beyond_on_both_paths() {
    case_async(
        "D-10",
        "a message up to its limit is taken, one beyond is refused, by frame and by POST",
        async {
            const MAX: usize = 1000;
            let length =
                uplink_fn(
                    |message: Inbound| async move { message.as_str().map(|text| text.len().to_string()) },
                );
            let log = Log::new();
            let place = log.publish(Event::json("tick", &1).unwrap()).unwrap().to_string();
            let knobs = Knobs::default().config(|config| config.message_bytes_max = MAX);
            let mount = Mount::with(log.boxed(), knobs, length);
            for (bytes, fits) in [(MAX - 1, true), (MAX, true), (MAX + 1, false), (100 * MAX, false)] {
                let json = |around: usize| format!("\"{}\"", "x".repeat(bytes - around - 2));
                let answer = mount.target().post(None, json(0)).await.unwrap();
                let expected = if fits { StatusCode::OK } else { StatusCode::PAYLOAD_TOO_LARGE };
                assert_eq!(answer.status, expected, "POST of {bytes}");

                let mut reader = mount.reader(Transport::WebSocket, Place::Live).await;
                live(&mut reader).await;
                let (before, after) = (r#"{"ref":1,"data":"#, "}");
                let text = format!("{before}{}{after}", json(before.len() + after.len()));
                assert_eq!(text.len(), bytes);
                // A message that is refused by its head may meet a closed door before it is out.
                let _ = reader.web_socket().unwrap().send_message(Message::text(text)).await;
                match until(&mut reader, "an answer", |_| true).await.pop() {
                    Some(Seen::Control { envelope, .. }) if fits => assert_eq!(envelope["ref"], 1),
                    Some(Seen::Close { code, reason }) if !fits => {
                        assert_eq!((code, reason), (1009, place.clone()))
                    }
                    other => panic!("{bytes}: {other:?}"),
                }
            }
            mount.is_left().await;
        },
    )
    .await;
}

/// So many readers and not one more; a reader that goes makes room for another, whatever its transport.
#[tokio::test(start_paused = true)]
async fn readers_are_let_in_up_to_their_limit() {
    case_async("D-10", "readers are let in up to their limit, and told to come back beyond", async {
        for last in Transport::ALL {
            let knobs = Knobs::default().config(|config| config.readers_max = 3);
            let mount = Mount::new(Log::new().boxed(), knobs);
            let mut there = Vec::new();
            for transport in [Transport::WebSocket, Transport::Sse] {
                let mut reader = mount.reader(transport, Place::Live).await;
                live(&mut reader).await;
                there.push(reader);
            }
            let mut third = mount.reader(last, Place::Live).await;
            until(&mut third, "at the limit there is room", Seen::caught_up).await;
            let full = match last {
                // An answered poll has gone; one that waits is there.
                Transport::Poll => false,
                Transport::LongPoll => {
                    let waiting = reading(third);
                    crate::mount::eventually("it waits", || mount.readers() == 3).await;
                    there.push(mount.reader(Transport::LongPoll, Place::Live).await);
                    let seen = until(there.last_mut().unwrap(), "full", |_| true).await;
                    waiting.abort();
                    assert!(matches!(&seen[..], [Seen::Refused { status, .. }] if status.as_u16() == 503));
                    continue;
                }
                _ => {
                    there.push(third);
                    true
                }
            };
            let seen =
                until(&mut mount.reader(Transport::Poll, Place::Live).await, "one more", |_| true).await;
            assert_eq!(matches!(&seen[0], Seen::Refused { .. }), full, "{last:?}: {seen:?}");
            there.clear();
            mount.is_left().await;
        }
    })
    .await;
}
