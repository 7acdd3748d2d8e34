//! The project's commands: `cargo xtask test` is the one that must pass.
//!
//! ```text
//! main ---- test ----+-- tools   find or install what the tests need
//!                    +-- stage   run one command, timed, its test results added up
//!                    +-- models  loom, shuttle, and the log's plain account
//!                    +-- rules   docs/rules.md against the cases that ran: the table
//!      ---- bench        what a delivery costs, beside axum's own
//! ```
//!
//! A command is a module with `pub(crate) fn run() -> ExitCode`, which says itself why it failed, and a line in
//! [`command`].

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to whoever called it")]

mod bench;
mod models;
mod place;
mod rules;
mod stage;
mod test;
mod tools;

use std::process::ExitCode;

/// What a step comes to: its result, or why it failed.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "\
usage: cargo xtask <command>

  test    find or install what the tests need, then format, clippy, every test, of the
          client in JavaScript too, the models, the documentation, and the table of rules
  bench   what a delivery costs the server, beside axum's own (--help tells more)";

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
                // What follows is the bench's own.
                Some("bench") => return Ok(Some(bench::run)),
                _ => return Err(format!("there is no command {name:?}").into()),
            },
            other => return Err(other.unexpected().into()),
        }
    }
    command.map(Some).ok_or_else(|| "which command?".into())
}
