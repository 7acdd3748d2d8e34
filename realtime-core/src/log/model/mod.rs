//! The log against a plain account of everything that ever happened.
//!
//! Random operations run on a [`Log`] and are written into a [`Past`] that forgets nothing. After each one the past
//! looks at what the log still holds, and each reader's deliveries are judged by it (see [`client`]).
//!
//! 256 cases, or as many as the environment variable `PROPTEST_CASES` says: 4,096 in `cargo xtask test`, a million before a
//! release, with `--release`.

mod client;
mod past;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use self::client::{Client, From};
use self::past::Past;
use super::{Log, PublishErrorKind};
use crate::entry::Format;
use crate::event::Event;
use crate::limits::{ENTRY_OVERHEAD_BYTES, Keep, Limits};
use crate::topic::{Topic, TopicSet};

/// Topics by number; `table/` ones keep the latest per key, the last is that of events without a topic.
const TOPICS: [Option<&str>; 8] =
    [Some("a/x"), Some("a/y"), Some("b"), Some("c"), Some("a"), Some("table/t"), Some("table/u"), None];

fn topic(number: usize) -> Option<Topic> {
    TOPICS[number].map(|name| Topic::new(name).unwrap())
}

fn is_table(topic: &Option<Topic>) -> bool {
    topic.as_ref().is_some_and(|topic| topic.as_str().starts_with("table/"))
}

#[derive(Debug, Clone)]
enum Op {
    Publish(Vec<Draft>),
    Loss,
    CloseTopic(usize),
    Close,
    /// Seconds go by.
    Wait(u64),
    /// A reader begins in a slot; who sat there is gone.
    Open(usize, Wish, From),
    /// The reader of a slot comes back with the place it has, for these topics, cut in the middle of its last batch or
    /// after it.
    Return(usize, Wish, Option<usize>),
    /// It takes so many items, and encodes what it gets in so many formats.
    Read(usize, usize, usize),
    Leave(usize),
}

#[derive(Debug, Clone)]
struct Draft {
    topic: usize,
    key: Option<u8>,
    bytes: usize,
}

#[derive(Debug, Clone)]
enum Wish {
    All,
    Prefix(&'static str),
    Topics(Vec<usize>),
    Unnamed,
}

impl Wish {
    fn set(&self) -> TopicSet {
        match self {
            Self::All => TopicSet::all(),
            Self::Prefix(prefix) => TopicSet::prefix(prefix).unwrap(),
            Self::Topics(numbers) => TopicSet::of(numbers.iter().filter_map(|n| topic(*n))).unwrap(),
            Self::Unnamed => TopicSet::unnamed(),
        }
    }
}

#[derive(Debug, Clone)]
struct Setting {
    budget: usize,
    topics_max: usize,
    entries: usize,
    bytes: usize,
    /// Seconds that one topic keeps events for; none and time changes nothing, so that the log is read without its lock.
    age: Option<u64>,
    keys_max: usize,
}

const SLOTS: usize = 3;

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let draft = (0..TOPICS.len(), proptest::option::weighted(0.8, 0..4_u8), 0..200_usize)
        .prop_map(|(topic, key, bytes)| Draft { topic, key, bytes });
    proptest::collection::vec(draft, 1..6)
}

fn wishes() -> impl Strategy<Value = Wish> {
    prop_oneof![
        2 => Just(Wish::All),
        2 => prop_oneof![Just("a"), Just("a/"), Just("table"), Just("b"), Just("z")].prop_map(Wish::Prefix),
        4 => proptest::collection::vec(0..TOPICS.len() - 1, 1..4).prop_map(Wish::Topics),
        1 => Just(Wish::Unnamed),
    ]
}

