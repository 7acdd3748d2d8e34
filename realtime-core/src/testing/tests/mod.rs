//! Each law passes on every source of this crate, and finds each source that is broken on purpose.

mod fixtures;
mod mutants;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use self::fixtures::{Counting, Failing, InMemory, Modest, Pumped, Tableless, topic};
use super::broken::{BrokenFixture, Fault};
use super::*;
use crate::cursor::{Cursor, Start};
use crate::entry::Entry;
use crate::event::Event;
use crate::feed::{Batch, BoxFeed, Delivery};
use crate::log::{Log, LogView};
use crate::source::{Source, SourceExt};
use crate::topic::TopicSet;

/// A law needs no runtime and must not wait for anything but its feeds.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    for _ in 0..1_000_000 {
        if let Some(value) = future.as_mut().now_or_never() {
            return value;
        }
    }
    panic!("a law waits for ever");
}

/// What is left untested on a log, whatever is made of it.
const ON_ANY_LOG: [&str; 2] = [
    "that no I/O is done for nobody, and little for many: the fixture counts no reads",
    "all of it: the fixture cannot fail",
];

#[track_caller]
fn expect_all<F: Fixture>(make: impl Fn() -> F, untested: &[&str]) {
    let report = match run(check_all(async || make())) {
        Ok(report) => report,
        Err(violation) => panic!("{violation}"),
    };
    let mut expected = [&ON_ANY_LOG, untested].concat();
    let mut found: Vec<_> = report.untested().map(|(_, what)| what).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected, "\n{report}");
}

const NO_TABLE: &str = "all of it: the fixture keeps no latest per key";
const NOT_MOVED: &str = "a place moved by others' events";

#[test]
fn a_log_keeps_every_law() {
    expect_all(|| InMemory::new(Log::clone), &[NOT_MOVED]);
}

#[test]
fn views_of_a_log_keep_every_law() {
    expect_all(|| InMemory::new(|log| log.topics(TopicSet::prefix("n/").unwrap())).beside(), &[]);
    expect_all(|| InMemory::new(some_topics).beside(), &[]);
    expect_all(|| InMemory::new(some_topics).only("n/aging"), &[]);
    expect_all(|| Tableless(InMemory::new(|log| log.topic("n/aging")).only("n/aging")), &[NO_TABLE]);
}

fn some_topics(log: &Log) -> LogView {
    log.topics(TopicSet::of(["n/aging", "n/steady", "n/table", "n/z-aging"].map(topic)).unwrap())
}

#[test]
fn what_is_made_of_a_source_keeps_every_law() {
    expect_all(|| InMemory::new(|log| some_topics(log).boxed()).beside(), &[]);
    expect_all(|| InMemory::new(|log| Arc::new(some_topics(log))).beside(), &[]);
    expect_all(|| InMemory::new(|log| log.clone().filter(not_aside).boxed()).beside(), &[]);
    expect_all(|| InMemory::new(|log| Modest(log.clone()).filter(not_aside).boxed()).beside(), &[]);
}

fn not_aside(event: &Event) -> bool {
    event.topic().is_none_or(|topic| topic.as_str() != "aside")
}

#[test]
fn logs_that_are_pumped_keep_every_law() {
    expect_all(|| Pumped::new(2), &[NO_TABLE, NOT_MOVED, "a restart: the fixture cannot do it"]);
    expect_all(|| Pumped::new(1), &[NO_TABLE, NOT_MOVED, "a restart: the fixture cannot do it"]);
}

#[test]
fn every_fault_is_found_by_its_law() {
    for fault in Fault::ALL {
        let fixture = || Failing::new(InMemory::new(some_topics).beside());
        run(check(fault.law(), &fixture())).unwrap_or_else(|violation| panic!("{violation}"));
        let found = run(check(fault.law(), &BrokenFixture::new(fixture(), fault)));
        assert_eq!(found.map_err(|violation| violation.law()), Err(fault.law()), "{fault:?}");
    }
}

/// A source that gives its events one by one, as the simplest of one's own do.
struct OneByOne(Log);

impl Source for OneByOne {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        let singly = |delivery| match delivery {
            Ok(Delivery::Events(batch)) => {
                let last = batch.cursor();
                let single = |entry: &Entry| {
                    let (at, is_live) = (entry.cursor(), batch.is_live() && entry.cursor() == last);
                    Ok(Delivery::Events(Batch::new(vec![entry.clone()], at, is_live).unwrap()))
                };
                batch.iter().map(single).collect()
            }
            other => vec![other],
        };
        self.0.subscribe(start).flat_map(move |delivery| stream::iter(singly(delivery))).boxed()
    }
}

#[test]
fn a_source_that_reorders_is_found_although_it_gives_one_event_at_a_time() {
    let fixture = || InMemory::new(|log| OneByOne(log.clone()));
    run(check(Law::OrderedOnce, &fixture())).unwrap_or_else(|violation| panic!("{violation}"));
    let found = run(check(Law::OrderedOnce, &BrokenFixture::new(fixture(), Fault::Reorders)));
    assert_eq!(found.map_err(|violation| violation.law()), Err(Law::OrderedOnce));
}

#[test]
fn every_law_finds_a_fault() {
    for law in Law::ALL {
        assert!(Fault::ALL.iter().any(|fault| fault.law() == law), "{law}");
    }
}

/// D-15
#[test]
fn readers_at_one_place_share_a_read() {
    let shared = Counting { inner: InMemory::new(Log::clone), reads: Arc::default(), per_reader: false };
    assert_eq!(run(lazy(&shared)).unwrap(), Untested::new());
    let each = Counting { inner: InMemory::new(Log::clone), reads: Arc::default(), per_reader: true };
    assert!(run(lazy(&each)).unwrap_err().to_string().contains("8 readers at one place"));
}

/// A source of this crate that only fails: what a client named cannot exist.
#[test]
fn a_view_of_an_impossible_topic_fails_and_ends() {
    let log = Log::new();
    let mut feed = log.topic("two\nlines").subscribe(Start::After(Cursor::new(1, 1)));
    let mut poll = || Pin::new(&mut feed).poll_next(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll(), Poll::Ready(Some(Err(_)))));
    assert!(matches!(poll(), Poll::Ready(None)));
}
