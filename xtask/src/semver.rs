//! `cargo xtask semver REV`: what has changed for who uses the crates, since a revision of this repository.
//!
//! Nothing is published yet, so no registry has what to compare with, and nobody is promised anything: this is no stage of
//! `deep`, which would fail on each change that is meant, and wants a history that a shallow clone has not. Before a release it
//! is run against the last one's tag, and what it finds stands in CHANGELOG.md or is mended.

use std::env;
use std::process::{Command, ExitCode};

use crate::{Outcome, place, programs, stage};

/// The crates that others use.
const CRATES: [&str; 3] = ["realtime-core", "realtime-tower", "realtime-axum"];

pub(crate) fn run() -> ExitCode {
    match since(env::args().skip(2).collect::<Vec<_>>().as_slice()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask semver: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Every crate is compared, even if one before it has changed.
fn since(arguments: &[String]) -> Outcome {
    let [revision] = arguments else {
        return Err("usage: cargo xtask semver REV (a tag, a branch or a commit, to compare with)".into());
    };
    let checks = programs::SEMVER.find_or_install()?;
    let changed: Vec<_> = CRATES
        .into_iter()
        .filter(|package| {
            let mut command = Command::new(&checks);
            command.args(["semver-checks", "--baseline-rev", revision, "--package", package]);
            command.current_dir(place::root());
            let done = stage::run(&mut command);
            println!("{package}: {}", if done.is_ok() { "as it was, or more" } else { "see above" });
            done.is_err()
        })
        .collect();
    if changed.is_empty() { Ok(()) } else { Err(format!("changed: {}", changed.join(", ")).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_has_to_be_named_and_only_one() {
        for arguments in [&[][..], &["a".to_owned(), "b".to_owned()]] {
            assert!(since(arguments).unwrap_err().to_string().starts_with("usage: "));
        }
    }

    #[test]
    fn the_crates_are_those_of_the_workspace() {
        for package in CRATES {
            assert!(place::root().join(package).join("Cargo.toml").is_file(), "{package}");
        }
    }
}
