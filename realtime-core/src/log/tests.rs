//! The rule of the gap, the bounds and the wake-up, case by case.

use futures_core::Stream;
use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::entry::{Entry, Format};
use crate::feed::{Delivery, Gap, GapReason};
use crate::limits::{Keep, Limits};

const EPOCH: u64 = 7;

fn log(keep: Keep) -> Log {
    Log::builder().epoch(EPOCH).keep(TopicSet::all(), keep).build()
}

fn at(position: u128) -> Cursor {
    Cursor::new(EPOCH, position)
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn on(name: &str) -> Event {
    Event::text("e", "x").unwrap().with_topic(topic(name))
}

/// Everything a feed says until it waits or ends, as words.
fn drain(feed: &mut (impl Stream<Item = Result<Delivery, SourceError>> + Unpin)) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        match feed.next().now_or_never() {
            None => return said,
            Some(None) => {
                said.push("end".into());
                return said;
            }
            Some(Some(delivery)) => said.push(match delivery.unwrap() {
                Delivery::Open(o) => {
                    format!("open {}{}", o.cursor.position(), o.gap.map(word).unwrap_or_default())
                }
                Delivery::Gap(gap) => format!("gap{}", word(gap)),
                Delivery::Live(cursor) => format!("live {}", cursor.position()),
                Delivery::Events(batch) => {
                    batch.iter().map(|e| e.cursor().position().to_string()).collect::<Vec<_>>().join(",")
                }
            }),
        }
    }
}

fn word(gap: Gap) -> String {
    format!(" {} {:?}..{}", gap.reason.as_str(), gap.from.map(|c| c.position()), gap.to.position())
}

fn read(source: &impl Source<Feed: Unpin>, start: Start) -> Vec<String> {
    drain(&mut source.subscribe(start))
}

#[test]
fn a_reader_resumes_after_its_cursor() {
    let log = log(Keep::history());
    log.publish_all([on("a"), on("b"), on("a")]).unwrap();
    assert_eq!(read(&log, Start::After(at(1))), ["open 1", "2,3", "live 3"]);
    assert_eq!(read(&log, Start::Earliest), ["open 0", "1,2,3", "live 3"]);
    assert_eq!(read(&log, Start::Live), ["open 3", "live 3"]);
    assert_eq!(read(&log, Start::Last(2)), ["open 1", "2,3", "live 3"]);
    assert_eq!(read(&log.topic("a"), Start::Last(1)), ["open 2", "3", "live 3"]);
    assert_eq!(read(&log.topic("b"), Start::After(at(0))), ["open 0", "2", "live 3"]);
    assert_eq!(read(&log.topic("never"), Start::Earliest), ["open 3", "live 3"]);
}

#[test]
fn what_is_gone_is_a_gap_before_the_first_event_after_it() {
    let log = log(Keep::history().entries(2));
    log.publish_all([on("a"), on("b"), on("a"), on("a"), on("a")]).unwrap();
    // Retained: b 2, a 4, a 5. Lost of a: up to 3.
    assert_eq!(read(&log, Start::After(at(0))), ["open 0 trimmed Some(0)..1", "2,4,5", "live 5"]);
    assert_eq!(read(&log.topic("a"), Start::After(at(0))), ["open 0 trimmed Some(0)..3", "4,5", "live 5"]);
    assert_eq!(read(&log.topic("b"), Start::After(at(0))), ["open 0", "2", "live 5"]);
    assert_eq!(read(&log.topic("a"), Start::After(at(3))), ["open 3", "4,5", "live 5"]);
    assert_eq!(read(&log, Start::Earliest), ["open 1", "2,4,5", "live 5"]);
}

#[test]
fn another_epoch_and_the_future_are_a_gap_to_the_oldest() {
    let log = log(Keep::history());
    log.publish_all([on("a"), on("a")]).unwrap();
    assert_eq!(read(&log, Start::After(at(3))), ["open 3 epoch Some(3)..0", "1,2", "live 2"]);
    assert_eq!(read(&log, Start::After(Cursor::new(EPOCH, u128::MAX)))[1], "1,2");
    assert_eq!(
        read(&log, Start::After(Cursor::new(EPOCH + 1, 1))),
        ["open 1 epoch Some(1)..0", "1,2", "live 2"]
    );
}

