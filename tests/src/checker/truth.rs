//! What was published, in source order, and what the source has dropped since.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::time::Instant;

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
    lost: Lost,
    pub(super) superseded: bool,
}

/// Whether the source has dropped an entry, and since when.
#[derive(Clone, Copy, Debug)]
enum Lost {
    No,
    AtSomeTime,
    Since(Instant),
}

impl Lost {
    fn is_known_by(self, when: Instant) -> bool {
        match self {
            Self::No => false,
            Self::AtSomeTime => true,
            Self::Since(then) => then <= when,
        }
    }
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
        self.entries.push(Entry {
            cursor: cursor.to_owned(),
            topic,
            hash,
            lost: Lost::No,
            superseded: false,
        });
    }

    /// The source has dropped all up to and with `through`: of one topic, or of all if none is named.
    ///
    /// # Panics
    /// Nothing was published at `through`.
    pub fn lose(&mut self, topic: Option<&str>, through: &str) {
        self.mark(topic, through, Lost::AtSomeTime);
    }

    /// As [`lose`](Self::lose), said just before the source does it: a gap that a reader saw earlier cannot speak of
    /// this loss. Where losses go on all the time it is this that shows an invented gap.
    ///
    /// # Panics
    /// As [`lose`](Self::lose).
    pub fn lose_now(&mut self, topic: Option<&str>, through: &str) {
        self.mark(topic, through, Lost::Since(Instant::now()));
    }

    /// The first to say so decides.
    fn mark(&mut self, topic: Option<&str>, through: &str, lost: Lost) {
        let end = self.position(through).expect("lose names an entry that was published") + 1;
        let concerned = |entry: &&mut Entry| topic.is_none() || entry.topic.as_deref() == topic;
        let kept = self.entries[..end].iter_mut().filter(|entry| matches!(entry.lost, Lost::No));
        kept.filter(concerned).for_each(|entry| entry.lost = lost);
    }

    /// Whether a reader of these topics that comes back from `place` now is owed a gap: something behind it is gone, or
    /// it is of another epoch than the newest entry.
    pub fn owes_gap(&self, topics: &BTreeSet<String>, place: &str) -> bool {
        let is_of_now = self.epochs.last().is_some_and(|(now, _)| now == epoch(place));
        let behind = self.rank(place).filter(|_| is_of_now).map(|rank| &self.entries[rank..]);
        behind.is_none_or(|behind| {
            let concerned = |entry: &&Entry| entry.topic.as_ref().is_some_and(|topic| topics.contains(topic));
            behind.iter().filter(concerned).any(|entry| !matches!(entry.lost, Lost::No))
        })
    }

    /// The place of the newest entry of these topics in the epoch of now, if there is one.
    pub fn newest_of(&self, topics: &BTreeSet<String>) -> Option<&str> {
        let (_, range) = self.epochs.last()?;
        let concerned = |entry: &&Entry| entry.topic.as_ref().is_some_and(|topic| topics.contains(topic));
        self.entries[range.clone()].iter().rev().find(concerned).map(|entry| entry.cursor.as_str())
    }

    /// Whether a reader of these topics that stands at `place` has all that there is of them.
    pub fn is_at_end(&self, topics: &BTreeSet<String>, place: &str) -> bool {
        let is_of_now = self.epochs.last().is_some_and(|(now, _)| now == epoch(place));
        is_of_now && self.newest_of(topics).is_none_or(|newest| newest <= place)
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
        self.losses_unknown || !matches!(self.entries[at].lost, Lost::No)
    }

    /// Whether somebody may have said by then that it is lost.
    pub(super) fn may_be_told_lost(&self, at: usize, when: Instant) -> bool {
        self.losses_unknown || self.entries[at].lost.is_known_by(when)
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
