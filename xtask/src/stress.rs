//! `cargo xtask stress`: builds the scenarios as they are shipped, and runs those that are named.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::{Outcome, place, stage};

/// Hands what stands behind `stress` to the program, which explains itself with `--help`.
pub(crate) fn run() -> ExitCode {
    let done = stage::explained("realtime-stress", "stress").unwrap_or_else(|| with(env::args_os().skip(2)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask stress: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What takes a minute or two: churn and gaps, from a few seeds.
pub(crate) fn short() -> Outcome {
    with(["churn", "gaps"].map(OsString::from))
}

fn with(arguments: impl IntoIterator<Item = OsString>) -> Outcome {
    stage::run(Command::new("cargo").args(["build", "--release", "-p", "realtime-stress"]))?;
    stage::run(Command::new(place::target().join("release/stress")).args(arguments))
}
