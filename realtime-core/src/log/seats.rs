//! Who waits, for which topics, and who is woken by whom.
//!
//! A reader takes a seat at its first poll and keeps it until it is dropped. Seats are indexed by what they read, and
//! those that wait stand in a chain for each of their topics: a publish moves the chains that it concerns to the end of
//! the chain `due`, in as many steps for one reader as for 100,000, and finds nobody who does not wait.
//!
//! ```text
//!             park                     publish, close                    the next comer's turn
//! (no chain) ──────► chain of a topic ────────────────► due ─────────────────────────────────────► woken (no chain)
//!                         ▲                              │ parks again: it has read all there is
//!                         └──────────────────────────────┘
//! ```
//!
//! **Who is due is woken in turns.** The publisher wakes the first [`FIRST`]; each feed of the log that is polled, parks
//! or is dropped wakes the next [`FEW`], and so does every later publish the next `FIRST`. So a wake-up that was begun is
//! either done or stands in `due`, where the next comer finds it, whoever that is: nothing is lost with a reader that is
//! woken and never polled, or is dropped before. What bounds the delay is the next poll or drop of any feed of the log, or the
//! next publish. Someone who is woken and does not come holds up nobody while one of those does who were woken with
//! it; and it takes a wake-up only once, for it waits again only when it has been polled. The first are taken from both
//! ends, those that waited longest and those that parked last, so that readers that went silent together do not fill
//! them.
//!
//! No waker is cloned, woken or dropped under the lock: it may run anybody's code.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use crate::log::chain::Chains;
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::topic::{Set, Topic, TopicSet};

/// Readers that a publish wakes itself: some 10 us of its thread's time, and enough that one who comes is among them.
#[cfg(not(realtime_loom))]
const FIRST: usize = 64;
/// A model has few readers, and is to see them hand the wave on.
#[cfg(realtime_loom)]
const FIRST: usize = 1;

/// Readers that one who is polled wakes, or parks, or is dropped.
pub(crate) const FEW: usize = 1;

/// The seats of a log, with a lock of their own: it is taken under the log's or alone, never the other way round.
pub(crate) struct Seats {
    room: Mutex<Room>,
    /// Whether somebody is due: looked at without the lock.
    is_due: AtomicBool,
}

impl Seats {
    pub(crate) fn new() -> Self {
        Self { room: Mutex::new(Room::new()), is_due: AtomicBool::new(false) }
    }

    /// Seats a reader of these topics.
    pub(crate) fn take(&self, set: &TopicSet) -> usize {
        self.room.lock().take(set)
    }

    /// Frees the seat of a reader of these topics, and passes on what it was woken for.
    pub(crate) fn leave(&self, seat: usize, set: &TopicSet) {
        drop(self.turn::<FEW, _>(|room| room.leave(seat, set)));
    }

    /// Parks a reader in its seat unless there is news, which is looked for under the lock: a publish moves the head
    /// before it comes here, so that it finds the reader, or the reader finds what it published. Whether it is parked:
    /// then its waker was taken, and left is the one whose place it took, to be dropped outside of any lock.
    pub(crate) fn park(
        &self,
        seat: usize,
        waker: &mut Option<Waker>,
        is_news: impl FnOnce() -> bool,
    ) -> bool {
        let mut room = self.room.lock();
        if is_news() {
            return false;
        }
        room.park(seat, waker);
        self.is_due.store(room.is_due(), Ordering::Release);
        true
    }

