//! What the log holds, as plain data: no lock, no waker, no clock of its own.
//!
//! Every retained entry stands in two indexes: `all`, in the one order of the log, and the queue of its topic.
//! A reader of one topic walks the queue; a reader of several walks `all` and passes over what is not its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use slab::Slab;

use crate::cursor::Cursor;
use crate::entry::Entry;
use crate::error::PublishErrorKind;
use crate::event::Event;
use crate::feed::GapReason;
use crate::limits::{Keep, Limits};
use crate::log::ledger::{Charge, Ledger, TopicLedger};
use crate::log::losses::{Loss, Losses};
use crate::log::ring::Ring;
use crate::log::topics::{TopicLog, cost_of, position_of};
use crate::sync::Arc;
use crate::topic::{Set, Topic, TopicSet};

#[derive(Debug)]
pub(crate) struct State {
    limits: Limits,
    keep: Vec<(TopicSet, Keep)>,
    /// The newest position given out.
    pub(crate) head: u64,
    pub(crate) all: BTreeMap<u64, Entry>,
    topics: Slab<TopicLog>,
    names: BTreeMap<Option<Topic>, usize>,
    /// The highest position of any forgotten topic, and when one last lost something.
    floor: Loss,
    /// The newest place at which the producer said that events were lost on their way in.
    source: Loss,
    losses: Losses,
    pub(crate) closed: bool,
    /// Topics by bytes, fullest last, without those that are never trimmed.
    shares: BTreeSet<(usize, usize)>,
    /// Topics by when their oldest entry has to go.
    expiries: BTreeSet<(Duration, usize)>,
    /// Topics by when they last had an event.
    quiet: BTreeSet<(u64, usize)>,
    /// Bytes of topics that are never trimmed.
    pub(crate) keyed_bytes: usize,
    now: Duration,
    ledger: Arc<Ledger>,
    /// The newest entries, for those who read without the lock.
    ring: Arc<Ring>,
}

impl State {
    pub(crate) fn new(limits: Limits, keep: Vec<(TopicSet, Keep)>, ring: Arc<Ring>) -> Self {
        Self {
            ledger: Ledger::new(limits.budget_bytes),
            limits,
            keep,
            head: 0,
            all: BTreeMap::new(),
            topics: Slab::new(),
            names: BTreeMap::new(),
            floor: Loss::default(),
            source: Loss::default(),
            losses: Losses::default(),
            closed: false,
            shares: BTreeSet::new(),
            expiries: BTreeSet::new(),
            quiet: BTreeSet::new(),
            keyed_bytes: 0,
            now: Duration::ZERO,
            ring,
        }
    }

    pub(crate) fn cursor(&self, position: u64) -> Cursor {
        self.ring.cursor(position)
    }

    /// Where a cursor stands, if it is one of this history and not ahead of it.
    pub(crate) fn position_of(&self, cursor: Cursor) -> Option<u64> {
        let position = u64::try_from(cursor.position()).ok()?;
        (cursor.epoch() == self.ring.epoch() && position <= self.head).then_some(position)
    }

    // ---- what a publisher does

    /// Stores an event. `is_named` tells whether a reader asks for a topic by name, so that it is forgotten last.
    ///
    /// # Errors
    /// Nothing is stored and no position spent.
    pub(crate) fn push(
        &mut self,
        event: Event,
        now: Duration,
        is_named: impl Fn(&Option<Topic>) -> bool,
    ) -> Result<Cursor, PublishErrorKind> {
        self.advance(now);
        let cost = cost_of(&event);
        self.admit(&event, cost)?;
        let id = self.topic_for(event.topic(), is_named)?;
        self.supersede(id, &event);

        self.head += 1;
        let (position, cursor) = (self.head, self.cursor(self.head));
        let topic = &mut self.topics[id];
        let charge = Charge::new(topic.ledger.clone(), cost);
        let key = event.shared_key().cloned();
        let entry = Entry::charged(cursor, event, self.now, charge);
        if topic.is_keyed() {
            if let Some(key) = key {
                topic.keys.insert(key, position);
            }
            self.keyed_bytes += cost;
        }
        if topic.entries.is_empty()
            && let Some(age) = topic.keep.age_max
        {
            self.expiries.insert((self.now.saturating_add(age), id));
        }
        self.quiet.remove(&(topic.last, id));
        self.quiet.insert((position, id));
        topic.last = position;
        self.ring.keep(&entry);
        topic.push(entry.clone());
        self.all.insert(position, entry);
        self.ledger.moved_to(position);
        self.trim(id);
        Ok(cursor)
    }

