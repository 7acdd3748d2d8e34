//! How a log is made.

use std::fmt;
use std::time::{Duration, Instant};

use crate::limits::{Keep, Limits};
use crate::log::ring::Ring;
use crate::log::seats::Seats;
use crate::log::state::State;
use crate::log::{Log, Shared};
use crate::sync::{Arc, Mutex};
use crate::topic::TopicSet;

/// Makes a [`Log`] with bounds, retention, clock and epoch of one's own.
///
/// ```
/// use std::time::Duration;
/// use realtime_core::{Keep, Limits, Log, TopicSet};
///
/// let log = Log::builder()
///     .limits(Limits { event_bytes_max: 64 * 1024, ..Limits::default() })
///     .keep(TopicSet::prefix("price/")?, Keep::latest_per_key(500))
///     .keep(TopicSet::all(), Keep::history().entries(10_000).age(Duration::from_secs(60)))
///     .build();
/// # drop(log);
/// # Ok::<(), realtime_core::EventError>(())
/// ```
#[derive(Debug, Default)]
pub struct LogBuilder {
    limits: Limits,
    keep: Vec<(TopicSet, Keep)>,
    epoch: Option<u64>,
    clock: Option<Clock>,
}

impl LogBuilder {
    /// The bounds of the whole log.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What the topics of a set keep. Of several rules for one topic the first that was given holds; a topic
    /// without a rule keeps [`Keep::history`].
    #[must_use]
    pub fn keep(mut self, topics: TopicSet, keep: Keep) -> Self {
        self.keep.push((topics, keep));
        self
    }

    /// The epoch, instead of a random one. Two logs of one epoch take each other's cursors for their own: give one
    /// only in a test, or where the same history is built again position by position.
    #[must_use]
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// The clock that retention by age goes by: the time since some fixed moment. Default: [`Instant`].
    ///
    /// It is asked before the log is locked, at each publish and each read; where it goes back, the log's time stands.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Some(Clock(Some(Box::new(now))));
        self
    }

    /// The log.
    ///
    /// # Panics
    /// The operating system has no randomness to draw an epoch from.
    pub fn build(self) -> Log {
        let epoch = self.epoch.unwrap_or_else(|| {
            getrandom::u64().expect("the operating system gives randomness, or no log could tell a restart")
        });
        let ages = self.keep.iter().any(|(_, keep)| keep.age_max.is_some());
        let clock = self.clock.filter(|_| ages).unwrap_or_else(|| Clock::new(ages));
        let ring = Arc::new(Ring::new(epoch));
        let state = Mutex::new(State::new(self.limits, self.keep, ring.clone()));
        Log { shared: Arc::new(Shared { state, ring, seats: Seats::new(), clock }) }
    }
}

type Now = Box<dyn Fn() -> Duration + Send + Sync>;

/// The log's clock; none where nothing is dropped by age, so that nobody pays for asking it.
pub(crate) struct Clock(Option<Now>);

impl Clock {
    fn new(ages: bool) -> Self {
        let start = Instant::now();
        Self(ages.then(|| Box::new(move || start.elapsed()) as Now))
    }

    /// Whether time changes what the log holds.
    pub(crate) fn ages(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn now(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |now| now())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
