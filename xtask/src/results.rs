//! `tests/RESULTS.md`: what the long runs found, each entry with its date and machine.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;
use std::{fs, thread};

use crate::{Outcome, place};

/// Appends an entry: what ran, the command that repeats it, what it came to and whether it held.
pub(crate) fn record(what: &str, command: &str, figures: &str, verdict: Verdict) -> Outcome {
    let file = place::root().join("tests/RESULTS.md");
    let (date, machine) = (said("date", &["--utc", "+%Y-%m-%d %H:%M UTC"]), machine());
    let entry = format!("\n## {date}: {what}\n\n- {machine}\n- {command}\n\n{}\n\n", figures.trim_end());
    let entry = entry + if verdict == Verdict::Held { "**Held.**\n" } else { "**Did not hold.**\n" };
    OpenOptions::new().append(true).open(&file)?.write_all(entry.as_bytes())?;
    println!("recorded in {}", file.display());
    Ok(())
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Held,
    Broken,
}

/// CPU model, cores and kernel.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, it)| it));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores, {}", model.unwrap_or("an unnamed CPU"), said("uname", &["-sr"]))
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(|_| "unknown".into(), |it| String::from_utf8_lossy(&it.stdout).trim().to_owned())
}
