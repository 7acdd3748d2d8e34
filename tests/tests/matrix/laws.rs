//! Every kind of source over every way of reading: the laws that need no fault to be broken.

use std::time::Duration;

use realtime_core::{Event, Keep, Log, SourceExt, Topic, TopicSet};
use realtime_tests::checker::{Checker, Truth, Vacuity};
use realtime_tests::client::{Place, Reader, Seen, Transport};
use realtime_tests::rules::{case_async, twin_async};

use crate::mount::{Knobs, Mount, Way, is_event, is_live, until};
use crate::world::{ALL, Kind, World};

fn is_end(seen: &Seen) -> bool {
    matches!(seen, Seen::End { .. })
}

/// Reads, and lets the judge see it.
async fn read(
    reader: &mut Reader,
    checker: &mut Checker,
    what: &str,
    last: impl FnMut(&Seen) -> bool,
) -> Vec<Seen> {
    let seen = until(reader, what, last).await;
    checker.see_all(&seen);
    seen
}

/// D-01, D-02, D-03, D-06, D-13, D-16: replay, live, a break, catching up, and the end.
#[tokio::test(start_paused = true)]
async fn every_source_reaches_every_reader_whole_and_in_order() {
    for kind in Kind::ALL {
        for way in Way::ALL {
            let what = format!("{kind:?} over {way:?}");
            let mut world = World::new(kind, ALL);
            let mount = Mount::new(world.source.clone(), Knobs::of(way));
            let mut checker = world.checker();
            world.publish_many(30).await;
            checker.begin(way.transport(), &Place::Earliest);
            let mut reader = mount.reader(way.transport(), Place::Earliest).await;
            read(&mut reader, &mut checker, &what, is_live).await;

            for _ in 0..4 {
                world.publish_many(3).await;
                let newest = world.cursors().pop().unwrap();
                read(&mut reader, &mut checker, &what, is_event(&newest)).await;
            }
            assert_eq!(mount.readers(), u64::from(!way.is_poll()), "{what}");

            checker.begin(way.transport(), reader.place());
            world.publish_many(20).await;
            let mut reader = reader.resume(way.transport()).await;
            let newest = world.cursors().pop().unwrap();
            read(&mut reader, &mut checker, &what, is_event(&newest)).await;
            world.publish_many(7).await;
            world.close();
            let seen = read(&mut reader, &mut checker, &what, |_| false).await;
            let ends = seen.iter().filter(|seen| is_end(seen)).count();
            assert_eq!(ends, 1, "{what}: the end is said once: {seen:?}");
            drop(reader);
            let least = world.cursors().len();
            let vacuity = Vacuity { min_events: least, min_disconnects: 1, ..Vacuity::default() };
            let report = world.judge(checker, vacuity, &what);
            assert_eq!((report.events, report.gaps), (least, 0), "{what}");
            mount.is_left().await;
            assert!(world.is_unread(), "{what}: a subscription is left");
        }
    }
}

/// D-04, D-01: what was dropped while the reader was away is said, before the first event after it, and what is still
/// there comes.
#[tokio::test(start_paused = true)]
async fn what_was_lost_is_said_and_what_is_there_comes() {
    for kind in Kind::ALL {
        for way in Way::ALL {
            let what = format!("{kind:?} over {way:?}");
            let mut world = World::new(kind, 8);
            let mount = Mount::new(world.source.clone(), Knobs::of(way));
            let mut checker = world.checker();
            world.publish_many(6).await;
            checker.begin(way.transport(), &Place::Earliest);
            let mut reader = mount.reader(way.transport(), Place::Earliest).await;
            read(&mut reader, &mut checker, &what, is_live).await;
            world.publish_many(50).await;
            let reader = {
                checker.begin(way.transport(), reader.place());
                let mut reader = reader.resume(way.transport()).await;
                let newest = world.cursors().pop().unwrap();
                let seen = read(&mut reader, &mut checker, &what, is_event(&newest)).await;
                let first =
                    seen.iter().find(|seen| !matches!(seen, Seen::Open { .. })).expect("something is said");
                assert!(matches!(first, Seen::Gap(gap) if gap.reason == "trimmed"), "{what}: {first:?}");
                reader
            };
            world.publish_many(6).await;
            world.close();
            let mut reader = reader;
            read(&mut reader, &mut checker, &what, |_| false).await;
            let vacuity = Vacuity { min_gaps: 1, min_events: 10, ..Vacuity::default() };
            let report = world.judge(checker, vacuity, &what);
            assert!(report.skipped > 0 && report.gaps == 1, "{what}: {report:?}");
        }
    }
}

