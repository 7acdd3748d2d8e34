//! Everything that ever happened, and what became of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Draft, Setting, TOPICS, is_table, topic};
use crate::cursor::Cursor;
use crate::event::Event;
use crate::log::Log;
use crate::topic::{Set, Topic, TopicSet};

pub(super) const EPOCH: u64 = 7;

pub(super) struct Past {
    pub(super) setting: Setting,
    pub(super) events: BTreeMap<u64, Published>,
    /// Where the producer said that something was lost, and at which turn.
    losses: BTreeMap<u64, usize>,
    pub(super) head: u64,
    pub(super) now: u64,
    /// Counts observations: what happened in one and the same turn happened before what a reader was told in it.
    pub(super) turn: usize,
    pub(super) is_closed: bool,
    ended: BTreeSet<Option<Topic>>,
    known: BTreeSet<Option<Topic>>,
    /// Topics that were forgotten once.
    forgotten: BTreeSet<Option<Topic>>,
    floor: u64,
    floor_turn: usize,
    bodies: usize,
}

pub(super) struct Published {
    pub(super) event: Event,
    taken_at: u64,
    pub(super) gone: Option<Gone>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Gone {
    /// Another value of its key took its place.
    Superseded,
    /// At this turn.
    Lost(usize),
}

impl Past {
    pub(super) fn new(setting: Setting) -> Self {
        Self {
            setting,
            events: BTreeMap::new(),
            losses: BTreeMap::new(),
            head: 0,
            now: 0,
            turn: 1,
            is_closed: false,
            ended: BTreeSet::new(),
            known: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            floor: 0,
            floor_turn: 0,
            bodies: 0,
        }
    }

    /// An event that nobody published before.
    pub(super) fn event(&mut self, draft: &Draft) -> Event {
        self.bodies += 1;
        let body = format!("{:08}{}", self.bodies, "x".repeat(draft.bytes));
        let event = Event::text("e", body).unwrap();
        let event = match topic(draft.topic) {
            Some(topic) => event.with_topic(topic),
            None => event,
        };
        match draft.key {
            Some(key) => event.with_key(key.to_string()).unwrap(),
            None => event,
        }
    }

    pub(super) fn published(&mut self, cursor: Cursor, event: Event) {
        self.head = cursor.position() as u64;
        let topic = event.topic().cloned();
        if is_table(&topic) {
            let same = |old: &&mut Published| {
                old.event.topic() == topic.as_ref() && old.event.key() == event.key() && old.gone.is_none()
            };
            if let Some(former) = self.events.values_mut().find(same) {
                former.gone = Some(Gone::Superseded);
            }
        }
        self.known.insert(topic);
        self.events.insert(self.head, Published { event, taken_at: self.now, gone: None });
    }

    pub(super) fn source_lost(&mut self, cursor: Cursor) {
        self.turn += 1;
        self.head = cursor.position() as u64;
        self.losses.insert(self.head, self.turn);
    }

    pub(super) fn close_topic(&mut self, topic: Topic) {
        self.known.insert(Some(topic.clone()));
        self.ended.insert(Some(topic));
    }

    /// Looks at what the log still holds, and checks that it went in the way it may.
    pub(super) fn observe(&mut self, log: &Log) {
        self.turn += 1;
        let state = log.shared.state.lock();
        state.assert_whole();
        assert_eq!(state.head, self.head);
        for (position, published) in &mut self.events {
            match (state.all.get(position), published.gone) {
                (Some(entry), None) => assert_eq!(entry.event().payload(), published.event.payload()),
                (None, Some(_)) => {}
                (Some(_), Some(gone)) => panic!("{position} was {gone:?} and is there"),
                (None, None) => {
                    assert!(!is_table(&published.event.topic().cloned()), "a table lost {position}");
                    published.gone = Some(Gone::Lost(self.turn));
                }
            }
        }
        let known: BTreeSet<_> = state.known(&TopicSet::all()).map(|topic| topic.name.clone()).collect();
        drop(state);
        for gone in self.known.difference(&known) {
            assert!(!is_table(gone), "a table was forgotten");
            let last =
                self.events.iter().filter(|(_, p)| p.event.topic() == gone.as_ref()).map(|(at, _)| *at);
            self.floor = self.floor.max(last.max().unwrap_or(0));
            self.floor_turn = self.turn;
            self.forgotten.insert(gone.clone());
            self.ended.remove(gone);
        }
        // A topic that was closed before anything was published to it may not have found room.
        self.ended.retain(|topic| known.contains(topic));
        self.known = known;
        self.check_retention();
    }

