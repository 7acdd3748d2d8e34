//! Programs that come from crates.io: found where the version is the one named here, else built into the target directory.

use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, place, stage};

/// A program and its version: what another version says may differ, and then a check changes without a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    /// Of the crate and of the file.
    name: &'static str,
    version: &'static str,
}

/// Licences, sources and versions of dependencies.
pub(crate) const DENY: Program = Program { name: "cargo-deny", version: "0.20.2" };
/// What has changed for who uses a crate.
pub(crate) const SEMVER: Program = Program { name: "cargo-semver-checks", version: "0.51.0" };
/// Builds fuzz targets.
pub(crate) const FUZZ: Program = Program { name: "cargo-fuzz", version: "0.13.2" };

impl Program {
    /// The file. Building it takes minutes, once for each target directory.
    ///
    /// # Errors
    /// It is not there and cannot be built.
    pub(crate) fn find_or_install(self) -> Outcome<PathBuf> {
        let root = place::target().join("tools");
        let ours = root.join("bin").join(self.name);
        let found = [Some(ours.clone()), place::program(&[self.name])].into_iter().flatten();
        if let Some(file) = found.into_iter().find(|file| self.is(file)) {
            return Ok(file);
        }
        let mut install = Command::new("cargo");
        // It runs for seconds: what the optimiser would take is longer than what it would save.
        let arguments = ["install", "--debug", "--locked", "--version", self.version, "--root"];
        install.args(arguments).arg(&root).arg(self.name).env("CARGO_PROFILE_DEV_DEBUG", "0");
        // Kept apart from what is built for this project: the flags of the caller are not this program's.
        install.env("CARGO_TARGET_DIR", root.join("build")).env_remove("RUSTFLAGS");
        stage::run(&mut install)?;
        if self.is(&ours) {
            Ok(ours)
        } else {
            Err(format!("{} is not what was asked for", ours.display()).into())
        }
    }

    fn is(self, file: &PathBuf) -> bool {
        let said = Command::new(file).arg("--version").output();
        said.is_ok_and(|said| said.status.success() && self.says(&String::from_utf8_lossy(&said.stdout)))
    }

    /// Judges what `--version` said: `cargo-deny 0.20.2`.
    fn says(self, said: &str) -> bool {
        said.trim().strip_prefix(self.name).is_some_and(|version| version.trim() == self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_another_version_is_another() {
        let program = Program { name: "cargo-x", version: "1.2.3" };
        assert!(program.says("cargo-x 1.2.3\n"));
        for other in ["cargo-x 1.2.30", "cargo-x 1.2", "cargo-xx 1.2.3", "1.2.3", ""] {
            assert!(!program.says(other), "{other}");
        }
    }
}
