//! Each law passes on every source of this crate, and finds each source that is broken on purpose.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use futures_util::FutureExt;

use super::broken::{BrokenFixture, Fault};
use super::*;
use crate::adapt::{self, PumpError};
use crate::error::{SourceError, SourceErrorKind};
use crate::event::Event;
use crate::feed::{BoxFeed, Delivery};
use crate::limits::Keep;
use crate::log::{Log, LogBuilder, LogView};
use crate::source::{BoxSource, Source, SourceExt};
use crate::topic::{Topic, TopicSet};
use crate::{Cursor, Start};

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

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn number(n: u64) -> Event {
    Event::json("n", &n).unwrap()
}

/// A log that the fixture can age and start over, read through whatever is made of it.
///
/// Even numbers go to a topic that ages, odd ones to a topic that does not: a trim leaves holes.
struct InMemory<S> {
    log: Mutex<Log>,
    seconds: Arc<AtomicU64>,
    published: AtomicU64,
    topics: [&'static str; 2],
    aside: Option<Event>,
    make: fn(&Log) -> S,
}

impl<S: Source> InMemory<S> {
    fn new(make: fn(&Log) -> S) -> Self {
        let seconds = Arc::new(AtomicU64::new(0));
        let log = Mutex::new(builder(&seconds).build());
        let topics = ["n/aging", "n/steady"];
        Self { log, seconds, published: AtomicU64::new(0), topics, aside: None, make }
    }

    fn only(mut self, topic: &'static str) -> Self {
        self.topics = [topic, topic];
        self.beside()
    }

    fn beside(mut self) -> Self {
        self.aside = Some(number(0).with_topic(topic("aside")));
        self
    }

    fn log(&self) -> Log {
        self.log.lock().unwrap().clone()
    }
}

fn builder(seconds: &Arc<AtomicU64>) -> LogBuilder {
    let clock = seconds.clone();
    Log::builder()
        .clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)))
        .keep(TopicSet::one(topic("n/table")), Keep::latest_per_key(400))
        .keep(TopicSet::one(topic("n/steady")), Keep::history())
        .keep(TopicSet::all(), Keep::history().age(Duration::from_secs(10)))
}

impl<S: Source> Fixture for InMemory<S> {
    type Source = S;

    fn source(&self) -> S {
        (self.make)(&self.log())
    }

    async fn publish(&self, numbers: Range<u64>) {
        for n in numbers {
            let topic = topic(self.topics[(n % 2) as usize]);
            self.log().publish(number(n).with_topic(topic)).unwrap();
            self.published.store(n + 1, Ordering::Relaxed);
        }
    }

    async fn trim(&self) -> Option<Vec<u64>> {
        self.seconds.fetch_add(60, Ordering::Relaxed);
        let is_steady = |n: &u64| self.topics[(n % 2) as usize] == "n/steady";
        Some((0..self.published.load(Ordering::Relaxed)).filter(is_steady).collect())
    }

    async fn restart(&self) -> bool {
        *self.log.lock().unwrap() = builder(&self.seconds).build();
        true
    }

    async fn pass_by(&self) -> bool {
        self.aside.clone().is_some_and(|event| self.log().publish(event).is_ok())
    }

    async fn put(&self, key: &str, value: u64) -> bool {
        let row = number(value).with_topic(topic("n/table")).with_key(key).unwrap();
        self.log().publish(row).unwrap();
        true
    }

    async fn close(&self) -> bool {
        self.log().close();
        true
    }

    fn readers(&self) -> Option<usize> {
        Some(self.log().readers(&topic(self.topics[0])))
    }
}

/// What is left untested on a log, whatever is made of it.
const ON_ANY_LOG: [&str; 2] = [
    "that no I/O is done for nobody, and little for many: the fixture counts no reads",
    "a failure: the fixture cannot do it",
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
    expect_all(|| InMemory::new(three).beside(), &[]);
    expect_all(|| InMemory::new(three).only("n/aging"), &[]);
    expect_all(|| Tableless(InMemory::new(|log| log.topic("n/aging")).only("n/aging")), &[NO_TABLE]);
}

