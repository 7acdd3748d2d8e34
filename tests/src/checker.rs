//! The one judge of what readers saw.
//!
//! A test writes down what was published in a [`Truth`], feeds a [`Checker`] every (re)connect and every [`Seen`], and
//! asks for the verdict at the end, when the truth is whole: D-01 to D-04, D-06 and D-13 in one place. A run in which
//! nothing happened is a failure too ([`Vacuity`]).

mod judge;
#[cfg(test)]
mod tests;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Instant;

pub use truth::Truth;

use crate::client::{Gap, Place, Seen, Via};

/// Records one logical reader over all its connections.
///
/// ```
/// use realtime_tests::checker::{Checker, Truth, Vacuity};
/// use realtime_tests::client::{Event, Place, Seen, Transport};
///
/// let mut truth = Truth::default();
/// truth.publish("e.1", None, b"1");
/// let mut checker = Checker::default();
/// checker.begin(Transport::Sse, &Place::Earliest);
/// let (id, name, data) = (Some("e.1".into()), "message".into(), b"1".to_vec());
/// checker.see(&Seen::Event(Event { id, name, topic: None, key: None, data, binary: false }));
/// let report = checker.finish(&truth, Vacuity::default())?;
/// assert_eq!(report.events, 1);
/// # Ok::<(), realtime_tests::checker::Faults>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Checker {
    topics: Option<BTreeSet<String>>,
    steps: Vec<Step>,
}

/// What is kept of a thing seen: a payload is only its hash, so that a soak fits into memory.
#[derive(Clone, Debug)]
enum Step {
    Begin(Via, Place),
    Open { cursor: String, outcome: String },
    Event { id: Option<String>, topic: Option<String>, hash: u64 },
    Gap(Gap, Instant),
    Place { cursor: String, live: bool },
    End(Option<String>),
    Refused,
    Broken(String),
}

impl Checker {
    /// A reader of some topics: events of others are strays to it, and it is owed none of them.
    pub fn of_topics<'a>(topics: impl IntoIterator<Item = &'a str>) -> Self {
        Self { topics: Some(topics.into_iter().map(str::to_owned).collect()), steps: Vec::new() }
    }

    /// The reader connects, for the first time or again, from this place. Every time but the first is a disconnect.
    /// A transport alone is meant over HTTP/1.1; another HTTP is another way, and to change it is a switch.
    pub fn begin(&mut self, via: impl Into<Via>, place: &Place) {
        self.steps.push(Step::Begin(via.into(), place.clone()));
    }

    /// The reader was told this.
    pub fn see(&mut self, seen: &Seen) {
        self.steps.push(match seen.clone() {
            Seen::Open { cursor, outcome, .. } => Step::Open { cursor, outcome },
            Seen::Event(event) => {
                let hash = truth::hash(&event.data);
                Step::Event { id: event.id, topic: event.topic, hash }
            }
            Seen::Gap(gap) => Step::Gap(gap, Instant::now()),
            Seen::Live { cursor } => Step::Place { cursor, live: true },
            Seen::Ping { cursor } => Step::Place { cursor, live: false },
            Seen::End { cursor, .. } => Step::End(cursor),
            Seen::Refused { .. } => Step::Refused,
            Seen::Broken(why) => Step::Broken(why),
            Seen::Control { .. } | Seen::Status { .. } | Seen::Close { .. } => return,
        });
    }

    /// The reader was told all of these.
    pub fn see_all<'a>(&mut self, seen: impl IntoIterator<Item = &'a Seen>) {
        seen.into_iter().for_each(|seen| self.see(seen));
    }

    /// The verdict, once all that was published is in `truth`.
    ///
    /// # Errors
    /// Every way in which the reader was served badly, or the run was too empty to show anything.
    pub fn finish(self, truth: &Truth, vacuity: Vacuity) -> Result<Report, Faults> {
        judge::judge(truth, self.topics.as_ref(), &self.steps, &vacuity)
    }
}

/// What must have happened for a run to mean anything.
#[derive(Clone, Debug)]
pub struct Vacuity {
    /// At least so many events arrived.
    pub min_events: usize,
    /// At least so many reconnects were made.
    pub min_disconnects: usize,
    /// At least so many of them went to another transport, or another HTTP.
    pub min_switches: usize,
    /// At least so many gaps were told.
    pub min_gaps: usize,
    /// Everything up to the last published entry is owed.
    pub to_the_end: bool,
}

impl Default for Vacuity {
    /// One event, and everything to the end.
    fn default() -> Self {
        Self { min_events: 1, min_disconnects: 0, min_switches: 0, min_gaps: 0, to_the_end: true }
    }
}

/// What happened in a good run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events that arrived.
    pub events: usize,
    /// Reconnects.
    pub disconnects: usize,
    /// Reconnects to another transport, or another HTTP.
    pub switches: usize,
    /// Gaps that were told.
    pub gaps: usize,
    /// Entries that a gap rightly covered.
    pub skipped: usize,
    /// Requests that were refused.
    pub refused: usize,
    /// Per topic, the chain of hashes over the payloads in the order of arrival: equal on all transports.
    pub chains: BTreeMap<Option<String>, u64>,
}

/// One way in which a reader was served badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// D-01: a retained entry was passed over, whatever a gap said.
    Lost(String),
    /// D-01, D-04: an entry that is gone was passed over, and no gap said so in time; or this place is of another epoch than
    /// the one before, and no gap said so.
    SilentGap(String),
    /// D-02: the entry came again.
    Duplicate(String),
    /// D-03: the entry came after one that follows it, or before the place reading was to go on from.
    Reordered(String),
    /// Its payload or topic is not what was published.
    Altered(String),
    /// Nothing was published there.
    Unknown(String),
    /// An event without a cursor.
    NoCursor,
    /// An event of a topic that was not asked for.
    Stray(String),
    /// D-04: nothing was lost where the gap says so, or not yet; or it speaks of an epoch that the reader was not in.
    FalseGap(Gap),
    /// `$open` promised a gap and something else came first.
    GapMissing,
    /// `$open` said another place or outcome than the reader came with.
    Open {
        /// What it came with.
        came: Place,
        /// What was said.
        cursor: String,
        /// And the outcome.
        outcome: String,
    },
    /// D-06: the place moved back.
    PlaceBack(String),
    /// D-13: something came after the end.
    AfterEnd,
    /// The hash chain of a topic is not the publisher's.
    Chain(Option<String>),
    /// The wire was broken.
    Broken(String),
    /// Too little happened: what, how much, and how much it should have been.
    Vacuous(&'static str, usize, usize),
}

/// Why a run failed: never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

/// Faults that are shown; the rest is counted.
const FAULTS_SHOWN: usize = 12;

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} faults:", self.0.len())?;
        self.0.iter().take(FAULTS_SHOWN).try_for_each(|fault| write!(f, "\n  {fault:?}"))
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Faults {}
