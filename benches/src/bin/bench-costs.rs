//! The gate: counts what a delivery of ours costs, and holds it against `costs.txt`. `cargo xtask costs` calls it.

#![allow(clippy::print_stdout, reason = "a command speaks to whoever called it")]

use std::process::ExitCode;

use realtime_benches::{Bounds, Kind, Outcome, Programs, Unfit, allocations, costs};

const USAGE: &str = "\
usage: cargo xtask costs [--slowed] [--all] [--allocations] [--only KIND]..

  --slowed       every event is encoded once more for every reader: this has to be too dear
  --all          the others' costs too, which nothing holds
  --allocations  these alone, which needs neither valgrind nor strace
  --only KIND    these kinds alone

It ends with 3 where a cost is above its bound, with 1 where anything else is wrong.";

/// What it ends with where a cost is above its bound: nothing else does, a crash above all.
const TOO_DEAR: u8 = 3;

fn main() -> Outcome<ExitCode> {
    use lexopt::prelude::*;

    let (mut is_slowed, mut all, mut allocations_alone, mut only) = (false, false, false, Vec::<Kind>::new());
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
            Long("slowed") => is_slowed = true,
            Long("all") => all = true,
            Long("allocations") => allocations_alone = true,
            Long("only") => only.push(args.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let bounds = Bounds::read(&std::fs::read_to_string(Bounds::file())?)?;
    let programs = Programs::beside(&std::env::current_exe()?);
    let count = |kind| {
        if allocations_alone {
            let counted = allocations(kind, &programs, is_slowed)?;
            println!("{:<24} {counted:>8.2} allocations", kind.name());
            return Ok(bounds.hold_allocations(kind, counted));
        }
        let counted = costs(kind, &programs, is_slowed, None)?;
        println!("{:<24} {counted}", kind.name());
        Outcome::Ok(bounds.hold(kind, counted))
    };
    let bounded: Vec<_> = bounds.kinds().collect();
    let kinds = if all { Kind::ALL.to_vec() } else { bounded.clone() };
    let mut unfit = Vec::new();
    if !allocations_alone {
        println!("{:<24} {:>8} {:>8} {:>8}  (a delivery)", "", "instr.", "allocs", "calls");
    }
    for kind in kinds.into_iter().filter(|kind| only.is_empty() || only.contains(kind)) {
        let held = count(kind).map_err(|error| format!("{kind}: {error}"))?;
        if bounded.contains(&kind) {
            unfit.extend(held.err());
        }
    }
    unfit.iter().for_each(|unfit| println!("{unfit}"));
    Ok(if unfit.is_empty() {
        ExitCode::SUCCESS
    } else if unfit.iter().any(|unfit| matches!(unfit, Unfit::TooDear(_))) {
        ExitCode::from(TOO_DEAR)
    } else {
        ExitCode::FAILURE
    })
}
