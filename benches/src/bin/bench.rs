//! The generator: goes through the settings, visits every kind, round after round, and writes tables and plots.
//! `cargo xtask bench` calls it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to whoever called it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use realtime_benches::{
    Counts, Figures, Kind, Machine, Outcome, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Plan, Programs, Report,
    costs, files_max, idle_heap, measure,
};

const USAGE: &str = "\
usage: cargo xtask bench [--quick] [--readers N] [--payload-bytes B] [--rounds R] [--only KIND]..

Without arguments: the whole plan, which takes long, written to benches/RESULTS.md and benches/plots; with fewer
rounds in less time. With any of the others the result is printed, and the files stay as they are.

  --quick            few rounds of the most telling settings, some three minutes
  --readers N        one setting: so many connections to each server
  --payload-bytes B  and payloads of so many bytes (default 128)
  --rounds R         rounds of each setting, of which the medians are taken
  --only KIND        the floors and these kinds alone";

/// What was asked for.
#[derive(Default)]
struct Asked {
    quick: bool,
    readers: Option<usize>,
    payload_bytes: Option<usize>,
    rounds: Option<usize>,
    only: Vec<Kind>,
    server_core: Option<&'static str>,
}

/// Bounds that keep a run within memory, descriptors and an hour.
const READERS_MAX: usize = 10_000;
const ROUNDS_MAX: usize = 100;
/// Descriptors of a process that are not readers.
const FILES_SPARE: usize = 64;

/// What is gone through, how often, and with which kinds.
struct Setting {
    plan: Plan,
    rounds: usize,
    kinds: Vec<Kind>,
}

/// The ones that a larger payload or a second worker is looked at with.
const FEW: [Kind; 15] = [
    Kind::SendLoop,
    Kind::SendBurst,
    Kind::AxumWs4k,
    Kind::FastWs,
    Kind::TokioWs,
    Kind::SocketIo,
    Kind::OursWs,
    Kind::OursWsServe,
    Kind::OursWsDeflate,
    Kind::HyperSse,
    Kind::AxumSse,
    Kind::OursSse,
    Kind::OursSseServe,
    Kind::HyperLongPoll,
    Kind::OursLongPoll,
];

fn main() -> Outcome {
    let Some(asked) = asked()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let programs = Programs::beside(&std::env::current_exe()?);
    let is_whole =
        !asked.quick && asked.readers.is_none() && asked.payload_bytes.is_none() && asked.only.is_empty();
    let mut report = Report::new(Machine::here());
    let mut kinds = Kind::ALL.to_vec();
    let is_floor = |kind: &Kind| matches!(kind, Kind::SendLoop | Kind::SendBurst);
    kinds.retain(|kind| asked.only.is_empty() || is_floor(kind) || asked.only.contains(kind));
    for Setting { plan, rounds, kinds } in settings(&asked, &kinds) {
        let mut all = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let begun = Instant::now();
            all.push(visit_all(&kinds, round, &programs, &plan)?);
            let Plan { readers, payload_bytes, workers, .. } = plan;
            let took = begun.elapsed().as_secs_f64();
            eprintln!(
                "{readers} readers, {payload_bytes} bytes, {workers} worker(s), round {}: {took:.1} s",
                round + 1
            );
        }
        report.section(plan, all);
        // A long run that is broken off leaves what it had.
        std::fs::write(programs.plain.with_file_name("bench-so-far.md"), report.to_string())?;
    }
    for kind in kinds {
        let idle_readers = if is_whole { READERS_MAX } else { 200 };
        let idle_bytes = idle_heap(kind, &programs, idle_readers);
        if let Err(error) = &idle_bytes {
            report.note(format!("`{kind}`, {idle_readers} idle readers: {error}"));
        }
        let idle_bytes = idle_bytes.ok();
        let is_counted = is_whole || (asked.only.contains(&kind) && !is_floor(&kind));
        let costs = if is_counted {
            costs(kind, &programs, false).map_err(|error| error.to_string())
        } else {
            Err(String::new())
        };
        if let Err(error) = &costs
            && !error.is_empty()
        {
            report.note(format!("`{kind}` is not counted: {error}"));
        }
        report.count(Counts { kind, costs: costs.ok(), idle_bytes });
    }
    if is_whole {
        log(&mut report, &programs.plain.with_file_name("bench-log"))?;
    }
    println!("{report}");
    if is_whole {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        std::fs::write(here.join("RESULTS.md"), report.to_string())?;
        report.plot(&here.join("plots"))?;
        eprintln!("written to {}", here.display());
    } else {
        let place = programs.plain.with_file_name("plots");
        report.plot(&place)?;
        eprintln!("plots in {}", place.display());
    }
    Ok(())
}

