//! A reader that writes down what it hears, and polls a feed only when it was woken.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream as _;

use super::fixture::Fixture;
use super::law::{Law, Violation};
use crate::cursor::{Cursor, Start};
use crate::feed::{Delivery, Gap, Opened};
use crate::source::Source;
use crate::topic::Topic;

/// One thing heard; a batch is heard event by event.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    Open(Opened),
    Event(Number),
    /// The place after a batch.
    Batch(Cursor),
    Gap(Gap),
    Live(Cursor),
    End,
    Failed,
    Silence,
}

/// An event of a law's own making.
#[derive(Debug, Clone)]
pub(super) struct Number {
    pub(super) n: u64,
    pub(super) cursor: Cursor,
    pub(super) topic: Option<Topic>,
    pub(super) key: Option<String>,
}

/// Items a law hears before it takes a feed for one that never comes to rest.
const HEARD_MAX: usize = 20_000;

pub(super) struct Reader<'a, F: Fixture> {
    law: Law,
    fixture: &'a F,
    feed: Pin<Box<<F::Source as Source>::Feed>>,
    bell: Arc<Bell>,
}

impl<'a, F: Fixture> Reader<'a, F> {
    pub(super) fn new(law: Law, fixture: &'a F, start: Start) -> Self {
        let feed = Box::pin(fixture.source().subscribe(start));
        Self { law, fixture, feed, bell: Arc::new(Bell::default()) }
    }

    /// The next delivery, taken apart.
    pub(super) async fn next(&mut self) -> Result<Vec<Heard>, Violation> {
        let mut pause = pin!(self.fixture.pause());
        let (feed, bell) = (&mut self.feed, &self.bell);
        let item = std::future::poll_fn(|cx| {
            bell.forward(cx.waker());
            if bell.was_rung() {
                let waker = Waker::from(bell.clone());
                if let Poll::Ready(item) = feed.as_mut().poll_next(&mut Context::from_waker(&waker)) {
                    bell.ring();
                    return Poll::Ready(Some(item));
                }
            }
            pause.as_mut().poll(cx).map(|()| None)
        })
        .await;
        match item {
            None => Ok(vec![Heard::Silence]),
            Some(None) => Ok(vec![Heard::End]),
            Some(Some(Err(_))) => Ok(vec![Heard::Failed]),
            Some(Some(Ok(delivery))) => self.take_apart(delivery),
        }
    }

    fn take_apart(&self, delivery: Delivery) -> Result<Vec<Heard>, Violation> {
        Ok(match delivery {
            Delivery::Open(opened) => vec![Heard::Open(opened)],
            Delivery::Gap(gap) => vec![Heard::Gap(gap)],
            Delivery::Live(cursor) => vec![Heard::Live(cursor)],
            Delivery::Events(batch) => {
                let mut heard = Vec::with_capacity(batch.len() + 1);
                for entry in &batch {
                    let event = entry.event();
                    let payload = std::str::from_utf8(event.payload().bytes()).ok();
                    let Some(n) = payload.and_then(|text| text.parse().ok()) else {
                        return self.broken(format!("an event that nobody published: {event:?}"));
                    };
                    let key = event.key().map(str::to_owned);
                    heard.push(Heard::Event(Number {
                        n,
                        cursor: entry.cursor(),
                        topic: event.topic().cloned(),
                        key,
                    }));
                }
                heard.push(Heard::Batch(batch.cursor()));
                heard
            }
        })
    }

    /// Everything up to `Live`, the end, an error or silence, that with it.
    pub(super) async fn until_live(&mut self) -> Result<Vec<Heard>, Violation> {
        self.until(|heard| matches!(heard, Heard::Live(_) | Heard::End | Heard::Failed | Heard::Silence))
            .await
    }

    /// Everything up to the end, an error or silence, that with it.
    pub(super) async fn until_rest(&mut self) -> Result<Vec<Heard>, Violation> {
        self.until(|heard| matches!(heard, Heard::End | Heard::Failed | Heard::Silence)).await
    }

    async fn until(&mut self, last: impl Fn(&Heard) -> bool) -> Result<Vec<Heard>, Violation> {
        let mut all = Vec::new();
        while all.len() < HEARD_MAX {
            all.extend(self.next().await?);
            if all.last().is_some_and(&last) {
                return Ok(all);
            }
        }
        self.broken(format!("the feed does not come to rest: {HEARD_MAX} items and more"))
    }

    /// Polls at the next turn although nobody woke it, as a transport does for its heartbeat.
    pub(super) fn poke(&self) {
        self.bell.ring();
    }

    pub(super) fn broken<T>(&self, what: impl Into<String>) -> Result<T, Violation> {
        Err(Violation::new(self.law, what))
    }
}

/// What a fresh reader hears up to `Live`.
pub(super) async fn read<F: Fixture>(law: Law, fixture: &F, start: Start) -> Result<Vec<Heard>, Violation> {
    Reader::new(law, fixture, start).until_live().await
}

pub(super) fn events(heard: &[Heard]) -> impl Iterator<Item = &Number> {
    heard.iter().filter_map(|heard| if let Heard::Event(number) = heard { Some(number) } else { None })
}

pub(super) fn numbers(heard: &[Heard]) -> Vec<u64> {
    events(heard).map(|number| number.n).collect()
}

/// The gaps, that of the opening with them, each with how many events came before it.
pub(super) fn gaps(heard: &[Heard]) -> Vec<(usize, Gap)> {
    let mut events = 0;
    let mut gaps = Vec::new();
    for heard in heard {
        match heard {
            Heard::Event(_) => events += 1,
            Heard::Open(Opened { gap: Some(gap), .. }) | Heard::Gap(gap) => gaps.push((events, *gap)),
            _ => {}
        }
    }
    gaps
}

/// A waker that remembers.
struct Bell {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Default for Bell {
    /// Rung: a feed is polled once before it can wake anybody.
    fn default() -> Self {
        Self { rung: AtomicBool::new(true), task: Mutex::default() }
    }
}

impl Bell {
    fn ring(&self) {
        self.rung.store(true, Ordering::Release);
    }

    fn was_rung(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    fn forward(&self, waker: &Waker) {
        let former = self.task.lock().unwrap_or_else(PoisonError::into_inner).replace(waker.clone());
        drop(former);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.wake();
        }
    }
}
