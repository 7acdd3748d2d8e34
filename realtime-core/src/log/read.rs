//! What a reader gets from the log's state: where it begins, and what comes next.
//!
//! The rule of the gap stands here. A reader of a topic set at a place is owed a gap when something of the set was lost
//! after that place and it has not been told yet; the gap comes before any entry after the place, and reading goes on
//! just before the first entry that is still there.

use std::collections::BinaryHeap;

use crate::cursor::{Cursor, Start};
use crate::entry::Entry;
use crate::feed::{Batch, Gap, GapReason, Opened};
use crate::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, LAST_MAX};
use crate::log::state::State;
use crate::log::topics::{TopicLog, position_of};
use crate::topic::{Set, TopicSet};

/// Where a reader stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    /// Everything of the set up to here has been read.
    pub(crate) at: u64,
    /// Losses up to this turn have been told, or were never asked for.
    told: u64,
    /// Where a fresh reader began. Topics that keep the latest per key are read from their own beginning; of the
    /// others nothing up to here.
    fresh_from: u64,
}

/// What a read found.
#[derive(Debug)]
pub(crate) enum Read {
    Gap(Gap),
    Events(Batch),
    /// Nothing among so many entries that others should have the lock for a while; read again.
    Further,
    /// Nothing more up to the head.
    CaughtUp,
}

/// Entries one read passes over under the lock, for a reader whose set is sparse: about 0.2 ms.
const SCAN_ENTRIES_MAX: usize = 4_096;

impl State {
    pub(crate) fn open(&self, set: &TopicSet, start: Start) -> (Opened, Place) {
        let (cursor, gap, place) = match start {
            Start::Earliest => self.oldest(set),
            Start::Live => self.fresh(set, self.head),
            Start::Last(count) => self.fresh(set, self.before_last(set, count.min(LAST_MAX) as usize)),
            Start::After(cursor) => self.resume(set, cursor),
        };
        let at_end = self.is_closed(set) && self.first_after(set, &place).is_none();
        (Opened { cursor, gap, at_end }, place)
    }

    fn oldest(&self, set: &TopicSet) -> (Cursor, Option<Gap>, Place) {
        let mut place = Place { at: 0, told: self.turn(), fresh_from: 0 };
        place.at = self.before_next(set, &place);
        (self.cursor(place.at), self.hole(&place), place)
    }

    fn fresh(&self, set: &TopicSet, fresh_from: u64) -> (Cursor, Option<Gap>, Place) {
        let mut place = Place { at: fresh_from, told: self.turn(), fresh_from };
        if self.keyed_bytes > 0 {
            let table = self.known(set).filter(|topic| topic.is_keyed());
            let first = table.filter_map(|topic| topic.entries.front()).map(position_of).min();
            place.at = first.map_or(fresh_from, |first| fresh_from.min(first - 1));
        }
        (self.cursor(place.at), self.hole(&place), place)
    }

    /// A fresh reader is owed nothing for what went before it. But events lost on their way in may leave a hole
    /// between two that it is going to read.
    fn hole(&self, place: &Place) -> Option<Gap> {
        let at = self.cursor(place.at);
        let begins = place.at.max(place.fresh_from);
        self.lost_on_the_way_in(begins).then(|| Gap::new(GapReason::Source, Some(at), at))
    }

    fn resume(&self, set: &TopicSet, cursor: Cursor) -> (Cursor, Option<Gap>, Place) {
        let Some(at) = self.position_of(cursor) else {
            let (to, _, place) = self.oldest(set);
            return (cursor, Some(Gap::new(GapReason::Epoch, Some(cursor), to)), place);
        };
        let mut place = Place { at, told: 0, fresh_from: 0 };
        let gap = self.owed(set, &mut place, GapReason::Trimmed);
        (cursor, gap, place)
    }

    /// The gap that a reader is owed now, if any; its place moves to where reading goes on.
    fn owed(&self, set: &TopicSet, place: &mut Place, dropped: GapReason) -> Option<Gap> {
        let reason = self.owes(set, place.at.max(place.fresh_from), place.told, dropped)?;
        let from = self.cursor(place.at);
        place.told = self.turn();
        place.at = self.before_next(set, place);
        Some(Gap::new(reason, Some(from), self.cursor(place.at)))
    }

