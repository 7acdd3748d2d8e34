//! One topic of the log: its entries, what it lost, and what it may keep.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc as StdArc;
use std::time::Duration;

use crate::entry::Entry;
use crate::event::Event;
use crate::limits::{ENTRY_OVERHEAD_BYTES, Keep};
use crate::log::ledger::TopicLedger;
use crate::log::losses::Loss;
use crate::sync::Arc;
use crate::topic::Topic;

/// What the log remembers of one topic.
#[derive(Debug)]
pub(crate) struct TopicLog {
    pub(crate) name: Option<Topic>,
    pub(crate) keep: Keep,
    pub(crate) entries: VecDeque<Entry>,
    /// The highest position that was dropped by count, bytes, age or budget. Being superseded is no loss.
    pub(crate) lost: Loss,
    /// The highest position it ever had.
    pub(crate) last: u64,
    pub(crate) closed: bool,
    /// The position of each key's latest, where the topic keeps those.
    pub(crate) keys: HashMap<StdArc<str>, u64>,
    pub(crate) ledger: Arc<TopicLedger>,
    /// What its events weigh, without what was encoded for readers: these must not push history out by reading it.
    own_bytes: usize,
    /// As the index of the fullest topics knows it: it may lag behind what readers filled since.
    pub(crate) share: usize,
}

impl TopicLog {
    /// A topic seen for the first time may be one that was forgotten: it has lost what the log's floor says.
    pub(crate) fn new(name: Option<Topic>, keep: Keep, lost: Loss, ledger: Arc<TopicLedger>) -> Self {
        Self {
            name,
            keep,
            entries: VecDeque::new(),
            lost,
            last: lost.position,
            closed: false,
            keys: HashMap::new(),
            ledger,
            own_bytes: 0,
            share: 0,
        }
    }

    pub(crate) fn is_keyed(&self) -> bool {
        self.keep.keys_max.is_some()
    }

    /// When its oldest entry has to go by age.
    pub(crate) fn expiry(&self) -> Option<Duration> {
        Some(self.entries.front()?.taken_at().saturating_add(self.keep.age_max?))
    }

    /// Whether it holds more than it may by count or bytes. The newest entry always may stay.
    pub(crate) fn is_over(&self) -> bool {
        self.entries.len() > self.keep.entries_max
            || (self.entries.len() > 1 && self.own_bytes > self.keep.bytes_max)
    }

    /// Its oldest entry after a position.
    pub(crate) fn first_after(&self, position: u64) -> Option<&Entry> {
        self.entries.get(self.index_after(position))
    }

    /// Where the entries after a position begin. Readers stand near the end: look there first.
    pub(crate) fn index_after(&self, position: u64) -> usize {
        match self.entries.back() {
            Some(newest) if position_of(newest) > position => {
                self.entries.partition_point(|entry| position_of(entry) <= position)
            }
            _ => self.entries.len(),
        }
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.own_bytes += cost_of(entry.event());
        self.entries.push_back(entry);
    }

    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.own_bytes -= cost_of(entry.event());
        Some(entry)
    }

    /// Takes the entry at a position out, wherever it stands.
    pub(crate) fn remove(&mut self, position: u64) -> Option<Entry> {
        let index = self.entries.binary_search_by_key(&position, position_of).ok()?;
        let entry = self.entries.remove(index)?;
        self.own_bytes -= cost_of(entry.event());
        Some(entry)
    }
}

/// A log's positions fit 64 bits; a cursor's have room for other sources.
pub(crate) fn position_of(entry: &Entry) -> u64 {
    entry.cursor().position() as u64
}

/// What an event weighs in a log.
pub(crate) fn cost_of(event: &Event) -> usize {
    event.bytes() + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
#[cfg(not(realtime_loom))]
mod tests {
    use super::*;
    use crate::Cursor;
    use crate::log::ledger::Ledger;

    #[test]
    fn a_topic_weighs_what_its_entries_do() {
        let ledger = TopicLedger::new(Ledger::new(0), 0);
        let mut topic = TopicLog::new(None, Keep::history(), Loss::default(), ledger);
        for position in 1..=4 {
            let event = Event::text("e", "x".repeat(position)).unwrap();
            topic.push(Entry::new(Cursor::new(1, position as u128), event));
        }
        let weighs = |topic: &TopicLog| topic.own_bytes - topic.entries.len() * (ENTRY_OVERHEAD_BYTES + 1);
        assert_eq!(weighs(&topic), 1 + 2 + 3 + 4);
        assert_eq!(topic.pop().map(|entry| position_of(&entry)), Some(1));
        assert_eq!(weighs(&topic), 2 + 3 + 4);
        assert_eq!(topic.remove(3).map(|entry| position_of(&entry)), Some(3));
        assert_eq!((weighs(&topic), topic.remove(3).is_none()), (2 + 4, true));
    }
}