    /// Spends a position on events that never came: readers before it are owed a gap.
    pub(crate) fn push_loss(&mut self) -> Cursor {
        self.head += 1;
        self.source = self.losses.record(self.head);
        self.ledger.moved_to(self.head);
        self.cursor(self.head)
    }

    pub(crate) fn close_topic(&mut self, topic: &Topic, is_named: impl Fn(&Option<Topic>) -> bool) {
        if let Ok(id) = self.topic_for(Some(topic), is_named) {
            self.topics[id].closed = true;
            self.ring.closed();
        }
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.ring.closed();
    }

    /// Shows what was pushed to those who read without the lock.
    pub(crate) fn show(&self) {
        self.ring.moved_to(self.head);
    }

    /// Whether the event would be taken; nothing changes.
    fn admit(&self, event: &Event, cost: usize) -> Result<(), PublishErrorKind> {
        if self.closed {
            return Err(PublishErrorKind::Closed);
        }
        if event.payload().bytes().len() > self.limits.event_bytes_max {
            return Err(PublishErrorKind::TooBig);
        }
        let known = self.topic(event.topic());
        if known.is_some_and(|topic| topic.closed) {
            return Err(PublishErrorKind::Closed);
        }
        let Some(keys_max) = known.map_or_else(|| self.keep_for(event.topic()), |t| t.keep).keys_max else {
            return Ok(());
        };
        let Some(key) = event.key() else { return Err(PublishErrorKind::KeyMissing) };
        let former = known.and_then(|topic| topic.keys.get(key)).and_then(|position| self.all.get(position));
        if former.is_none() && known.map_or(0, |topic| topic.keys.len()) >= keys_max {
            return Err(PublishErrorKind::TooManyKeys);
        }
        let freed = former.map_or(0, |entry| cost_of(entry.event()));
        if self.keyed_bytes - freed + cost > self.limits.budget_bytes {
            return Err(PublishErrorKind::Full);
        }
        Ok(())
    }

    /// Takes the former event of the same key away. Its value has been replaced: that is no loss.
    fn supersede(&mut self, id: usize, event: &Event) {
        let topic = &mut self.topics[id];
        let former =
            topic.is_keyed().then(|| event.key().and_then(|key| topic.keys.get(key))).flatten().copied();
        if let Some(entry) = former.and_then(|position| topic.remove(position)) {
            self.keyed_bytes -= cost_of(entry.event());
            self.drop_entry(&entry);
        }
    }

    // ---- what goes

