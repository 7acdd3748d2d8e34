//! `cargo xtask fuzz`: builds the targets of `fuzz/` and lets the fuzzer loose on them, as many at once as there are cores.
//!
//! The toolchain is the stable one: `RUSTC_BOOTSTRAP=1` lets it instrument what it builds. Seeds and dictionaries are the
//! project's, in `fuzz/seeds` and `fuzz/*.dict`; what a run finds beside them stays in the target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use std::{env, thread};

use crate::stage::Tally;
use crate::{Outcome, place, programs, stage};

const USAGE: &str = "\
usage: cargo xtask fuzz [target] [--minutes M]

  target        one of fuzz/fuzz_targets, without .rs; all of them where there is none
  --minutes M   for each, 1 by default";

/// Bytes of an input: the targets' own limits are below.
const INPUT_BYTES_MAX: &str = "4096";
/// An input that takes longer is a finding.
const TIMEOUT_S: &str = "10";
/// A run that holds more is a finding; the sanitizer alone takes some hundreds.
const MEMORY_MB_MAX: &str = "2048";
/// Lines of a log that are shown where something was found.
const LINES_SHOWN: usize = 40;

/// Runs what the command line names.
pub(crate) fn run() -> ExitCode {
    let mut tally = Tally::default();
    let done = asked().and_then(|asked| match asked {
        None => {
            println!("{USAGE}");
            Ok(())
        }
        Some((targets, time)) => fuzz(&targets, time, &mut tally),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Every target, each for so long.
pub(crate) fn all(time: Duration, tally: &mut Tally) -> Outcome {
    fuzz(&targets()?, time, tally)
}

/// What stands behind `fuzz`; none is a call for help.
fn asked() -> Outcome<Option<(Vec<String>, Duration)>> {
    use lexopt::prelude::*;

    let mut args = lexopt::Parser::from_args(env::args_os().skip(2));
    let (known, mut chosen, mut minutes) = (targets()?, Vec::new(), 1.0);
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("minutes") => minutes = args.value()?.parse::<f64>()?,
            Value(target) => match known.iter().find(|known| target == known.as_str()) {
                Some(target) => chosen.push(target.clone()),
                None => return Err(format!("no target is {target:?}; there are {}", known.join(", ")).into()),
            },
            other => return Err(other.unexpected().into()),
        }
    }
    let time = Duration::try_from_secs_f64(minutes * 60.0)?;
    Ok(Some((if chosen.is_empty() { known } else { chosen }, time)))
}

fn targets() -> Outcome<Vec<String>> {
    let mut targets = Vec::new();
    for file in fs::read_dir(place::root().join("fuzz/fuzz_targets"))? {
        let file = file?.path();
        if let (Some(name), Some("rs")) = (file.file_stem(), file.extension().and_then(|e| e.to_str())) {
            targets.push(name.to_string_lossy().into_owned());
        }
    }
    targets.sort_unstable();
    if targets.is_empty() { Err("there are no targets in fuzz/fuzz_targets".into()) } else { Ok(targets) }
}

fn fuzz(targets: &[String], time: Duration, tally: &mut Tally) -> Outcome {
    let built = build()?;
    let waiting = Mutex::new(targets.iter());
    let next = || waiting.lock().ok()?.next();
    let ran = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(targets.len()) {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let found = one(&built, target, time);
                    match &found {
                        Ok(figures) => println!("  {target:<12} {figures}"),
                        Err(error) => println!("  {target:<12} FAILED: {error}"),
                    }
                    if let Ok(mut ran) = ran.lock() {
                        ran.push(found.is_ok());
                    }
                }
            });
        }
    });
    let ran = ran.into_inner()?;
    tally.passed += ran.iter().filter(|held| **held).count() as u64;
    let failed = targets.len() - ran.iter().filter(|held| **held).count();
    tally.failed += failed as u64;
    if failed == 0 {
        Ok(())
    } else {
        Err(format!("{failed} of {} targets found something", targets.len()).into())
    }
}

/// Builds them all and gives the directory that they are in.
fn build() -> Outcome<PathBuf> {
    let fuzz = programs::FUZZ.find_or_install()?;
    let (root, target) = (place::root().join("fuzz"), place::target().join("fuzz"));
    let host = host()?;
    let mut command = Command::new(fuzz);
    // Address sanitizer is its default: the parser of frames that we build on has `unsafe` in it.
    command.args(["build", "--debug-assertions", "--target", &host, "--target-dir"]).arg(&target);
    command.arg("--fuzz-dir").arg(&root).current_dir(&root).env("RUSTC_BOOTSTRAP", "1");
    stage::run(&mut command)?;
    Ok(target.join(host).join("release"))
}

/// The machine's own target, as rustc calls it.
fn host() -> Outcome<String> {
    let said = String::from_utf8(Command::new("rustc").arg("-vV").output()?.stdout)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc -vV names no host")?.to_owned())
}

