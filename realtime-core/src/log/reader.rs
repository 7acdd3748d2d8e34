//! A reader of the log: a position, never a queue.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::cursor::Start;
use crate::error::SourceError;
use crate::feed::{Delivery, Gap};
use crate::log::Shared;
use crate::log::read::{Place, Read};
use crate::log::state::State;
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
    /// The closings at which its set was found open: only after another can it have ended.
    closings: u64,
    /// Whether it has woken others since it waited last: once is enough when all that is left is to wait again.
    has_passed_on: bool,
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
            closings: 0,
            has_passed_on: false,
        }
    }

    /// One that goes on where another stood that was live.
    pub(crate) fn following(log: Arc<Shared>, set: TopicSet, at: u64) -> Self {
        let place = Place::live(at);
        Self {
            log,
            set,
            start: None,
            place,
            seat: None,
            told: at,
            live: Live::Said,
            closings: 0,
            has_passed_on: false,
        }
    }
}

#[cfg(test)]
#[cfg(realtime_loom)]
impl LogFeed {
    /// The newest place that it has told.
    pub(crate) fn place(&self) -> u64 {
        self.told
    }
}

impl Stream for LogFeed {
    type Item = Result<Delivery, SourceError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let step = this.glance(cx).unwrap_or_else(|| this.look(cx));
        let is_parked = matches!(step, Step::Parked);
        let is_rest = is_parked || matches!(step, Step::Item(Delivery::Live(_)));
        if let Some(seat) = this.seat
            && !(is_rest && this.has_passed_on)
        {
            this.log.seats.pass_on(seat);
        }
        this.has_passed_on = !is_parked;
        match step {
            Step::Item(delivery) => Poll::Ready(Some(Ok(delivery))),
            Step::End => Poll::Ready(None),
            Step::Parked => Poll::Pending,
        }
    }
}

/// What a poll came to.
enum Step {
    Item(Delivery),
    End,
    Parked,
}

impl LogFeed {
    /// Reads what the slots settle, without the log's lock; none where they do not.
    fn glance(&mut self, cx: &mut Context<'_>) -> Option<Step> {
        let seat = self.seat.filter(|_| self.start.is_none() && !self.log.clock.ages())?;
        let mut waker = None;
        for _ in 0..GLANCES {
            let read = self.log.ring.read(&self.set, &mut self.place)?;
            if let Some(delivery) = self.say(read) {
                return Some(Step::Item(delivery));
            }
            if self.closings != self.log.ring.closings() {
                return None;
            }
            waker.get_or_insert_with(|| cx.waker().clone());
            // Registered first, then checked again: a publish comes before the check, or finds the waker.
            let (ring, place, closings) = (&self.log.ring, self.place.at, self.closings);
            if self.log.seats.park(seat, &mut waker, || !ring.is_at(place, closings)) {
                self.live = Live::Said;
                return Some(Step::Parked);
            }
        }
        None
    }

    /// Reads under the lock.
    fn look(&mut self, cx: &mut Context<'_>) -> Step {
        let log = self.log.clone();
        loop {
            // Asked and cloned before the lock is taken: clock and waker may run anybody's code.
            let (now, mut waker) = (log.clock.now(), Some(cx.waker().clone()));
            let mut state = log.state.lock();
            state.advance(now);
            let step = self.step(&state, &mut waker);
            drop(state);
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// One turn under the lock; none when the next has to follow.
    fn step(&mut self, state: &State, waker: &mut Option<Waker>) -> Option<Step> {
        let seat = *self.seat.get_or_insert_with(|| self.log.seats.take(&self.set));
        if let Some(start) = self.start.take() {
            let (opened, place) = state.open(&self.set, start);
            (self.place, self.told) = (place, place.at);
            return Some(Step::Item(Delivery::Open(opened)));
        }
        let read = state.read(&self.set, &mut self.place);
        if matches!(read, Read::Further) {
            return None;
        }
        if let Some(delivery) = self.say(read) {
            return Some(Step::Item(delivery));
        }
        if state.is_closed(&self.set) {
            return Some(Step::End);
        }
        // Check and park are one critical section: a publish comes before the check or finds the waker.
        self.live = Live::Said;
        self.closings = self.log.ring.closings();
        self.log.seats.park(seat, waker, || false).then_some(Step::Parked)
    }

    /// What a read has to be told, if anything: `Live` where nothing is new and that was not said.
    fn say(&mut self, read: Read) -> Option<Delivery> {
        let delivery = match read {
            // From the place the consumer knows of: ours may have moved on past what is not of the set.
            Read::Gap(gap) => Delivery::Gap(Gap { from: Some(self.log.ring.cursor(self.told)), ..gap }),
            Read::Events(batch) => Delivery::Events(batch),
            Read::Further => return None,
            Read::CaughtUp => {
                let moved = self.place.at > self.told;
                if self.live != Live::Unsaid && !(moved && self.live == Live::Said) {
                    return None;
                }
                self.told = self.place.at;
                self.live = Live::JustSaid;
                return Some(Delivery::Live(self.log.ring.cursor(self.told)));
            }
        };
        self.told = match &delivery {
            Delivery::Events(batch) => batch.cursor().position() as u64,
            _ => self.place.at,
        };
        if self.live == Live::JustSaid {
            self.live = Live::Said;
        }
        Some(delivery)
    }
}

/// How often a reader that was about to park looks again because the head moved, before it takes the lock, under which it
/// does not.
const GLANCES: usize = 4;

impl Drop for LogFeed {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.log.seats.leave(seat, &self.set);
        }
    }
}
