//! Sources of every kind, each with the publisher's own list of what was put into it.

use std::collections::BTreeMap;

use realtime_core::{
    BoxSource, Cursor, Event, Keep, Log, LogBuilder, SourceExt, Start, Topic, TopicSet, adapt,
};
use realtime_tests::checker::{Checker, Report, Truth, Vacuity};
use realtime_tests::remote::{Manners, Remote};

/// Every kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Log,
    OneTopic,
    TopicSet,
    Prefix,
    Boxed,
    Filtered,
    Merged,
    Remote,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Log,
        Self::OneTopic,
        Self::TopicSet,
        Self::Prefix,
        Self::Boxed,
        Self::Filtered,
        Self::Merged,
        Self::Remote,
    ];

    /// The topics that its readers get; none is all of them.
    fn topics(self) -> Option<&'static [&'static str]> {
        match self {
            Self::OneTopic => Some(&["room/1"]),
            Self::TopicSet => Some(&["room/1", "lobby"]),
            Self::Prefix => Some(&["room/1", "room/2"]),
            Self::Filtered => Some(&["lobby"]),
            Self::Log | Self::Boxed | Self::Merged | Self::Remote => None,
        }
    }
}

/// The topics that events are published on, one after the other.
const TOPICS: [&str; 3] = ["room/1", "lobby", "room/2"];

/// A source, whoever publishes into it, and the truth.
pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) source: BoxSource,
    pub(crate) truth: Truth,
    publisher: Publisher,
    keep: usize,
    published: u64,
    cursors: BTreeMap<&'static str, Vec<String>>,
}

enum Publisher {
    Log(Log),
    Merged([Log; 2], Log),
    Remote(Remote),
}

/// Enough for everything that a test publishes.
pub(crate) const ALL: usize = 10_000;

fn topic(name: &str) -> Topic {
    Topic::new(name).expect("the test names topics that are valid")
}

fn builder(keep: usize) -> LogBuilder {
    Log::builder().keep(TopicSet::all(), Keep::history().entries(keep))
}

impl World {
    /// A source that keeps so many events: of each topic, or of all where it is the remote.
    pub(crate) fn new(kind: Kind, keep: usize) -> Self {
        let log = builder(keep).build();
        let (source, publisher): (BoxSource, _) = match kind {
            Kind::Log | Kind::Boxed => (log.clone().boxed(), Publisher::Log(log)),
            Kind::OneTopic => (log.topic("room/1").boxed(), Publisher::Log(log)),
            Kind::TopicSet => {
                let set = TopicSet::of([topic("lobby"), topic("room/1")]).expect("two topics");
                (log.topics(set).boxed(), Publisher::Log(log))
            }
            Kind::Prefix => {
                let set = TopicSet::prefix("room/").expect("a prefix");
                (log.topics(set).boxed(), Publisher::Log(log))
            }
            Kind::Filtered => {
                let lobby = topic("lobby");
                let filtered = log.clone().filter(move |event| event.topic() == Some(&lobby));
                (filtered.boxed(), Publisher::Log(log))
            }
            Kind::Merged => {
                let inputs = [Log::new(), Log::new()];
                let sources = inputs.clone().map(SourceExt::boxed);
                let (merged, pump) = adapt::merge(builder(keep), sources, Start::Earliest);
                tokio::spawn(async move { pump.await.expect("the pump takes every event") });
                (merged.clone().boxed(), Publisher::Merged(inputs, merged))
            }
            Kind::Remote => {
                let remote = Remote::new(Manners { entries_max: keep, ..Manners::default() });
                (remote.clone().boxed(), Publisher::Remote(remote))
            }
        };
        let (truth, cursors) = (Truth::default(), BTreeMap::new());
        Self { kind, source, truth, publisher, keep, published: 0, cursors }
    }

    /// Publishes the next event, on the next topic.
    pub(crate) async fn publish(&mut self) -> String {
        let n = self.published;
        self.published += 1;
        let on = TOPICS[n as usize % TOPICS.len()];
        let event = match n % 7 {
            3 => Event::text("note", format!("line {n}\nä \u{1F980}")),
            5 => Event::text("message", ""),
            _ => Event::json("tick", &serde_json::json!({ "n": n })),
        };
        let event = event.expect("the test makes events that are valid").with_topic(topic(on));
        let data = event.payload().bytes().clone();
        let cursor = self.put(event, n).await.to_string();
        self.truth.publish(&cursor, Some(on), &data);
        self.forget(on, &cursor);
        cursor
    }

    async fn put(&self, event: Event, n: u64) -> Cursor {
        match &self.publisher {
            Publisher::Log(log) => log.publish(event).expect("the log takes it"),
            Publisher::Remote(remote) => remote.publish(event),
            Publisher::Merged(inputs, merged) => {
                let before = merged.tail();
                inputs[n as usize % 2].publish(event).expect("the log takes it");
                while merged.tail() == before {
                    tokio::task::yield_now().await;
                }
                merged.tail()
            }
        }
    }

    /// Writes down what the source has dropped to make room.
    fn forget(&mut self, on: &'static str, cursor: &str) {
        let scope = if self.kind == Kind::Remote { "" } else { on };
        let cursors = self.cursors.entry(scope).or_default();
        cursors.push(cursor.to_owned());
        if let Some(oldest) = cursors.len().checked_sub(self.keep + 1) {
            self.truth.lose(Some(scope).filter(|scope| !scope.is_empty()), &cursors[oldest]);
        }
    }

    /// Publishes so many events; the last one's cursor.
    pub(crate) async fn publish_many(&mut self, events: usize) -> String {
        let mut last = String::new();
        for _ in 0..events {
            last = self.publish().await;
        }
        last
    }

    pub(crate) fn close(&self) {
        match &self.publisher {
            Publisher::Log(log) => {
                log.close();
                TOPICS.iter().for_each(|name| log.close_topic(&topic(name)));
            }
            Publisher::Merged(inputs, _) => inputs.iter().for_each(Log::close),
            Publisher::Remote(remote) => remote.close(),
        }
    }

    /// The judge of one reader of it.
    pub(crate) fn checker(&self) -> Checker {
        self.kind.topics().map_or_else(Checker::default, |topics| Checker::of_topics(topics.iter().copied()))
    }

    pub(crate) fn judge(&self, checker: Checker, vacuity: Vacuity, what: &str) -> Report {
        checker.finish(&self.truth, vacuity).unwrap_or_else(|faults| panic!("{what}: {faults}"))
    }

    /// The cursors of what its readers get, in order.
    pub(crate) fn cursors(&self) -> Vec<String> {
        let wanted = |on: &str| self.kind.topics().is_none_or(|topics| topics.contains(&on));
        let mut all: Vec<_> = self
            .cursors
            .iter()
            .filter(|(on, _)| wanted(on))
            .flat_map(|(_, cursors)| cursors.clone())
            .collect();
        all.sort();
        all
    }

    /// Whether nobody reads it any more.
    pub(crate) fn is_unread(&self) -> bool {
        match &self.publisher {
            Publisher::Log(log) | Publisher::Merged(_, log) => {
                TOPICS.iter().all(|name| log.readers(&topic(name)) == 0)
            }
            Publisher::Remote(remote) => remote.feeds() == 0,
        }
    }
}
