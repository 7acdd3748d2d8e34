//! What a scenario is given, and what it comes to.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a step comes to: its result, or why it failed.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One run of one scenario: its seeds, and its time.
#[derive(Debug)]
pub(crate) struct Run {
    first: u64,
    seeds: u64,
    until: Option<Instant>,
    begun: Instant,
    given: AtomicU64,
    size: Size,
}

/// How large a world is, for scenarios whose world is one crowd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Size {
    /// As CI can bear it.
    #[default]
    Small,
    /// As it proves the figure.
    Full,
}

impl Run {
    /// `seeds` of them from `first` on, and more while `time` lasts.
    pub(crate) fn new(first: u64, seeds: u64, time: Option<Duration>) -> Self {
        let begun = Instant::now();
        Self {
            first,
            seeds,
            until: time.map(|time| begun + time),
            begun,
            given: AtomicU64::new(0),
            size: Size::Small,
        }
    }

    /// The same, of that size.
    pub(crate) fn sized(self, size: Size) -> Self {
        Self { size, ..self }
    }

    /// How large its worlds are.
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// What a world of this run has of something.
    pub(crate) fn pick<T>(&self, small: T, full: T) -> T {
        if self.size == Size::Full { full } else { small }
    }

    /// The seed of the run, for a scenario that draws but one plan.
    pub(crate) fn seed(&self) -> u64 {
        self.first
    }

    /// Each seed in turn; a scenario's figures are the sum over them.
    pub(crate) fn seeds(&self) -> impl Iterator<Item = u64> + '_ {
        std::iter::from_fn(|| {
            let given = self.given.load(Ordering::Relaxed);
            let is_due = given < self.seeds || self.until.is_some_and(|until| Instant::now() < until);
            is_due.then(|| self.first.wrapping_add(self.given.fetch_add(1, Ordering::Relaxed)))
        })
    }

    /// How many seeds were given out so far.
    pub(crate) fn seeds_given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// How long it has taken so far.
    pub(crate) fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Says that a seed is done, so that whoever watches a long run sees it move.
    pub(crate) fn tell(&self, what: impl fmt::Display) {
        println!("  {:>6.1} s  {what}", self.took().as_secs_f64());
    }
}

/// What was counted, in the order in which it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures(Vec<(&'static str, String)>);

impl Figures {
    /// One figure more. Its name ends with the unit, where it has one.
    pub(crate) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.push((name, value.to_string()));
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

/// Why a scenario failed, and with which seed it does so again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What repeats it.
    pub(crate) seed: u64,
    /// What happened.
    pub(crate) what: String,
}

impl Failure {
    pub(crate) fn of(seed: u64, what: impl fmt::Display) -> Self {
        Self { seed, what: what.to_string() }
    }
}

/// A runtime for what a scenario does itself: readers and faults; two threads, as there are two cores in CI.
///
/// # Errors
/// The operating system gives no thread.
pub(crate) fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Runs a world for each seed; the figures are those of the last.
///
/// # Errors
/// The first that failed, with its seed.
pub(crate) fn each(
    run: &Run,
    world: impl AsyncFn(&Run, u64) -> Outcome<Figures>,
) -> Result<Figures, Failure> {
    let runtime = runtime().map_err(|error| Failure::of(run.seed(), error))?;
    let mut figures = Figures::default();
    for seed in run.seeds() {
        figures = runtime.block_on(world(run, seed)).map_err(|error| Failure::of(seed, error))?;
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_follow_each_other_and_time_adds_more() {
        let run = Run::new(7, 3, None);
        assert_eq!(run.seeds().collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(run.seeds_given(), 3);
        let run = Run::new(7, 1, Some(Duration::from_secs(3600)));
        assert_eq!(run.seeds().take(5).last(), Some(11));
        let run = Run::new(u64::MAX, 2, Some(Duration::ZERO));
        assert_eq!(run.seeds().collect::<Vec<_>>(), [u64::MAX, 0], "the last seed is no end of the world");
    }
}
