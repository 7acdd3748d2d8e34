//! What is said besides events: a drain, a slow reader, a source that is late or fails, a mount that is full, replies.

use std::time::Duration;

use http::StatusCode;
use realtime_core::{Event, Keep, Log, SourceErrorKind, SourceExt, TopicSet};
use realtime_tests::client::{Place, Seen, Transport};
use realtime_tests::remote::{Failure, Manners, Remote};
use realtime_tests::rules::case_async;
use realtime_tower::{Inbound, Slow, UplinkError, uplink_fn};

use crate::mount::{Knobs, Mount, eventually, is_live, until};

fn event(n: u64) -> Event {
    Event::json("tick", &n).unwrap()
}

fn last(seen: &[Seen]) -> &Seen {
    seen.last().expect("something was said")
}

#[tokio::test(start_paused = true)]
async fn a_drain_tells_every_reader_its_place_and_lets_nobody_in() {
    for transport in [Transport::LongPoll, Transport::Sse, Transport::WebSocket] {
        let log = Log::new();
        let place = log.publish(event(1)).unwrap().to_string();
        let mount = Mount::new(log.boxed(), Knobs::default());
        let mut reader = mount.reader(transport, Place::Live).await;
        if transport != Transport::LongPoll {
            until(&mut reader, "live", is_live).await;
        }
        let reading = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(said) = reader.next().await {
                let done = matches!(said, Seen::Status { .. } | Seen::Close { .. });
                seen.push(said);
                if done {
                    break;
                }
            }
            seen
        });
        // A long-poll is there once it has asked.
        eventually("the reader is there", || mount.readers() == 1).await;
        let drained = mount.handle.drain(Duration::from_secs(20)).await;
        assert_eq!((drained.told, drained.left), (1, 0), "{transport:?}");
        let seen = reading.await.unwrap();
        match transport {
            Transport::LongPoll => assert!(
                matches!(last(&seen), Seen::Status { status, headers }
                    if *status == StatusCode::NO_CONTENT && headers["stream-next-offset"] == *place),
                "{seen:?}"
            ),
            Transport::Sse => assert!(
                matches!(last(&seen), Seen::End { reason, retry_ms: Some(_), cursor: Some(at) }
                    if reason == "drain" && *at == place),
                "{seen:?}"
            ),
            _ => assert!(
                matches!(last(&seen), Seen::Close { code: 1001, reason } if *reason == place),
                "{seen:?}"
            ),
        }
        let seen = until(&mut mount.reader(transport, Place::Live).await, "late", |_| true).await;
        let refused = match transport {
            Transport::Sse => {
                matches!(last(&seen), Seen::End { reason, retry_ms: Some(_), .. } if reason == "drain")
            }
            _ => {
                matches!(last(&seen), Seen::Refused { status, .. } if *status == StatusCode::SERVICE_UNAVAILABLE)
            }
        };
        assert!(refused, "{transport:?}: {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_full_sends_away_without_costing_a_place() {
    for transport in Transport::ALL {
        let knobs = Knobs::default().config(|config| config.readers_max = 1);
        let mount = Mount::new(Log::new().boxed(), knobs);
        let mut first = mount.reader(Transport::Sse, Place::Live).await;
        until(&mut first, "live", is_live).await;
        let seen = until(&mut mount.reader(transport, Place::Live).await, "full", |_| true).await;
        let away = match transport {
            Transport::Sse => matches!(last(&seen), Seen::End { retry_ms: Some(_), .. }),
            _ => matches!(last(&seen), Seen::Refused { status, headers, .. }
                if *status == StatusCode::SERVICE_UNAVAILABLE && headers.contains_key("retry-after")),
        };
        assert!(away, "{transport:?}: {seen:?}");
        drop(first);
        mount.is_left().await;
        let mut next = mount.reader(transport, Place::Live).await;
        until(&mut next, "room again", Seen::caught_up).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_fell_behind_skips_or_is_disconnected_as_the_mount_says() {
    case_async(
        "D-10",
        "a reader that fell behind is told of the gap or disconnected with its cursor, as its mount says",
        async {
            for (slow, transport) in [
                (Slow::Skip, Transport::Sse),
                (Slow::Skip, Transport::WebSocket),
                (Slow::Disconnect, Transport::Sse),
                (Slow::Disconnect, Transport::WebSocket),
            ] {
                let what = format!("{slow:?} over {transport:?}");
                let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(4)).build();
                let mut knobs = Knobs::default().config(|config| config.slow = slow);
                knobs.buffer_bytes = Some(256);
                let mount = Mount::new(log.clone().boxed(), knobs);
                let mut reader = mount.reader(transport, Place::Live).await;
                until(&mut reader, &what, is_live).await;
                // More than all buffers between hold, while the reader does not read; the log keeps four.
                let mut newest = String::new();
                for n in 0..2_000 {
                    newest =
                        log.publish(Event::text("tick", format!("{n:0>1000}")).unwrap()).unwrap().to_string();
                    tokio::task::yield_now().await;
                }
                let seen = until(&mut reader, &what, |seen| {
                    matches!(seen, Seen::Close { .. } | Seen::End { .. })
                        || seen.event().is_some_and(|event| event.id.as_deref() == Some(&newest))
                })
                .await;
                let gaps = seen
                    .iter()
                    .filter(|seen| matches!(seen, Seen::Gap(gap) if gap.reason == "overflow"))
                    .count();
                match slow {
                    Slow::Skip => {
                        assert!(gaps > 0 && last(&seen).event().is_some(), "{what}: {:?}", last(&seen))
                    }
                    Slow::Disconnect => {
                        assert!(
                            matches!(last(&seen), Seen::End { reason, .. } if reason == "slow"),
                            "{what}: {:?}",
                            last(&seen)
                        );
                        assert_eq!(gaps, 0, "{what}");
                        // It comes back and is told of what it missed.
                        let place = reader.place().clone();
                        let mut again = mount.reader(transport, place).await;
                        let seen = until(&mut again, &what, is_live).await;
                        assert!(
                            seen.iter().any(|seen| matches!(seen, Seen::Gap(gap) if gap.reason == "trimmed")),
                            "{what}"
                        );
                        assert_eq!(mount.stats(crate::mount::name(transport)).evictions, 1, "{what}");
                    }
                }
            }
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_opens_late_keeps_streams_waiting_and_sends_polls_away() {
    for transport in Transport::ALL {
        let remote = Remote::new(Manners { opens_after: Duration::from_secs(20), ..Manners::default() });
        remote.publish(event(1));
        let mount = Mount::new(remote.boxed(), Knobs::default());
        let begun = tokio::time::Instant::now();
        let mut reader = mount.reader(transport, Place::Earliest).await;
        let seen =
            until(&mut reader, "late", |seen| seen.event().is_some() || matches!(seen, Seen::Refused { .. }))
                .await;
        match transport {
            Transport::Poll | Transport::LongPoll => {
                assert!(
                    matches!(last(&seen), Seen::Refused { status, .. } if status.as_u16() == 503),
                    "{seen:?}"
                );
                assert_eq!(begun.elapsed().as_secs(), 2, "{transport:?}");
            }
            Transport::Sse | Transport::WebSocket => {
                assert!(matches!(seen.first(), Some(Seen::Open { .. })), "{transport:?}: {seen:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_says_so_and_costs_no_place() {
    for transport in Transport::ALL {
        for kind in [SourceErrorKind::Unavailable, SourceErrorKind::Failed] {
            let what = format!("{transport:?}, {kind:?}");
            let remote = Remote::new(Manners::default());
            remote.publish(event(1));
            remote.fail_to_open(Some(Failure { kind, retry_after: Some(Duration::from_secs(8)) }));
            let mount = Mount::new(remote.clone().boxed(), Knobs::default());
            let mut reader = mount.reader(transport, Place::Earliest).await;
            let seen = until(&mut reader, &what, |_| true).await;
            let told = match last(&seen) {
                Seen::End { reason, retry_ms: Some(ms), .. } => {
                    reason == "source" && (6_000..=10_000).contains(ms)
                }
                Seen::Refused { status, headers, .. } => {
                    let after: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
                    *status == StatusCode::SERVICE_UNAVAILABLE && (6..=10).contains(&after)
                }
                _ => false,
            };
            assert!(told, "{what}: {seen:?}");
            remote.fail_to_open(None);
            let mut again = mount.reader(transport, Place::Earliest).await;
            until(&mut again, &what, |seen| seen.event().is_some()).await;
            if transport == Transport::WebSocket {
                remote.fail_to_read(Some(Failure { kind, retry_after: None }));
                remote.publish(event(2));
                let seen = until(&mut again, &what, |seen| matches!(seen, Seen::Close { .. })).await;
                let code = if kind == SourceErrorKind::Failed { 1011 } else { 1013 };
                assert!(matches!(last(&seen), Seen::Close { code: c, .. } if *c == code), "{what}: {seen:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_answered_in_order_to_their_sender_on_both_paths() {
    let echo = uplink_fn(|message: Inbound| async move {
        match message.name() {
            "refuse" => Err(UplinkError::new(StatusCode::FORBIDDEN, "not you")),
            _ => Ok(Some(format!("Roger that! {}", message.json::<String>()?))),
        }
    });
    let mount = Mount::with(Log::new().boxed(), Knobs::default(), echo);
    let mut reader = mount.reader(Transport::WebSocket, Place::Live).await;
    until(&mut reader, "live", is_live).await;
    let socket = reader.web_socket().expect("it is one");
    for n in 0..40 {
        let name = if n % 2 == 0 { "say" } else { "refuse" };
        socket.send(&n.to_string(), name, &format!("\"hello {n}\"")).await.unwrap();
    }
    for n in 0..40 {
        let Some(Seen::Control { name, envelope }) = reader.next().await else { panic!("a reply") };
        assert_eq!((name.as_str(), &envelope["ref"]), ("$reply", &serde_json::json!(n.to_string())));
        if n % 2 == 0 {
            assert_eq!(envelope["data"], format!("Roger that! hello {n}"));
        } else {
            assert_eq!(envelope["error"], serde_json::json!({"status": 403, "title": "not you"}));
        }
    }
    let answer = mount.target().post(None, "\"hello\"").await.unwrap();
    assert_eq!(
        (answer.status, &answer.whole().await.unwrap()[..]),
        (StatusCode::OK, &b"Roger that! hello"[..])
    );
    let answer = mount.target().post(Some("refuse"), "1").await.unwrap();
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = mount.target().post(None, format!("\"{}\"", "x".repeat(64 * 1024))).await.unwrap();
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let deaf = Mount::new(Log::new().boxed(), Knobs::default());
    let answer = deaf.target().post(None, "1").await.unwrap();
    assert_eq!(
        (answer.status, answer.header("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, Some("GET, HEAD, OPTIONS"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_quiet_readers_place_moves_and_it_learns_of_it() {
    let log = Log::new();
    let mount = Mount::new(log.topic("quiet").boxed(), Knobs::default());
    for transport in Transport::ALL {
        let mut reader = mount.reader(transport, Place::Live).await;
        until(&mut reader, "caught up", Seen::caught_up).await;
        let busy = Event::text("e", "x").unwrap().with_topic(realtime_core::Topic::new("busy").unwrap());
        let moved = log.publish(busy).unwrap().to_string();
        until(&mut reader, "moved", |seen| match seen {
            Seen::Ping { cursor } | Seen::Live { cursor } => *cursor == moved,
            Seen::Status { headers, .. } => headers["stream-next-offset"] == *moved,
            _ => false,
        })
        .await;
        assert_eq!(reader.place().cursor(), Some(&*moved), "{transport:?}");
    }
}
