//! The newest entries, to be read without a lock.
//!
//! ```text
//! position    61    62    63    64          head = 64
//! slot       [61]  [62]  [  ]  [64]         63 is not kept any more, or was a loss: who comes by asks under the lock
//! ```
//!
//! One law makes that safe: **a slot holds the entry of a position up to the head if and only if the log retains it.** A
//! reader that finds every slot between its place and the head full has been owed nothing at the moment at which it
//! looked at the head: what the log drops, it takes out of its slot before the head moves on. So reading the slots is
//! reading under the lock at that moment. Where one is empty, or has been taken by a later entry, the slots settle
//! nothing, and the log is read under the lock.
//!
//! What is written here is written under the log's lock; a store of the head publishes what was stored before it.

use crate::cursor::Cursor;
use crate::entry::{self, Entry};
use crate::feed::Batch;
use crate::log::read::{Place, Taken};
use crate::log::topics::position_of;
use crate::sync::{AtomicU64, Ordering, Slot};
use crate::topic::TopicSet;

/// Entries that can be read without the lock. Live readers stand within a burst of the head; who is further behind
/// replays.
#[cfg(not(realtime_loom))]
const SLOTS: u64 = 128;
/// So few that a model sees them taken by later entries.
#[cfg(realtime_loom)]
const SLOTS: u64 = 2;

#[derive(Debug)]
pub(crate) struct Ring {
    epoch: u64,
    /// Moves last, and once for all that one call published.
    head: AtomicU64,
    /// How often the log or a topic was closed.
    closings: AtomicU64,
    slots: Box<[Slot<entry::Inner>]>,
}

impl Ring {
    pub(crate) fn new(epoch: u64) -> Self {
        let slots = (0..SLOTS).map(|_| Slot::new()).collect();
        Self { epoch, head: AtomicU64::new(0), closings: AtomicU64::new(0), slots }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn cursor(&self, position: u64) -> Cursor {
        Cursor::new(self.epoch, position.into())
    }

    fn slot(&self, position: u64) -> &Slot<entry::Inner> {
        &self.slots[(position % SLOTS) as usize]
    }

    // ---- under the log's lock

    pub(crate) fn keep(&self, entry: &Entry) {
        self.slot(position_of(entry)).store(Some(entry.inner().clone()));
    }

    /// Takes out an entry that the log drops.
    pub(crate) fn forget(&self, entry: &Entry) {
        let slot = self.slot(position_of(entry));
        if slot.load().as_ref().is_some_and(|kept| kept.cursor() == entry.cursor()) {
            slot.store(None);
        }
    }

    pub(crate) fn moved_to(&self, head: u64) {
        self.head.store(head, Ordering::Release);
    }

    pub(crate) fn closed(&self) {
        self.closings.fetch_add(1, Ordering::Release);
    }

    // ---- without it

    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    pub(crate) fn closings(&self) -> u64 {
        self.closings.load(Ordering::Acquire)
    }

    /// Whether nothing was published since a place, nor closed since so many closings.
    pub(crate) fn is_at(&self, place: u64, closings: u64) -> bool {
        self.head() == place && self.closings() == closings
    }

    /// What a reader gets next, by the rules of `State::read`: events, or nothing up to the head. None where the slots
    /// cannot settle it.
    pub(crate) fn read(&self, set: &TopicSet, place: &mut Place) -> Option<Option<Batch>> {
        let head = self.head();
        let ahead = head.checked_sub(place.at)?;
        if ahead > SLOTS || !place.has_begun() {
            return None;
        }
        let mut taken = Taken::default();
        for position in place.at + 1..=head {
            let slot = self.slot(position).load();
            let entry = slot.as_ref().filter(|entry| entry.cursor().position() == position.into())?;
            if set.contains(entry.event().topic()) && !taken.takes(Entry::of(entry)) {
                place.at = position - 1;
                return taken.into_batch().map(Some);
            }
        }
        taken.is_live = true;
        let batch = taken.into_batch();
        place.at = batch.as_ref().map_or(head, |batch| batch.cursor().position() as u64);
        Some(batch)
    }
}

#[cfg(test)]
#[cfg(not(realtime_loom))]
mod tests {
    use super::*;
    use crate::limits::{BATCH_BYTES_MAX, Keep};
    use crate::{Event, Log, Start, Topic};

