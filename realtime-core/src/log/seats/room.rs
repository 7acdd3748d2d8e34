//! The seats of one shard as plain data: who reads what, who waits, and who is due.
//!
//! A reader keeps its seat while it lives. Seats are indexed by what they read, and those that wait stand in a chain for each
//! of their topics, so that parking again costs neither a search nor an allocation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use super::chain::Chains;
use crate::topic::{Set, Topic, TopicSet};

/// What the lock guards.
#[derive(Debug)]
pub(super) struct Room {
    seats: Slab<Seat>,
    chains: Chains,
    all: List,
    exact: HashMap<Option<Topic>, List>,
    /// By length, so that a topic is looked up once per length in use.
    prefixes: BTreeMap<usize, HashMap<Arc<str>, List>>,
    /// The chain of those who are to be woken, oldest first.
    due: usize,
}

/// It has a waker if and only if all its links stand in chains.
#[derive(Debug)]
struct Seat {
    waker: Option<Waker>,
    /// Its link for each of its topics (one for a prefix or for all).
    links: Links,
    /// Whether it has been woken since it waited last.
    is_woken: bool,
}

/// Mostly one.
#[derive(Debug)]
struct Links(usize, Box<[usize]>);

impl Links {
    fn for_each(&self, mut act: impl FnMut(usize)) {
        act(self.0);
        self.1.iter().copied().for_each(act);
    }
}

/// The readers of a topic, of a prefix, or of all.
#[derive(Debug)]
struct List {
    /// Those that wait.
    chain: usize,
    /// How many there are, waiting or not.
    readers: usize,
}

impl List {
    fn new(chains: &mut Chains) -> Self {
        Self { chain: chains.begin(), readers: 0 }
    }

    fn link(&mut self, seat: usize, chains: &mut Chains) -> usize {
        self.readers += 1;
        chains.link(seat, self.chain)
    }
}

impl Room {
    pub(super) fn new() -> Self {
        let mut chains = Chains::default();
        let (all, due) = (List::new(&mut chains), chains.begin());
        let (seats, exact, prefixes) = (Slab::new(), HashMap::new(), BTreeMap::new());
        Self { seats, chains, all, exact, prefixes, due }
    }

    pub(super) fn take(&mut self, set: &TopicSet) -> usize {
        let Self { seats, chains, all, exact, prefixes, .. } = self;
        let vacant = seats.vacant_entry();
        let seat = vacant.key();
        let links = match &set.0 {
            Set::All => Links(all.link(seat, chains), Box::default()),
            Set::Prefix(prefix) => {
                let same_length = prefixes.entry(prefix.len()).or_default();
                let list = same_length.entry(prefix.clone()).or_insert_with(|| List::new(chains));
                Links(list.link(seat, chains), Box::default())
            }
            Set::Exact(topics) => {
                let mut link = |topic: &Option<Topic>| {
                    let list = exact.entry(topic.clone()).or_insert_with(|| List::new(chains));
                    list.link(seat, chains)
                };
                Links(link(&topics[0]), topics[1..].iter().map(link).collect())
            }
        };
        vacant.insert(Seat { waker: None, links, is_woken: false });
        seat
    }

    /// Whether the reader was woken since it waited last, and its waker, which is to be dropped outside the lock.
    pub(super) fn leave(&mut self, seat: usize, set: &TopicSet) -> (bool, Option<Waker>) {
        let Seat { waker, links, is_woken } = self.seats.remove(seat);
        let Self { chains, all, exact, prefixes, .. } = self;
        links.for_each(|link| chains.remove(link));
        match &set.0 {
            Set::All => all.readers -= 1,
            Set::Prefix(prefix) => {
                if let Some(same_length) = prefixes.get_mut(&prefix.len()) {
                    leave_list(same_length, prefix, chains);
                    if same_length.is_empty() {
                        prefixes.remove(&prefix.len());
                    }
                }
            }
            Set::Exact(topics) => topics.iter().for_each(|topic| leave_list(exact, topic, chains)),
        }
        (is_woken, waker)
    }

    /// Whether the reader had been woken since it waited last. The waker whose place another takes is left in its stead.
    pub(super) fn park(&mut self, seat: usize, waker: &mut Option<Waker>) -> bool {
        let seat = &mut self.seats[seat];
        std::mem::swap(&mut seat.waker, waker);
        seat.links.for_each(|link| self.chains.attach(link));
        std::mem::take(&mut seat.is_woken)
    }