fn froms() -> impl Strategy<Value = From> {
    prop_oneof![
        3 => Just(From::Earliest),
        2 => Just(From::Live),
        2 => (0..6_u32).prop_map(From::Last),
        3 => (0..40_u64).prop_map(From::Back),
        1 => Just(From::Foreign),
        1 => (1..5_u64).prop_map(From::Future),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        10 => drafts().prop_map(Op::Publish),
        2 => Just(Op::Loss),
        1 => (0..TOPICS.len() - 1).prop_map(Op::CloseTopic),
        2 => (1..8_u64).prop_map(Op::Wait),
        6 => (0..SLOTS, wishes(), froms()).prop_map(|(slot, wish, from)| Op::Open(slot, wish, from)),
        3 => (0..SLOTS, wishes(), proptest::option::of(0..4_usize))
            .prop_map(|(slot, wish, cut)| Op::Return(slot, wish, cut)),
        10 => (0..SLOTS, 1..6_usize, 0..4_usize).prop_map(|(slot, items, formats)| Op::Read(slot, items, formats)),
        1 => (0..SLOTS).prop_map(Op::Leave),
    ];
    (proptest::collection::vec(op, 1..60), proptest::bool::weighted(0.2)).prop_map(|(mut ops, close)| {
        if close {
            ops.push(Op::Close);
        }
        ops
    })
}

