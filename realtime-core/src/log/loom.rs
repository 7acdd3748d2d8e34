//! Every order in which publishers and readers can meet, explored by loom; and beyond its bound of switches at random, by
//! shuttle.
//!
//! A lost wake-up shows as a deadlock: a reader waits in `block_on` and nobody is left to wake it.
//!
//! ```text
//! RUSTFLAGS="--cfg realtime_loom" cargo test -p realtime-core --lib --release -- loom
//! RUSTFLAGS="--cfg realtime_loom --cfg realtime_shuttle" cargo test -p realtime-core --lib --release -- loom
//! ```
//!
//! shuttle runs 10,000 schedules of each model, or as many as the environment variable `REALTIME_SHUTTLE_SCHEDULES` says.
//! A schedule that fails is printed, and `shuttle::replay` takes it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
#[cfg(not(realtime_shuttle))]
use loom::{future::block_on, model::Builder, thread};
#[cfg(realtime_shuttle)]
use shuttle::{future::block_on, thread};

use super::ledger::{Charge, Ledger, TopicLedger};
use crate::cursor::Start;
use crate::event::Event;
use crate::feed::Delivery;
use crate::limits::Keep;
use crate::log::{Log, LogFeed};
use crate::source::Source;
use crate::sync::Arc;
use crate::topic::{Topic, TopicSet};

/// Draws schedules, half of them at random and half with few switches at points that matter (PCT), which finds what needs
/// just those.
#[cfg(realtime_shuttle)]
fn explore(switches_max: usize, model: impl Fn() + Sync + Send + 'static) {
    let schedules = match std::env::var("REALTIME_SHUTTLE_SCHEDULES") {
        Ok(text) => text.parse().expect("REALTIME_SHUTTLE_SCHEDULES is a number"),
        Err(_) => SCHEDULES,
    };
    let model = std::sync::Arc::new(model);
    let again = model.clone();
    shuttle::check_random(move || model(), schedules / 2);
    shuttle::check_pct(move || again(), schedules - schedules / 2, switches_max);
}

/// Schedules of each model that are always run.
#[cfg(realtime_shuttle)]
const SCHEDULES: usize = 10_000;

/// Explores every order with at most so many switches that nothing forces, or as many as `LOOM_MAX_PREEMPTIONS` says.
#[cfg(not(realtime_shuttle))]
fn explore(switches_max: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(switches_max);
    builder.check(model);
}

fn log() -> Log {
    Log::builder().epoch(1).build()
}

fn event() -> Event {
    Event::text("e", "x").unwrap()
}

/// Reads until `count` events have come, or the end; says how many came.
async fn read(mut feed: LogFeed, count: usize) -> usize {
    let mut positions = Vec::new();
    while positions.len() < count {
        match poll_fn(|cx| Pin::new(&mut feed).poll_next(cx)).await {
            Some(Ok(Delivery::Events(batch))) => positions.extend(batch.iter().map(|entry| entry.cursor())),
            Some(Ok(Delivery::Gap(gap))) => panic!("nothing was lost: {gap:?}"),
            Some(Ok(_)) => {}
            Some(Err(error)) => panic!("{error}"),
            None => break,
        }
    }
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
    positions.len()
}

