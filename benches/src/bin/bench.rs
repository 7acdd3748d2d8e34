//! The generator: goes through the settings, visits every kind, round after round, and writes tables and plots.
//! `cargo xtask bench` calls it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to whoever called it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use realtime_benches::{
    COUNTED, Counts, FEW, Figures, HEAPS, Kind, Machine, Outcome, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Plan,
    Programs, READERS_MAX, Report, Setting, costs, files_max, idle_heap, measure, whole,
};

const USAGE: &str = "\
usage: cargo xtask bench [--quick] [--readers N] [--payload-bytes B] [--rounds R] [--only KIND]..

Without arguments: the whole plan, written to benches/RESULTS.md and benches/plots, in some eight minutes of an idle
machine with two cores. It goes five times through 1,000 readers and 128 bytes with every kind, three times through
100 and 10,000 readers and through one worker beside two, twice through 1 reader and 1 KiB, each with the kinds that
are compared there; then come the heap of 10,000 idle readers, what a delivery costs by count, and the log alone.

With --rounds the same with that many rounds of each setting. With any of the others the result is printed, and the
files stay as they are.

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

/// Bounds that keep a run within memory, descriptors and an hour: this, and as many readers as the plan has at most.
const ROUNDS_MAX: usize = 100;
/// Descriptors of a process that are not readers.
const FILES_SPARE: usize = 64;
/// Idle readers of a run that is not whole.
const IDLE_READERS: usize = 200;

/// What of ours went wrong. It does not end the whole, for a run is long: a kind that fails is left out from there on, and
/// the report says so. Another's failure is told, and no failure of the run.
#[derive(Default)]
struct Failed(Vec<String>);

fn main() -> Outcome {
    let Some(asked) = asked()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let programs = Programs::beside(&std::env::current_exe()?);
    let mut report = Report::new(Machine::here());
    let mut failed = Failed::default();
    visit_all(&asked, &programs, &mut report, &mut failed)?;
    count_all(&asked, &programs, &mut report, &mut failed);
    if asked.is_whole() {
        let begun = Instant::now();
        report.log(log(&programs.plain.with_file_name("bench-log"), asked.server_core)?);
        said(&mut report, "the log alone", begun.elapsed());
    }
    println!("{report}");
    let (place, plots) = if asked.is_whole() {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        std::fs::write(here.join("RESULTS.md"), report.to_string())?;
        (here.clone(), here.join("plots"))
    } else {
        let place = programs.plain.with_file_name("plots");
        (place.clone(), place)
    };
    report.plot(&plots)?;
    eprintln!("written to {}", place.display());
    if failed.0.is_empty() { Ok(()) } else { Err(failed.0.join("\n").into()) }
}

impl Asked {
    fn is_whole(&self) -> bool {
        !self.quick && self.readers.is_none() && self.payload_bytes.is_none() && self.only.is_empty()
    }

    /// Whether a kind is among those asked for; the floor always is.
    fn wants(&self, kind: Kind) -> bool {
        self.only.is_empty() || is_floor(kind) || self.only.contains(&kind)
    }

    /// The settings that were asked for; without any, those that show each figure.
    fn settings(&self) -> Vec<Setting> {
        let of = |readers: usize, payload_bytes, events, bursts, rounds, kinds: &[Kind]| Setting {
            plan: Plan { readers, payload_bytes, events, bursts, cores: self.server_core, workers: 1 },
            rounds,
            kinds: kinds.to_vec(),
        };
        let mut settings = if self.readers.is_some() || self.payload_bytes.is_some() {
            let readers = self.readers.unwrap_or(1_000);
            // As much work at any number of readers, within reason.
            let events = (100_000 / readers as u64).clamp(10, 500);
            let bursts = [(events / 16).max(2), (events / 64).max(1)];
            let rounds = if self.quick { 1 } else { 5 };
            vec![of(readers, self.payload_bytes.unwrap_or(128), events, bursts, rounds, &Kind::ALL)]
        } else if self.quick {
            vec![of(1_000, 128, 20, [3, 1], 2, &Kind::ALL), of(100, 128, 50, [6, 2], 1, &FEW)]
        } else {
            whole(self.server_core)
        };
        for setting in &mut settings {
            setting.rounds = self.rounds.unwrap_or(setting.rounds);
            setting.kinds.retain(|kind| self.wants(*kind));
        }
        settings
    }
}

fn is_floor(kind: Kind) -> bool {
    matches!(kind, Kind::SendLoop | Kind::SendBurst)
}

