//! Who waits, and for which topics.
//!
//! A reader takes a seat at its first poll and keeps it until it is dropped, so that parking again costs no
//! search and no allocation. Seats are indexed by what they read, and a publish finds only those it concerns.
//!
//! Everything here runs under the log's lock, and no waker does: those to be woken are handed out in a list.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use crate::topic::{Set, Topic, TopicSet};

#[derive(Debug, Default)]
pub(crate) struct Seats {
    seats: Slab<Seat>,
    all: Slab<usize>,
    exact: HashMap<Option<Topic>, Slab<usize>>,
    /// By length, so that a topic is looked up once per length in use.
    prefixes: BTreeMap<usize, HashMap<Arc<str>, Slab<usize>>>,
}

#[derive(Debug)]
struct Seat {
    waker: Option<Waker>,
    set: TopicSet,
    /// Where it stands in the list of each of its topics (one for a prefix or for all).
    places: Vec<usize>,
}

impl Seats {
    /// Seats a reader of these topics.
    pub(crate) fn take(&mut self, set: &TopicSet) -> usize {
        let vacant = self.seats.vacant_entry();
        let seat = vacant.key();
        let places = match &set.0 {
            Set::All => vec![self.all.insert(seat)],
            Set::Prefix(prefix) => {
                vec![
                    self.prefixes
                        .entry(prefix.len())
                        .or_default()
                        .entry(prefix.clone())
                        .or_default()
                        .insert(seat),
                ]
            }
            Set::Exact(topics) => {
                topics.iter().map(|topic| self.exact.entry(topic.clone()).or_default().insert(seat)).collect()
            }
        };
        vacant.insert(Seat { waker: None, set: set.clone(), places });
        seat
    }

    /// Frees a seat. What it returns is to be dropped outside the lock.
    pub(crate) fn leave(&mut self, seat: usize) -> Option<Waker> {
        let Seat { waker, set, places } = self.seats.try_remove(seat)?;
        match &set.0 {
            Set::All => _ = self.all.try_remove(places[0]),
            Set::Prefix(prefix) => {
                if let Some(same_length) = self.prefixes.get_mut(&prefix.len()) {
                    remove_from(same_length, prefix, places[0]);
                    if same_length.is_empty() {
                        self.prefixes.remove(&prefix.len());
                    }
                }
            }
            Set::Exact(topics) => {
                for (topic, place) in topics.iter().zip(places) {
                    remove_from(&mut self.exact, topic, place);
                }
            }
        }
        waker
    }

    /// Parks the reader in its seat. What it returns is to be dropped outside the lock.
    pub(crate) fn park(&mut self, seat: usize, waker: &Waker) -> Option<Waker> {
        let seat = self.seats.get_mut(seat)?;
        if seat.waker.as_ref().is_some_and(|parked| parked.will_wake(waker)) {
            return None;
        }
        seat.waker.replace(waker.clone())
    }

    /// Readers whose set holds the topic, waiting or not.
    pub(crate) fn readers(&self, topic: &Option<Topic>) -> usize {
        self.lists(topic).map(Slab::len).sum()
    }

    /// Whether somebody reads this very topic by name.
    pub(crate) fn is_named(&self, topic: &Option<Topic>) -> bool {
        self.exact.contains_key(topic)
    }

    /// Takes the wakers of everybody who waits for this topic.
    pub(crate) fn wake(&mut self, topic: &Option<Topic>, woken: &mut Vec<Waker>) {
        // `lists` borrows the index, the wakers live in the seats: two fields of one value.
        let Self { seats, all, exact, prefixes } = self;
        for list in lists(all, exact, prefixes, topic) {
            woken.reserve(list.len());
            woken.extend(list.iter().filter_map(|(_, seat)| seats.get_mut(*seat)?.waker.take()));
        }
    }

    /// Takes everybody's waker.
    pub(crate) fn wake_all(&mut self) -> Vec<Waker> {
        self.seats.iter_mut().filter_map(|(_, seat)| seat.waker.take()).collect()
    }

    fn lists<'a>(&'a self, topic: &'a Option<Topic>) -> impl Iterator<Item = &'a Slab<usize>> {
        lists(&self.all, &self.exact, &self.prefixes, topic)
    }
}

fn lists<'a>(
    all: &'a Slab<usize>,
    exact: &'a HashMap<Option<Topic>, Slab<usize>>,
    prefixes: &'a BTreeMap<usize, HashMap<Arc<str>, Slab<usize>>>,
    topic: &'a Option<Topic>,
) -> impl Iterator<Item = &'a Slab<usize>> {
    let name = topic.as_ref().map_or("", Topic::as_str);
    let by_prefix = prefixes.iter().filter_map(move |(len, same_length)| same_length.get(name.get(..*len)?));
    std::iter::once(all).chain(exact.get(topic)).chain(by_prefix)
}

fn remove_from<K: std::hash::Hash + Eq>(index: &mut HashMap<K, Slab<usize>>, key: &K, place: usize) {
    if let Some(list) = index.get_mut(key) {
        list.try_remove(place);
        if list.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::new(name).unwrap()
    }

    #[test]
    fn a_publish_wakes_only_whom_it_concerns() {
        let mut seats = Seats::default();
        let sets = [
            TopicSet::all(),
            TopicSet::one(topic("room/1")),
            TopicSet::of([topic("room/2"), topic("lobby")]).unwrap(),
            TopicSet::prefix("room/").unwrap(),
            TopicSet::prefix("r").unwrap(),
            TopicSet::unnamed(),
        ];
        let taken: Vec<_> = sets.iter().map(|set| seats.take(set)).collect();
        for (published, expected) in [
            (Some("room/1"), 4),
            (Some("room/2"), 4),
            (Some("lobby"), 2),
            (Some("x"), 1),
            (None, 2),
            (Some("é"), 1),
        ] {
            for seat in &taken {
                seats.park(*seat, Waker::noop());
            }
            let published = published.map(topic);
            let mut woken = Vec::new();
            seats.wake(&published, &mut woken);
            assert_eq!(woken.len(), expected, "{published:?}");
            assert_eq!(seats.readers(&published), expected);
            seats.wake(&published, &mut woken);
            assert_eq!(woken.len(), expected, "nobody is woken twice");
        }
    }

    #[test]
    fn a_seat_that_is_left_leaves_nothing() {
        let mut seats = Seats::default();
        let sets = [
            TopicSet::all(),
            TopicSet::of([topic("a"), topic("b")]).unwrap(),
            TopicSet::prefix("p").unwrap(),
            TopicSet::unnamed(),
        ];
        let taken: Vec<_> = sets.iter().map(|set| seats.take(set)).collect();
        for seat in taken {
            seats.park(seat, Waker::noop());
            assert!(seats.leave(seat).is_some());
            assert!(seats.leave(seat).is_none());
        }
        assert!(seats.seats.is_empty() && seats.all.is_empty());
        assert!(seats.exact.is_empty() && seats.prefixes.is_empty());
    }
}