    fn topic(name: &str) -> Topic {
        Topic::new(name).unwrap()
    }

    fn on(name: &str) -> Event {
        Event::text("e", "x").unwrap().with_topic(topic(name))
    }

    /// The positions that the slots give to who stands here, none where the lock is to be taken; and where that leads to.
    fn glance(log: &Log, set: &TopicSet, at: u64) -> (Option<Vec<u64>>, u64) {
        let mut place = Place::live(at);
        let read = log.shared.ring.read(set, &mut place);
        let positions = read.map(|batch| batch.iter().flatten().map(position_of).collect());
        (positions, place.at)
    }

    #[test]
    fn slots_that_are_full_settle_what_comes_next_and_others_do_not() {
        let (all, log) = (TopicSet::all(), Log::new());
        log.publish_all((0..SLOTS).map(|_| on("a"))).unwrap();
        log.publish(on("b")).unwrap();
        let head = SLOTS + 1;
        assert_eq!(glance(&log, &all, head), (Some(vec![]), head));
        assert_eq!(glance(&log, &all, head - 2), (Some(vec![head - 1, head]), head));
        assert_eq!(glance(&log, &all, head - SLOTS), (Some((head - SLOTS + 1..=head).collect()), head));
        assert_eq!(glance(&log, &all, head - SLOTS - 1).0, None, "the first slot is another's");
        assert_eq!(glance(&log, &all, head + 1).0, None, "a publish is under way");
        assert_eq!(glance(&log, &TopicSet::one(topic("a")), head - 1), (Some(vec![]), head));
        assert_eq!(glance(&log, &TopicSet::one(topic("b")), 1), (Some(vec![head]), head));
    }

    #[test]
    fn what_is_dropped_leaves_its_own_slot_and_no_other() {
        let (all, few) = (TopicSet::all(), TopicSet::one(topic("few")));
        let log = Log::builder().keep(few, Keep::history().entries(1)).build();
        log.publish_all([on("few"), on("few")]).unwrap();
        assert_eq!(glance(&log, &all, 0).0, None);
        assert_eq!(glance(&log, &all, 1), (Some(vec![2]), 2));
        // The slot of what goes now is already that of the newest but one.
        log.publish_all((0..SLOTS).map(|_| on("many"))).unwrap();
        let head = log.publish(on("few")).unwrap().position() as u64;
        assert_eq!(glance(&log, &all, head - 2), (Some(vec![head - 1, head]), head));
    }

    #[test]
    fn a_batch_from_the_slots_ends_where_it_is_full() {
        let (all, log) = (TopicSet::all(), Log::new());
        log.publish_all((0..3).map(|_| Event::text("e", "x".repeat(BATCH_BYTES_MAX / 2 - 1)).unwrap()))
            .unwrap();
        assert_eq!(glance(&log, &all, 0), (Some(vec![1, 2]), 2));
        assert_eq!(glance(&log, &all, 2), (Some(vec![3]), 3));
    }

    #[test]
    fn who_begins_with_a_table_is_not_served_from_the_slots() {
        let (all, table) = (TopicSet::all(), TopicSet::one(topic("t")));
        let log = Log::builder().keep(table, Keep::latest_per_key(1)).build();
        log.publish_all([on("t").with_key("k").unwrap(), on("a")]).unwrap();
        let (_, mut place) = log.shared.state.lock().open(&all, Start::Live);
        assert_eq!(place.at, 0);
        assert!(log.shared.ring.read(&all, &mut place).is_none(), "it asked for the table alone");
    }

    #[test]
    fn whoever_is_about_to_wait_sees_what_was_published_or_closed() {
        let log = Log::new();
        let ring = &log.shared.ring;
        let seen = (log.publish(on("a")).unwrap().position() as u64, ring.closings());
        let is_at = || ring.is_at(seen.0, seen.1);
        assert!(is_at());
        log.close_topic(&topic("b"));
        assert!(!is_at());
        let closed = ring.closings();
        assert!(ring.is_at(seen.0, closed));
        log.publish(on("a")).unwrap();
        assert!(!ring.is_at(seen.0, closed) && !is_at());
    }
}
