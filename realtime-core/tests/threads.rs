//! The log under real threads, without a runtime: nothing is lost, everything in order, whoever waits is woken, and no
//! lock is held while a waker runs.

#![allow(clippy::unwrap_used, reason = "in a test a failure may panic, in its helpers too")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_core::Stream;
use realtime_core::{
    Delivery, Event, Keep, Log, LogFeed, Source, SourceError, Start, Topic, TopicSet, ViewFeed,
};

const PUBLISHERS: usize = 4;
const EVENTS: u64 = 3_000;

/// The future's task is this thread.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The next item. A wake-up that is lost fails the test instead of hanging it.
fn next<F>(feed: &mut F) -> Option<Delivery>
where
    F: Stream<Item = Result<Delivery, SourceError>> + Unpin,
{
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(item) = Pin::new(&mut *feed).poll_next(&mut cx) {
            return item.map(Result::unwrap);
        }
        let begun = Instant::now();
        thread::park_timeout(Duration::from_secs(20));
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody woke a reader");
    }
}

fn topic(publisher: usize) -> Topic {
    Topic::new(format!("p/{publisher}")).unwrap()
}

fn event() -> Event {
    Event::text("e", "x").unwrap().with_topic(topic(0))
}

fn start_publishers(log: &Log) -> Vec<thread::JoinHandle<()>> {
    (0..PUBLISHERS)
        .map(|publisher| {
            let log = log.clone();
            thread::spawn(move || {
                let event = |n: u64| Event::json("n", &n).unwrap().with_topic(topic(publisher));
                for n in (0..EVENTS).step_by(3) {
                    let alone = log.publish(event(n)).unwrap();
                    let pair = log.publish_all([event(n + 1), event(n + 2)]).unwrap();
                    assert!(alone < pair[0] && pair[1] == pair[0].at(pair[0].position() + 1));
                }
            })
        })
        .collect()
}

/// What a reader of a set got until the end: how many of each topic, and how many gaps.
fn read(mut feed: ViewFeed, may_skip: bool) -> (BTreeMap<Topic, u64>, usize) {
    let (mut counts, mut newest, mut gaps, mut place) = (BTreeMap::new(), BTreeMap::new(), 0, None);
    while let Some(delivery) = next(&mut feed) {
        match delivery {
            Delivery::Open(opened) => place = Some(opened.cursor),
            Delivery::Gap(gap) => {
                assert!(gap.from <= Some(gap.to));
                gaps += 1;
            }
            Delivery::Events(batch) => {
                for entry in &batch {
                    assert!(Some(entry.cursor()) > place, "places rise");
                    place = Some(entry.cursor());
                    let topic = entry.event().topic().unwrap().clone();
                    let n: u64 = serde_json::from_slice(entry.event().payload().bytes()).unwrap();
                    let former = newest.insert(topic.clone(), n);
                    let expected = former.map_or(0, |former| former + 1);
                    // A fresh reader is owed nothing for what went before its first event.
                    let skips = n > expected && (gaps > 0 || former.is_none());
                    assert!(
                        n == expected || (may_skip && skips),
                        "{n} after {former:?}, and no gap was said"
                    );
                    *counts.entry(topic).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    (counts, gaps)
}

fn sets() -> Vec<(TopicSet, usize)> {
    vec![
        (TopicSet::all(), PUBLISHERS),
        (TopicSet::prefix("p/").unwrap(), PUBLISHERS),
        (TopicSet::one(topic(1)), 1),
        (TopicSet::of([topic(0), topic(2)]).unwrap(), 2),
    ]
}

fn start_readers(log: &Log, may_skip: bool) -> Vec<Reader> {
    let start = |(set, topics)| {
        let feed = log.topics(set).subscribe(Start::Earliest);
        (thread::spawn(move || read(feed, may_skip)), topics)
    };
    sets().into_iter().map(start).collect()
}

type Reader = (thread::JoinHandle<(BTreeMap<Topic, u64>, usize)>, usize);

/// D-01, D-02, D-03
#[test]
fn publishers_and_readers_on_threads_lose_nothing() {
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(EVENTS as usize)).build();
    let readers = start_readers(&log, false);
    for publisher in start_publishers(&log) {
        publisher.join().unwrap();
    }
    log.close();
    for (reader, topics) in readers {
        let (counts, gaps) = reader.join().unwrap();
        assert_eq!((counts.len(), gaps), (topics, 0));
        assert!(counts.values().all(|count| *count == EVENTS), "{counts:?}");
    }
}

/// D-04
#[test]
fn a_reader_that_cannot_keep_up_is_told() {
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(16)).build();
    let readers = start_readers(&log, true);
    for publisher in start_publishers(&log) {
        publisher.join().unwrap();
    }
    log.close();
    for (reader, topics) in readers {
        let (counts, _) = reader.join().unwrap();
        assert_eq!(counts.len(), topics);
        assert!(counts.values().all(|count| (16..=EVENTS).contains(count)), "{counts:?}");
    }
    // Who comes late finds just what is kept, told that the rest is gone.
    let mut late = log.topic("p/0").subscribe(Start::After(log.tail().at(0)));
    let Some(Delivery::Open(opened)) = next(&mut late) else { panic!("a feed opens first") };
    assert!(opened.gap.is_some());
    let Some(Delivery::Events(batch)) = next(&mut late) else { panic!("there are events") };
    assert_eq!(batch.len(), 16);
}

/// One of many readers of a thread: told apart by its bell.
struct Bell {
    rang: AtomicBool,
    thread: thread::Thread,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if !self.rang.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

/// Reads with many feeds until all have ended, and says what each got. Some are dropped when they are first woken.
fn read_with_many(log: &Log, readers: usize) -> Vec<u64> {
    let bell = || Arc::new(Bell { rang: AtomicBool::new(true), thread: thread::current() });
    let mut crowd: Vec<_> = (0..readers)
        .map(|number| {
            let (set, _) = sets().swap_remove(number % sets().len());
            (Some(log.topics(set).subscribe(Start::Live)), bell(), 0)
        })
        .collect();
    let mut begun = Instant::now();
    while crowd.iter().any(|(feed, ..)| feed.is_some()) {
        let mut came = 0;
        for (number, (feed, bell, events)) in crowd.iter_mut().enumerate() {
            let Some(reader) = feed.as_mut().filter(|_| bell.rang.swap(false, Ordering::AcqRel)) else {
                continue;
            };
            came += 1;
            let waker = Waker::from(bell.clone());
            let mut cx = Context::from_waker(&waker);
            while let Poll::Ready(item) = Pin::new(&mut *reader).poll_next(&mut cx) {
                match item.map(Result::unwrap) {
                    Some(Delivery::Events(batch)) => *events += batch.len() as u64,
                    Some(_) => {}
                    None => {
                        *feed = None;
                        break;
                    }
                }
                if number % 10 == 9 && *events > 0 {
                    *feed = None;
                    break;
                }
            }
        }
        if came > 0 {
            begun = Instant::now();
        } else {
            thread::park_timeout(Duration::from_secs(20));
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody woke a reader");
        }
    }
    crowd.into_iter().map(|(.., events)| events).collect()
}

/// D-01: more readers than a publish wakes itself, on several threads; a tenth of them goes in the middle of a wave.
#[test]
fn a_wave_reaches_everybody() {
    const READERS: usize = 300;
    let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(EVENTS as usize)).build();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let log = log.clone();
            thread::spawn(move || read_with_many(&log, READERS))
        })
        .collect();
    // When all are seated, and wait or are about to.
    while log.readers(&topic(0)).min(log.readers(&topic(1))) < 3 * READERS * 3 / 4 {
        thread::yield_now();
    }
    let published = 50;
    for n in 0..published {
        for publisher in 0..PUBLISHERS {
            log.publish(Event::json("n", &n).unwrap().with_topic(topic(publisher))).unwrap();
        }
    }
    log.close();
    for thread in threads {
        for (number, events) in thread.join().unwrap().into_iter().enumerate() {
            let topics = sets()[number % sets().len()].1 as u64;
            let got_all = events == published * topics;
            assert!(got_all || (number % 10 == 9 && events > 0), "{number}: {events}");
        }
    }
    assert_eq!(log.readers(&topic(0)), 0);
}

