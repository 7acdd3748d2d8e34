//! `cargo xtask costs`: what a delivery of ours costs by count, held against `benches/costs.txt`.
//!
//! Counts are the same on every machine, so a check may lean on them; microseconds never are. That the gate can fail is
//! part of it: a server that copies every event once more has to be refused, or nothing is held at all.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::stage::Tally;
use crate::{Outcome, place, stage, tools};

/// Hands what stands behind `costs` to the program, which explains itself with `--help`.
pub(crate) fn run() -> ExitCode {
    let done = stage::explained("realtime-benches", "bench-costs")
        .unwrap_or_else(|| build().and_then(|()| with(env::args_os().skip(2))));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask costs: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The kind that is slowed on purpose; one is enough to see that something is held.
const SLOWED: [&str; 3] = ["--slowed", "--only", "ours-sse"];

/// Counts them all, and then one that has to fail.
pub(crate) fn check(tally: &mut Tally) -> Outcome {
    build()?;
    stage::count(with([]), tally)?;
    stage::count(refused(with(SLOWED.map(OsString::from))), tally)
}

/// Turns a gate that let a slowed server through into a failure.
fn refused(gate: Outcome) -> Outcome {
    match gate {
        Err(error) => {
            println!("  refused, as it has to be: {error}");
            Ok(())
        }
        Ok(()) => Err("a server with a needless copy for every delivery went through the gate".into()),
    }
}

fn build() -> Outcome {
    tools::find_or_install_counters()?;
    stage::run(Command::new("cargo").args(["build", "--release", "-p", "realtime-benches", "--bins"]))
}

fn with(arguments: impl IntoIterator<Item = OsString>) -> Outcome {
    stage::run(Command::new(place::target().join("release/bench-costs")).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_lets_a_slowed_server_through_is_a_failure() {
        assert!(refused(Err("too dear".into())).is_ok());
        assert!(refused(Ok(())).is_err());
    }
}