    /// The next thing a reader gets. Its place moves past it.
    pub(crate) fn read(&self, set: &TopicSet, place: &mut Place) -> Read {
        if place.at == self.head {
            return Read::CaughtUp;
        }
        if let Some(gap) = self.owed(set, place, GapReason::Overflow) {
            return Read::Gap(gap);
        }
        match self.only(set) {
            Some(None) => {}
            Some(Some(topic)) => {
                let first = topic.index_after(place.floor_of(topic));
                let mut taken = Taken::default();
                if topic.entries.range(first..).all(|entry| taken.takes(entry.clone())) {
                    taken.is_live = true;
                }
                if let Some(batch) = taken.into_batch() {
                    place.at = batch.cursor().position() as u64;
                    return Read::Events(batch);
                }
            }
            None => return self.scan(set, place),
        }
        place.at = self.head;
        Read::CaughtUp
    }

    /// Walks the one order of the log and takes what belongs to the set.
    fn scan(&self, set: &TopicSet, place: &mut Place) -> Read {
        if self.head - place.at > BATCH_ENTRIES_MAX as u64 && matches!(set.0, Set::Exact(_)) {
            place.at = self.before_next(set, place);
        }
        let mut taken = Taken::default();
        for (scanned, (position, entry)) in self.all.range(place.at + 1..).enumerate() {
            if scanned == SCAN_ENTRIES_MAX
                || (self.is_wanted(set, place, entry) && !taken.takes(entry.clone()))
            {
                return taken.into_batch().map_or(Read::Further, Read::Events);
            }
            place.at = *position;
        }
        taken.is_live = true;
        match taken.into_batch() {
            Some(batch) => {
                place.at = batch.cursor().position() as u64;
                Read::Events(batch)
            }
            None => {
                place.at = self.head;
                Read::CaughtUp
            }
        }
    }

    fn is_wanted(&self, set: &TopicSet, place: &Place, entry: &Entry) -> bool {
        let topic = entry.event().topic();
        set.contains(topic) && (position_of(entry) > place.fresh_from || self.is_keyed(topic))
    }

    /// Just before the first retained entry of a set after a place; the head when there is none.
    fn before_next(&self, set: &TopicSet, place: &Place) -> u64 {
        self.first_after(set, place).map_or(self.head, |next| next - 1)
    }

    fn first_after(&self, set: &TopicSet, place: &Place) -> Option<u64> {
        if place.at == self.head {
            return None;
        }
        if matches!(set.0, Set::All) && place.fresh_from <= place.at {
            return self.all.range(place.at + 1..).next().map(|(position, _)| *position);
        }
        let first = |topic: &TopicLog| topic.first_after(place.floor_of(topic)).map(position_of);
        self.known(set).filter_map(first).min()
    }

    /// Just before the last `count` entries of a set, those of tables left out: readers get these whole.
    fn before_last(&self, set: &TopicSet, count: usize) -> u64 {
        if count == 0 {
            return self.head;
        }
        if matches!(set.0, Set::All) && self.keyed_bytes == 0 {
            let mut newest_first = self.all.keys().rev();
            return newest_first.nth(count - 1).or(self.all.keys().next()).map_or(self.head, |last| last - 1);
        }
        // Newest first over the topics' queues, so that a sparse set costs what it holds and not what the log does.
        let queues: Vec<_> =
            self.known(set).filter(|topic| !topic.is_keyed()).map(|topic| &topic.entries).collect();
        let place = |queue: usize, index: usize| Some((position_of(queues[queue].get(index)?), queue, index));
        let mut newest: BinaryHeap<_> =
            (0..queues.len()).filter_map(|queue| place(queue, queues[queue].len().checked_sub(1)?)).collect();
        let mut first = self.head + 1;
        for _ in 0..count {
            let Some((position, queue, index)) = newest.pop() else { break };
            first = position;
            newest.extend(index.checked_sub(1).and_then(|older| place(queue, older)));
        }
        first - 1
    }
}

impl Place {
    /// Where a reader stands that was live, and has been told of nothing that was lost above it.
    pub(crate) fn live(at: u64) -> Self {
        Self { at, ..Self::default() }
    }

