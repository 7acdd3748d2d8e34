//! The project's commands: `cargo xtask test` is the one that must pass.
//!
//! ```text
//! main ---- test ----+-- tools   find or install what the tests need
//!                    +-- stage   run one command, timed, its test results added up
//!                    +-- models  loom, shuttle, and the log's plain account
//!                    +-- rules   docs/rules.md against the cases that ran: the table
//!      ---- deep ----+-- supply  licences, versions and sources of what we depend on
//!                    +-- fuzz    every target of fuzz/, a minute each; also a command of its own
//!                    +-- programs  what these need from crates.io
//!                    +-- costs   instructions, allocations and system calls of a delivery, against their bounds
//!      ---- bench        what a delivery costs, beside others'
//!      ---- autobahn     the Autobahn test suite, its results kept by `results`
//!      ---- semver       what has changed for who uses the crates, since a revision
//!      ---- stress       real processes, real sockets, faults between: nothing lost, leaked or fallen over
//! ```
//!
//! A command is a module with `pub(crate) fn run() -> ExitCode`, which says itself why it failed, and a line in
//! [`command`].

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to whoever called it")]

mod autobahn;
mod bench;
mod costs;
mod deep;
mod fuzz;
mod models;
mod place;
mod programs;
mod results;
mod rules;
mod semver;
mod stage;
mod stress;
mod supply;
mod test;
mod tools;

use std::process::ExitCode;

/// What a step comes to: its result, or why it failed.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "\
usage: cargo xtask <command>

  test    find or install what the tests need, then format, clippy, every test, of the
          client in JavaScript too, the models, the documentation, and the table of rules
  deep    what takes longer: the supply of dependencies, and every fuzz target for a minute
  fuzz    fuzz targets for as long as you like (--help tells more)
  bench   what a delivery costs the server, beside others': some eight minutes of an idle
          machine with two cores (--help tells more)
  costs   what it costs by count, held against benches/costs.txt (--help tells more);
          --slowed shows that this can fail
  autobahn [--record]
          the Autobahn test suite against our WebSocket, over HTTP/1.1 and HTTP/2: needs a
          Python 2.7; --record keeps the result in tests/RESULTS.md
  semver REV
          what has changed for who uses the crates since a tag, a branch or a commit
  stress  what holds when much goes wrong at once (--help tells more)";

fn main() -> ExitCode {
    match command() {
        Ok(Some(run)) => run(),
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask: {error}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line; `None` is a call for help.
fn command() -> Outcome<Option<fn() -> ExitCode>> {
    use lexopt::prelude::*;

    let mut args = lexopt::Parser::from_env();
    let mut command: Option<fn() -> ExitCode> = None;
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Value(name) if command.is_none() => match name.to_str() {
                Some("test") => command = Some(test::run),
                Some("deep") => command = Some(deep::run),
                // What follows is theirs.
                Some("bench") => return Ok(Some(bench::run)),
                Some("costs") => return Ok(Some(costs::run)),
                Some("autobahn") => return Ok(Some(autobahn::run)),
                Some("stress") => return Ok(Some(stress::run)),
                Some("fuzz") => return Ok(Some(fuzz::run)),
                Some("semver") => return Ok(Some(semver::run)),
                _ => return Err(format!("there is no command {name:?}").into()),
            },
            other => return Err(other.unexpected().into()),
        }
    }
    command.map(Some).ok_or_else(|| "which command?".into())
}