impl Failed {
    fn add(&mut self, report: &mut Report, kind: Kind, what: String) {
        eprintln!("{what}");
        report.note(what.clone());
        if kind.is_ours() || is_floor(kind) {
            self.0.push(what);
        }
    }
}

fn said(report: &mut Report, part: &str, time: Duration) {
    eprintln!("{part}: {:.1} s", time.as_secs_f64());
    report.took(part, time);
}

/// Goes through the settings in turns, a round of each, so that a slow minute meets all of them alike.
fn visit_all(asked: &Asked, programs: &Programs, report: &mut Report, failed: &mut Failed) -> Outcome {
    struct Visited {
        setting: Setting,
        rounds: Vec<Vec<(Kind, Figures)>>,
        took: Duration,
    }
    let visited = |setting| Visited { setting, rounds: Vec::new(), took: Duration::ZERO };
    let mut all: Vec<_> = asked.settings().into_iter().map(visited).collect();
    let rounds = all.iter().map(|visited| visited.setting.rounds).max().unwrap_or(0);
    for round in 0..rounds {
        for Visited { setting, rounds, took } in all.iter_mut().filter(|it| round < it.setting.rounds) {
            let begun = Instant::now();
            let mut figures = Vec::with_capacity(setting.kinds.len());
            let kinds = setting.kinds.clone();
            for at in 0..kinds.len() {
                // A step that has no part in common with most lengths, so that neighbours change too.
                let kind = kinds[(at + round * 7) % kinds.len()];
                match measure(kind, programs, &setting.plan) {
                    Ok(found) => figures.push((kind, found)),
                    Err(error) => {
                        failed.add(
                            report,
                            kind,
                            format!("`{kind}` failed with {}: {error}", name(&setting.plan)),
                        );
                        setting.kinds.retain(|other| *other != kind);
                    }
                }
            }
            rounds.push(figures);
            *took += begun.elapsed();
            let seconds = begun.elapsed().as_secs_f64();
            eprintln!("{}, round {}: {seconds:.1} s", name(&setting.plan), round + 1);
        }
    }
    for Visited { setting, rounds, took } in all {
        report.took(name(&setting.plan), took);
        report.section(setting.plan, rounds);
    }
    // A long run that is broken off leaves what it had.
    std::fs::write(programs.plain.with_file_name("bench-so-far.md"), report.to_string())?;
    Ok(())
}

fn name(plan: &Plan) -> String {
    let Plan { readers, payload_bytes, cores, workers, .. } = plan;
    let shared = if cores.is_some_and(|cores| cores.contains(',')) { ", both cores" } else { "" };
    format!("{readers} readers x {payload_bytes} bytes, {workers} worker(s){shared}")
}

/// Looks at what is not timed: the heap of who is idle, and the counts of a delivery.
fn count_all(asked: &Asked, programs: &Programs, report: &mut Report, failed: &mut Failed) {
    let idle_readers = if asked.is_whole() { READERS_MAX } else { IDLE_READERS };
    let [mut heaps, mut counts] = [Duration::ZERO; 2];
    for kind in Kind::ALL.into_iter().filter(|kind| asked.wants(*kind)) {
        let begun = Instant::now();
        let idle_bytes =
            HEAPS.contains(&kind).then(|| idle_heap(kind, programs, idle_readers, asked.server_core));
        heaps += begun.elapsed();
        let begun = Instant::now();
        let is_counted = COUNTED.contains(&kind) && (asked.is_whole() || asked.only.contains(&kind));
        let costs = is_counted.then(|| costs(kind, programs, false, asked.server_core));
        counts += begun.elapsed();
        if idle_bytes.is_none() && costs.is_none() {
            continue;
        }
        let mut known = |what: &str, error| {
            failed.add(report, kind, format!("`{kind}` has no {what}: {error}"));
        };
        let idle_bytes = idle_bytes.and_then(|it| it.map_err(|error| known("heap", error)).ok());
        let costs = costs.and_then(|it| it.map_err(|error| known("counts", error)).ok());
        report.count(Counts { kind, costs, idle_bytes });
    }
    said(report, &format!("heap of {idle_readers} idle readers"), heaps);
    said(report, "counts", counts);
}

/// Runs the bench of the log alone, on all cores.
fn log(program: &Path, server_core: Option<&str>) -> Outcome<String> {
    let mut command = match server_core {
        Some(_) => {
            let mut taskset = Command::new("taskset");
            taskset.args(["-c", "0,1"]).arg(program);
            taskset
        }
        None => Command::new(program),
    };
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("bench-log: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
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