#[test]
fn a_reader_that_falls_behind_is_told_once() {
    let log = log(Keep::history().entries(2));
    let mut feed = log.subscribe(Start::Live);
    assert_eq!(drain(&mut feed), ["open 0", "live 0"]);
    log.publish_all((0..5).map(|_| on("a"))).unwrap();
    assert_eq!(drain(&mut feed), ["gap overflow Some(0)..3", "4,5"]);
    log.publish(on("a")).unwrap();
    assert_eq!(drain(&mut feed), ["6"]);
}

/// D-01, D-04: what one topic lost before the reader came does not hide what another loses after.
#[test]
fn a_loss_below_one_that_was_never_asked_for_is_told() {
    for start in [Start::Earliest, Start::Last(9)] {
        let log = log(Keep::history().entries(2));
        log.publish_all([on("b"), on("b"), on("a"), on("a"), on("a")]).unwrap();
        let mut feed = log.subscribe(start);
        assert!(matches!(feed.next().now_or_never(), Some(Some(Ok(Delivery::Open(o)))) if o.gap.is_none()));
        log.publish(on("b")).unwrap();
        assert_eq!(drain(&mut feed), ["gap overflow Some(0)..1", "2,4,5,6", "live 6"], "{start:?}");
    }
}

/// D-04: a fresh reader on its way through a table did not ask for the history before it.
#[test]
fn history_before_a_fresh_reader_is_no_loss_of_its_own() {
    let table = TopicSet::one(topic("t"));
    let log = Log::builder()
        .epoch(EPOCH)
        .keep(table, Keep::latest_per_key(2))
        .keep(TopicSet::all(), Keep::history().entries(1))
        .build();
    log.publish_all([on("t").with_key("k").unwrap(), on("a")]).unwrap();
    let mut feed = log.subscribe(Start::Live);
    assert!(feed.next().now_or_never().is_some());
    log.publish(on("a")).unwrap();
    assert_eq!(drain(&mut feed), ["1,3", "live 3"]);
}

/// D-04: a hole between two events that are still there is a hole for whoever reads both.
#[test]
fn a_loss_on_the_way_in_is_told_to_who_reads_what_was_before_it() {
    let log = log(Keep::history());
    log.publish(on("a")).unwrap();
    log.publish_gap().unwrap();
    log.publish(on("a")).unwrap();
    assert_eq!(read(&log, Start::Earliest), ["open 0 source Some(0)..0", "1,3", "live 3"]);
    assert_eq!(read(&log, Start::Last(2)), ["open 0 source Some(0)..0", "1,3", "live 3"]);
    assert_eq!(read(&log, Start::Last(1)), ["open 2", "3", "live 3"]);
    assert_eq!(read(&log, Start::Live), ["open 3", "live 3"]);
    assert_eq!(read(&log.topic("b"), Start::Earliest), ["open 3", "live 3"]);
}

#[test]
fn the_last_none_is_now_and_the_last_of_many_is_bounded() {
    use crate::limits::LAST_MAX;
    let keep = Keep::history().entries(2 * LAST_MAX as usize);
    let log = log(keep);
    log.publish_all((0..LAST_MAX + 5).map(|_| on("a"))).unwrap();
    let tail = u128::from(LAST_MAX + 5);
    let both = TopicSet::of([topic("a"), topic("b")]).unwrap();
    for source in [log.topic("a"), log.topics(TopicSet::all()), log.topics(both)] {
        assert_eq!(read(&source, Start::Last(0)), [format!("open {tail}"), format!("live {tail}")]);
        assert_eq!(read(&source, Start::Last(u32::MAX))[0], "open 5");
    }
}

/// D-04: a topic that keeps the latest per key never loses anything, also where other topics were forgotten.
#[test]
fn a_table_owes_no_gap_for_topics_that_were_forgotten() {
    let limits = Limits { topics_max: 2, ..Limits::default() };
    let table = TopicSet::one(topic("t"));
    let log = Log::builder().epoch(EPOCH).limits(limits).keep(table, Keep::latest_per_key(2)).build();
    log.publish_all([on("a"), on("b"), on("c")]).unwrap();
    assert_eq!(read(&log.topic("t"), Start::After(at(0))), ["open 0", "live 3"]);
    log.publish(on("t").with_key("k").unwrap()).unwrap();
    assert_eq!(read(&log.topic("t"), Start::After(at(0))), ["open 0", "4", "live 4"]);
}

