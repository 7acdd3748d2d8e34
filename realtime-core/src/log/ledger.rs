//! Who owes how many bytes: entries to their topic, topics to the log.
//!
//! Readers add to it without the log's lock, as they fill an entry's encodings. An entry that leaves the log takes
//! with it exactly what was added for it, also when a reader fills one at that very moment: the entry's own count
//! closes with one swap, and nothing is added after.

use crate::limits::HOT_ENTRIES;
use crate::sync::{Arc, AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Mutex, Ordering};

/// The log's account.
#[derive(Debug)]
pub(crate) struct Ledger {
    used: AtomicIsize,
    budget: usize,
    /// The newest position: near it, encodings are kept whatever the budget says.
    head: AtomicU64,
    /// Topics to which readers added since they were last weighed, each once.
    grown: Mutex<Vec<usize>>,
}

impl Ledger {
    pub(crate) fn new(budget: usize) -> Arc<Self> {
        let (used, head) = (AtomicIsize::new(0), AtomicU64::new(0));
        Arc::new(Self { used, budget, head, grown: Mutex::new(Vec::new()) })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.budget
    }

    pub(crate) fn used(&self) -> usize {
        // Below zero for the moment between an entry's own count and ours; see `Charge::grow`.
        self.used.load(Ordering::Relaxed).max(0) as usize
    }

    /// One of the topics that are to be weighed again.
    pub(crate) fn next_grown(&self) -> Option<usize> {
        self.grown.lock().pop()
    }

    pub(crate) fn moved_to(&self, head: u64) {
        self.head.store(head, Ordering::Relaxed);
    }
}

/// One topic's account.
#[derive(Debug)]
pub(crate) struct TopicLedger {
    used: AtomicIsize,
    /// Its number in the log, under which it is weighed.
    id: usize,
    has_grown: AtomicBool,
    log: Arc<Ledger>,
}

impl TopicLedger {
    pub(crate) fn new(log: Arc<Ledger>, id: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicIsize::new(0), id, has_grown: AtomicBool::new(false), log })
    }

    /// What it has, looked at by the log: what readers add from now on is told anew.
    pub(crate) fn weigh(&self) -> usize {
        self.has_grown.store(false, Ordering::SeqCst);
        self.used()
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed).max(0) as usize
    }

    fn add(&self, bytes: isize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        self.log.used.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// One entry's account.
#[derive(Debug)]
pub(crate) struct Charge {
    cost: AtomicUsize,
    topic: Arc<TopicLedger>,
}

/// Set in a cost once the entry has left the log.
const CLOSED: usize = 1 << (usize::BITS - 1);

impl Charge {
    pub(crate) fn new(topic: Arc<TopicLedger>, cost: usize) -> Self {
        topic.add(cost as isize);
        Self { cost: AtomicUsize::new(cost), topic }
    }

    /// Whether the entry may keep more bytes: it is still in the log, and it is hot, or more than half of the budget is
    /// free. Who replays old events must not push out those of others by what is encoded for it.
    pub(crate) fn may_grow(&self, position: u128) -> bool {
        let log = &self.topic.log;
        self.cost.load(Ordering::Relaxed) & CLOSED == 0
            && (log.used() < log.budget / 2
                || position + u128::from(HOT_ENTRIES) > u128::from(log.head.load(Ordering::Relaxed)))
    }

    pub(crate) fn grow(&self, bytes: usize) {
        let open = |cost: usize| (cost & CLOSED == 0).then_some(cost + bytes);
        if self.cost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, open).is_ok() {
            self.topic.add(bytes as isize);
            if !self.topic.has_grown.swap(true, Ordering::SeqCst) {
                self.topic.log.grown.lock().push(self.topic.id);
            }
        }
    }

    /// Gives everything back; the entry has left the log.
    pub(crate) fn close(&self) {
        let cost = self.cost.swap(CLOSED, Ordering::Relaxed);
        if cost & CLOSED == 0 {
            self.topic.add(-(cost as isize));
        }
    }
}

#[cfg(test)]
#[cfg(not(realtime_loom))]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_while_the_entry_leaves_is_never_owed() {
        let log = Ledger::new(1_000);
        let topic = TopicLedger::new(log.clone(), 0);
        for _ in 0..200 {
            let charge = Arc::new(Charge::new(topic.clone(), 100));
            let fill = std::thread::spawn({
                let charge = charge.clone();
                move || charge.grow(50)
            });
            charge.close();
            fill.join().unwrap();
            charge.close();
            assert_eq!((topic.used(), log.used()), (0, 0));
        }
    }

    #[test]
    fn a_hot_entry_may_grow_over_the_budget_and_an_old_one_not() {
        let log = Ledger::new(100);
        let topic = TopicLedger::new(log.clone(), 0);
        let charge = Charge::new(topic, 100);
        log.moved_to(1_000);
        let hot_from = 1_000 - u128::from(HOT_ENTRIES) + 1;
        assert!(!charge.may_grow(1) && !charge.may_grow(hot_from - 1));
        assert!(charge.may_grow(hot_from));
        log.moved_to(2);
        assert!(charge.may_grow(1));
        charge.close();
        assert!(!charge.may_grow(1));
    }

    #[test]
    fn an_old_entry_may_grow_while_less_than_half_of_the_budget_is_used() {
        let log = Ledger::new(100);
        let charge = Charge::new(TopicLedger::new(log.clone(), 0), 49);
        log.moved_to(1_000);
        assert!(charge.may_grow(1));
        charge.grow(1);
        assert!(!charge.may_grow(1));
    }

    #[test]
    fn a_log_may_be_as_full_as_its_budget() {
        let log = Ledger::new(100);
        let charge = Charge::new(TopicLedger::new(log.clone(), 0), 100);
        assert!(!log.is_over());
        charge.grow(1);
        assert!(log.is_over());
    }

    #[test]
    fn a_topic_that_grew_is_told_once_until_it_is_weighed() {
        let log = Ledger::new(1_000);
        let topic = TopicLedger::new(log.clone(), 7);
        let charge = Charge::new(topic.clone(), 100);
        let grow = || {
            charge.grow(5);
            [log.next_grown(), log.next_grown()]
        };
        assert_eq!([grow(), grow()], [[Some(7), None], [None, None]]);
        assert_eq!((topic.weigh(), grow()), (110, [Some(7), None]));
    }
}