fn settings() -> impl Strategy<Value = Setting> {
    let budget =
        prop_oneof![1 => Just(1 << 30), 1 => (6..30_usize).prop_map(|n| n * (ENTRY_OVERHEAD_BYTES + 100))];
    let topics_max = prop_oneof![1 => Just(100), 1 => 3..8_usize];
    (budget, topics_max, 1..5_usize, 1..6_usize, proptest::option::of(1..10_u64), 1..5_usize).prop_map(
        |(budget, topics_max, entries, bytes, age, keys_max)| Setting {
            budget,
            topics_max,
            entries,
            bytes: bytes * (ENTRY_OVERHEAD_BYTES + 100),
            age,
            keys_max,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// D-01, D-02, D-03, D-04, D-06
    #[test]
    fn the_log_agrees_with_a_plain_account(setting in settings(), ops in ops()) {
        World::new(&setting).run(&ops);
    }
}

struct World {
    log: Log,
    past: Past,
    seconds: Arc<AtomicU64>,
    clients: [Option<Client>; SLOTS],
}

impl World {
    fn new(setting: &Setting) -> Self {
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = seconds.clone();
        let rule = |name: &str| TopicSet::one(Topic::new(name).unwrap());
        let log = Log::builder()
            .epoch(past::EPOCH)
            .clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)))
            .limits(Limits {
                budget_bytes: setting.budget,
                topics_max: setting.topics_max,
                ..Limits::default()
            })
            .keep(TopicSet::prefix("table/").unwrap(), Keep::latest_per_key(setting.keys_max))
            .keep(
                rule("b"),
                setting.age.map_or(Keep::history(), |age| Keep::history().age(Duration::from_secs(age))),
            )
            .keep(rule("c"), Keep::history().bytes(setting.bytes))
            .keep(TopicSet::unnamed(), Keep::history())
            .keep(TopicSet::all(), Keep::history().entries(setting.entries))
            .build();
        let past = Past::new(setting.clone());
        Self { log, past, seconds, clients: Default::default() }
    }

    fn run(mut self, ops: &[Op]) {
        for op in ops {
            self.apply(op);
        }
        for slot in 0..SLOTS {
            self.read(slot, 1_000, 0);
        }
        for client in self.clients.iter().flatten() {
            assert!(client.is_at_rest(), "after 1,000 items {client:?} still reads");
        }
        self.clients = Default::default();
        for number in 0..TOPICS.len() {
            assert_eq!(self.log.shared.seats.readers(&topic(number)), 0);
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            // Where topics are forgotten, one by one: the past looks at the log after each, and must not miss one that
            // is forgotten and comes back within a call.
            Op::Publish(drafts) if self.past.setting.topics_max < TOPICS.len() => {
                drafts.chunks(1).for_each(|draft| self.publish(draft));
            }
            Op::Publish(drafts) => self.publish(drafts),
            Op::Loss => {
                if let Ok(cursor) = self.log.publish_gap() {
                    self.past.source_lost(cursor);
                    self.woken(|_| true);
                }
            }
            Op::CloseTopic(number) => {
                if let Some(topic) = topic(*number) {
                    self.log.close_topic(&topic);
                    self.past.close_topic(topic.clone());
                    self.past.observe(&self.log);
                    self.woken(|set| set.contains(Some(&topic)));
                }
            }
            Op::Close => {
                self.log.close();
                self.past.is_closed = true;
                self.woken(|_| true);
            }
            Op::Wait(seconds) => {
                self.seconds.fetch_add(*seconds, Ordering::Relaxed);
            }
            Op::Open(slot, wish, from) => {
                let start = from.start(self.log.tail());
                self.clients[*slot] = Some(Client::new(&self.log, wish.set(), start));
            }
            Op::Return(slot, wish, cut) => {
                if let Some(start) = self.clients[*slot].as_ref().and_then(|client| client.start(*cut)) {
                    self.clients[*slot] = Some(Client::new(&self.log, wish.set(), start));
                }
            }
            Op::Read(slot, items, formats) => self.read(*slot, *items, *formats),
            Op::Leave(slot) => self.clients[*slot] = None,
        }
        self.past.observe(&self.log);
        self.count_readers();
    }

    fn publish(&mut self, drafts: &[Draft]) {
        let events: Vec<_> = drafts.iter().map(|draft| self.past.event(draft)).collect();
        let before = self.log.tail();
        let (cursors, refused) = match self.log.publish_all(events.clone()) {
            Ok(cursors) => (cursors, None),
            Err(error) => (error.taken().to_vec(), Some(error.kind())),
        };
        let expected: Vec<_> =
            (1..=cursors.len() as u128).map(|n| before.at(before.position() + n)).collect();
        assert_eq!(cursors, expected, "one position each");
        self.past.now = self.past.now.max(self.seconds.load(Ordering::Relaxed));
        for (cursor, event) in cursors.iter().zip(&events) {
            self.past.published(*cursor, event.clone());
        }
        self.past.observe(&self.log);
        if let Some(kind) = refused {
            self.expect_refusal(kind, &events[cursors.len()]);
        }
        let taken: Vec<_> = events[..cursors.len()].iter().map(|event| event.topic().cloned()).collect();
        self.woken(|set| taken.iter().any(|topic| set.contains(topic.as_ref())));
    }

    fn expect_refusal(&self, kind: PublishErrorKind, event: &Event) {
        let topic = event.topic().cloned();
        let is_right = match kind {
            PublishErrorKind::Closed => self.past.is_closed || self.past.is_ended(&topic),
            PublishErrorKind::KeyMissing => is_table(&topic) && event.key().is_none(),
            PublishErrorKind::TooManyKeys => self.past.keys(&topic) == self.past.setting.keys_max,
            PublishErrorKind::Full => true,
            PublishErrorKind::TooBig => false,
        };
        assert!(is_right, "{event:?} was refused as {kind:?}");
    }

    fn read(&mut self, slot: usize, items: usize, formats: usize) {
        let Some(client) = &mut self.clients[slot] else { return };
        for _ in 0..items {
            let item = client.poll();
            self.past.now = self.past.now.max(self.seconds.load(Ordering::Relaxed));
            self.past.observe(&self.log);
            if !client.judge(item, &self.past, &self.log) {
                break;
            }
            client.encode(formats);
        }
    }

    /// Whoever waits for one of these topics has been woken.
    fn woken(&self, concerns: impl Fn(&TopicSet) -> bool) {
        for client in self.clients.iter().flatten() {
            assert!(!(client.is_parked() && concerns(client.set())), "nobody woke {client:?}");
        }
    }

    fn count_readers(&self) {
        for number in 0..TOPICS.len() {
            let topic = topic(number);
            let seated = |client: &&Client| client.was_polled() && client.set().contains(topic.as_ref());
            let expected = self.clients.iter().flatten().filter(seated).count();
            assert_eq!(self.log.shared.seats.readers(&topic), expected);
        }
    }
}

/// Formats that a client encodes in.
const FORMATS: [Format; 4] =
    [Format::new("model/1"), Format::new("model/2"), Format::new("model/3"), Format::new("model/4")];
