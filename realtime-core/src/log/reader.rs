//! A reader of the log: a position, never a queue.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::cursor::{Cursor, Start};
use crate::error::SourceError;
use crate::feed::{Batch, Delivery, Gap};
use crate::log::Shared;
use crate::log::read::{Place, Read};
use crate::log::seats::Parked;
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
    parked: Option<Parked>,
    /// The place the consumer knows of.
    told: u64,
    live: Live,
    /// The closings at which its set was found open: only after another can it have ended.
    closings: u64,
    /// Polls that came to rest since it had something and woke others.
    rests: u8,
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
            parked: None,
            told: 0,
            live: Live::Unsaid,
            closings: 0,
            rests: RESTS_MAX,
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
            parked: None,
            told: at,
            live: Live::Said,
            closings: 0,
            rests: RESTS_MAX,
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
        let (waits, has_stood) = (this.waits(cx.waker()), this.parked.is_some());
        let glanced = if waits {
            Some(Glanced::Parked)
        } else {
            this.parked = None;
            this.glance(cx)
        };
        let step = match glanced {
            Some(Glanced::Events(batch)) => Poll::Ready(Some(Ok(Delivery::Events(batch)))),
            Some(Glanced::Live(place)) => Poll::Ready(Some(Ok(Delivery::Live(place)))),
            Some(Glanced::Parked) => Poll::Pending,
            None => this.look(cx),
        };
        // Called, and nothing is there for it: what it was woken with it hands on as one that comes with an event does.
        if has_stood && !waits && this.parked.as_ref().is_some_and(|parked| parked.was_woken) {
            this.rests = RESTS_MAX;
        }
        let is_rest = matches!(step, Poll::Pending | Poll::Ready(Some(Ok(Delivery::Live(_)))));
        this.rests = if is_rest { this.rests.saturating_add(1) } else { 0 };
        if let Some(seat) = this.seat
            && !(1..=RESTS_MAX).contains(&this.rests)
        {
            this.log.seats.pass_on(seat);
        }
        step
    }
}

/// What a poll came to. While it is pending the reader is parked.
type Step = Poll<Option<Result<Delivery, SourceError>>>;

/// The same of a poll that the slots settle: a few words, for a delivery of any kind is large, and this is every event's way.
enum Glanced {
    Events(Batch),
    Live(Cursor),
    Parked,
}

/// Polls that come to rest behind an event and wake nobody: one that finds nothing more, and, in a host that looks again when
/// it has written, another. Did each of them wake others, a wave would grow with every reader that it reaches.
const RESTS_MAX: u8 = 2;

impl LogFeed {
    /// Whether it waits already, as its last poll left it.
    fn waits(&mut self, waker: &Waker) -> bool {
        let (Some(seat), Some(parked)) = (self.seat, &self.parked) else { return false };
        // What it passed over it tells before it waits.
        let waits = self.told == self.place.at
            && self.log.ring.is_at(self.place.at, self.closings)
            && self.log.seats.is_parked(seat, parked, waker)
            && !self.log.clock.ages();
        if waits {
            self.live = Live::Said;
        }
        waits
    }

    /// Reads what the slots settle, without the log's lock; none where they do not.
    fn glance(&mut self, cx: &mut Context<'_>) -> Option<Glanced> {
        let seat = self.seat.filter(|_| self.start.is_none() && !self.log.clock.ages())?;
        let mut waker = None;
        for _ in 0..GLANCES {
            if let Some(batch) = self.log.ring.read(&self.set, &mut self.place)? {
                self.tells(batch.cursor().position() as u64);
                return Some(Glanced::Events(batch));
            }
            if let Some(place) = self.caught_up() {
                return Some(Glanced::Live(place));
            }
            if self.closings != self.log.ring.closings() {
                return None;
            }
            waker.get_or_insert_with(|| cx.waker().clone());
            // Registered first, then checked again: a publish comes before the check, or finds the waker.
            let (ring, place, closings) = (&self.log.ring, self.place.at, self.closings);
            self.parked = self.log.seats.park(seat, &mut waker, || !ring.is_at(place, closings));
            if self.parked.is_some() {
                self.live = Live::Said;
                return Some(Glanced::Parked);
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
            return Some(Poll::Ready(Some(Ok(Delivery::Open(opened)))));
        }
        let read = state.read(&self.set, &mut self.place);
        if matches!(read, Read::Further) {
            return None;
        }
        if let Some(delivery) = self.say(read) {
            return Some(Poll::Ready(Some(Ok(delivery))));
        }
        if state.is_closed(&self.set) {
            return Some(Poll::Ready(None));
        }
        // Check and park are one critical section: a publish comes before the check or finds the waker.
        self.live = Live::Said;
        self.closings = self.log.ring.closings();
        self.parked = self.log.seats.park(seat, waker, || false);
        self.parked.is_some().then_some(Poll::Pending)
    }

    /// What a read has to be told, if anything.
    fn say(&mut self, read: Read) -> Option<Delivery> {
        match read {
            Read::Gap(gap) => {
                // From the place the consumer knows of: ours may have moved on past what is not of the set.
                let from = Some(self.log.ring.cursor(self.told));
                self.tells(self.place.at);
                Some(Delivery::Gap(Gap { from, ..gap }))
            }
            Read::Events(batch) => {
                self.tells(batch.cursor().position() as u64);
                Some(Delivery::Events(batch))
            }
            Read::Further => None,
            Read::CaughtUp => self.caught_up().map(Delivery::Live),
        }
    }

    /// The consumer is told something, and knows of this place then.
    fn tells(&mut self, place: u64) {
        self.told = place;
        if self.live == Live::JustSaid {
            self.live = Live::Said;
        }
    }

    /// The place, where nothing is new and that was not said.
    fn caught_up(&mut self) -> Option<Cursor> {
        let moved = self.place.at > self.told;
        if self.live != Live::Unsaid && !(moved && self.live == Live::Said) {
            return None;
        }
        self.told = self.place.at;
        self.live = Live::JustSaid;
        Some(self.log.ring.cursor(self.told))
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