/// A waker that does all that a waker can think of, and again when it is dropped.
struct Meddler {
    log: Log,
    feed: Mutex<Option<LogFeed>>,
    done: Arc<AtomicUsize>,
}

impl Meddler {
    fn meddle(&self) {
        self.log.readers(&topic(0));
        self.log.tail();
        // A closed log refuses it, and that is no deadlock either.
        let _ = self.log.publish(Event::text("e", "from a waker").unwrap().with_topic(topic(1)));
        let mut feed = self.log.topic("p/1").subscribe(Start::Earliest);
        let _ = Pin::new(&mut feed).poll_next(&mut Context::from_waker(Waker::noop()));
        drop((feed, self.feed.lock().unwrap().take()));
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.meddle();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.meddle();
    }
}

/// Runs on a thread of its own, so that a deadlock is a failure and not a hang.
fn within_ten_seconds(what: &str, act: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let thread = thread::spawn(move || {
        act();
        done.send(()).unwrap();
    });
    let outcome = is_done.recv_timeout(Duration::from_secs(10));
    assert_ne!(outcome, Err(mpsc::RecvTimeoutError::Timeout), "{what}: deadlock");
    thread.join().unwrap();
}

type Act = fn(&Log, LogFeed);

fn poll(feed: &mut LogFeed) {
    let _ = Pin::new(feed).poll_next(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn no_lock_is_held_while_a_waker_runs_or_is_dropped() {
    let acts: [(&str, Act); 7] = [
        ("publish", |log, _feed| assert_eq!(log.publish(event()).unwrap(), log.tail().at(1))),
        ("publish_all", |log, _feed| drop(log.publish_all([event(), event()]).unwrap())),
        ("publish_gap", |log, _feed| assert_eq!(log.publish_gap().unwrap(), log.tail().at(1))),
        ("close", |log, _feed| log.close()),
        ("close_topic", |log, _feed| log.close_topic(&topic(0))),
        ("drop", |_, feed| drop(feed)),
        ("another waker", |_, mut feed| poll(&mut feed)),
    ];
    for (what, act) in acts {
        within_ten_seconds(what, move || {
            let log = Log::new();
            let done = Arc::new(AtomicUsize::new(0));
            let (mut feed, mut held) = (log.subscribe(Start::Live), log.subscribe(Start::Live));
            poll(&mut held);
            let held = Mutex::new(Some(held));
            let waker = Waker::from(Arc::new(Meddler { log: log.clone(), feed: held, done: done.clone() }));
            while Pin::new(&mut feed).poll_next(&mut Context::from_waker(&waker)).is_ready() {}
            drop(waker);
            assert_eq!(done.load(Ordering::Relaxed), 0, "the feed holds the last one");
            act(&log, feed);
            assert!(done.load(Ordering::Relaxed) > 0, "{what}: the waker neither ran nor was dropped");
        });
    }
}
