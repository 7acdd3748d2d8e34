//! A stand-in for a source far away: it answers late, forgets by itself, fails, and is read as seldom as can be.
//!
//! Everything that the in-memory log does at once takes time here, and nothing is known before an answer has come: what
//! is built against this and against the log is built against the trait. Positions lie beyond 64 bits, so that the long
//! form of the cursor goes through every wire too.

mod feed;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use realtime_core::{
    BoxFeed, Cursor, Entry, Event, Gap, GapReason, Opened, Source, SourceError, SourceErrorKind, Start,
};
use tokio::sync::watch;

/// How far away it is, and what it keeps.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// How long it takes to open.
    pub opens_after: Duration,
    /// How long a read takes.
    pub answers_after: Duration,
    /// Entries that it keeps; the oldest go by themselves.
    pub entries_max: usize,
    /// Entries that one read gives at most.
    pub page_max: usize,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            opens_after: Duration::from_millis(40),
            answers_after: Duration::from_millis(30),
            entries_max: 1024,
            page_max: 16,
        }
    }
}

/// A failure that it is told to have.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// What a reader may expect.
    pub kind: SourceErrorKind,
    /// When to come back, if it says so.
    pub retry_after: Option<Duration>,
}

impl Failure {
    fn error(self) -> SourceError {
        let error = SourceError::new(self.kind, "secret words of the broker");
        self.retry_after.into_iter().fold(error, SourceError::with_retry_after)
    }
}

/// The source; cloning gives another handle.
///
/// ```
/// use realtime_core::{Event, Source, Start};
/// use realtime_tests::remote::{Manners, Remote};
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// use futures_util::StreamExt;
///
/// let remote = Remote::new(Manners::default());
/// remote.publish(Event::json("tick", &1)?);
/// let mut feed = remote.subscribe(Start::Earliest);
/// assert!(feed.next().await.is_some_and(|opened| opened.is_ok()));
/// assert!(feed.next().await.is_some_and(|events| events.is_ok()));
/// assert_eq!(remote.reads(), 1);
/// # Ok::<(), realtime_core::EventError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Remote(Arc<Far>);

#[derive(Debug)]
struct Far {
    manners: Mutex<Manners>,
    state: Mutex<State>,
    /// Rung at every change; what it shows is how many there were.
    doorbell: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    entries: VecDeque<Entry>,
    head: u64,
    lost: u64,
    is_closed: bool,
    fails_to_open: Option<Failure>,
    fails_to_read: Option<Failure>,
    reads: u64,
    feeds: usize,
    /// Reads under way, by the place they are made from: whoever comes to it waits for the same answer.
    flights: HashMap<Cursor, WeakShared<BoxFuture<'static, Answer>>>,
}

type Answer = Result<Page, Failure>;

/// What one read gives.
#[derive(Clone, Debug)]
struct Page {
    gap: Option<(GapReason, Cursor)>,
    entries: Vec<Entry>,
    is_last: bool,
    is_closed: bool,
    /// What the doorbell showed.
    seen: u64,
}

/// Positions begin here, beyond what 64 bits hold.
const BASE: u128 = 1 << 64;

impl State {
    fn cursor(&self, n: u64) -> Cursor {
        Cursor::new(self.epoch, BASE + u128::from(n))
    }

    /// Which of its own places a cursor is.
    fn rank(&self, cursor: Cursor) -> Option<u64> {
        let n = u64::try_from(cursor.position().checked_sub(BASE)?).ok()?;
        (cursor.epoch() == self.epoch && n <= self.head).then_some(n)
    }

    /// Where reading goes on from a place, and what was lost on the way there.
    fn resume(&self, cursor: Cursor) -> (u64, Option<GapReason>) {
        match self.rank(cursor) {
            None => (self.lost, Some(GapReason::Epoch)),
            Some(n) if n < self.lost => (self.lost, Some(GapReason::Trimmed)),
            Some(n) => (n, None),
        }
    }