fn visit_all(
    kinds: &[Kind],
    round: usize,
    programs: &Programs,
    plan: &Plan,
) -> Outcome<Vec<(Kind, Figures)>> {
    let mut figures = Vec::with_capacity(kinds.len());
    for at in 0..kinds.len() {
        // A step that has no part in common with most lengths, so that neighbours change too.
        let kind = kinds[(at + round * 7) % kinds.len()];
        figures.push((kind, measure(kind, programs, plan).map_err(|error| format!("{kind}: {error}"))?));
    }
    Ok(figures)
}

/// The settings that were asked for; without any, those that show each figure.
fn settings(asked: &Asked, kinds: &[Kind]) -> Vec<Setting> {
    let few: Vec<_> = kinds.iter().copied().filter(|kind| FEW.contains(kind)).collect();
    let plan = |readers, payload_bytes, events, bursts| Plan {
        readers,
        payload_bytes,
        events,
        bursts,
        cores: asked.server_core,
        workers: 1,
    };
    let of = |plan, rounds, kinds: &[Kind]| Setting {
        plan,
        rounds: asked.rounds.unwrap_or(rounds),
        kinds: kinds.to_vec(),
    };
    if asked.readers.is_some() || asked.payload_bytes.is_some() {
        let readers = asked.readers.unwrap_or(1_000);
        // As much work at any number of readers, within reason.
        let events = (100_000 / readers as u64).clamp(10, 500);
        let bursts = [(events / 16).max(2), (events / 64).max(1)];
        let payload_bytes = asked.payload_bytes.unwrap_or(128);
        let rounds = if asked.quick { 1 } else { 5 };
        return vec![of(plan(readers, payload_bytes, events, bursts), rounds, kinds)];
    }
    if asked.quick {
        return vec![of(plan(1_000, 128, 20, [3, 1]), 2, kinds), of(plan(100, 128, 50, [6, 2]), 1, &few)];
    }
    // Both cores, and the generator on one of them: what a machine without cores to spare does.
    let shared = |workers| Plan { cores: Some("0,1"), workers, ..plan(1_000, 128, 40, [4, 1]) };
    let mut settings = vec![
        of(plan(1_000, 128, 60, [8, 2]), 5, kinds),
        of(plan(1_000, 1_024, 50, [6, 2]), 3, &few),
        of(plan(1, 128, 500, [40, 10]), 3, kinds),
        of(plan(100, 128, 200, [20, 6]), 3, kinds),
    ];
    // What takes long for its size is gone through half as often. socketioxide ends connections before 10,000 are there.
    let half = |plan, kinds: &[Kind]| Setting {
        plan,
        rounds: asked.rounds.unwrap_or(5).div_ceil(2),
        kinds: kinds.to_vec(),
    };
    let many: Vec<_> = few.iter().copied().filter(|kind| *kind != Kind::SocketIo).collect();
    settings.push(half(plan(10_000, 128, 10, [2, 0]), &many));
    if asked.server_core.is_some() {
        settings.push(half(shared(1), &few));
        settings.push(half(shared(2), &few));
    }
    settings
}

/// Runs the bench of the log alone, if it was built.
fn log(report: &mut Report, program: &Path) -> Outcome {
    if !program.is_file() {
        report.note("`bench-log` is not there".into());
        return Ok(());
    }
    let output = Command::new(program).output()?;
    if !output.status.success() {
        return Err(format!("bench-log: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    report.log(String::from_utf8(output.stdout)?);
    Ok(())
}

fn asked() -> Outcome<Option<Asked>> {
    use lexopt::prelude::*;

    let mut asked = Asked::default();
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("quick") => asked.quick = true,
            Long("readers") => asked.readers = Some(args.value()?.parse()?),
            Long("payload-bytes") => asked.payload_bytes = Some(args.value()?.parse()?),
            Long("rounds") => asked.rounds = Some(args.value()?.parse()?),
            Long("only") => asked.only.push(args.value()?.parse()?),
            // Set by xtask, which binds this process to the other.
            Long("pinned") => asked.server_core = Some("0"),
            other => return Err(other.unexpected().into()),
        }
    }
    let readers = asked.readers.unwrap_or(READERS_MAX);
    if !(1..=READERS_MAX).contains(&readers) || !(1..=ROUNDS_MAX).contains(&asked.rounds.unwrap_or(1)) {
        return Err(format!("1 to {READERS_MAX} readers, 1 to {ROUNDS_MAX} rounds").into());
    }
    if !(PAYLOAD_BYTES_MIN..=PAYLOAD_BYTES_MAX).contains(&asked.payload_bytes.unwrap_or(128)) {
        return Err(format!("payloads of {PAYLOAD_BYTES_MIN} to {PAYLOAD_BYTES_MAX} bytes").into());
    }
    let is_large = asked.readers.is_some() || !asked.quick;
    if let Some(files) = files_max()
        && is_large
        && files < readers + FILES_SPARE
    {
        return Err(format!("{files} descriptors are too few for {readers} readers: `ulimit -n`").into());
    }
    Ok(Some(asked))
}