    pub(super) fn call(&mut self, topic: &Option<Topic>) {
        // `lists` borrows the index, the links stand in the chains: two fields of one value.
        let Self { chains, all, exact, prefixes, due, .. } = self;
        lists(all, exact, prefixes, topic).for_each(|list| chains.pour(list.chain, *due));
    }

    pub(super) fn call_all(&mut self) {
        let Self { chains, all, exact, prefixes, due, .. } = self;
        let lists =
            std::iter::once(&*all).chain(exact.values()).chain(prefixes.values().flat_map(HashMap::values));
        lists.for_each(|list| chains.pour(list.chain, *due));
    }

    pub(super) fn is_due(&self) -> bool {
        self.chains.first(self.due).is_some()
    }

    /// Takes the wakers of those who have been due longest, as many as there is room for.
    pub(super) fn take_first(&mut self, woken: &mut [Option<Waker>]) {
        for place in woken {
            let Some(seat) = self.chains.first(self.due) else { return };
            *place = self.take_waker(seat);
        }
    }

    /// Takes them from both ends in turn, and says how many.
    pub(super) fn take_from_both_ends(&mut self, woken: &mut [Option<Waker>]) -> usize {
        for (number, place) in woken.iter_mut().enumerate() {
            let next = if number % 2 == 0 { self.chains.first(self.due) } else { self.chains.last(self.due) };
            let Some(seat) = next else { return number };
            *place = self.take_waker(seat);
        }
        woken.len()
    }

    fn take_waker(&mut self, seat: usize) -> Option<Waker> {
        let seat = self.seats.get_mut(seat)?;
        seat.is_woken = true;
        seat.links.for_each(|link| self.chains.detach(link));
        seat.waker.take()
    }

    /// Whether the reader of a seat has been woken since it waited last.
    pub(super) fn is_woken(&self, seat: usize) -> bool {
        self.seats.get(seat).is_some_and(|seat| seat.is_woken)
    }

    pub(super) fn readers(&self, topic: &Option<Topic>) -> usize {
        self.lists(topic).map(|list| list.readers).sum()
    }

    pub(super) fn is_named(&self, topic: &Option<Topic>) -> bool {
        self.exact.contains_key(topic)
    }

    fn lists<'a>(&'a self, topic: &'a Option<Topic>) -> impl Iterator<Item = &'a List> {
        lists(&self.all, &self.exact, &self.prefixes, topic)
    }
}

fn lists<'a>(
    all: &'a List,
    exact: &'a HashMap<Option<Topic>, List>,
    prefixes: &'a BTreeMap<usize, HashMap<Arc<str>, List>>,
    topic: &'a Option<Topic>,
) -> impl Iterator<Item = &'a List> {
    let name = topic.as_ref().map_or("", Topic::as_str);
    let by_prefix = prefixes.iter().filter_map(move |(len, same_length)| same_length.get(name.get(..*len)?));
    std::iter::once(all).chain(exact.get(topic)).chain(by_prefix)
}

fn leave_list<K: std::hash::Hash + Eq>(index: &mut HashMap<K, List>, key: &K, chains: &mut Chains) {
    if let Some(list) = index.get_mut(key) {
        list.readers -= 1;
        if list.readers == 0 {
            chains.remove(list.chain);
            index.remove(key);
        }
    }
}

#[cfg(test)]
#[cfg(not(realtime_loom))]
impl Room {
    /// A seat has a waker if and only if all its links stand in chains: its topics' own, or `due`. Says how many there are.
    pub(super) fn assert_whole(&self) -> usize {
        let named = self.exact.values().chain(self.prefixes.values().flat_map(HashMap::values));
        let lists: Vec<_> = std::iter::once(&self.all).chain(named).collect();
        let waiting = lists.iter().flat_map(|list| self.chains.seats(list.chain));
        let mut stands: HashMap<usize, usize> = HashMap::new();
        waiting.chain(self.chains.seats(self.due)).for_each(|seat| *stands.entry(seat).or_default() += 1);
        for (number, seat) in &self.seats {
            let expected = if seat.waker.is_some() { 1 + seat.links.1.len() } else { 0 };
            assert_eq!(stands.get(&number).copied().unwrap_or_default(), expected);
        }
        let links: usize = self.seats.iter().map(|(_, seat)| 1 + seat.links.1.len()).sum();
        assert_eq!(links, lists.iter().map(|list| list.readers).sum::<usize>());
        assert_eq!(self.chains.len(), links + lists.len() + 1, "a chain for each list, and that of the due");
        self.seats.len()
    }

    /// Whether nobody has left anything behind.
    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
            && self.exact.is_empty()
            && self.prefixes.is_empty()
            && (self.all.readers, self.chains.len()) == (0, 2)
    }
}
