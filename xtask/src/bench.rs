//! `cargo xtask bench`: builds the bench as it is shipped, and runs it with server and generator on cores of their own.

use std::process::{Command, ExitCode};
use std::{env, thread};

use crate::{Outcome, place, stage, tools};

/// The generator's core, where there are two and `taskset` binds to them; the server's is the first.
const GENERATOR_CORE: &str = "1";

/// Hands what stands behind `bench` to the bench, which explains itself with `--help`.
pub(crate) fn run() -> ExitCode {
    let done = stage::explained("realtime-benches", "bench")
        .unwrap_or_else(|| build().and_then(|()| stage::run(&mut command())));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Outcome {
    tools::find_or_install_counters()?;
    stage::run(Command::new("cargo").args(["build", "--release", "-p", "realtime-benches", "--bins"]))
}

fn command() -> Command {
    let bench = place::target().join("release/bench");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut command = match place::program(&["taskset"]).filter(|_| cores > 1) {
        Some(taskset) => {
            let mut command = Command::new(taskset);
            command.args(["-c", GENERATOR_CORE]).arg(bench).arg("--pinned");
            command
        }
        None => Command::new(bench),
    };
    command.args(env::args_os().skip(2));
    command
}
