//! The models: every order of threads that matters, many more at random, and the log against a plain account of it.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::stage::{self, Tally};
use crate::{Outcome, place};

/// Preemptions that loom explores; the known bound at which these models are exhausted in minutes.
const LOOM_PREEMPTIONS_MAX: &str = "3";

/// Histories that the log is put through; a plain `cargo test` is content with 256.
const CASES: &str = "4096";

/// Runs them; `cargo` begins a command as every stage does.
pub(crate) fn run(cargo: &dyn Fn(&str) -> Command, tally: &mut Tally) -> Outcome {
    let target = place::target();
    explore(cargo, &target.join("loom"), "--cfg realtime_loom", tally)?;
    explore(cargo, &target.join("shuttle"), "--cfg realtime_loom --cfg realtime_shuttle", tally)?;
    // As the stage before built it.
    let mut account = cargo("test --workspace --all-features --lib the_log_agrees_with_a_plain_account");
    set_unless_set(&mut account, "PROPTEST_CASES", CASES);
    proves(&mut account, tally)
}

/// The flags would throw away what others have built: a target directory each.
fn explore(cargo: &dyn Fn(&str) -> Command, target: &Path, flags: &str, tally: &mut Tally) -> Outcome {
    let mut command = cargo("test -p realtime-core --lib --release");
    command.arg("--target-dir").arg(target).args(["--", "loom"]);
    command.env("RUSTFLAGS", crate::test::with_flags("RUSTFLAGS", flags));
    set_unless_set(&mut command, "LOOM_MAX_PREEMPTIONS", LOOM_PREEMPTIONS_MAX);
    proves(&mut command, tally)
}

fn set_unless_set(command: &mut Command, name: &str, value: &str) {
    if env::var_os(name).is_none() {
        command.env(name, value);
    }
}

/// Runs tests of which one at least must have run.
fn proves(command: &mut Command, tally: &mut Tally) -> Outcome {
    let before = *tally;
    stage::run_tests(command, tally)?;
    if *tally == before { Err("no model was explored: was it renamed?".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_the_caller_is_kept() {
        let mut command = Command::new("cargo");
        set_unless_set(&mut command, "CARGO_PKG_NAME", "another");
        set_unless_set(&mut command, "REALTIME_NO_SUCH_VARIABLE", "ours");
        let set: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(set, ["REALTIME_NO_SUCH_VARIABLE"]);
    }

    #[test]
    fn a_run_without_a_test_proves_nothing() {
        let error = proves(Command::new("cargo").arg("--version"), &mut Tally::default()).unwrap_err();
        assert_eq!(error.to_string(), "no model was explored: was it renamed?");
    }
}
