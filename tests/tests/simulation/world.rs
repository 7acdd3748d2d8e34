//! What is published, by whom, and what has become of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use realtime_core::{Event, Keep, Log, Topic, TopicSet};
use realtime_tests::checker::Truth;
use realtime_tower::Handle;
use tokio::sync::Notify;

use crate::feeds::Feeds;

/// What happens to the log when its server crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It is lost, and its server begins another: an epoch that every reader has to be told of.
    Dies,
    /// It lives elsewhere and keeps everything: nothing may be lost.
    Outlives,
    /// It lives elsewhere and keeps little: gaps are due.
    Trimmed,
}

impl Life {
    pub(crate) const ALL: [Self; 3] = [Self::Dies, Self::Outlives, Self::Trimmed];

    /// A third of the seeds each.
    pub(crate) fn of(seed: u64) -> Self {
        Self::ALL[(seed % 3) as usize]
    }

    /// Entries that each topic keeps.
    fn keep(self) -> usize {
        if self == Self::Trimmed { 6 } else { 100_000 }
    }
}

pub(crate) const TOPICS: [&str; 3] = ["room/1", "lobby", "room/2"];

/// The world that all hosts of a simulation share; cloning gives another grip.
#[derive(Clone)]
pub(crate) struct World {
    state: Arc<Mutex<State>>,
    /// Rung to have the running server drained,
    pub(crate) drain: Arc<Notify>,
    /// and to have all its sockets closed.
    pub(crate) kill: Arc<Notify>,
    /// What it reads the log through.
    pub(crate) feeds: Feeds,
}

pub(crate) struct State {
    life: Life,
    /// The log, while there is one.
    log: Option<Log>,
    /// The running server's grip.
    pub(crate) handle: Option<Handle>,
    pub(crate) truth: Truth,
    epochs: u64,
    published: u64,
    cursors: BTreeMap<&'static str, Vec<String>>,
    /// The last event of each topic, once everything is published.
    last: Option<BTreeMap<&'static str, String>>,
    pub(crate) readers_left: usize,
}

impl World {
    pub(crate) fn new(life: Life, readers: usize) -> Self {
        let state = State {
            life,
            log: None,
            handle: None,
            truth: Truth::default(),
            epochs: 0,
            published: 0,
            cursors: BTreeMap::new(),
            last: None,
            readers_left: readers,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            drain: Arc::default(),
            kill: Arc::default(),
            feeds: Feeds::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server begins: with the log that is there, or with a new one that is never seen empty.
    pub(crate) fn boot(&self) -> Log {
        let mut state = self.state();
        if let Some(log) = &state.log {
            return log.clone();
        }
        state.epochs += 1;
        let keep = Keep::history().entries(state.life.keep());
        let log = Log::builder().epoch(0x5eed_0000 + state.epochs).keep(TopicSet::all(), keep).build();
        state.log = Some(log.clone());
        state.cursors.clear();
        drop(state);
        TOPICS.iter().for_each(|topic| self.publish(topic));
        log
    }

    /// The server is gone, and the log with it if it died.
    pub(crate) fn crashed(&self) {
        let mut state = self.state();
        state.handle = None;
        if state.life == Life::Dies {
            state.log = None;
            let newest = state.cursors.values().filter_map(|cursors| cursors.last()).max().cloned();
            state.truth.lose(None, &newest.unwrap());
        }
    }

    /// Publishes one event, if there is a log.
    pub(crate) fn publish(&self, topic: &'static str) {
        let mut state = self.state();
        let Some(log) = state.log.clone() else { return };
        state.published += 1;
        let event = Event::json("tick", &serde_json::json!({ "n": state.published, "on": topic })).unwrap();
        let event = event.with_topic(Topic::new(topic).unwrap());
        let data = event.payload().bytes().clone();
        let cursor = log.publish(event).unwrap().to_string();
        state.truth.publish(&cursor, Some(topic), &data);
        let keep = state.life.keep();
        let cursors = state.cursors.entry(topic).or_default();
        cursors.push(cursor);
        if let Some(oldest) = cursors.len().checked_sub(keep + 1) {
            let lost = cursors[oldest].clone();
            state.truth.lose(Some(topic), &lost);
        }
    }

    /// The last words: one on every topic, and nothing after them.
    pub(crate) fn finish(&self) {
        TOPICS.iter().for_each(|topic| self.publish(topic));
        let mut state = self.state();
        let last = state.cursors.iter().map(|(topic, cursors)| (*topic, cursors.last().unwrap().clone()));
        state.last = Some(last.collect());
    }

    /// The last event that a reader of these topics is to get, once that is known.
    pub(crate) fn last_of(&self, topics: &[&str]) -> Option<String> {
        self.state()
            .last
            .as_ref()?
            .iter()
            .filter(|(on, _)| topics.contains(on))
            .map(|(_, at)| at)
            .max()
            .cloned()
    }

    /// Whether all readers are done, and the server counts none of them any more.
    pub(crate) fn is_left(&self) -> bool {
        let waiting = self.state().readers_left;
        waiting == 0 && self.connections() == 0
    }

    /// Readers that the running server counts.
    pub(crate) fn connections(&self) -> u64 {
        let stats = self.state().handle.as_ref().map(Handle::stats);
        stats.iter().flat_map(|stats| &stats.transports).map(|(_, stats)| stats.connections).sum()
    }
}

/// Publishes in bursts and pauses until `until`, and then the last words.
pub(crate) async fn publisher(world: World, mut random: fastrand::Rng, until: Duration) {
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < until {
        for _ in 0..random.usize(1..=3) {
            world.publish(TOPICS[random.usize(..TOPICS.len())]);
        }
        tokio::time::sleep(Duration::from_millis(random.u64(10..=300))).await;
    }
    world.finish();
}