/// Runs one target to its end.
///
/// # Errors
/// It found something: what, and how to see it again.
fn one(built: &Path, target: &str, time: Duration) -> Outcome<Figures> {
    let (root, here) = (place::root().join("fuzz"), place::target().join("fuzz/runs").join(target));
    let (corpus, found, log) = (here.join("corpus"), here.join("found"), here.join("log"));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&found)?;
    let mut command = Command::new(built.join(target));
    // The first takes in what is new; seeds are only read.
    command.arg(&corpus);
    let (seeds, words) = (root.join("seeds").join(target), root.join(format!("{target}.dict")));
    command.args(Some(seeds).filter(|seeds| seeds.is_dir()));
    if words.is_file() {
        command.arg(format!("-dict={}", words.display()));
    }
    command.args([
        format!("-max_total_time={}", time.as_secs().max(1)),
        format!("-max_len={INPUT_BYTES_MAX}"),
        format!("-timeout={TIMEOUT_S}"),
        format!("-rss_limit_mb={MEMORY_MB_MAX}"),
        format!("-artifact_prefix={}/", found.display()),
        "-print_final_stats=1".to_owned(),
        "-verbosity=1".to_owned(),
    ]);
    let output = File::create(&log)?;
    // What the sanitizer holds back of freed memory, 256 MB else, is not the target's.
    command.env("ASAN_OPTIONS", "detect_odr_violation=0:quarantine_size_mb=32").env("RUST_BACKTRACE", "1");
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let status = command.status().map_err(|error| format!("{}: {error}", built.join(target).display()))?;
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() {
        // From where the target says why; the fuzzer's own words, a stack, come after it.
        let why = said.lines().skip_while(|line| !line.contains("panicked at") && !line.contains("ERROR: "));
        let why = why.take(LINES_SHOWN).collect::<Vec<_>>().join("\n");
        let again = format!("{} <file in {}>", built.join(target).display(), found.display());
        return Err(format!("{status}; all of it in {}; again by {again}\n{why}", log.display()).into());
    }
    Figures::read(&said).ok_or_else(|| format!("{}: it says nothing of its end", log.display()).into())
}

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    executions: u64,
    /// Edges of the program that were seen, and combinations of them.
    edges: u64,
    features: u64,
    inputs: String,
    memory_mb: u64,
}

impl Figures {
    /// Reads what the fuzzer says last: `#99 DONE cov: 12 ft: 34 corp: 5/67b ..`, then a line for each `stat::`. A run that
    /// executed nothing has no figures.
    fn read(log: &str) -> Option<Self> {
        let done = log.lines().rfind(|line| line.starts_with('#') && line.contains("DONE"))?;
        let words: Vec<_> = done.split_whitespace().collect();
        let after = |name: &str| words.iter().skip_while(|word| **word != name).nth(1).copied();
        let stat = |name: &str| {
            let line = log.lines().find_map(|line| line.strip_prefix(&format!("stat::{name}:")))?;
            line.trim().parse::<u64>().ok()
        };
        let figures = Self {
            executions: stat("number_of_executed_units")?,
            edges: after("cov:")?.parse().ok()?,
            features: after("ft:")?.parse().ok()?,
            inputs: after("corp:")?.to_owned(),
            memory_mb: stat("peak_rss_mb")?,
        };
        (figures.executions > 0).then_some(figures)
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { executions, edges, features, inputs, memory_mb } = self;
        write!(
            f,
            "{executions:>9} executions, {edges:>5} edges, {features:>6} features, corpus {inputs}, {memory_mb} MB"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_what_the_fuzzer_says_last() {
        let log = "#2\tINITED cov: 1 ft: 1 corp: 1/1b exec/s: 0 rss: 40Mb\n\
            #99\tDONE   cov: 12 ft: 34 corp: 5/67b lim: 8 exec/s: 99 rss: 50Mb\n\
            Done 99 runs in 1 second(s)\n\
            stat::number_of_executed_units: 99\n\
            stat::peak_rss_mb:              51\n";
        let figures =
            Figures { executions: 99, edges: 12, features: 34, inputs: "5/67b".into(), memory_mb: 51 };
        assert_eq!(Figures::read(log), Some(figures));
        assert_eq!(Figures::read(&log.replace("DONE", "pulse")), None, "it was ended before");
        assert_eq!(Figures::read(&log.replace("units: 99", "units: 0")), None, "nothing was executed");
    }

    #[test]
    fn every_target_is_built_and_has_seeds() {
        let root = place::root().join("fuzz");
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        for target in targets().unwrap() {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
            let seeds = fs::read_dir(root.join("seeds").join(&target)).map_or(0, Iterator::count);
            assert!(seeds > 0, "{target} has no seeds");
        }
    }
}
