//! What a delivery costs by count: instructions, allocations, system calls. The same on every machine, so a check may lean
//! on them, which no time allows.
//!
//! Each is a slope over events and over readers: what starting, connecting and publishing take falls out of it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::measure::{Plan, Visit, bound, heap_of};
use crate::{Kind, Outcome, Programs};

/// The costs of one delivery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// Instructions of the process, the kernel's not among them, as callgrind counts them.
    pub instructions: f64,
    /// Allocations, as the allocator counts them.
    pub allocations: f64,
    /// System calls, as strace counts them.
    pub calls: f64,
}

/// Readers and events of a run, few and more.
const READERS: [usize; 2] = [16, 80];
const EVENTS: [u64; 2] = [8, 72];

/// Counts all three, with the server on these cores if any are named.
///
/// # Errors
/// valgrind or strace is missing, or as [`measure`](crate::measure()).
pub fn costs(kind: Kind, programs: &Programs, is_slowed: bool, cores: Option<&str>) -> Outcome<Costs> {
    let place = std::env::temp_dir().join(format!("realtime-costs-{}", std::process::id()));
    fs::create_dir_all(&place)?;
    let counted = (|| {
        Ok(Costs {
            instructions: slope(|readers, events| {
                let out = place.join("callgrind");
                let mut command = bound(Path::new("valgrind"), cores);
                command.args(["--quiet", "--tool=callgrind"]);
                command.arg(format!("--callgrind-out-file={}", out.display())).arg(&programs.plain);
                visit(kind, command, is_slowed, readers, events)?;
                instructions(&fs::read_to_string(out)?)
            })?,
            allocations: allocations(kind, programs, is_slowed)?,
            calls: slope(|readers, events| {
                let out = place.join("strace");
                let mut command = bound(Path::new("strace"), cores);
                command.args(["-f", "-c", "-o"]).arg(&out).arg(&programs.plain);
                visit(kind, command, is_slowed, readers, events)?;
                calls(&fs::read_to_string(out)?)
            })?,
        })
    })();
    // It is a temporary directory's.
    let _ = fs::remove_dir_all(&place);
    counted
}

/// Counts allocations alone, which needs no program of others.
///
/// # Errors
/// As [`measure`](crate::measure()).
pub fn allocations(kind: Kind, programs: &Programs, is_slowed: bool) -> Outcome<f64> {
    Ok(heap_of(kind, &programs.counting, is_slowed)?.allocations)
}

/// What a delivery adds to a count of whole runs.
fn slope(mut count: impl FnMut(usize, u64) -> Outcome<f64>) -> Outcome<f64> {
    let mut of_events = |readers| Outcome::Ok(count(readers, EVENTS[1])? - count(readers, EVENTS[0])?);
    let more = of_events(READERS[1])? - of_events(READERS[0])?;
    Ok(more / ((READERS[1] - READERS[0]) as f64 * (EVENTS[1] - EVENTS[0]) as f64))
}

fn visit(kind: Kind, mut command: Command, is_slowed: bool, readers: usize, events: u64) -> Outcome {
    command.args(is_slowed.then_some("--slowed"));
    let mut visit = Visit::run(kind, command, &Plan::small())?;
    visit.connect(readers)?;
    visit.one_at_a_time(events)?;
    visit.end()
}

/// The sum that callgrind writes: `summary: 12345`, or `totals:` where there are several parts.
fn instructions(out: &str) -> Outcome<f64> {
    let line = |name| out.lines().find_map(|line| line.strip_prefix(name));
    let sum = line("totals: ").or_else(|| line("summary: ")).ok_or("callgrind wrote no sum")?;
    Ok(sum.trim().parse()?)
}

/// The number of calls in the last line of strace's table: `100.00 0.01 5 1234 12 total`.
fn calls(out: &str) -> Outcome<f64> {
    let line = out.lines().find(|line| line.ends_with(" total")).ok_or("strace wrote no sum")?;
    Ok(line.split_whitespace().nth(3).ok_or("strace's sum has no calls")?.parse()?)
}

/// Why costs are not within their bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// One is above: what the gate is for.
    TooDear(String),
    /// None is above, but one so far below that its bound holds nothing any more and wants to be tightened.
    Loose(String),
    /// There is no bound.
    Unknown(Kind),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDear(lines) | Self::Loose(lines) => f.write_str(lines),
            Self::Unknown(kind) => write!(f, "{kind} has no bound"),
        }
    }
}

/// What each kind may cost, from one file.
#[derive(Debug)]
pub struct Bounds {
    /// The parts by which instructions may differ, and the counts by which allocations and calls may.
    slack: Costs,
    of: Vec<(Kind, Costs)>,
}

