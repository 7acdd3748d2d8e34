//! Who waits, for which topics, and who is woken by whom.
//!
//! A reader takes a seat at its first poll and keeps it until it is dropped. Seats that wait stand in a chain for each of
//! their topics: a publish moves the chains that it concerns to the end of the chain `due`, in as many steps for one
//! reader as for 100,000, and finds nobody who does not wait.
//!
//! ```text
//!             park                     publish, close                    the next comer's turn
//! (no chain) ──────► chain of a topic ────────────────► due ─────────────────────────────────────► woken (no chain)
//!                         ▲                              │ parks again: it has read all there is
//!                         └──────────────────────────────┘
//! ```
//!
//! **Who is due is woken in turns.** The publisher wakes the first [`FIRST`], and so does every later publish. One of
//! them that comes, by polling or dropping its feed, wakes the next one, so that as many are on their way as were at
//! first: few enough to be polled while they are in the processor's cache. A feed that comes without having been woken wakes
//! the next [`FEW`]. So a wake-up that was begun is either done or stands in `due`, where the next comer finds it,
//! whoever that is: nothing is lost with a reader that is woken and never polled, or is dropped before.
//!
//! **What bounds the delay**: a reader that is woken and does not come takes one wake-up with it, once, for it waits again
//! only when it has been polled. Until `FIRST` readers have fallen silent at one event the wave goes on by itself; then
//! until the next poll or drop of any feed of the log, such as for a heartbeat, or the next publish. The first are
//! taken from both ends of each shard, those that waited longest and those that parked last, so that readers that fell silent
//! together do not fill them.
//!
//! Hosts poll a feed again after its event, where there is nothing more, some of them twice. Those polls wake nobody (see
//! `RESTS_MAX` in `reader`), or the wave would widen with each reader that it reaches; nor do they park again what
//! waits already: see [`Parked`].
//!
//! Seats are spread over shards, so that threads that hand a wave on seldom meet at a lock. Who comes looks after its own
//! shard, and after the others when nobody is due in there.
//!
//! No waker is cloned, woken or dropped under a lock: it may run anybody's code.

mod chain;
mod room;

use std::task::Waker;

use self::room::Room;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::topic::{Topic, TopicSet};

/// Readers that a publish wakes itself: some 20 us of its thread's time, and enough that one who comes is among them. A
/// log with no more readers has no need of a second shard.
#[cfg(not(realtime_loom))]
const FIRST: usize = 32;
/// A model has few readers, and is to see them hand the wave on.
#[cfg(realtime_loom)]
const FIRST: usize = 2;

/// Readers that one who comes without having been woken wakes.
const FEW: usize = 4;

/// More than the threads that most hosts read with; each costs a publish a lock.
#[cfg(not(realtime_loom))]
const SHARDS: usize = 8;
#[cfg(realtime_loom)]
const SHARDS: usize = 2;

const _: () = assert!(FIRST >= SHARDS, "a publish wakes somebody of every shard");

/// The seats of a log, under locks of their own: one is taken under the log's or alone, never the other way round.
///
/// A seat's number tells its shard: they take turns.
pub(crate) struct Seats {
    shards: [Shard; SHARDS],
}

/// What a reader remembers of its waiting, so that the next poll need not do it over.
#[derive(Debug)]
pub(crate) struct Parked {
    by: Known,
    /// As often had its shard been called.
    calls: u64,
    /// Whether it had been woken since it waited before.
    pub(crate) was_woken: bool,
}

/// A waker by its two addresses. While its seat keeps it, no other has them.
#[derive(Debug, PartialEq, Eq)]
struct Known(usize, usize);

impl Known {
    fn of(waker: &Waker) -> Self {
        Self(waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr())
    }
}

/// A shard stands in cache lines of its own.
#[repr(align(128))]
struct Shard {
    room: Mutex<Room>,
    /// Whether somebody is due: looked at without the lock.
    is_due: AtomicBool,
    /// Seats that are taken: looked at without the lock.
    readers: AtomicUsize,
    /// How often somebody may have been called out of where it waited: looked at without the lock.
    calls: AtomicU64,
}