    /// Wakes everybody who waits for one of these topics.
    pub(crate) fn call<'a>(&self, topics: impl IntoIterator<Item = &'a Option<Topic>>) -> Woken<FIRST> {
        self.turn(|room| topics.into_iter().for_each(|topic| room.call(topic))).1
    }

    /// Wakes everybody who waits.
    pub(crate) fn call_all(&self) -> Woken<FIRST> {
        self.turn(Room::call_all).1
    }

    /// Wakes the next few of those who are due.
    pub(crate) fn pass_on(&self) {
        if self.is_due.load(Ordering::Acquire) {
            drop(self.turn::<FEW, _>(|_| ()));
        }
    }

    /// Acts under the lock, and then takes as many of those who are due as fit.
    fn turn<const N: usize, T>(&self, act: impl FnOnce(&mut Room) -> T) -> (T, Woken<N>) {
        let mut woken = Woken([const { None }; N]);
        let mut room = self.room.lock();
        let outcome = act(&mut room);
        room.take_due(&mut woken.0);
        self.is_due.store(room.is_due(), Ordering::Release);
        drop(room);
        (outcome, woken)
    }

    /// Readers whose set holds the topic, waiting or not.
    pub(crate) fn readers(&self, topic: &Option<Topic>) -> usize {
        self.room.lock().lists(topic).map(|list| list.readers).sum()
    }

    /// Whether somebody reads this very topic by name.
    pub(crate) fn is_named(&self, topic: &Option<Topic>) -> bool {
        self.room.lock().exact.contains_key(topic)
    }
}

/// Wakers that were taken: they are woken when this is dropped, which is to be outside of any lock.
pub(crate) struct Woken<const N: usize>([Option<Waker>; N]);

impl<const N: usize> Drop for Woken<N> {
    fn drop(&mut self) {
        self.0.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }
}

/// What the lock guards.
#[derive(Debug)]
struct Room {
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
}

#[derive(Debug)]
struct Links(usize, Box<[usize]>);

impl Links {
    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.0).chain(self.1.iter().copied())
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
    fn new() -> Self {
        let mut chains = Chains::default();
        let (all, due) = (List::new(&mut chains), chains.begin());
        let (seats, exact, prefixes) = (Slab::new(), HashMap::new(), BTreeMap::new());
        Self { seats, chains, all, exact, prefixes, due }
    }

    fn take(&mut self, set: &TopicSet) -> usize {
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
        vacant.insert(Seat { waker: None, links });
        seat
    }

    /// What it returns is to be dropped outside the lock.
    fn leave(&mut self, seat: usize, set: &TopicSet) -> Option<Waker> {
        let Seat { waker, links } = self.seats.try_remove(seat)?;
        let Self { chains, all, exact, prefixes, .. } = self;
        links.iter().for_each(|link| chains.remove(link));
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
        waker
    }

    /// The waker whose place another takes is left in its stead.
    fn park(&mut self, seat: usize, waker: &mut Option<Waker>) {
        let seat = &mut self.seats[seat];
        std::mem::swap(&mut seat.waker, waker);
        seat.links.iter().for_each(|link| self.chains.attach(link));
    }

    fn call(&mut self, topic: &Option<Topic>) {
        // `lists` borrows the index, the links stand in the chains: two fields of one value.
        let Self { chains, all, exact, prefixes, due, .. } = self;
        lists(all, exact, prefixes, topic).for_each(|list| chains.pour(list.chain, *due));
    }

    fn call_all(&mut self) {
        let Self { chains, all, exact, prefixes, due, .. } = self;
        let lists =
            std::iter::once(&*all).chain(exact.values()).chain(prefixes.values().flat_map(HashMap::values));
        lists.for_each(|list| chains.pour(list.chain, *due));
    }

    fn is_due(&self) -> bool {
        self.chains.first(self.due).is_some()
    }

    /// Takes the wakers of as many as there is room for, from both ends in turn.
    fn take_due(&mut self, woken: &mut [Option<Waker>]) {
        for (number, place) in woken.iter_mut().enumerate() {
            let next = if number % 2 == 0 { self.chains.first(self.due) } else { self.chains.last(self.due) };
            let Some(seat) = next.and_then(|seat| self.seats.get_mut(seat)) else { return };
            *place = seat.waker.take();
            seat.links.iter().for_each(|link| self.chains.detach(link));
        }
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
mod tests;