#[test]
fn a_forgotten_topic_leaves_a_floor() {
    let limits = Limits { topics_max: 2, ..Limits::default() };
    let log = Log::builder().epoch(EPOCH).limits(limits).build();
    log.publish_all([on("a"), on("b"), on("c")]).unwrap();
    // "a" was quiet longest and is gone: a reader that asks for it, or for it by prefix, is told.
    assert_eq!(read(&log.topic("a"), Start::After(at(0))), ["open 0 trimmed Some(0)..3", "live 3"]);
    assert_eq!(
        read(&log.topics(TopicSet::prefix("b").unwrap()), Start::After(at(0)))[0],
        "open 0 trimmed Some(0)..1"
    );
    assert_eq!(read(&log.topic("b"), Start::After(at(0))), ["open 0", "2", "live 3"]);
    // It comes back: what it had is lost all the same.
    log.publish(on("a")).unwrap();
    assert_eq!(read(&log.topic("a"), Start::After(at(0))), ["open 0 trimmed Some(0)..3", "4", "live 4"]);
}

#[test]
fn a_topic_that_is_read_is_forgotten_last() {
    let limits = Limits { topics_max: 2, ..Limits::default() };
    let log = Log::builder().epoch(EPOCH).limits(limits).build();
    let mut reader = log.topic("a").subscribe(Start::Earliest);
    log.publish(on("a")).unwrap();
    assert_eq!(drain(&mut reader), ["open 0", "1", "live 1"]);
    log.publish_all([on("b"), on("c")]).unwrap();
    assert_eq!(read(&log.topic("a"), Start::After(at(0))), ["open 0", "1", "live 3"]);
}

#[test]
fn the_budget_takes_from_the_fullest_topic() {
    let limits = Limits { budget_bytes: 64 * 1024, ..Limits::default() };
    let log = Log::builder().epoch(EPOCH).limits(limits).build();
    log.publish(on("quiet")).unwrap();
    for _ in 0..1_000 {
        log.publish(Event::text("e", "x".repeat(1_000)).unwrap().with_topic(topic("chatty"))).unwrap();
    }
    assert_eq!(read(&log.topic("quiet"), Start::After(at(0))), ["open 0", "1", "live 1001"]);
    let used = log.shared.state.lock().all.len();
    assert!((40..60).contains(&used), "64 KiB hold some fifty entries, not {used}");
    assert!(read(&log.topic("chatty"), Start::After(at(0)))[0].contains("trimmed"));
}

#[test]
fn what_readers_fill_counts_for_the_topic_whose_it_is() {
    let limits = Limits { budget_bytes: 64 * 1024, ..Limits::default() };
    let log = Log::builder().epoch(EPOCH).limits(limits).build();
    log.publish_all((0..20).map(|_| on("filled"))).unwrap();
    let mut reader = log.topic("filled").subscribe(Start::Earliest);
    while let Some(Some(Ok(delivery))) = reader.next().now_or_never() {
        if let Delivery::Events(batch) = delivery {
            let encode: fn(&Entry) -> bytes::Bytes = |_| vec![0; 2_000].into();
            assert_eq!(batch.encoded(Format::new("test"), encode).count(), 20);
        }
    }
    for _ in 0..60 {
        log.publish(Event::text("e", "x".repeat(1_000)).unwrap().with_topic(topic("chatty"))).unwrap();
    }
    let state = log.shared.state.lock();
    let used = |name: &str| {
        let set = TopicSet::one(topic(name));
        state.known(&set).map(|topic| topic.ledger.used()).sum::<usize>()
    };
    let (filled, chatty) = (used("filled"), used("chatty"));
    assert!(filled.abs_diff(chatty) < 4 * 1024, "both have about half: {filled} and {chatty}");
}