fn three(log: &Log) -> LogView {
    log.topics(TopicSet::of(["n/aging", "n/steady", "n/table"].map(topic)).unwrap())
}

#[test]
fn what_is_made_of_a_source_keeps_every_law() {
    expect_all(|| InMemory::new(|log| three(log).boxed()).beside(), &[]);
    expect_all(|| InMemory::new(|log| Arc::new(three(log))).beside(), &[]);
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
        let fixture = || Failing::new(InMemory::new(three).beside());
        run(check(fault.law(), &fixture())).unwrap_or_else(|violation| panic!("{violation}"));
        let found = run(check(fault.law(), &BrokenFixture::new(fixture(), fault)));
        assert_eq!(found.map_err(|violation| violation.law()), Err(fault.law()), "{fault:?}");
    }
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

/// A fixture whose source reads a topic that keeps no table.
struct Tableless<F>(F);

impl<F: Fixture> Fixture for Tableless<F> {
    type Source = F::Source;

    fn source(&self) -> F::Source {
        self.0.source()
    }

    fn publish(&self, numbers: Range<u64>) -> impl Future<Output = ()> {
        self.0.publish(numbers)
    }

    fn trim(&self) -> impl Future<Output = Option<Vec<u64>>> {
        self.0.trim()
    }

    fn restart(&self) -> impl Future<Output = bool> {
        self.0.restart()
    }

    fn pass_by(&self) -> impl Future<Output = bool> {
        self.0.pass_by()
    }

    fn close(&self) -> impl Future<Output = bool> {
        self.0.close()
    }

    fn readers(&self) -> Option<usize> {
        self.0.readers()
    }
}

/// A source that never knows that a batch was the last one there.
struct Modest(Log);

impl Source for Modest {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        use futures_util::StreamExt;
        Box::pin(self.0.subscribe(start).map(|item| match item? {
            Delivery::Events(batch) => {
                let entries = batch.iter().cloned().collect();
                let batch = crate::Batch::new(entries, batch.cursor(), false).unwrap();
                Ok(Delivery::Events(batch))
            }
            other => Ok(other),
        }))
    }
}

type Pump = Pin<Box<dyn Future<Output = Result<(), PumpError>>>>;

/// One or two logs, pumped into the one that is read.
struct Pumped {
    logs: Vec<Log>,
    read: Log,
    pump: Mutex<Option<Pump>>,
    seconds: Arc<AtomicU64>,
    published: AtomicU64,
}

impl Pumped {
    fn new(count: usize) -> Self {
        let seconds = Arc::new(AtomicU64::new(0));
        let logs: Vec<_> = (0..count).map(|_| Log::new()).collect();
        let (read, pump): (Log, Pump) = if count == 1 {
            let (log, pump) =
                adapt::map(builder(&seconds), logs[0].clone(), Start::Live, |event| Ok(event.clone()));
            (log, Box::pin(pump))
        } else {
            let sources: Vec<BoxSource> = logs.iter().map(|log| log.clone().boxed()).collect();
            let (log, pump) = adapt::merge(builder(&seconds), sources, Start::Live);
            (log, Box::pin(pump))
        };
        let pumped = Self { logs, read, pump: Mutex::new(Some(pump)), seconds, published: AtomicU64::new(0) };
        pumped.pump();
        pumped
    }

    fn pump(&self) {
        let mut pump = self.pump.lock().unwrap();
        let polled = pump.as_mut().map(|pump| pump.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        if let Some(Poll::Ready(ended)) = polled {
            ended.unwrap();
            *pump = None;
        }
    }
}

impl Fixture for Pumped {
    type Source = Log;

    fn source(&self) -> Log {
        self.read.clone()
    }

    async fn publish(&self, numbers: Range<u64>) {
        for n in numbers {
            let topic = topic(["n/aging", "n/steady"][(n % 2) as usize]);
            self.logs[n as usize % self.logs.len()].publish(number(n).with_topic(topic)).unwrap();
            self.published.store(n + 1, Ordering::Relaxed);
            self.pump();
        }
    }

