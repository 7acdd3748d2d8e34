//! `cargo xtask test`: everything that must hold, in order, stopping at the first stage that fails.

use std::process::{Command, ExitCode};
use std::{env, fs};

use crate::stage::{self, Stages};
use crate::{Outcome, models, place, rules, tools};

/// Runs it all; the last line printed is the sum of the tests, alone.
pub(crate) fn run() -> ExitCode {
    let mut stages = Stages::default();
    let done = all(&mut stages);
    println!("\n{}", stages.times());
    if let Err(error) = &done {
        println!("{error}\n");
    }
    println!("{}", stages.tally);
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all(stages: &mut Stages) -> Outcome {
    let (root, target) = (place::root(), place::target());
    let records = target.join("rules");

    let mut found = None;
    stages.run("tools", |_| {
        let tools = tools::find_or_install()?;
        // Both are emptied by npm and by us: nothing of an earlier run may speak for this one.
        stage::run(Command::new(&tools.npm).arg("ci").current_dir(root.join("tests/browser")))?;
        fs::remove_dir_all(&records).or_else(absent)?;
        fs::create_dir_all(&records)?;
        found = Some(tools);
        Ok(())
    })?;
    let tools = found.ok_or("the tools were not looked for")?;

    let cargo = |args: &str| {
        let mut command = Command::new("cargo");
        command
            .args(args.split(' '))
            .env("REALTIME_NODE", &tools.node)
            .env("REALTIME_CHROMIUM", &tools.chromium)
            .env("REALTIME_CURL", &tools.curl)
            .env("REALTIME_NGINX", &tools.nginx)
            .env("REALTIME_HAPROXY", &tools.haproxy)
            .env("REALTIME_VARNISHD", &tools.varnishd)
            .env("REALTIME_RULES_DIR", &records);
        command
    };
    stages.run("format", |_| stage::run(&mut cargo("fmt --all --check")))?;
    stages.run("clippy", |_| {
        stage::run(&mut cargo("clippy --workspace --all-targets --all-features -- -D warnings"))
    })?;
    stages.run("client", |tally| {
        let npm = |args: &[&str]| {
            let mut command = Command::new(&tools.npm);
            // What it prints is added up line by line: no colours.
            command
                .args(args)
                .current_dir(root.join("realtime-js"))
                .env("NO_COLOR", "1")
                .env_remove("FORCE_COLOR");
            command
        };
        stage::run(&mut npm(&["ci"]))?;
        // Types, tests, the size and what is packed.
        let before = *tally;
        stage::run_tests(&mut npm(&["test"]), tally)?;
        if *tally == before { Err("no test of realtime-js ran".into()) } else { Ok(()) }
    })?;
    stages.run("test", |tally| {
        // Every binary runs even if one fails, so that the sum at the end is of all of them.
        stage::run_tests(&mut cargo("test --workspace --all-features --no-fail-fast"), tally)
    })?;
    stages.run("models", |tally| models::run(&cargo, tally))?;
    stages.run("docs", |_| {
        let mut command = cargo("doc --workspace --no-deps --all-features");
        command.env("RUSTDOCFLAGS", with_flags("RUSTDOCFLAGS", "-D warnings"));
        stage::run(&mut command)
    })?;
    stages.run("rules", |_| rules::hold(&root.join("docs/rules.md"), &records))
}

/// What the caller has set already, and ours after it.
pub(crate) fn with_flags(name: &str, ours: &str) -> String {
    match env::var(name) {
        Ok(theirs) if !theirs.is_empty() => format!("{theirs} {ours}"),
        _ => ours.to_owned(),
    }
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absence_is_no_error() {
        use std::io::{Error, ErrorKind};
        assert!(absent(Error::from(ErrorKind::NotFound)).is_ok());
        assert!(absent(Error::from(ErrorKind::PermissionDenied)).is_err());
    }

    #[test]
    fn flags_of_the_caller_are_kept() {
        assert_eq!(with_flags("REALTIME_NO_SUCH_VARIABLE", "-D warnings"), "-D warnings");
        assert_eq!(with_flags("CARGO_PKG_NAME", "-D warnings"), "xtask -D warnings");
    }
}