#[test]
fn who_replays_takes_no_history_from_the_others() {
    // What three formats of the newest weigh, in entries: the log makes room for that, and leaves the rest alone.
    let hot = 3 * crate::limits::HOT_ENTRIES as usize * (1_000 + crate::limits::ENCODING_OVERHEAD_BYTES)
        / 1_500
        + 1;
    let history = Keep::history().entries(1_000);
    // A bound of the topic's own, of events alone; and the budget, of everything.
    for (keep, budget_bytes, room) in [(history.bytes(320 * 1024), 4 << 20, 1), (history, 400 * 1024, hot)] {
        let limits = Limits { budget_bytes, ..Limits::default() };
        let log = Log::builder().epoch(EPOCH).limits(limits).keep(TopicSet::all(), keep).build();
        let event = || Event::text("e", "x".repeat(1_000)).unwrap();
        log.publish_all((0..1_000).map(|_| event())).unwrap();
        let retained = || log.shared.state.lock().all.len();
        let before = retained();
        for format in ["one", "two", "three"] {
            let mut reader = log.subscribe(Start::Earliest);
            while let Some(Some(Ok(delivery))) = reader.next().now_or_never() {
                if let Delivery::Events(batch) = delivery {
                    let encode: fn(&Entry) -> bytes::Bytes = |_| vec![0; 1_000].into();
                    batch.encoded(Format::new(format), encode).for_each(drop);
                }
            }
        }
        log.publish(event()).unwrap();
        let left = retained();
        assert!(left + room >= before, "{left} of {before}, room for {room}");
    }
}

#[test]
fn age_is_counted_by_the_clock_that_was_given() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SECONDS: AtomicU64 = AtomicU64::new(0);
    let now = || std::time::Duration::from_secs(SECONDS.load(Ordering::Relaxed));
    let keep = Keep::history().age(std::time::Duration::from_secs(10));
    let log = Log::builder().epoch(EPOCH).clock(now).keep(TopicSet::all(), keep).build();
    log.publish(on("a")).unwrap();
    SECONDS.store(9, Ordering::Relaxed);
    log.publish(on("a")).unwrap();
    assert_eq!(read(&log, Start::After(at(0))), ["open 0", "1,2", "live 2"]);
    SECONDS.store(10, Ordering::Relaxed);
    assert_eq!(read(&log, Start::After(at(0))), ["open 0 trimmed Some(0)..1", "2", "live 2"]);
    SECONDS.store(0, Ordering::Relaxed);
    assert_eq!(
        read(&log, Start::After(at(1))),
        ["open 1", "2", "live 2"],
        "a clock that goes back brings nothing back"
    );
    SECONDS.store(30, Ordering::Relaxed);
    assert_eq!(read(&log, Start::After(at(0))), ["open 0 trimmed Some(0)..2", "live 2"]);
}

/// D-10: a heartbeat is enough, where nobody publishes.
#[test]
fn what_is_too_old_goes_when_a_reader_that_waits_is_polled() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SECONDS: AtomicU64 = AtomicU64::new(0);
    let now = || std::time::Duration::from_secs(SECONDS.load(Ordering::Relaxed));
    let keep = Keep::history().age(std::time::Duration::from_secs(10));
    let log = Log::builder().clock(now).keep(TopicSet::all(), keep).build();
    let mut reader = log.subscribe(Start::Earliest);
    log.publish(on("a")).unwrap();
    assert_eq!(drain(&mut reader).len(), 3);
    let retained = || log.shared.state.lock().all.len();
    assert_eq!(retained(), 1);
    SECONDS.store(10, Ordering::Relaxed);
    assert!(reader.next().now_or_never().is_none());
    assert_eq!(retained(), 0);
}

#[test]
fn the_latest_per_key_is_never_lost_and_a_fresh_reader_gets_it() {
    let table = TopicSet::one(topic("t"));
    let log = Log::builder().epoch(EPOCH).keep(table, Keep::latest_per_key(2)).build();
    let put = |key: &str| log.publish(on("t").with_key(key).unwrap());
    put("a").unwrap();
    put("b").unwrap();
    log.publish(on("other")).unwrap();
    put("a").unwrap();
    assert_eq!(put("c").unwrap_err().kind(), PublishErrorKind::TooManyKeys);
    assert_eq!(log.publish(on("t")).unwrap_err().kind(), PublishErrorKind::KeyMissing);
    // Held: t/b 2, other 3, t/a 4.
    assert_eq!(read(&log.topic("t"), Start::Live), ["open 1", "2,4", "live 4"]);
    assert_eq!(read(&log, Start::Live), ["open 1", "2,4", "live 4"]);
    assert_eq!(read(&log, Start::Last(1)), ["open 1", "2,3,4", "live 4"]);
    assert_eq!(read(&log.topic("t"), Start::After(at(0))), ["open 0", "2,4", "live 4"]);
}

