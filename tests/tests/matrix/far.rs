//! Sources that are far away: late, failing, and to be read as seldom as can be.

use std::time::Duration;

use futures_util::future::join_all;
use realtime_core::{Event, Log, SourceErrorKind, SourceExt};
use realtime_tests::checker::{Checker, Truth, Vacuity};
use realtime_tests::client::{Place, Reader, Seen, Transport};
use realtime_tests::fault::{Plan, Way};
use realtime_tests::remote::{Failure, Manners, Remote};
use realtime_tests::rules::case_async;
use tokio::time::{Instant, sleep};

use crate::mount::{Knobs, Mount, is_event, is_live, until};

fn event(n: u64) -> Event {
    Event::json("tick", &n).unwrap()
}

const STREAMS: [Transport; 2] = [Transport::Sse, Transport::WebSocket];

/// D-15, through every transport: many at one place cost one read, idle ones and none cost nothing.
#[tokio::test(start_paused = true)]
async fn many_readers_at_one_place_cost_one_read_and_no_reader_none() {
    case_async(
        "D-15",
        "many readers at one place cost one read, idle ones and none cost none, over every transport",
        async {
            let remote = Remote::new(Manners::default());
            let mount = Mount::new(remote.clone().boxed(), Knobs::default());
            let mut last = String::new();
            for n in 0..10 {
                last = remote.publish(event(n)).to_string();
            }
            assert_eq!(remote.reads(), 0);
            let all = || Transport::ALL.into_iter().flat_map(|transport| [transport; 10]);
            let (at, end) = (&mount, &last);
            let readers = all().map(|transport| async move {
                let mut reader = at.reader(transport, Place::Earliest).await;
                until(&mut reader, "all of it", is_event(end)).await;
                reader
            });
            let readers = join_all(readers).await;
            assert_eq!(remote.reads(), 1, "40 readers");
            sleep(Duration::from_secs(20)).await;
            assert_eq!(remote.reads(), 1, "what waits does not ask");
            let newest = remote.publish(event(10)).to_string();
            let mut streams: Vec<_> =
                readers.into_iter().filter(|r| STREAMS.contains(&r.transport())).collect();
            join_all(streams.iter_mut().map(|reader| until(reader, "the news", is_event(&newest)))).await;
            assert_eq!((remote.reads(), remote.feeds()), (2, 20));
            drop(streams);
            mount.is_left().await;
            assert_eq!(remote.feeds(), 0);
            remote.publish(event(11));
            sleep(Duration::from_secs(100)).await;
            assert_eq!(remote.reads(), 2, "nobody reads");
        },
    )
    .await;
}

/// The head goes out after 2 s, then signs of life, and `$open` when it is known: with its gap, if one is owed.
#[tokio::test(start_paused = true)]
async fn a_stream_of_a_late_source_shows_life_and_opens_later() {
    for transport in STREAMS {
        let manners = Manners { opens_after: Duration::from_secs(50), entries_max: 3, ..Manners::default() };
        let remote = Remote::new(manners);
        let first = remote.publish(event(0)).to_string();
        for n in 1..6 {
            remote.publish(event(n));
        }
        let mount = Mount::new(remote.boxed(), Knobs::default());
        let (target, links) = mount.faulty(|_| Plan::default());
        let begun = Instant::now();
        let mut reader = Reader::connect(transport, &target, Place::After(first.clone())).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(2), "{transport:?}: the head");
        let reading = tokio::spawn(async move { until(&mut reader, "open", is_live).await });
        let link = links.nth(0).unwrap();
        let mut bytes = link.bytes(Way::Down);
        for _ in 0..3 {
            sleep(Duration::from_millis(15_500)).await;
            let now = link.bytes(Way::Down);
            assert!(now > bytes, "{transport:?}: silence for 15 s");
            bytes = now;
        }
        let seen = reading.await.unwrap();
        let honest = match &seen[..] {
            [Seen::Open { cursor, outcome, .. }, Seen::Gap(gap), Seen::Event(_), ..] => {
                *cursor == first && outcome == "gap" && gap.from.as_ref() == Some(&first)
            }
            _ => false,
        };
        assert!(honest, "{transport:?}: {seen:?}");
        assert_eq!(seen.iter().filter_map(Seen::event).count(), 3);
    }
}

/// A stream that has its head cannot be refused any more: it ends, with the reason, and the place stays.
#[tokio::test(start_paused = true)]
async fn a_late_source_that_fails_ends_the_stream_and_costs_no_place() {
    for transport in STREAMS {
        for (kind, code) in [(SourceErrorKind::Failed, 1011), (SourceErrorKind::Unavailable, 1013)] {
            let remote = Remote::new(Manners { opens_after: Duration::from_secs(9), ..Manners::default() });
            let place = Place::After(remote.publish(event(0)).to_string());
            remote.fail_to_open(Some(Failure { kind, retry_after: Some(Duration::from_secs(40)) }));
            let mount = Mount::new(remote.boxed(), Knobs::default());
            let mut reader = mount.reader(transport, place.clone()).await;
            let seen = until(&mut reader, "ended", |_| false).await;
            let Some(Seen::End { reason, retry_ms: Some(retry), cursor: None }) = seen.first() else {
                panic!("{transport:?}: {seen:?}")
            };
            assert!(reason == "source" && (30_000..=50_000).contains(retry), "{seen:?}");
            match (transport, seen.get(1)) {
                (Transport::Sse, None) => {}
                (Transport::WebSocket, Some(Seen::Close { code: said, .. })) => assert_eq!(*said, code),
                _ => panic!("{transport:?}: {seen:?}"),
            }
            assert_eq!(reader.place(), &place, "{transport:?}");
            mount.is_left().await;
        }
    }
}

