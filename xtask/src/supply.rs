//! Where what we depend on comes from: the licences, versions and sources that `deny.toml` allows.

use std::process::Command;

use crate::stage::Tally;
use crate::{Outcome, place, programs, stage};

/// The workspaces: that of the crates, and that of the fuzz targets.
const WORKSPACES: [&str; 2] = ["Cargo.toml", "fuzz/Cargo.toml"];

/// Checks them all. The advisory database is a repository elsewhere, which not every machine reaches: versions below an
/// advisory stand in `deny.toml`.
pub(crate) fn check(tally: &mut Tally) -> Outcome {
    let (root, deny) = (place::root(), programs::DENY.find_or_install()?);
    for workspace in WORKSPACES {
        let mut command = Command::new(&deny);
        command.arg("--manifest-path").arg(root.join(workspace)).args(["--locked", "check"]);
        command.arg("--config").arg(root.join("deny.toml")).args(["--hide-inclusion-graph", "--show-stats"]);
        stage::count(stage::run(command.args(["bans", "licenses", "sources"])), tally)?;
    }
    Ok(())
}