impl Seats {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Shard::new()) }
    }

    /// Seats a reader of these topics. Under the log's lock, so that the next publish knows of it.
    pub(crate) fn take(&self, set: &TopicSet) -> usize {
        // The emptiest, by dozens, so that readers that came together and whose memory lies together are woken together.
        let dozens = |number: &usize| self.shards[*number].readers.load(Ordering::Relaxed) / FIRST;
        let number = (0..SHARDS).min_by_key(dozens).unwrap_or_default();
        let shard = &self.shards[number];
        shard.readers.fetch_add(1, Ordering::Relaxed);
        shard.room.lock().take(set) * SHARDS + number
    }

    /// Frees the seat of a reader of these topics, and passes on what it was woken for.
    pub(crate) fn leave(&self, seat: usize, set: &TopicSet) {
        let shard = &self.shards[seat % SHARDS];
        let mut room = shard.room.lock();
        let (is_woken, former) = room.leave(seat / SHARDS, set);
        shard.readers.fetch_sub(1, Ordering::Relaxed);
        shard.tell(&room);
        drop(room);
        drop(former);
        self.wake_next(seat, |_| is_woken);
    }

    /// Parks a reader in its seat unless there is news, which is looked for under the lock: a publish moves the head
    /// before it comes here, so that it finds the reader, or the reader finds what it published. If it is parked, its waker
    /// was taken, and left is the one whose place it took, to be dropped outside of any lock.
    pub(crate) fn park(
        &self,
        seat: usize,
        waker: &mut Option<Waker>,
        is_news: impl FnOnce() -> bool,
    ) -> Option<Parked> {
        let shard = &self.shards[seat % SHARDS];
        let by = waker.as_ref().map(Known::of)?;
        let mut room = shard.room.lock();
        if is_news() {
            return None;
        }
        let was_woken = room.park(seat / SHARDS, waker);
        shard.tell(&room);
        Some(Parked { by, calls: shard.calls.load(Ordering::Relaxed), was_woken })
    }

    /// Whether a reader stands where it was parked, with this waker, and nobody was called since: then it waits, and is woken
    /// by the next call. A look at one number, and no lock: who was woken for a call has seen that there was one.
    pub(crate) fn is_parked(&self, seat: usize, parked: &Parked, waker: &Waker) -> bool {
        parked.by == Known::of(waker)
            && parked.calls == self.shards[seat % SHARDS].calls.load(Ordering::Acquire)
    }

    /// Wakes everybody who waits for one of these topics.
    pub(crate) fn call(&self, topics: &[Option<Topic>]) {
        self.begin(|room| topics.iter().for_each(|topic| room.call(topic)));
    }

    /// Wakes everybody who waits.
    pub(crate) fn call_all(&self) {
        self.begin(Room::call_all);
    }

    fn begin(&self, call: impl Fn(&mut Room)) {
        let (mut woken, mut count) = ([const { None }; FIRST], 0);
        let is_taken = self.shards.each_ref().map(|shard| shard.readers.load(Ordering::Relaxed) > 0);
        let share = FIRST / is_taken.iter().filter(|is_taken| **is_taken).count().max(1);
        for (shard, _) in self.shards.iter().zip(is_taken).filter(|(_, is_taken)| *is_taken) {
            count += shard.take(&mut woken[count..count + share], |room| {
                shard.calls.fetch_add(1, Ordering::Release);
                call(room);
            });
        }
        // And what is left of the places to whoever needs it: the readers of a topic may all be of one shard.
        for shard in self.shards.iter().filter(|shard| shard.is_due.load(Ordering::Acquire)) {
            if count == FIRST {
                break;
            }
            count += shard.take(&mut woken[count..], |_| ());
        }
        wake(woken);
    }

    /// Wakes the next of those who are due, as the reader of a seat comes.
    pub(crate) fn pass_on(&self, seat: usize) {
        self.wake_next(seat, |own| own.is_woken(seat / SHARDS));
    }

    /// Of a comer's own shard if anybody is due in there: one for one that was woken, and some for who comes besides.
    fn wake_next(&self, seat: usize, is_woken: impl Fn(&Room) -> bool) {
        for number in seat..seat + SHARDS {
            let shard = &self.shards[number % SHARDS];
            if !shard.is_due.load(Ordering::Acquire) {
                continue;
            }
            let mut woken = [const { None }; FEW];
            let mut room = shard.room.lock();
            let count = if number == seat && !is_woken(&room) { FEW } else { 1 };
            room.take_first(&mut woken[..count]);
            shard.tell(&room);
            drop(room);
            // Others may have come for the last of them meanwhile: then it is the next shard's turn.
            if woken[0].is_some() {
                return wake(woken);
            }
        }
    }

    /// Readers whose set holds the topic, waiting or not.
    pub(crate) fn readers(&self, topic: &Option<Topic>) -> usize {
        self.shards.iter().map(|shard| shard.room.lock().readers(topic)).sum()
    }

    /// Whether somebody reads this very topic by name.
    pub(crate) fn is_named(&self, topic: &Option<Topic>) -> bool {
        self.shards.iter().any(|shard| shard.room.lock().is_named(topic))
    }
}

impl Shard {
    fn new() -> Self {
        Self {
            room: Mutex::new(Room::new()),
            is_due: AtomicBool::new(false),
            readers: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
        }
    }

    /// Acts, and takes as many of those who are due as there is room for; how many.
    fn take(&self, woken: &mut [Option<Waker>], act: impl FnOnce(&mut Room)) -> usize {
        let mut room = self.room.lock();
        act(&mut room);
        let count = room.take_from_both_ends(woken);
        self.tell(&room);
        count
    }

    /// Writes down for those without the lock whether somebody is due; not what stands there already, for they share it.
    fn tell(&self, room: &Room) {
        if self.is_due.load(Ordering::Relaxed) != room.is_due() {
            self.is_due.store(room.is_due(), Ordering::Release);
        }
    }
}

/// They stand one behind the other, as they were taken.
fn wake<const N: usize>(woken: [Option<Waker>; N]) {
    for waker in woken {
        let Some(waker) = waker else { return };
        waker.wake();
    }
}

#[cfg(test)]
#[cfg(not(realtime_loom))]
mod tests;
