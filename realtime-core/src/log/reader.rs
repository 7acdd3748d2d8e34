//! A reader of the log: a position, never a queue.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::cursor::Start;
use crate::error::SourceError;
use crate::feed::{Delivery, Gap};
use crate::log::read::{Place, Read};
use crate::log::{Inner, Shared};
use crate::sync::Arc;
use crate::topic::TopicSet;

/// What a [`Log`](crate::Log) and its views are read through.
///
/// It holds its place and, while it waits, a seat among those to be woken. Dropping it gives the seat up.
#[derive(Debug)]
pub struct LogFeed {
    log: Arc<Shared>,
    set: TopicSet,
    start: Option<Start>,
    place: Place,
    seat: Option<usize>,
    /// The place the consumer knows of.
    told: u64,
    live: Live,
}

/// What the consumer knows of the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Live {
    /// Nothing yet: the replay has not ended.
    Unsaid,
    /// The last item was `Live`. The next poll waits even if the head moved meanwhile, or a reader of a quiet topic
    /// in a busy log would never come to rest.
    JustSaid,
    Said,
}

impl LogFeed {
    pub(crate) fn new(log: Arc<Shared>, set: TopicSet, start: Start) -> Self {
        Self {
            log,
            set,
            start: Some(start),
            place: Place::default(),
            seat: None,
            told: 0,
            live: Live::Unsaid,
        }
    }

    /// One that goes on where another stood that was live.
    pub(crate) fn following(log: Arc<Shared>, set: TopicSet, at: u64) -> Self {
        let place = Place::live(at);
        Self { log, set, start: None, place, seat: None, told: at, live: Live::Said }
    }
}

impl Stream for LogFeed {
    type Item = Result<Delivery, SourceError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let now = this.log.clock.now();
            let log = this.log.clone();
            let mut inner = log.inner.lock();
            inner.state.advance(now);
            let step = this.step(&mut inner, cx);
            drop(inner);
            match step {
                Step::Item(delivery) => return Poll::Ready(Some(Ok(delivery))),
                Step::Again => {}
                Step::End => return Poll::Ready(None),
                // A waker that was replaced is dropped outside the lock: it may run anybody's code.
                Step::Parked(former) => {
                    drop(former);
                    return Poll::Pending;
                }
            }
        }
    }
}

/// What one turn under the lock came to.
enum Step {
    Item(Delivery),
    Again,
    End,
    Parked(Option<Waker>),
}

impl LogFeed {
    fn step(&mut self, inner: &mut Inner, cx: &mut Context<'_>) -> Step {
        let seat = *self.seat.get_or_insert_with(|| inner.seats.take(&self.set));
        if let Some(start) = self.start.take() {
            let (opened, place) = inner.state.open(&self.set, start);
            (self.place, self.told) = (place, place.at);
            return Step::Item(Delivery::Open(opened));
        }
        match inner.state.read(&self.set, &mut self.place) {
            Read::Further => return Step::Again,
            Read::Gap(gap) => {
                // From the place the consumer knows of: ours may have moved on past what is not of the set.
                let gap = Gap { from: Some(inner.state.cursor(self.told)), ..gap };
                return self.say(self.place.at, Delivery::Gap(gap));
            }
            Read::Events(batch) => {
                return self.say(batch.cursor().position() as u64, Delivery::Events(batch));
            }
            Read::CaughtUp => {}
        }
        let moved = self.place.at > self.told;
        if self.live == Live::Unsaid || (moved && self.live == Live::Said) {
            self.told = self.place.at;
            self.live = Live::JustSaid;
            return Step::Item(Delivery::Live(inner.state.cursor(self.told)));
        }
        if inner.state.is_closed(&self.set) {
            return Step::End;
        }
        // Check and park are one critical section: a publish comes before the check or finds the waker.
        self.live = Live::Said;
        Step::Parked(inner.seats.park(seat, cx.waker()))
    }

    fn say(&mut self, told: u64, delivery: Delivery) -> Step {
        self.told = told;
        if self.live == Live::JustSaid {
            self.live = Live::Said;
        }
        Step::Item(delivery)
    }
}

impl Drop for LogFeed {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            let former = self.log.inner.lock().seats.leave(seat);
            drop(former);
        }
    }
}