/// D-01 over failures in mid stream: each transport says it its own way, whoever comes back has lost nothing, and what
/// the broker said goes to nobody.
#[tokio::test(start_paused = true)]
async fn a_source_that_fails_in_mid_stream_costs_nothing_that_is_retained() {
    for transport in Transport::ALL {
        for kind in [SourceErrorKind::Failed, SourceErrorKind::Unavailable] {
            let what = format!("{transport:?}, {kind:?}");
            let remote = Remote::new(Manners::default());
            let mount = Mount::new(remote.clone().boxed(), Knobs::default());
            let (mut truth, mut checker) = (Truth::default(), Checker::default());
            let publish = |truth: &mut Truth, n: u64| {
                let cursor = remote.publish(event(n)).to_string();
                truth.publish(&cursor, None, n.to_string().as_bytes());
                cursor
            };
            let mut newest = publish(&mut truth, 0);
            checker.begin(transport, &Place::Earliest);
            let mut reader = mount.reader(transport, Place::Earliest).await;
            checker.see_all(&until(&mut reader, &what, is_event(&newest)).await);
            for round in 1..5 {
                // What waits meets the failure where it waits: no event comes before it.
                let failing = remote.clone();
                let fails = tokio::spawn(async move {
                    sleep(Duration::from_millis(1500)).await;
                    let retry_after = Some(Duration::from_secs(8));
                    failing.fail_to_read(Some(Failure { kind, retry_after }));
                });
                let seen = until(&mut reader, &what, |_| false).await;
                fails.await.unwrap();
                assert!(!format!("{seen:?}").contains("secret"), "{what}: {seen:?}");
                let told = seen.iter().any(|seen| match seen {
                    Seen::Refused { status, headers, .. } => {
                        let after: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
                        status.as_u16() == 503 && (6..=10).contains(&after)
                    }
                    Seen::End { reason, retry_ms: Some(ms), cursor } => {
                        let here = cursor.is_none() || cursor.as_deref() == Some(&newest);
                        reason == "source" && (6_000..=10_000).contains(ms) && here
                    }
                    _ => false,
                });
                assert!(told, "{what}: {seen:?}");
                checker.see_all(&seen);
                for n in 0..3 {
                    newest = publish(&mut truth, 10 * round + n);
                }
                remote.fail_to_read(None);
                checker.begin(transport, reader.place());
                reader = reader.resume(transport).await;
                checker.see_all(&until(&mut reader, &what, is_event(&newest)).await);
            }
            let vacuity = Vacuity { min_events: 13, min_disconnects: 4, ..Vacuity::default() };
            checker.finish(&truth, vacuity).unwrap_or_else(|faults| panic!("{what}: {faults}"));
        }
    }
}

/// A source that has opened and does not give what it has sends polls away; a stream waits for it.
#[tokio::test(start_paused = true)]
async fn a_source_that_reads_slowly_sends_polls_away_and_keeps_streams() {
    for transport in Transport::ALL {
        let remote = Remote::new(Manners { answers_after: Duration::from_secs(40), ..Manners::default() });
        let id = remote.publish(event(1)).to_string();
        let mount = Mount::new(remote.boxed(), Knobs::default());
        let mut reader = mount.reader(transport, Place::Earliest).await;
        let is_done = |seen: &Seen| is_event(&id)(seen) || matches!(seen, Seen::Refused { .. });
        let seen = until(&mut reader, "slow", is_done).await;
        let expected = STREAMS.contains(&transport);
        assert_eq!(seen.last().unwrap().event().is_some(), expected, "{transport:?}: {seen:?}");
        let waited = seen.iter().any(|seen| matches!(seen, Seen::Ping { .. }));
        assert_eq!(waited, expected, "{transport:?}: {seen:?}");
    }
}

/// A name that no topic can have is the client's mistake, on every transport alike.
#[tokio::test(start_paused = true)]
async fn what_can_never_be_read_is_400_on_every_transport() {
    for transport in Transport::ALL {
        let mount = Mount::new(Log::new().topic("two\nlines").boxed(), Knobs::default());
        let seen = until(&mut mount.reader(transport, Place::Live).await, "400", |_| false).await;
        let refused = matches!(&seen[..], [Seen::Refused { status, .. }] if status.as_u16() == 400);
        assert!(refused, "{transport:?}: {seen:?}");
        mount.is_left().await;
    }
}