fn poll(feed: &mut LogFeed) {
    let _ = Pin::new(feed).poll_next(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn a_publish_finds_whoever_parks() {
    explore(5, || {
        let log = log();
        let feed = log.subscribe(Start::Earliest);
        let publisher = thread::spawn(move || {
            log.publish(event()).unwrap();
            log.publish(event()).unwrap();
        });
        assert_eq!(block_on(read(feed, 2)), 2);
        publisher.join().unwrap();
    });
}

/// Reads so many events, and looks once more whenever there is nothing: as a host does that has written what it got.
async fn read_and_look_again(mut feed: LogFeed, count: usize) {
    let mut left = count;
    poll_fn(|cx| {
        let mut rests = 0;
        while left > 0 && rests < 2 {
            match Pin::new(&mut feed).poll_next(cx) {
                Poll::Ready(Some(Ok(Delivery::Events(batch)))) => left -= batch.len(),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(end) => panic!("{end:?}"),
                Poll::Pending => rests += 1,
            }
        }
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn a_publish_finds_whoever_looks_again() {
    explore(4, || {
        let log = log();
        let feed = log.subscribe(Start::Earliest);
        let publisher = thread::spawn(move || {
            log.publish(event()).unwrap();
            log.publish(event()).unwrap();
        });
        block_on(read_and_look_again(feed, 2));
        publisher.join().unwrap();
    });
}

#[test]
fn a_call_for_others_takes_nobodys_wake_up() {
    explore(3, || {
        let (log, topic) = (log(), Topic::new("t").unwrap());
        let feed = LogFeed::new(log.shared.clone(), TopicSet::one(topic.clone()), Start::Earliest);
        let publisher = thread::spawn(move || {
            log.publish(event()).unwrap();
            log.publish(event().with_topic(topic)).unwrap();
        });
        block_on(read_and_look_again(feed, 1));
        publisher.join().unwrap();
    });
}

#[test]
fn a_publish_finds_two_readers_in_different_lists() {
    explore(3, || {
        let log = log();
        let all = log.subscribe(Start::Earliest);
        let unnamed = LogFeed::new(log.shared.clone(), TopicSet::unnamed(), Start::Earliest);
        let publisher = thread::spawn(move || {
            log.publish(event()).unwrap();
        });
        let other = thread::spawn(move || assert_eq!(block_on(read(unnamed, 1)), 1));
        assert_eq!(block_on(read(all, 1)), 1);
        publisher.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn two_publishers_have_one_order() {
    explore(3, || {
        let log = log();
        let feed = log.subscribe(Start::Earliest);
        let publishers: Vec<_> = (0..2)
            .map(|_| {
                let log = log.clone();
                thread::spawn(move || log.publish(event()).unwrap())
            })
            .collect();
        assert_eq!(block_on(read(feed, 2)), 2);
        let cursors: Vec<_> = publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect();
        assert_ne!(cursors[0], cursors[1]);
    });
}

#[test]
fn a_close_finds_whoever_parks() {
    explore(5, || {
        let log = log();
        let feed = log.subscribe(Start::Earliest);
        let closer = thread::spawn(move || {
            log.publish(event()).unwrap();
            log.close();
        });
        assert_eq!(block_on(read(feed, usize::MAX)), 1);
        closer.join().unwrap();
    });
}

#[test]
fn the_end_of_a_topic_finds_whoever_parks() {
    explore(5, || {
        let (log, topic) = (log(), Topic::new("t").unwrap());
        let feed = LogFeed::new(log.shared.clone(), TopicSet::one(topic.clone()), Start::Earliest);
        let closer = thread::spawn(move || log.close_topic(&topic));
        assert_eq!(block_on(read(feed, usize::MAX)), 0);
        closer.join().unwrap();
    });
}

#[test]
fn a_reader_that_goes_takes_nobodys_wake_up() {
    explore(3, || {
        let log = log();
        let stays = log.subscribe(Start::Earliest);
        let mut goes = log.subscribe(Start::Live);
        let publisher = thread::spawn({
            let log = log.clone();
            move || log.publish(event()).unwrap()
        });
        let leaver = thread::spawn(move || {
            for _ in 0..3 {
                poll(&mut goes);
            }
            drop(goes);
        });
        assert_eq!(block_on(read(stays, 1)), 1);
        publisher.join().unwrap();
        leaver.join().unwrap();
        assert_eq!(log.readers(&Topic::new("any").unwrap()), 0);
    });
}

/// Readers of one log, parked where nobody hears them: two in the first shard, one in the second. A publish wakes one of each
/// shard; the other is due.
fn parked(log: &Log) -> [LogFeed; 3] {
    let mut feeds = [(); 3].map(|()| log.subscribe(Start::Earliest));
    for feed in &mut feeds {
        // It opens, is live, and waits.
        (0..3).for_each(|_| poll(feed));
    }
    feeds
}

#[test]
fn a_woken_reader_that_is_dropped_passes_the_wave_on() {
    explore(3, || {
        let log = log();
        let [goes, stays, _silent] = parked(&log);
        // Another task than the one it was parked in.
        let reader = thread::spawn(move || assert_eq!(block_on(read(stays, 1)), 1));
        log.publish(event()).unwrap();
        drop(goes);
        reader.join().unwrap();
    });
}

#[test]
fn a_reader_of_another_shard_passes_the_wave_on() {
    explore(3, || {
        let log = log();
        let [_silent, stays, mut comes] = parked(&log);
        let reader = thread::spawn(move || assert_eq!(block_on(read(stays, 1)), 1));
        log.publish(event()).unwrap();
        poll(&mut comes);
        reader.join().unwrap();
    });
}

#[test]
fn a_later_publish_wakes_who_is_still_due() {
    explore(3, || {
        let log = log();
        let [_silent, stays, _silent_too] = parked(&log);
        let reader = thread::spawn(move || assert!(block_on(read(stays, 1)) >= 1));
        log.publish(event()).unwrap();
        log.publish(event().with_topic(Topic::new("elsewhere").unwrap())).unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn two_who_come_at_once_hand_on_all_there_is() {
    explore(2, || {
        let log = log();
        let [first, stays, mut second] = parked(&log);
        let reader = thread::spawn(move || assert_eq!(block_on(read(stays, 1)), 1));
        log.publish(event()).unwrap();
        let leaver = thread::spawn(move || drop(first));
        poll(&mut second);
        leaver.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn a_close_in_the_middle_of_a_wave_is_the_end_for_everybody() {
    explore(3, || {
        let log = log();
        let [goes, stays, _silent] = parked(&log);
        let reader = thread::spawn(move || assert_eq!(block_on(read(stays, usize::MAX)), 1));
        log.publish(event()).unwrap();
        log.close();
        drop(goes);
        reader.join().unwrap();
    });
}

#[test]
fn a_publish_finds_a_reader_that_goes_to_another_task() {
    explore(4, || {
        let log = log();
        let mut feed = log.subscribe(Start::Earliest);
        let publisher = thread::spawn(move || log.publish(event()).unwrap());
        (0..3).for_each(|_| poll(&mut feed));
        // It may have got the event there already.
        let left = 1 - usize::from(feed.place() > 0);
        assert_eq!(block_on(read(feed, left)), left);
        publisher.join().unwrap();
    });
}

/// The slots are two, and the log keeps one entry: they are emptied and taken by later ones while they are read.
#[test]
fn what_is_dropped_while_slots_are_read_is_told() {
    explore(3, || {
        let log = Log::builder().epoch(1).keep(TopicSet::all(), Keep::history().entries(1)).build();
        let mut feed = log.subscribe(Start::Earliest);
        (0..3).for_each(|_| poll(&mut feed));
        let publisher = thread::spawn(move || {
            (0..3).for_each(|_| drop(log.publish(event())));
            log.close();
        });
        let (mut place, mut events) = (0, 0);
        while let Some(delivery) = block_on(poll_fn(|cx| Pin::new(&mut feed).poll_next(cx))) {
            match delivery.unwrap() {
                Delivery::Events(batch) => {
                    for entry in &batch {
                        assert_eq!(entry.cursor().position(), place + 1, "nothing is passed over in silence");
                        place = entry.cursor().position();
                        events += 1;
                    }
                }
                Delivery::Gap(gap) => place = gap.to.position(),
                _ => {}
            }
        }
        assert!(place == 3 && events >= 1);
        publisher.join().unwrap();
    });
}

#[test]
fn what_is_published_together_is_read_together() {
    explore(4, || {
        let log = log();
        let mut feed = log.subscribe(Start::Earliest);
        (0..3).for_each(|_| poll(&mut feed));
        let publisher = thread::spawn(move || log.publish_all([event(), event()]).unwrap());
        loop {
            match block_on(poll_fn(|cx| Pin::new(&mut feed).poll_next(cx))) {
                Some(Ok(Delivery::Events(batch))) => break assert_eq!(batch.len(), 2),
                Some(Ok(_)) => {}
                end => panic!("{end:?}"),
            }
        }
        publisher.join().unwrap();
    });
}

#[test]
fn what_is_filled_while_an_entry_leaves_is_never_owed() {
    explore(5, || {
        let log = Ledger::new(1_000);
        let topic = TopicLedger::new(log.clone(), 0);
        let charge = Arc::new(Charge::new(topic.clone(), 100));
        let fillers: Vec<_> = (0..2)
            .map(|_| {
                let charge = charge.clone();
                thread::spawn(move || charge.grow(50))
            })
            .collect();
        charge.close();
        for filler in fillers {
            filler.join().unwrap();
        }
        assert_eq!((topic.used(), log.used()), (0, 0));
    });
}
