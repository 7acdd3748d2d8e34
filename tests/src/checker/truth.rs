//! What was published, in source order, and what the source has dropped since.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// The publisher's own list. Entries of one epoch (what stands before the cursor's `.` or `~`) lie together and rise.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub(super) entries: Vec<Entry>,
    by_cursor: HashMap<String, usize>,
    epochs: Vec<(String, Range<usize>)>,
    losses_unknown: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) cursor: String,
    pub(super) topic: Option<String>,
    pub(super) hash: u64,
    lost: bool,
    pub(super) superseded: bool,
}

impl Truth {
    /// This was published, as `publish` returned it.
    ///
    /// # Panics
    /// The cursor does not rise in its epoch, or its epoch was left: then it is the publisher that is broken.
    pub fn publish(&mut self, cursor: &str, topic: Option<&str>, data: &[u8]) {
        let (at, epoch) = (self.entries.len(), epoch(cursor));
        match self.epochs.last_mut() {
            Some((last, range)) if last == epoch => {
                let before = &self.entries[at - 1].cursor;
                assert!(before.as_str() < cursor, "publish returned {cursor} after {before}");
                range.end = at + 1;
            }
            _ => {
                let left = self.epochs.iter().any(|(known, _)| known == epoch);
                assert!(!left, "publish returned {cursor}, of an epoch that was left");
                self.epochs.push((epoch.to_owned(), at..at + 1));
            }
        }
        let topic = topic.map(str::to_owned);
        let hash = hash(data);
        self.by_cursor.insert(cursor.to_owned(), at);
        self.entries.push(Entry { cursor: cursor.to_owned(), topic, hash, lost: false, superseded: false });
    }

    /// The source has dropped all up to and with `through`: of one topic, or of all if none is named.
    ///
    /// # Panics
    /// Nothing was published at `through`.
    pub fn lose(&mut self, topic: Option<&str>, through: &str) {
        let end = self.position(through).expect("lose names an entry that was published") + 1;
        let concerned = |entry: &&mut Entry| topic.is_none() || entry.topic.as_deref() == topic;
        self.entries[..end].iter_mut().filter(concerned).for_each(|entry| entry.lost = true);
    }

    /// A later value of the same key has taken this entry's place: it may still come, and is owed to nobody.
    ///
    /// # Panics
    /// Nothing was published at `cursor`.
    pub fn supersede(&mut self, cursor: &str) {
        let at = self.position(cursor).expect("supersede names an entry that was published");
        self.entries[at].superseded = true;
    }

    /// For a source that drops by itself: anything may be lost, if a gap says so.
    pub fn losses_unknown(mut self) -> Self {
        self.losses_unknown = true;
        self
    }

    pub(super) fn position(&self, cursor: &str) -> Option<usize> {
        self.by_cursor.get(cursor).copied()
    }

    /// How many entries stand at or before a cursor; `None` if nothing was published in its epoch.
    pub(super) fn rank(&self, cursor: &str) -> Option<usize> {
        let (_, range) = self.epochs.iter().find(|(known, _)| known == epoch(cursor))?;
        let within = self.entries[range.clone()].partition_point(|entry| entry.cursor.as_str() <= cursor);
        Some(range.start + within)
    }

    /// Whether an epoch ends at this rank.
    pub(super) fn rank_is_tail(&self, rank: usize) -> bool {
        self.epochs.iter().any(|(_, range)| range.end == rank)
    }

    pub(super) fn may_be_lost(&self, at: usize) -> bool {
        self.losses_unknown || self.entries[at].lost
    }
}

pub(super) fn epoch(cursor: &str) -> &str {
    cursor.split(['.', '~']).next().unwrap_or("")
}

pub(super) fn hash(data: &[u8]) -> u64 {
    chain(0, data)
}

/// The next link of a chain: the same for the same links in the same order.
pub(super) fn chain(before: u64, link: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (before, link).hash(&mut hasher);
    hasher.finish()
}