    fn open(&self, start: Start) -> Opened {
        let (cursor, gap) = match start {
            Start::Earliest => (self.cursor(self.lost), None),
            Start::Last(n) => (self.cursor(self.head.saturating_sub(n.into()).max(self.lost)), None),
            Start::After(cursor) => {
                let (to, reason) = self.resume(cursor);
                (cursor, reason.map(|reason| Gap::new(reason, Some(cursor), self.cursor(to))))
            }
            _ => (self.cursor(self.head), None),
        };
        let opened = gap.into_iter().fold(Opened::new(cursor), Opened::with_gap);
        let at_end = self.is_closed && opened.place() == self.cursor(self.head);
        if at_end { opened.with_end() } else { opened }
    }

    fn page(&self, cursor: Cursor, page_max: usize, seen: u64) -> Answer {
        if let Some(failure) = self.fails_to_read {
            return Err(failure);
        }
        let (at, reason) = self.resume(cursor);
        let skip = usize::try_from(at - self.lost).unwrap_or(usize::MAX);
        let entries: Vec<_> = self.entries.iter().skip(skip).take(page_max).cloned().collect();
        Ok(Page {
            gap: reason.map(|reason| (reason, self.cursor(at))),
            is_last: at + entries.len() as u64 == self.head,
            entries,
            is_closed: self.is_closed,
            seen,
        })
    }
}

impl Remote {
    /// An empty one.
    pub fn new(manners: Manners) -> Self {
        let state = State { epoch: 0xfa7, ..State::default() };
        let doorbell = watch::Sender::new(0);
        Self(Arc::new(Far { manners: Mutex::new(manners), state: Mutex::new(state), doorbell }))
    }

    /// Stores an event, and forgets the oldest if there are too many.
    pub fn publish(&self, event: Event) -> Cursor {
        let entries_max = self.manners().entries_max;
        let mut state = self.state();
        state.head += 1;
        let cursor = state.cursor(state.head);
        state.entries.push_back(Entry::new(cursor, event));
        if state.entries.len() > entries_max {
            state.entries.pop_front();
            state.lost += 1;
        }
        self.ring(state);
        cursor
    }

    /// Ends it.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        self.ring(state);
    }

    /// Loses everything and begins another life.
    pub fn restart(&self) {
        let mut state = self.state();
        (state.epoch, state.head, state.lost) = (state.epoch + 1, 0, 0);
        state.entries.clear();
        self.ring(state);
    }

    /// From now on it fails to open, or no longer.
    pub fn fail_to_open(&self, failure: Option<Failure>) {
        self.state().fails_to_open = failure;
    }

    /// From now on it fails to read, for those who wait too, or no longer.
    pub fn fail_to_read(&self, failure: Option<Failure>) {
        let mut state = self.state();
        state.fails_to_read = failure;
        self.ring(state);
    }

    /// Changes its manners.
    pub fn behave(&self, manners: Manners) {
        *self.0.manners.lock().unwrap_or_else(PoisonError::into_inner) = manners;
    }

    /// Reads that were made of it.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Feeds that are there.
    pub fn feeds(&self) -> usize {
        self.state().feeds
    }

    fn manners(&self) -> Manners {
        *self.0.manners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait, outside the lock.
    fn ring(&self, state: MutexGuard<'_, State>) {
        drop(state);
        self.0.doorbell.send_modify(|changes| *changes += 1);
    }

    /// One read after a place, or the one that somebody makes from there already.
    fn read(&self, after: Cursor) -> Shared<BoxFuture<'static, Answer>> {
        let mut state = self.state();
        if let Some(flight) = state.flights.get(&after).and_then(WeakShared::upgrade) {
            return flight;
        }
        state.reads += 1;
        state.flights.retain(|_, flight| flight.upgrade().is_some());
        let remote = self.clone();
        let flight = async move {
            tokio::time::sleep(remote.manners().answers_after).await;
            let seen = *remote.0.doorbell.borrow();
            let mut state = remote.state();
            state.flights.remove(&after);
            state.page(after, remote.manners().page_max, seen)
        };
        let flight = flight.boxed().shared();
        state.flights.extend(flight.downgrade().map(|weak| (after, weak)));
        flight
    }
}

impl Source for Remote {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        feed::feed(self.clone(), start)
    }
}

#[cfg(test)]
mod tests;
