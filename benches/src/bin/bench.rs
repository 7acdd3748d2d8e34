//! The generator: visits every kind, round after round, and prints the table. `cargo xtask bench` calls it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to whoever called it")]

use std::path::PathBuf;
use std::time::Instant;

use realtime_benches::{Kind, Machine, Outcome, Plan, Programs, Report, files_max, heap, measure};

const USAGE: &str = "\
usage: cargo xtask bench [--readers N] [--rounds R] [--quick] [--only KIND]..

  --readers N   connections to each server (default 1000)
  --rounds R    rounds, of which the medians are taken (default 7)
  --quick       two short rounds; benches/RESULTS.md stays as it is
  --only KIND   the floor and these kinds alone; the file stays as it is";

/// What was asked for.
struct Asked {
    readers: usize,
    rounds: usize,
    quick: bool,
    only: Vec<Kind>,
    server_core: Option<usize>,
}

/// Bounds that keep a run within memory, descriptors and an hour.
const READERS_MAX: usize = 10_000;
const ROUNDS_MAX: usize = 100;
/// Descriptors of a process that are not readers.
const FILES_SPARE: usize = 64;

fn main() -> Outcome {
    let Some(asked) = asked()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let here = std::env::current_exe()?;
    let beside = |name: &str| here.with_file_name(name);
    let programs = Programs { plain: beside("bench-server"), counting: beside("bench-server-counting") };
    let plan = Plan {
        readers: asked.readers,
        events: if asked.quick { 20 } else { 100 },
        bursts: if asked.quick { 4 } else { 12 },
        core: asked.server_core,
    };
    let kinds: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| asked.only.is_empty() || *kind == Kind::SendLoop || asked.only.contains(kind))
        .collect();

    let mut report = Report::new(Machine::here(), plan);
    for round in 0..asked.rounds {
        let begun = Instant::now();
        let mut figures = Vec::with_capacity(kinds.len());
        for at in 0..kinds.len() {
            let kind = kinds[(at + round) % kinds.len()];
            figures
                .push((kind, measure(kind, &programs, &plan).map_err(|error| format!("{kind}: {error}"))?));
        }
        eprintln!("round {} of {}: {:.1} s", round + 1, asked.rounds, begun.elapsed().as_secs_f64());
        report.round(figures);
    }
    for kind in &kinds {
        report.heap(*kind, heap(*kind, &programs).map_err(|error| format!("{kind}: {error}"))?);
    }
    println!("{report}");
    if !asked.quick && asked.only.is_empty() {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
        std::fs::write(&file, report.to_string())?;
        eprintln!("written to {}", file.display());
    }
    Ok(())
}

fn asked() -> Outcome<Option<Asked>> {
    use lexopt::prelude::*;

    let mut asked = Asked { readers: 1_000, rounds: 0, quick: false, only: Vec::new(), server_core: None };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("readers") => asked.readers = args.value()?.parse()?,
            Long("rounds") => asked.rounds = args.value()?.parse()?,
            Long("quick") => asked.quick = true,
            Long("only") => asked.only.push(args.value()?.parse()?),
            // Set by xtask, which binds this process to another.
            Long("server-core") => asked.server_core = Some(args.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if asked.rounds == 0 {
        asked.rounds = if asked.quick { 2 } else { 7 };
    }
    if !(2..=READERS_MAX).contains(&asked.readers) || asked.rounds > ROUNDS_MAX {
        return Err(format!("2 to {READERS_MAX} readers, up to {ROUNDS_MAX} rounds").into());
    }
    if let Some(files) = files_max()
        && files < asked.readers + FILES_SPARE
    {
        return Err(
            format!("{files} descriptors are too few for {} readers: `ulimit -n`", asked.readers).into()
        );
    }
    Ok(Some(asked))
}