#[test]
fn a_loss_on_the_way_in_is_a_gap() {
    let log = log(Keep::history());
    let mut live = log.subscribe(Start::Live);
    drain(&mut live);
    log.publish(on("a")).unwrap();
    log.publish_gap().unwrap();
    log.publish(on("a")).unwrap();
    assert_eq!(drain(&mut live), ["gap source Some(0)..0", "1,3"]);
    assert_eq!(read(&log.topic("b"), Start::After(at(1))), ["open 1 source Some(1)..3", "live 3"]);
    assert_eq!(read(&log, Start::After(at(2))), ["open 2", "3", "live 3"]);
}

#[test]
fn the_end_is_said_after_what_is_there() {
    let log = log(Keep::history());
    let mut waiting = log.topic("a").subscribe(Start::Live);
    assert_eq!(drain(&mut waiting), ["open 0", "live 0"]);
    log.publish(on("a")).unwrap();
    log.close_topic(&topic("a"));
    assert_eq!(drain(&mut waiting), ["1", "end"]);
    assert_eq!(log.publish(on("a")).unwrap_err().kind(), PublishErrorKind::Closed);
    log.close_topic(&topic("nobody published here"));
    assert_eq!(read(&log.topic("nobody published here"), Start::Live), ["open 1", "live 1", "end"]);
    assert_eq!(read(&log, Start::Live), ["open 1", "live 1"]);
    log.close();
    assert_eq!(read(&log, Start::Earliest), ["open 0", "1", "live 1", "end"]);
    assert_eq!(log.publish(on("b")).unwrap_err().kind(), PublishErrorKind::Closed);
    assert!(log.publish_gap().is_err());
}

#[test]
fn a_quiet_reader_learns_that_its_place_moved_and_comes_to_rest() {
    let log = log(Keep::history());
    let mut quiet = log.topic("a").subscribe(Start::Live);
    assert_eq!(drain(&mut quiet), ["open 0", "live 0"]);
    log.publish(on("b")).unwrap();
    assert_eq!(drain(&mut quiet), ["live 1"]);
    assert_eq!(drain(&mut quiet), Vec::<String>::new());
    assert_eq!(log.readers(&topic("a")), 1);
    drop(quiet);
    assert_eq!(log.readers(&topic("a")), 0);
}

/// D-06: as a host finds it that polls in the meantime, for a heartbeat.
#[test]
fn a_place_that_moved_before_a_reader_came_to_rest_is_told_at_its_next_poll() {
    let log = log(Keep::history());
    let mut quiet = log.topic("a").subscribe(Start::Live);
    let mut said = || quiet.next().now_or_never();
    assert!(matches!(said(), Some(Some(Ok(Delivery::Open(_))))));
    assert!(matches!(said(), Some(Some(Ok(Delivery::Live(place)))) if place == at(0)));
    log.publish(on("b")).unwrap();
    assert!(said().is_none(), "it comes to rest in a busy log too");
    assert!(matches!(said(), Some(Some(Ok(Delivery::Live(place)))) if place == at(1)));
    assert!(said().is_none());
}

#[test]
fn a_name_that_no_topic_has_is_the_clients_mistake() {
    let mut feed = Log::new().topic("two\nlines").subscribe(Start::Live);
    let error = feed.next().now_or_never().unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Invalid);
    assert!(feed.next().now_or_never().unwrap().is_none());
}

#[test]
fn a_payload_over_its_bound_is_refused_and_spends_no_position() {
    let limits = Limits { event_bytes_max: 4, ..Limits::default() };
    let log = Log::builder().limits(limits).build();
    assert!(log.publish(Event::text("e", "1234").unwrap()).is_ok());
    let tail = log.tail();
    assert_eq!(log.publish(Event::text("e", "12345").unwrap()).unwrap_err().kind(), PublishErrorKind::TooBig);
    let error =
        log.publish_all([Event::text("e", "1").unwrap(), Event::text("e", "12345").unwrap()]).unwrap_err();
    assert_eq!(error.taken(), [tail.at(2)]);
}

#[test]
fn a_reason_is_a_word() {
    assert_eq!(GapReason::Diverged.as_str(), "diverged");
}