    /// Each topic holds the newest of its events and no more than it may; where no budget and no forgetting plays a
    /// part, no less either.
    fn check_retention(&self) {
        let setting = &self.setting;
        let is_roomy = setting.budget > 1 << 20 && setting.topics_max > TOPICS.len();
        for (number, name) in TOPICS.iter().enumerate() {
            let topic = topic(number);
            let of_topic: Vec<_> =
                self.events.values().filter(|published| published.event.topic() == topic.as_ref()).collect();
            if is_table(&topic) {
                assert!(of_topic.iter().filter(|p| p.gone.is_none()).count() <= setting.keys_max);
                continue;
            }
            let held = of_topic.iter().rev().take_while(|published| published.gone.is_none()).count();
            assert!(of_topic.iter().rev().skip(held).all(|p| p.gone.is_some()), "a hole in {topic:?}");
            let is_young = |p: &&&Published| setting.age.is_none_or(|age| p.taken_at + age > self.now);
            let expected = match name {
                Some("b") => of_topic.iter().filter(is_young).count(),
                Some("a/x" | "a/y" | "a") => of_topic.len().min(setting.entries),
                Some("c") => continue,
                _ => of_topic.len(),
            };
            // By age nothing goes before somebody publishes or reads.
            let is_right = if *name == Some("b") { held >= expected } else { held == expected };
            assert!(is_right || (!is_roomy && held < expected), "{topic:?} holds {held}, not {expected}");
        }
    }

    pub(super) fn keys(&self, topic: &Option<Topic>) -> usize {
        self.events.values().filter(|p| p.event.topic() == topic.as_ref() && p.gone.is_none()).count()
    }

    pub(super) fn is_ended(&self, topic: &Option<Topic>) -> bool {
        self.ended.contains(topic)
    }

    pub(super) fn is_over(&self, set: &TopicSet) -> bool {
        self.is_closed || matches!(&set.0, Set::Exact(names) if names.iter().all(|name| self.is_ended(name)))
    }

    /// What the log holds of a set in a range of positions, oldest first.
    pub(super) fn held<'a>(
        &'a self,
        set: &'a TopicSet,
        range: impl std::ops::RangeBounds<u64>,
    ) -> impl DoubleEndedIterator<Item = (u64, &'a Event)> {
        self.events
            .range(range)
            .filter(|(_, published)| published.gone.is_none() && set.contains(published.event.topic()))
            .map(|(position, published)| (*position, &published.event))
    }

    /// Whether a reader of a set may be told of a loss after a place, when it was told of all up to a turn.
    pub(super) fn may_be_told(&self, set: &TopicSet, after: u64, told: usize) -> bool {
        let lost = self.events.range(after + 1..).any(|(_, published)| {
            set.contains(published.event.topic())
                && matches!(published.gone, Some(Gone::Lost(turn)) if turn > told)
        });
        let may_name_a_forgotten_one = match &set.0 {
            Set::All => false,
            Set::Prefix(_) => true,
            Set::Exact(names) => names.iter().any(|name| {
                !is_table(name) && (!self.known.contains(name) || self.forgotten.contains(name))
                    || self.came_late(name)
            }),
        };
        let floor = may_name_a_forgotten_one && self.floor > after && self.floor_turn > told;
        lost || floor || self.lost_on_the_way_in(after, told)
    }

    /// A topic that the log met after it had forgotten others: for all the log knows it was one of them.
    fn came_late(&self, name: &Option<Topic>) -> bool {
        let first = self.events.iter().find(|(_, p)| p.event.topic() == name.as_ref()).map(|(at, _)| *at);
        !is_table(name) && self.floor > 0 && first.is_none_or(|first| first > 1)
    }

    pub(super) fn lost_on_the_way_in(&self, after: u64, told: usize) -> bool {
        self.losses.range(after + 1..).any(|(_, turn)| *turn > told)
    }
}
