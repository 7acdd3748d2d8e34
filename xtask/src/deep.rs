//! `cargo xtask deep`: what must hold too and takes longer: the second half of `.ci/run`.
//!
//! A stage is a line in [`STAGES`], which says what it proves. Each ends by itself within minutes, so that all of them and
//! `cargo xtask test` stay within the hour on two cores; the long runs of the same are commands of their own.

use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::stage::{self, Stages, Tally};
use crate::{Outcome, costs, fuzz, stress, supply};

/// One kind of proof.
struct Stage {
    name: &'static str,
    /// What holds once it has passed.
    proves: &'static str,
    run: fn(&mut Tally) -> Outcome,
}

/// In this order, stopping at the first that fails: the quick ones first.
const STAGES: &[Stage] = &[
    Stage {
        name: "supply",
        proves: "no dependency below a version that has an advisory, none by another licence or from elsewhere than crates.io",
        run: supply::check,
    },
    Stage {
        name: "costs",
        proves: "no delivery takes more instructions, allocations or system calls than benches/costs.txt says, and a slowed one does",
        run: costs::check,
    },
    Stage {
        name: "fuzz",
        proves: "no input found in a minute panics, or is read otherwise than a second reader of it does",
        run: |tally| fuzz::all(FUZZ_TIME, tally),
    },
    Stage {
        name: "simulation",
        proves: "a network, a clock and chance that come from a seed lose, repeat and reorder nothing, and invent no gap",
        run: simulation,
    },
    Stage {
        name: "stress",
        proves: "nor do real processes and sockets, with faults between them",
        run: |_| stress::short(),
    },
];

/// Seeds that the networks are drawn from; more is the same command by hand.
const SIMULATION_SEEDS: &str = "200";

fn simulation(tally: &mut Tally) -> Outcome {
    let mut command = Command::new("cargo");
    command.args(["test", "--release", "-p", "realtime-tests", "--test", "simulation"]);
    stage::run_tests(command.env("REALTIME_SIMULATION_SEEDS", SIMULATION_SEEDS), tally)
}

/// For each target. Long enough to go beyond the seeds by far; the hours are `cargo xtask fuzz`.
const FUZZ_TIME: Duration = Duration::from_secs(60);

/// Runs it all; the last line printed is how many checks passed, alone.
pub(crate) fn run() -> ExitCode {
    let mut stages = Stages::default();
    let done = STAGES.iter().try_for_each(|stage| {
        stages.run(stage.name, |tally| {
            println!("    proves: {}", stage.proves);
            (stage.run)(tally)
        })
    });
    println!("\n{}", stages.times());
    if let Err(error) = &done {
        println!("{error}\n");
    }
    println!("{}", stages.tally);
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_name_of_its_own_and_says_what_it_proves() {
        let names: std::collections::BTreeSet<_> = STAGES.iter().map(|stage| stage.name).collect();
        assert_eq!(names.len(), STAGES.len());
        assert!(STAGES.iter().all(|stage| stage.proves.len() > 20));
    }
}
