//! The scenarios. Each is a module with a `pub(crate) const SCENARIO`, and a line in [`ALL`].

mod churn;
mod cycles;
mod drain;
mod gaps;
mod halfopen;
mod herd;
mod hostile;
mod mix;
mod restart;
mod slow;
mod streams;

use crate::run::{Failure, Figures, Run};

/// One thing that is put under stress.
pub(crate) struct Scenario {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// The figures of the project's goals that it proves.
    pub(crate) proves: &'static [&'static str],
    /// What it does, in a line.
    pub(crate) does: &'static str,
    /// Seeds of a run of about a minute.
    pub(crate) seeds_small: u64,
    /// Seeds of the run that proves it.
    pub(crate) seeds_full: u64,
    /// Does it: one world after the other, for each of [`Run::seeds`]. A run in which too little happened is a failure.
    pub(crate) run: fn(&Run) -> Result<Figures, Failure>,
}

/// All of them.
pub(crate) const ALL: &[Scenario] = &[
    churn::SCENARIO,
    gaps::SCENARIO,
    cycles::SCENARIO,
    drain::SCENARIO,
    herd::SCENARIO,
    slow::SCENARIO,
    hostile::SCENARIO,
    mix::SCENARIO,
    streams::SCENARIO,
    halfopen::SCENARIO,
];