/// D-04, D-09: a cursor of another life, or of a future that never was, is a gap, and reading goes on at the oldest.
#[tokio::test(start_paused = true)]
async fn a_foreign_and_a_future_cursor_are_gaps() {
    case_async(
        "D-09",
        "a cursor of another life and one of the future are gaps, from every source over every transport",
        async {
            for kind in Kind::ALL {
                for way in Way::ALL {
                    let mut world = World::new(kind, ALL);
                    let mount = Mount::new(world.source.clone(), Knobs::of(way));
                    let newest = world.publish_many(9).await;
                    let (epoch, position) = newest.split_at(16);
                    let foreign = format!("{:016x}{position}", !u64::from_str_radix(epoch, 16).unwrap());
                    let future = format!("{epoch}{}ffff", &position[..position.len() - 4]);
                    for place in [Place::After(foreign), Place::After(future)] {
                        let what = format!("{kind:?} over {way:?} from {place:?}");
                        let mut checker = world.checker();
                        checker.begin(way.transport(), &place);
                        let mut reader = mount.reader(way.transport(), place.clone()).await;
                        let seen = read(&mut reader, &mut checker, &what, is_live).await;
                        let Some(Seen::Gap(gap)) = seen.iter().find(|seen| matches!(seen, Seen::Gap(_)))
                        else {
                            panic!("{what}: no gap in {seen:?}")
                        };
                        assert_eq!(
                            (gap.reason.as_str(), gap.from.as_deref()),
                            ("epoch", place.cursor()),
                            "{what}"
                        );
                        let least = world.cursors().len();
                        let vacuity = Vacuity { min_gaps: 1, min_events: least, ..Vacuity::default() };
                        let report = world.judge(checker, vacuity, &what);
                        assert_eq!(report.events, least, "{what}: all that is retained comes");
                    }
                }
            }
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_its_own_is_no_gap() {
    twin_async(
        "D-09",
        "the oldest cursor that loses nothing is resumed, from every source over every transport",
        async {
            for kind in Kind::ALL {
                for way in Way::ALL {
                    let what = format!("{kind:?} over {way:?}");
                    let mut world = World::new(kind, ALL);
                    let mount = Mount::new(world.source.clone(), Knobs::of(way));
                    world.publish_many(9).await;
                    let cursors = world.cursors();
                    let mut reader = mount.reader(way.transport(), Place::After(cursors[0].clone())).await;
                    let seen = until(&mut reader, &what, is_live).await;
                    assert!(!seen.iter().any(|seen| matches!(seen, Seen::Gap(_))), "{what}: {seen:?}");
                    assert_eq!(seen.iter().filter_map(Seen::event).count(), cursors.len() - 1, "{what}");
                }
            }
        },
    )
    .await;
}

/// D-08: what was sent and not taken is sent again to whoever comes back with the place before it.
#[tokio::test(start_paused = true)]
async fn the_server_never_advances_for_the_client() {
    case_async("D-08", "what was sent and not kept comes again from the place that is sent, from every source over every transport", async {
    for kind in Kind::ALL {
        for way in Way::ALL {
            let what = format!("{kind:?} over {way:?}");
            let mut world = World::new(kind, ALL);
            let mount = Mount::new(world.source.clone(), Knobs::of(way));
            world.publish_many(12).await;
            let cursors = world.cursors();
            let place = Place::After(cursors[0].clone());
            for _ in 0..3 {
                let mut reader = mount.reader(way.transport(), place.clone()).await;
                let seen = until(&mut reader, &what, is_live).await;
                let ids: Vec<_> =
                    seen.iter().filter_map(Seen::event).map(|event| event.id.clone().unwrap()).collect();
                assert_eq!(ids, cursors[1..], "{what}");
            }
        }
    }
}).await;
}

/// D-07: what a fresh reader of a table holds at `Live` is the whole table, and stays so, over breaks too.
#[tokio::test(start_paused = true)]
async fn a_table_is_whole_from_live_on() {
    case_async("D-07", "what a reader of a table holds at `Live` is the whole table, and stays so over breaks, over every transport", async {
    for way in Way::ALL {
        let keep = Keep::latest_per_key(10);
        let log = Log::builder().keep(TopicSet::all(), keep).build();
        let topic = Topic::new("prices").unwrap();
        let mount = Mount::new(log.topics(topic.clone()).boxed(), Knobs::of(way));
        let (mut truth, mut latest) = (Truth::default(), std::collections::BTreeMap::new());
        let mut put = |truth: &mut Truth, n: u64| {
            let key = format!("k{}", n % 5);
            let event = Event::json("price", &serde_json::json!({ "k": key, "n": n })).unwrap();
            let event = event.with_topic(topic.clone()).with_key(&key).unwrap();
            let data = event.payload().bytes().clone();
            let cursor = log.publish(event).unwrap().to_string();
            truth.publish(&cursor, Some("prices"), &data);
            if let Some((former, _)) = latest.insert(key, (cursor.clone(), data.to_vec())) {
                let former: String = former;
                truth.supersede(&former);
            }
            let mut table: Vec<Vec<u8>> = latest.values().map(|(_, data)| data.clone()).collect();
            table.sort();
            (cursor, table)
        };
        (0..13).for_each(|n| drop(put(&mut truth, n)));
        let (_, mut table) = put(&mut truth, 13);
        let mut checker = Checker::default();
        // A fresh reader at the tail is given the table all the same.
        checker.begin(way.transport(), &Place::Live);
        let mut reader = mount.reader(way.transport(), Place::Live).await;
        let mut held = std::collections::BTreeMap::new();
        let mut newest = String::new();
        for round in 0..4 {
            let what = format!("{way:?} in round {round}");
            let last = newest.clone();
            let seen = read(&mut reader, &mut checker, &what, |seen| {
                matches!(seen, Seen::Live { .. }) && round == 0
                    || seen.event().is_some_and(|event| event.id.as_deref() == Some(&last))
            })
            .await;
            for event in seen.iter().filter_map(Seen::event) {
                let value: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
                held.insert(value["k"].to_string(), event.data.clone());
            }
            let mut holds: Vec<_> = held.values().cloned().collect();
            holds.sort();
            assert_eq!(holds, table, "{what}");
            for n in 0..6 {
                (newest, table) = put(&mut truth, 100 * round + 14 + n);
            }
            if round == 1 {
                checker.begin(way.transport(), reader.place());
                reader = reader.resume(way.transport()).await;
            }
        }
        drop(reader);
        let vacuity = Vacuity { min_disconnects: 1, to_the_end: false, min_events: 15, ..Vacuity::default() };
        checker.finish(&truth, vacuity).unwrap_or_else(|faults| panic!("{way:?}: {faults}"));
    }
}).await;
}

/// D-13: a reader that waits learns of the end at once, and one that comes back after it does too.
#[tokio::test(start_paused = true)]
async fn the_end_is_not_silence() {
    for kind in Kind::ALL {
        for way in Way::ALL {
            let what = format!("{kind:?} over {way:?}");
            let mut world = World::new(kind, ALL);
            let mount = Mount::new(world.source.clone(), Knobs::of(way));
            world.publish_many(4).await;
            let mut reader = mount.reader(way.transport(), Place::Live).await;
            until(&mut reader, &what, Seen::caught_up).await;
            world.close();
            let begun = tokio::time::Instant::now();
            let seen = until(&mut reader, &what, |_| false).await;
            let end = seen.iter().find(|seen| is_end(seen));
            let said = matches!(end, Some(Seen::End { reason, retry_ms: None, .. }) if reason == "closed");
            assert!(said, "{what}: {seen:?}");
            let patience = if way.transport() == Transport::Poll {
                Duration::from_secs(2)
            } else {
                Duration::from_secs(1)
            };
            assert!(begun.elapsed() < patience, "{what}: after {:?}", begun.elapsed());
            let seen = {
                let mut again = reader.resume(way.transport()).await;
                until(&mut again, &what, |_| false).await
            };
            let again = match way.transport() {
                // What makes a browser stop.
                Transport::Sse => {
                    matches!(&seen[..], [Seen::Status { status, headers }]
                        if status.as_u16() == 204 && headers["stream-closed"] == "true")
                }
                Transport::WebSocket => {
                    matches!(&seen[..], [.., Seen::End { .. }, Seen::Close { code: 1000, .. }])
                }
                Transport::Poll | Transport::LongPoll => matches!(&seen[..], [.., Seen::End { .. }]),
            };
            assert!(again, "{what}, again: {seen:?}");
        }
    }
}
