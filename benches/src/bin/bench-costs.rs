//! The gate: counts what a delivery of ours costs, and holds it against `costs.txt`. `cargo xtask costs` calls it.

#![allow(clippy::print_stdout, reason = "a command speaks to whoever called it")]

use realtime_benches::{Bounds, Kind, Outcome, Programs, costs};

const USAGE: &str = "\
usage: cargo xtask costs [--slowed] [--all] [--only KIND]..

  --slowed     every event is copied once more for every reader: this has to fail
  --all        the others' costs too, which nothing holds
  --only KIND  these kinds alone";

fn main() -> Outcome {
    use lexopt::prelude::*;

    let bounds = Bounds::read(&std::fs::read_to_string(Bounds::file())?)?;
    let (mut is_slowed, mut all, mut only) = (false, false, Vec::<Kind>::new());
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(());
            }
            Long("slowed") => is_slowed = true,
            Long("all") => all = true,
            Long("only") => only.push(args.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let bounded: Vec<_> = bounds.kinds().collect();
    let kinds = if all { Kind::ALL.to_vec() } else { bounded.clone() };
    let programs = Programs::beside(&std::env::current_exe()?);
    let mut wrong = Vec::new();
    println!("{:<24} {:>8} {:>8} {:>8}  (a delivery)", "", "instr.", "allocs", "calls");
    for kind in kinds.into_iter().filter(|kind| only.is_empty() || only.contains(kind)) {
        let costs = costs(kind, &programs, is_slowed).map_err(|error| format!("{kind}: {error}"))?;
        println!("{:<24} {costs}", kind.name());
        if bounded.contains(&kind) {
            wrong.extend(bounds.hold(kind, costs).err());
        }
    }
    wrong.iter().for_each(|line| println!("{line}"));
    if wrong.is_empty() { Ok(()) } else { Err("not within costs.txt".into()) }
}