#[test]
fn bytes_bound_a_topic_and_its_newest_always_stays() {
    let one = crate::log::topics::cost_of(&on("a"));
    for (bytes_max, earliest) in [(3 * one, "1,2,3"), (3 * one - 1, "2,3"), (one, "3"), (1, "3")] {
        let log = log(Keep::history().bytes(bytes_max));
        for _ in 0..3 {
            log.publish(on("a")).unwrap();
        }
        let said = read(&log, Start::Earliest);
        assert!(said.contains(&earliest.to_owned()), "{bytes_max}: {said:?}");
    }
}

#[test]
fn a_reader_that_follows_goes_on_in_silence_and_is_told_of_what_it_missed() {
    let log = log(Keep::history().entries(2));
    let place = log.publish(on("a")).unwrap();
    let mut kept = log.as_log().unwrap().follow(place).unwrap();
    assert!(drain(&mut kept).is_empty(), "nothing is new, and that it is live was said");
    let mut late = log.as_log().unwrap().follow(place).unwrap();
    for _ in 2..=4 {
        log.publish(on("a")).unwrap();
    }
    let expected = drain(&mut late);
    assert_eq!(expected, ["gap overflow Some(1)..2", "3,4"]);
    assert_eq!(drain(&mut kept), expected);
}

#[test]
fn nobody_follows_a_place_that_the_log_does_not_have() {
    let (log, other) = (Log::new(), Log::new());
    let ahead = log.tail().at(log.tail().position() + 1);
    assert!(log.as_log().unwrap().follow(other.tail()).is_none());
    assert!(log.as_log().unwrap().follow(ahead).is_none());
    assert!(log.topic("two\nlines").follow(log.tail()).is_none());
    assert_eq!(log.topic("two\nlines").as_log(), None);
    assert_ne!(log.as_log(), other.as_log());
    assert_eq!(log.clone().as_log(), log.as_log());
}

/// Whoever reads by views keeps them in maps: those of a log's topics are not to stand in one place there.
#[test]
fn a_view_is_a_log_of_its_own_and_is_told_by_its_topics() {
    use std::hash::{BuildHasher, RandomState};
    let (log, other, hasher) = (Log::new(), Log::new(), RandomState::new());
    let view = log.topic("a");
    assert_eq!(view.as_log().as_ref(), Some(&view));
    assert_eq!(hasher.hash_one(&view), hasher.hash_one(log.clone().topic("a")));
    for differs in [log.topic("b"), other.topic("a"), log.topics(TopicSet::all())] {
        assert_ne!(view, differs);
        assert_ne!(hasher.hash_one(&view), hasher.hash_one(&differs));
    }
}

#[test]
fn what_a_log_holds_is_not_shown() {
    let log = Log::new();
    log.publish(Event::text("e", "secret").unwrap()).unwrap();
    assert_eq!(format!("{log:?}"), "Log { shared: Shared { .. } }");
}

#[test]
fn a_live_reader_waits_for_no_lock_of_the_logs() {
    let log = log(Keep::history());
    let mut feed = log.subscribe(Start::Live);
    assert_eq!(drain(&mut feed), ["open 0", "live 0"]);
    log.publish(on("a")).unwrap();
    let held = log.shared.state.lock();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(drain(&mut feed)));
    let said = told.recv_timeout(std::time::Duration::from_secs(20));
    drop(held);
    assert_eq!(said.as_deref(), Ok(&["1".to_owned()][..]));
}

/// D-04: what is not of the set may lie behind a batch that was full, and is not what the reader knows of.
#[test]
fn a_gap_begins_at_the_last_event_of_the_batch_before_it() {
    let log = log(Keep::history().entries(3));
    let half = "x".repeat(crate::limits::BATCH_BYTES_MAX / 2 - 1);
    let large = || Event::text("e", half.clone()).unwrap().with_topic(topic("a"));
    let mut feed = log.topic("a").subscribe(Start::Live);
    assert_eq!(drain(&mut feed), ["open 0", "live 0"]);
    log.publish_all([large(), large(), on("b"), large()]).unwrap();
    let Some(Some(Ok(Delivery::Events(batch)))) = feed.next().now_or_never() else { panic!("events") };
    assert_eq!((batch.len(), batch.cursor()), (2, at(2)));
    log.publish_all((0..4).map(|_| on("a"))).unwrap();
    assert_eq!(drain(&mut feed), ["gap overflow Some(2)..5", "6,7,8"]);
}