    /// Whether a fresh reader is through the tables that it begins with: from here on it wants all of its set.
    pub(crate) fn has_begun(&self) -> bool {
        self.at >= self.fresh_from
    }

    /// Where a reader at this place stands in one topic.
    fn floor_of(&self, topic: &TopicLog) -> u64 {
        if topic.is_keyed() { self.at } else { self.at.max(self.fresh_from) }
    }
}

/// A batch as it is gathered.
#[derive(Default)]
pub(crate) struct Taken {
    first: Option<Entry>,
    /// All of them, as soon as there are two.
    rest: Vec<Entry>,
    bytes: usize,
    pub(crate) is_live: bool,
}

impl Taken {
    /// Takes an entry unless the batch is full.
    pub(crate) fn takes(&mut self, entry: Entry) -> bool {
        let bytes = entry.event().bytes();
        if self.first.is_none() {
            self.first = Some(entry);
        } else if self.rest.len() < BATCH_ENTRIES_MAX && self.bytes + bytes <= BATCH_BYTES_MAX {
            if let Some(first) = self.first.as_ref().filter(|_| self.rest.is_empty()) {
                self.rest.push(first.clone());
            }
            self.rest.push(entry);
        } else {
            return false;
        }
        self.bytes += bytes;
        true
    }

    pub(crate) fn into_batch(self) -> Option<Batch> {
        match self.rest.last().map(Entry::cursor) {
            Some(cursor) => Batch::new(self.rest, cursor, self.is_live),
            None => Some(Batch::one(self.first?, self.is_live)),
        }
    }
}

#[cfg(test)]
#[cfg(not(realtime_loom))]
mod tests {
    use super::*;
    use crate::{Event, Keep, Log, Topic};

    fn on(topic: &str) -> Event {
        Event::text("e", "x").unwrap().with_topic(Topic::new(topic).unwrap())
    }

    /// A topic by name has a queue of its own; a family would have to be looked for among all of its kind, under the lock.
    #[test]
    fn a_look_passes_over_so_many_entries_and_over_any_number_to_what_is_named() {
        let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(2 * SCAN_ENTRIES_MAX)).build();
        log.publish(on("few/a")).unwrap();
        log.publish_all((0..SCAN_ENTRIES_MAX + 9).map(|_| on("busy"))).unwrap();
        let rare = log.publish(on("few/a")).unwrap().position() as u64;
        // How many looks lead to events, and to which.
        let looks = |set: &TopicSet, at| {
            let (state, mut place) = (log.shared.state.lock(), Place::live(at));
            let mut looks = 1;
            loop {
                match state.read(set, &mut place) {
                    Read::Further => looks += 1,
                    Read::Events(batch) => return (looks, batch.iter().map(position_of).collect::<Vec<_>>()),
                    other => panic!("{other:?}"),
                }
            }
        };
        let [a, b] = ["few/a", "few/b"].map(|name| Topic::new(name).unwrap());
        let (one, two) = (TopicSet::one(a.clone()), TopicSet::of([a, b]).unwrap());
        assert_eq!(looks(&one, 0), (1, vec![1, rare]), "it walks the topic's queue");
        assert_eq!([looks(&two, 0), looks(&two, 1)], [(1, vec![1]), (1, vec![rare])]);
        assert_eq!(looks(&TopicSet::prefix("few/").unwrap(), 1), (2, vec![rare]));
    }

    #[test]
    fn a_batch_is_full_by_entries_or_by_bytes_and_one_entry_always_fits() {
        let name = "e".len();
        let taken = |sizes: &[usize]| {
            let mut taken = Taken::default();
            let entry = |bytes: &usize| {
                Entry::new(Cursor::new(1, 1), Event::text("e", "x".repeat(bytes - name)).unwrap())
            };
            sizes.iter().take_while(|bytes| taken.takes(entry(bytes))).count()
        };
        assert_eq!(taken(&[2; BATCH_ENTRIES_MAX + 1]), BATCH_ENTRIES_MAX);
        let quarter = BATCH_BYTES_MAX / 4;
        assert_eq!(taken(&[quarter; 5]), 4, "it may be just full");
        assert_eq!(taken(&[quarter, quarter, quarter, quarter + 1]), 3);
        assert_eq!(taken(&[BATCH_BYTES_MAX + 1, 2]), 1);
    }
}