    async fn trim(&self) -> Option<Vec<u64>> {
        self.seconds.fetch_add(60, Ordering::Relaxed);
        Some((0..self.published.load(Ordering::Relaxed)).filter(|n| n % 2 == 1).collect())
    }

    async fn close(&self) -> bool {
        for log in &self.logs {
            log.close();
            self.pump();
        }
        true
    }

    fn readers(&self) -> Option<usize> {
        Some(self.read.readers(&topic("n/aging")))
    }
}

/// A fixture whose source can be made to fail.
struct Failing<F> {
    fixture: F,
    switch: Arc<Mutex<Switch>>,
}

#[derive(Default)]
struct Switch {
    is_off: bool,
    waiting: Vec<Waker>,
}

impl<F> Failing<F> {
    fn new(fixture: F) -> Self {
        Self { fixture, switch: Arc::default() }
    }
}

struct MayFail<S>(S, Arc<Mutex<Switch>>);

impl<S: Source> Source for MayFail<S> {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        let (mut feed, switch) = (Box::pin(self.0.subscribe(start)), self.1.clone());
        let mut failed = false;
        Box::pin(futures_util::stream::poll_fn(move |cx| {
            let mut switch = switch.lock().unwrap();
            if switch.is_off {
                let error = || SourceError::new(SourceErrorKind::Failed, "switched off");
                return Poll::Ready((!std::mem::replace(&mut failed, true)).then(|| Err(error())));
            }
            switch.waiting.push(cx.waker().clone());
            drop(switch);
            feed.as_mut().poll_next(cx)
        }))
    }
}

impl<F: Fixture> Fixture for Failing<F> {
    type Source = MayFail<F::Source>;

    fn source(&self) -> Self::Source {
        MayFail(self.fixture.source(), self.switch.clone())
    }

    fn publish(&self, numbers: Range<u64>) -> impl Future<Output = ()> {
        self.fixture.publish(numbers)
    }

    fn trim(&self) -> impl Future<Output = Option<Vec<u64>>> {
        self.fixture.trim()
    }

    fn restart(&self) -> impl Future<Output = bool> {
        self.fixture.restart()
    }

    fn pass_by(&self) -> impl Future<Output = bool> {
        self.fixture.pass_by()
    }

    fn put(&self, key: &str, value: u64) -> impl Future<Output = bool> {
        self.fixture.put(key, value)
    }

    fn close(&self) -> impl Future<Output = bool> {
        self.fixture.close()
    }

    async fn fail(&self) -> bool {
        let woken = {
            let mut switch = self.switch.lock().unwrap();
            switch.is_off = true;
            std::mem::take(&mut switch.waiting)
        };
        woken.into_iter().for_each(Waker::wake);
        true
    }

    fn readers(&self) -> Option<usize> {
        self.fixture.readers()
    }
}

/// A log as a broker would be: reads are counted, one for each publish or one for each poll of each reader.
struct Counting {
    inner: InMemory<Log>,
    reads: Arc<AtomicU64>,
    per_reader: bool,
}

struct Counted(Log, Option<Arc<AtomicU64>>);

impl Source for Counted {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        let (mut feed, reads) = (Box::pin(self.0.subscribe(start)), self.1.clone());
        Box::pin(futures_util::stream::poll_fn(move |cx| {
            if let Some(reads) = &reads {
                reads.fetch_add(1, Ordering::Relaxed);
            }
            feed.as_mut().poll_next(cx)
        }))
    }
}

impl Fixture for Counting {
    type Source = Counted;

    fn source(&self) -> Counted {
        Counted(self.inner.source(), self.per_reader.then(|| self.reads.clone()))
    }

    async fn publish(&self, numbers: Range<u64>) {
        self.inner.publish(numbers).await;
        if !self.per_reader && self.inner.readers() > Some(0) {
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn readers(&self) -> Option<usize> {
        self.inner.readers()
    }

    fn reads(&self) -> Option<u64> {
        Some(self.reads.load(Ordering::Relaxed))
    }
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
