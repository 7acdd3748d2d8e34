//! One stage: a command that is announced, run without a terminal, timed, and whose test results are added up.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// How many tests passed and failed: the sum over every `test result:` line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// Takes a line of the test harness in; any other line changes nothing.
    ///
    /// `test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.00s`
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let Some((_, counts)) = result.split_once(". ") else { return };
        for part in counts.split(';') {
            match part.trim().split_once(' ') {
                Some((n, "passed")) => self.passed += n.parse::<u64>().unwrap_or(0),
                Some((n, "failed")) => self.failed += n.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The stages of one run, in order, with what each took.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    pub(crate) tally: Tally,
    took: Vec<(&'static str, Duration)>,
}

impl Stages {
    /// Announces a stage, does it, and keeps its time; a failure names the stage.
    pub(crate) fn run(&mut self, name: &'static str, stage: impl FnOnce(&mut Tally) -> Outcome) -> Outcome {
        println!("\n==> {name}");
        let start = Instant::now();
        let done = stage(&mut self.tally);
        let took = start.elapsed();
        self.took.push((name, took));
        match done {
            Ok(()) => {
                println!("==> {name}: done in {:.1} s", took.as_secs_f64());
                Ok(())
            }
            Err(error) => {
                println!("==> {name}: FAILED after {:.1} s", took.as_secs_f64());
                Err(format!("stage `{name}` failed: {error}").into())
            }
        }
    }

    /// Every stage that ran and its time, one a line, then the whole.
    pub(crate) fn times(&self) -> String {
        let whole = self.took.iter().map(|(_, took)| *took).sum();
        let mut lines = String::new();
        for (name, took) in self.took.iter().chain([&("all", whole)]) {
            lines.push_str(&format!("{name:<12} {:>7.1} s\n", took.as_secs_f64()));
        }
        lines
    }
}

/// Runs a command to its end with nothing on its standard input; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status = status(command)?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", shown(command)).into()) }
}

/// As [`run`], for a command that says by its code what it found; a signal gives none.
pub(crate) fn code(command: &mut Command) -> Outcome<Option<i32>> {
    Ok(status(command)?.code())
}

fn status(command: &mut Command) -> Outcome<ExitStatus> {
    let shown = shown(command);
    println!("  $ {shown}");
    command.stdin(Stdio::null()).status().map_err(|error| format!("{shown}: {error}").into())
}

/// Answers `--help` or `--list` by the program itself, as the tests build it: nobody should wait for a release build to read
/// what there is. `None` where the command line asks for neither.
pub(crate) fn explained(package: &str, program: &str) -> Option<Outcome> {
    let arguments: Vec<_> = env::args_os().skip(2).collect();
    let is_question = arguments.iter().any(|argument| asks_what_there_is(argument));
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "-p", package, "--bin", program, "--"]).args(arguments);
    is_question.then(|| run(&mut command))
}

fn asks_what_there_is(argument: &OsStr) -> bool {
    ["-h", "--help", "--list"].iter().any(|question| argument == *question)
}

/// Counts a check that is no test of a harness.
pub(crate) fn count(checked: Outcome, tally: &mut Tally) -> Outcome {
    match &checked {
        Ok(()) => tally.passed += 1,
        Err(_) => tally.failed += 1,
    }
    checked
}

/// As [`run`], and adds what the test harness says to `tally`.
pub(crate) fn run_tests(command: &mut Command, tally: &mut Tally) -> Outcome {
    let shown = shown(command);
    println!("  $ {shown}");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("{shown}: {error}"))?;
    if let Some(stdout) = child.stdout.take() {
        copy(BufReader::new(stdout), std::io::stdout().lock(), tally)?;
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}").into()) }
}

/// Passes every line on as it comes. Bytes, not text: a test may print anything.
fn copy(mut from: impl BufRead, mut to: impl Write, tally: &mut Tally) -> std::io::Result<()> {
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        tally.add(String::from_utf8_lossy(&line).trim_end());
        to.write_all(&line)?;
        to.flush()?;
        line.clear();
    }
    Ok(())
}

/// The command as one would type it; only variables that it sets itself are shown.
fn shown(command: &Command) -> String {
    let vars = command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
    let vars = vars.filter(|(name, _)| !name.starts_with("REALTIME_"));
    let mut words: Vec<String> = vars.map(|(name, value)| format!("{name}={value:?}")).collect();
    words.push(command.get_program().to_string_lossy().into_owned());
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_told_from_a_run() {
        let asks = |argument: &str| asks_what_there_is(OsStr::new(argument));
        assert!(["-h", "--help", "--list"].iter().all(|argument| asks(argument)));
        assert!(!["churn", "--full", "--only", "help"].iter().any(|argument| asks(argument)));
    }

    #[test]
    fn results_of_all_harnesses_are_added_up() {
        let output = "running 2 tests\n\
            test a ... ok\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 5 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.20s\n\
            a line that says test result: ok. 9 passed; 9 failed\n\
            test result: ok. what else; x passed\n";
        let (mut tally, mut copied) = (Tally::default(), Vec::new());
        copy(output.as_bytes(), &mut copied, &mut tally).unwrap();
        assert_eq!(tally, Tally { passed: 7, failed: 3 });
        assert_eq!(copied, output.as_bytes());
        assert_eq!(tally.to_string(), "7 passed, 3 failed");
    }

    #[test]
    fn output_that_is_not_text_is_passed_on_as_it_is() {
        let output = b"\xff\xfe\0 no newline at the end";
        let (mut tally, mut copied) = (Tally::default(), Vec::new());
        copy(&output[..], &mut copied, &mut tally).unwrap();
        assert_eq!((tally, &copied[..]), (Tally::default(), &output[..]));
    }

    #[test]
    fn a_failure_names_its_stage_and_its_time_is_kept() {
        let mut stages = Stages::default();
        stages.run("first", |_| Ok(())).unwrap();
        let error = stages.run("second", |_| Err("no".into())).unwrap_err();
        assert_eq!(error.to_string(), "stage `second` failed: no");
        let names: Vec<_> =
            stages.times().lines().map(|line| line.split(' ').next().map(String::from)).collect();
        assert_eq!(names, ["first", "second", "all"].map(|name| Some(name.to_owned())));
    }

    #[test]
    fn a_command_that_fails_or_is_absent_is_an_error() {
        assert!(run(Command::new("cargo").arg("--version")).is_ok());
        let failed = run(Command::new("cargo").arg("no-such-command").stderr(Stdio::null())).unwrap_err();
        assert!(failed.to_string().starts_with("cargo no-such-command: exit status"), "{failed}");
        let absent = run(&mut Command::new("no-such-program")).unwrap_err();
        assert!(absent.to_string().starts_with("no-such-program: "), "{absent}");
    }
}
