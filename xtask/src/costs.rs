//! `cargo xtask costs`: what a delivery of ours costs by count, held against `benches/costs.txt`.
//!
//! Counts are the same on every machine, so a check may lean on them; microseconds never are. That the gate can fail is
//! part of it: a server that encodes every event once more has to be refused for that, or nothing is held at all.

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

/// What the program ends with where a cost is above its bound, and with nothing else.
const TOO_DEAR: i32 = 3;

/// Counts them all, and then one that has to fail.
pub(crate) fn check(tally: &mut Tally) -> Outcome {
    build()?;
    stage::count(with([]), tally)?;
    stage::count(code(SLOWED.map(OsString::from)).and_then(refused), tally)
}

/// Turns a gate that let a slowed server through into a failure, and one that did not come to judge it too.
fn refused(code: Option<i32>) -> Outcome {
    match code {
        Some(TOO_DEAR) => {
            println!("  refused for its costs, as it has to be");
            Ok(())
        }
        Some(0) => Err("a server with a needless encoding for every delivery went through the gate".into()),
        other => Err(format!("the gate of a slowed server failed of itself, with {other:?}").into()),
    }
}

fn build() -> Outcome {
    tools::find_or_install_counters()?;
    stage::run(Command::new("cargo").args(["build", "--release", "-p", "realtime-benches", "--bins"]))
}

fn with(arguments: impl IntoIterator<Item = OsString>) -> Outcome {
    match code(arguments)? {
        Some(0) => Ok(()),
        Some(TOO_DEAR) => Err("a delivery costs more than benches/costs.txt says".into()),
        other => Err(format!("not within benches/costs.txt, or not counted: ended with {other:?}").into()),
    }
}

/// What the program ends with; nothing if a signal ended it.
fn code(arguments: impl IntoIterator<Item = OsString>) -> Outcome<Option<i32>> {
    stage::code(Command::new(place::target().join("release/bench-costs")).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_judgement_of_its_costs_refuses_a_slowed_server() {
        assert!(refused(Some(TOO_DEAR)).is_ok());
        for (code, what) in
            [(Some(0), "let through"), (Some(1), "an error"), (Some(101), "a panic"), (None, "a signal")]
        {
            assert!(refused(code).is_err(), "{what}");
        }
    }
}
