//! `cargo xtask stress`: builds the scenarios as they are shipped, and runs those that are named.

use std::env;
use std::process::{Command, ExitCode};

use crate::{Outcome, place, stage};

/// Hands what stands behind `stress` to the program, which explains itself with `--help`.
pub(crate) fn run() -> ExitCode {
    let build = || stage::run(Command::new("cargo").args(["build", "--release", "-p", "realtime-stress"]));
    let done: Outcome = build().and_then(|()| {
        stage::run(Command::new(place::target().join("release/stress")).args(env::args_os().skip(2)))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask stress: {error}");
            ExitCode::FAILURE
        }
    }
}