    /// Lets the clock move on, never back, and drops what has grown too old.
    pub(crate) fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        while let Some((expiry, id)) = self.expiries.first().copied()
            && expiry <= self.now
        {
            self.drop_oldest(id);
        }
    }

    fn trim(&mut self, id: usize) {
        while self.topics[id].is_over() {
            self.drop_oldest(id);
        }
        self.weigh(id);
        while let Some(grown) = self.ledger.next_grown() {
            self.weigh(grown);
        }
        while self.ledger.is_over()
            && let Some((share, fullest)) = self.shares.last().copied()
        {
            // Readers fill encodings while we are at it: look again before it loses anything.
            if self.topics[fullest].ledger.used() == share {
                self.drop_oldest(fullest);
            }
            self.weigh(fullest);
        }
    }

    /// Puts a topic where it belongs among the fullest.
    fn weigh(&mut self, id: usize) {
        // One that grew may have been forgotten since, and its number be another's: that does no harm.
        let Some(topic) = self.topics.get_mut(id) else { return };
        self.shares.remove(&(topic.share, id));
        topic.share = topic.ledger.weigh();
        if !topic.is_keyed() && !topic.entries.is_empty() {
            self.shares.insert((topic.share, id));
        }
    }

    fn drop_oldest(&mut self, id: usize) {
        let topic = &mut self.topics[id];
        if let Some(expiry) = topic.expiry() {
            self.expiries.remove(&(expiry, id));
        }
        let Some(entry) = topic.pop() else { return };
        topic.lost = self.losses.record(position_of(&entry));
        if let Some(expiry) = topic.expiry() {
            self.expiries.insert((expiry, id));
        }
        self.drop_entry(&entry);
        if self.topics[id].entries.is_empty() {
            self.weigh(id);
        }
    }

    fn drop_entry(&mut self, entry: &Entry) {
        self.ring.forget(entry);
        self.all.remove(&position_of(entry));
        if let Some(charge) = entry.charge() {
            charge.close();
        }
    }

    // ---- topics

    fn topic(&self, name: Option<&Topic>) -> Option<&TopicLog> {
        self.names.get(&name.cloned()).map(|id| &self.topics[*id])
    }

    pub(crate) fn is_keyed(&self, name: Option<&Topic>) -> bool {
        self.keyed_bytes > 0 && self.topic(name).is_some_and(TopicLog::is_keyed)
    }

    fn keep_for(&self, name: Option<&Topic>) -> Keep {
        self.keep.iter().find(|(set, _)| set.contains(name)).map_or_else(Keep::default, |(_, keep)| *keep)
    }

    fn topic_for(
        &mut self,
        name: Option<&Topic>,
        is_named: impl Fn(&Option<Topic>) -> bool,
    ) -> Result<usize, PublishErrorKind> {
        let name = name.cloned();
        if let Some(id) = self.names.get(&name) {
            return Ok(*id);
        }
        while self.topics.len() >= self.limits.topics_max.max(1) {
            self.forget_quietest(&is_named)?;
        }
        let lost = self.lost_by(name.as_ref());
        let ledger = TopicLedger::new(self.ledger.clone(), self.topics.vacant_key());
        let topic = TopicLog::new(name.clone(), self.keep_for(name.as_ref()), lost, ledger);
        let last = topic.last;
        let id = self.topics.insert(topic);
        self.quiet.insert((last, id));
        self.names.insert(name, id);
        Ok(id)
    }

    /// Forgets the topic that was quiet longest: one without a reader if there is any, and never one whose state
    /// readers mirror.
    fn forget_quietest(&mut self, is_named: impl Fn(&Option<Topic>) -> bool) -> Result<(), PublishErrorKind> {
        let may_go = |(_, id): &&(u64, usize)| !self.topics[*id].is_keyed();
        let unread = |(_, id): &&(u64, usize)| !is_named(&self.topics[*id].name);
        let quietest =
            self.quiet.iter().filter(may_go).find(unread).or_else(|| self.quiet.iter().find(may_go));
        let Some((last, id)) = quietest.copied() else { return Err(PublishErrorKind::Full) };
        while !self.topics[id].entries.is_empty() {
            self.drop_oldest(id);
        }
        self.quiet.remove(&(last, id));
        self.names.remove(&self.topics[id].name);
        let topic = self.topics.remove(id);
        self.floor = self.floor.join(topic.lost);
        Ok(())
    }

    /// The topics of a set that the log knows.
    pub(crate) fn known<'a>(&'a self, set: &'a TopicSet) -> Box<dyn Iterator<Item = &'a TopicLog> + 'a> {
        match &set.0 {
            Set::All => Box::new(self.topics.iter().map(|(_, topic)| topic)),
            Set::Exact(names) => {
                Box::new(names.iter().filter_map(|name| self.names.get(name).map(|id| &self.topics[*id])))
            }
            Set::Prefix(prefix) => {
                let from = Topic::new(&**prefix).ok();
                let family = self.names.range((Bound::Included(from), Bound::Unbounded));
                let named = family
                    .take_while(|(name, _)| name.as_ref().is_some_and(|n| n.as_str().starts_with(&**prefix)));
                Box::new(named.map(|(_, id)| &self.topics[*id]))
            }
        }
    }

    /// The only topic of a set of one, if the log knows it.
    pub(crate) fn only(&self, set: &TopicSet) -> Option<Option<&TopicLog>> {
        match &set.0 {
            Set::Exact(names) if names.len() == 1 => {
                Some(self.names.get(&names[0]).map(|id| &self.topics[*id]))
            }
            _ => None,
        }
    }

    // ---- what is owed

    /// The turn up to which a reader that begins now has nothing to be told.
    pub(crate) fn turn(&self) -> u64 {
        self.losses.turn()
    }

    /// Why a reader of a set at `after`, told of what went up to the turn `told`, is owed a gap; `dropped` is the
    /// reason where the log itself dropped something.
    pub(crate) fn owes(
        &self,
        set: &TopicSet,
        after: u64,
        told: u64,
        dropped: GapReason,
    ) -> Option<GapReason> {
        // Mostly this settles it: nothing at all was lost since, or nothing as high.
        let any = self.losses.owed(after, told)?;
        let owed = |loss: Loss| loss.is_owed(after, told).then_some(loss.position);
        let of_topics = match &set.0 {
            Set::All => Some(any.position),
            Set::Exact(names) => names.iter().filter_map(|name| owed(self.lost_by(name.as_ref()))).max(),
            Set::Prefix(_) => {
                self.known(set).filter_map(|topic| owed(topic.lost)).max().max(owed(self.floor))
            }
        };
        match owed(self.source) {
            Some(source) if of_topics.is_none_or(|highest| highest <= source) => Some(GapReason::Source),
            _ => of_topics.map(|_| dropped),
        }
    }

    /// Whether the producer said, later than `after`, that events were lost on their way in.
    pub(crate) fn lost_on_the_way_in(&self, after: u64) -> bool {
        self.source.position > after
    }

    /// What a topic has lost. One that is not known may have been forgotten, unless it is of those that never are.
    fn lost_by(&self, name: Option<&Topic>) -> Loss {
        match self.topic(name) {
            Some(topic) => topic.lost,
            None if self.keep_for(name).keys_max.is_some() => Loss::default(),
            None => self.floor,
        }
    }

    /// Whether nothing can come any more for readers of a set.
    pub(crate) fn is_closed(&self, set: &TopicSet) -> bool {
        self.closed
            || match &set.0 {
                Set::Exact(names) => {
                    names.iter().all(|name| self.names.get(name).is_some_and(|id| self.topics[*id].closed))
                }
                Set::All | Set::Prefix(_) => false,
            }
    }
}

