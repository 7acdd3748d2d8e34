//! Fixtures: logs, what is made of them, and stand-ins for what a log does not do.

use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream as _;
use futures_util::StreamExt as _;

use crate::Batch;
use crate::adapt::{self, PumpError};
use crate::cursor::Start;
use crate::error::{SourceError, SourceErrorKind};
use crate::event::Event;
use crate::feed::{BoxFeed, Delivery};
use crate::limits::Keep;
use crate::log::{Log, LogBuilder};
use crate::source::{BoxSource, Source, SourceExt};
use crate::testing::Fixture;
use crate::topic::{Topic, TopicSet};

pub(super) fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

pub(super) fn number(n: u64) -> Event {
    Event::json("n", &n).unwrap()
}

/// A log that the fixture can age and start over, read through whatever is made of it.
///
/// Even numbers go to a topic that ages, odd ones to a topic that does not: a trim leaves holes.
pub(super) struct InMemory<S> {
    log: Mutex<Log>,
    seconds: Arc<AtomicU64>,
    published: AtomicU64,
    topics: [&'static str; 2],
    aside: Option<Event>,
    make: fn(&Log) -> S,
}

impl<S: Source> InMemory<S> {
    pub(super) fn new(make: fn(&Log) -> S) -> Self {
        let seconds = Arc::new(AtomicU64::new(0));
        let log = Mutex::new(builder(&seconds).build());
        let topics = ["n/aging", "n/steady"];
        Self { log, seconds, published: AtomicU64::new(0), topics, aside: None, make }
    }

    pub(super) fn only(mut self, topic: &'static str) -> Self {
        self.topics = [topic, topic];
        self.beside()
    }

    /// Even numbers go to the one, odd ones to the other.
    pub(super) fn on(mut self, topics: [&'static str; 2]) -> Self {
        self.topics = topics;
        self
    }

    pub(super) fn beside(mut self) -> Self {
        self.aside = Some(number(0).with_topic(topic("aside")));
        self
    }

    fn log(&self) -> Log {
        self.log.lock().unwrap().clone()
    }
}

pub(super) fn builder(seconds: &Arc<AtomicU64>) -> LogBuilder {
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

/// A fixture whose source reads a topic that keeps no table.
pub(super) struct Tableless<F>(pub(super) F);

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
pub(super) struct Modest(pub(super) Log);

impl Source for Modest {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        Box::pin(self.0.subscribe(start).map(|item| match item? {
            Delivery::Events(batch) => {
                let entries = batch.iter().cloned().collect();
                let batch = Batch::new(entries, batch.cursor(), false).unwrap();
                Ok(Delivery::Events(batch))
            }
            other => Ok(other),
        }))
    }
}

type Pump = Pin<Box<dyn Future<Output = Result<(), PumpError>>>>;

/// One or two logs, pumped into the one that is read.
pub(super) struct Pumped {
    logs: Vec<Log>,
    read: Log,
    pump: Mutex<Option<Pump>>,
    seconds: Arc<AtomicU64>,
    published: AtomicU64,
}

impl Pumped {
    pub(super) fn new(count: usize) -> Self {
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
pub(super) struct Failing<F> {
    fixture: F,
    switch: Arc<Mutex<Switch>>,
}

#[derive(Default)]
struct Switch {
    is_off: bool,
    waiting: Vec<Waker>,
}

impl<F> Failing<F> {
    pub(super) fn new(fixture: F) -> Self {
        Self { fixture, switch: Arc::default() }
    }
}

pub(super) struct MayFail<S>(S, Arc<Mutex<Switch>>);

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
pub(super) struct Counting {
    pub(super) inner: InMemory<Log>,
    pub(super) reads: Arc<AtomicU64>,
    pub(super) per_reader: bool,
}

pub(super) struct Counted(Log, Option<Arc<AtomicU64>>);

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