impl Bounds {
    /// The file, in this crate.
    pub fn file() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("costs.txt")
    }

    /// Reads lines of `kind instructions allocations calls`, of which `slack` is one.
    ///
    /// # Errors
    /// A line is none of these.
    pub fn read(text: &str) -> Outcome<Self> {
        let (mut slack, mut of) = (None, Vec::new());
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let words: Vec<_> = line.split_whitespace().collect();
            let &[name, instructions, allocations, calls] = &words[..] else {
                return Err(format!("no bound: {line}").into());
            };
            let costs = Costs {
                instructions: instructions.parse()?,
                allocations: allocations.parse()?,
                calls: calls.parse()?,
            };
            if name == "slack" {
                slack = Some(costs);
            } else {
                of.push((name.parse()?, costs));
            }
        }
        Ok(Self { slack: slack.ok_or("the bounds have no slack")?, of })
    }

    /// What has a bound.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        self.of.iter().map(|(kind, _)| *kind)
    }

    /// Holds costs against them.
    ///
    /// # Errors
    /// They are not within them.
    pub fn hold(&self, kind: Kind, costs: Costs) -> Result<(), Unfit> {
        self.check(kind, [Some(costs.instructions), Some(costs.allocations), Some(costs.calls)])
    }

    /// The same for allocations alone.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub fn hold_allocations(&self, kind: Kind, allocations: f64) -> Result<(), Unfit> {
        self.check(kind, [None, Some(allocations), None])
    }

    fn check(&self, kind: Kind, counted: [Option<f64>; 3]) -> Result<(), Unfit> {
        let stated = self.of.iter().find(|(known, _)| *known == kind);
        let (_, stated) = stated.ok_or(Unfit::Unknown(kind))?;
        let Costs { instructions, allocations, calls } = self.slack;
        let lines = [
            ("instructions", stated.instructions, stated.instructions * instructions),
            ("allocations", stated.allocations, allocations),
            ("system calls", stated.calls, calls),
        ];
        let (mut above, mut below) = (Vec::new(), Vec::new());
        for ((name, stated, slack), counted) in lines.into_iter().zip(counted) {
            let Some(counted) = counted else { continue };
            if counted > stated + slack {
                above.push(format!(
                    "{kind}: {counted:.2} {name} a delivery, of {stated} + {slack:.2} at most"
                ));
            } else if counted < stated - slack {
                below.push(format!(
                    "{kind}: only {counted:.2} {name} a delivery: tighten {stated} in costs.txt"
                ));
            }
        }
        match (&above[..], &below[..]) {
            ([], []) => Ok(()),
            ([], _) => Err(Unfit::Loose(below.join("\n"))),
            _ => Err(Unfit::TooDear([above, below].concat().join("\n"))),
        }
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instructions, allocations, calls } = self;
        // A slope may come out a hair below nothing.
        write!(f, "{instructions:>8.0} {:>8.2} {:>8.2}", allocations.max(0.0), calls.max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_sums_are_found() {
        assert_eq!(instructions("events: Ir\nsummary: 9\n\ntotals: 12\n").unwrap(), 12.0);
        assert_eq!(instructions("summary: 9\n").unwrap(), 9.0);
        let table = " 60.00    0.000006           1         6           write\n\
                     100.00    0.000010           1        10         2 total\n";
        assert_eq!(calls(table).unwrap(), 10.0);
        assert!(instructions("").is_err() && calls("").is_err());
    }

    #[test]
    fn what_every_run_has_and_what_every_event_has_falls_out_of_a_slope() {
        let count = |readers: usize, events: u64| {
            let (readers, events) = (readers as f64, events as f64);
            Ok(1e6 + 500.0 * readers + 77.0 * events + 3.0 * readers * events)
        };
        assert_eq!(slope(count).unwrap(), 3.0);
    }

    #[test]
    fn a_cost_is_held_from_above_and_from_below() {
        let bounds = Bounds::read("# a comment\nslack 0.1 0.05 0.1\n\nours-ws 1000 0 1\n").unwrap();
        let held = |instructions, allocations, calls| {
            bounds.hold(Kind::OursWs, Costs { instructions, allocations, calls })
        };
        assert_eq!(held(1_000.0, 0.0, 1.0), Ok(()));
        assert_eq!(held(1_099.0, 0.04, 1.09), Ok(()));
        for (costs, line) in [
            (held(1_101.0, 0.0, 1.0), "1101.00 instructions"),
            (held(1_000.0, 0.06, 1.0), "0.06 allocations"),
            (held(1_000.0, 0.0, 1.2), "1.20 system calls"),
            (held(800.0, 0.0, 1.2), "1.20 system calls"),
        ] {
            assert!(matches!(&costs, Err(Unfit::TooDear(said)) if said.contains(line)), "{costs:?}");
        }
        for costs in [held(800.0, 0.0, 1.0), held(1_000.0, 0.0, 0.5)] {
            assert!(matches!(&costs, Err(Unfit::Loose(said)) if said.contains("tighten")), "{costs:?}");
        }
        let held = bounds.hold_allocations(Kind::OursSse, 0.0);
        assert_eq!(held, Err(Unfit::Unknown(Kind::OursSse)), "what has no bound is not held");
    }

    #[test]
    fn a_file_that_says_less_is_none() {
        for text in ["ours-ws 1 2 3", "slack 0 0 0\nours-ws 1 2", "slack 0 0 0\nno-kind 1 2 3", "slack a b c"]
        {
            assert!(Bounds::read(text).is_err(), "{text}");
        }
    }
}