#[cfg(test)]
#[cfg(not(realtime_loom))]
impl State {
    /// Every index agrees with every other, and the accounts with what is there.
    pub(crate) fn assert_whole(&self) {
        let queued: usize = self.topics.iter().map(|(_, topic)| topic.entries.len()).sum();
        assert_eq!(queued, self.all.len());
        assert_eq!((self.names.len(), self.quiet.len()), (self.topics.len(), self.topics.len()));
        let (mut shares, mut expiries, mut keyed_bytes) = (0, 0, 0);
        for (id, topic) in &self.topics {
            assert!(self.names.get(&topic.name) == Some(&id) && self.quiet.contains(&(topic.last, id)));
            assert!(topic.entries.iter().map(position_of).is_sorted());
            assert!(topic.entries.iter().all(|entry| self.all.contains_key(&position_of(entry))));
            if topic.is_keyed() {
                assert_eq!(topic.keys.len(), topic.entries.len());
                let costs = topic.entries.iter().map(|entry| cost_of(entry.event()));
                keyed_bytes += costs.sum::<usize>();
            } else if !topic.entries.is_empty() {
                assert!(self.shares.contains(&(topic.share, id)));
                shares += 1;
            }
            if let Some(expiry) = topic.expiry() {
                assert!(self.expiries.contains(&(expiry, id)));
                expiries += 1;
            }
        }
        assert_eq!((self.shares.len(), self.expiries.len()), (shares, expiries));
        assert_eq!(self.keyed_bytes, keyed_bytes);
        let used: usize = self.topics.iter().map(|(_, topic)| topic.ledger.used()).sum();
        assert_eq!(self.ledger.used(), used);
    }
}

#[cfg(test)]
#[cfg(not(realtime_loom))]
mod tests {
    use super::*;
    use crate::Log;

    /// What is never trimmed is refused instead: what a replaced value frees counts, and not a byte more.
    #[test]
    fn tables_may_fill_the_budget_and_no_more() {
        let event = |key: &str, text: &str| {
            let topic = Topic::new("t").unwrap();
            Event::text("e", text.to_owned()).unwrap().with_topic(topic).with_key(key).unwrap()
        };
        let budget_bytes = 2 * cost_of(&event("a", "x"));
        let log = Log::builder()
            .limits(Limits { budget_bytes, ..Limits::default() })
            .keep(TopicSet::all(), Keep::latest_per_key(9))
            .build();
        let put = |key, text| log.publish(event(key, text)).map(drop).map_err(|error| error.kind());
        let full = Err(PublishErrorKind::Full);
        assert_eq!([put("a", "x"), put("b", "xx"), put("b", "x")], [Ok(()), full, Ok(())]);
        assert_eq!([put("c", ""), put("a", "xx"), put("a", "y")], [full, full, Ok(())]);
        assert_eq!([put("a", ""), put("b", "xx"), put("b", "xxx")], [Ok(()), Ok(()), full]);
        log.shared.state.lock().assert_whole();
    }

    /// The producer's word stands where nothing above it was dropped by the log.
    #[test]
    fn the_reason_of_a_gap_is_that_of_the_highest_loss() {
        let log = Log::builder().keep(TopicSet::all(), Keep::history().entries(1)).build();
        let event = || Event::text("e", "x").unwrap();
        let reason = |set: &TopicSet| log.shared.state.lock().owes(set, 0, 0, GapReason::Trimmed);
        let sets = [TopicSet::all(), TopicSet::unnamed()];
        log.publish_all([event(), event()]).unwrap();
        assert_eq!(sets.each_ref().map(reason), [Some(GapReason::Trimmed); 2]);
        log.publish_gap().unwrap();
        assert_eq!(sets.each_ref().map(reason), [Some(GapReason::Source); 2]);
        log.publish_all([event(), event()]).unwrap();
        assert_eq!(sets.each_ref().map(reason), [Some(GapReason::Trimmed); 2]);
    }
}
