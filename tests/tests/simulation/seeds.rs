//! Which seeds are run, and what they come to together.

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use realtime_tests::client::Http;

use crate::faults::KINDS;
use crate::reader::Tally;
use crate::run::{Outcome, Sabotage, run};
use crate::world::Life;

/// Seeds that are run unless the environment says otherwise.
const COUNT: u64 = 15;

/// From so many seeds on, every family must have seen everything.
pub(crate) const FAMILY_MIN: u64 = 15;

pub(crate) struct Seeds {
    first: u64,
    pub(crate) count: u64,
}

/// All outcomes of a family, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    families: [(u64, Tally, [usize; KINDS]); 3],
    took: Duration,
}

impl Seeds {
    /// `REALTIME_SIMULATION_SEEDS` of them, from `REALTIME_SIMULATION_FIRST` on.
    ///
    /// # Panics
    /// A variable is set to what is no number.
    pub(crate) fn from_environment() -> Self {
        let number = |name: &str, otherwise: u64| match env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
            Err(_) => otherwise,
        };
        Self {
            first: number("REALTIME_SIMULATION_FIRST", 0),
            count: number("REALTIME_SIMULATION_SEEDS", COUNT),
        }
    }

    /// Runs them, on as many threads as there are cores; a seed is one thread's alone.
    pub(crate) fn run(&self) -> (Sum, Vec<String>) {
        let next = AtomicU64::new(self.first);
        let results = Mutex::new((Sum::default(), Vec::new()));
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.first + self.count {
                            return;
                        }
                        let outcome = std::panic::catch_unwind(|| run(seed, Sabotage::Nothing, &Http::ALL))
                            .unwrap_or_else(|panic| Err(said(&*panic)));
                        let (sum, failures) = &mut *results.lock().unwrap();
                        match outcome {
                            Ok(outcome) => sum.add(&outcome),
                            Err(why) => failures.push(format!("seed {seed}: {why}")),
                        }
                    }
                });
            }
        });
        let (mut sum, failures) = results.into_inner().unwrap();
        sum.took = begun.elapsed();
        (sum, failures)
    }

    /// Prints what was run; the harness shows it where the test fails, or with `--nocapture`.
    #[allow(clippy::print_stdout, reason = "the figures are what a long run is for")]
    pub(crate) fn say(&self, sum: &Sum, failures: &[String]) {
        let last = self.first + self.count - 1;
        let each = sum.took.as_secs_f64() / self.count as f64;
        println!("seeds {} to {last} in {:.1} s, {each:.3} s each", self.first, sum.took.as_secs_f64());
        for (life, (seeds, tally, begun)) in Life::ALL.iter().zip(&sum.families) {
            println!(
                "{life:?}: {seeds} seeds, {tally:?}, {begun:?} (parted, one way, held, lossy, drained, killed, cut off)"
            );
        }
        failures.iter().for_each(|failure| println!("{failure}"));
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        let (seeds, tally, begun) = &mut self.families[outcome.life as usize];
        *seeds += 1;
        *tally += outcome.tally;
        begun.iter_mut().zip(outcome.begun).for_each(|(sum, count)| *sum += count);
    }

    /// Every family was cut, left in silence, sent away, and read over every transport; gaps came where they were due.
    pub(crate) fn assert_not_tame(&self) {
        for (life, (seeds, tally, begun)) in Life::ALL.iter().zip(&self.families) {
            let seeds = *seeds as usize;
            for (what, is, least) in [
                ("events a seed", tally.events, 100 * seeds),
                ("switches a seed", tally.switches, 10 * seeds),
                ("cuts a seed", tally.cuts, seeds),
                ("silences a seed", tally.silences, seeds),
                ("readers sent away", tally.sent_away, 1),
                ("crashes", begun[5] + begun[6], seeds / 2),
                ("gaps", tally.gaps, if *life == Life::Outlives { 0 } else { seeds }),
                (
                    "entries that a gap covered",
                    tally.skipped,
                    if *life == Life::Outlives { 0 } else { seeds },
                ),
            ] {
                assert!(is >= least, "{life:?} is tame: {is} {what}, not {least}: {tally:?}");
            }
            assert!(begun.iter().all(|count| *count > 0), "{life:?} is tame: {begun:?}");
            assert!(tally.by_way.iter().flatten().all(|events| *events > 0), "{life:?}: {:?}", tally.by_way);
        }
    }
}
