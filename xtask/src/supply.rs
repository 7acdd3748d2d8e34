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
        // Errors alone: of what is there twice it has a page to say.
        command.args(["--log-level", "error", "--locked"]).arg("--config").arg(root.join("deny.toml"));
        command.arg("--manifest-path").arg(root.join(workspace));
        command.args(["check", "--hide-inclusion-graph", "--show-stats", "bans", "licenses", "sources"]);
        stage::count(stage::run(&mut command), tally)?;
    }
    Ok(())
}
