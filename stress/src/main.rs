//! What holds when much goes wrong at once: real processes, real sockets, and faults between them.
//!
//! ```text
//!  cargo xtask stress churn --seed 7
//!  └─ stress: scenario ── control: one JSON line each way, its stdin and stdout ──► stress server, a process of its own
//!        │                                                                             │
//!        └─ readers (the kit's clients) ──► faults (the kit's proxy) ──► loopback ─────┘
//! ```
//!
//! - [`scenario`]: one module each, all of one shape, and the list of them;
//! - [`server`]: the process that is put under stress; [`child`]: the scenario's grip on it;
//! - [`site`] and [`crowd`]: a server with its defaults, and a process of many readers; [`mod@role`]: how they are led;
//! - [`run`]: what a scenario is given, and what it comes to; [`report`]: how that is told;
//! - [`machine`]: what Linux tells about a process, and where the figures were taken.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to whoever called it")]

mod child;
mod crowd;
mod machine;
mod report;
mod role;
mod run;
mod scenario;
mod server;
mod site;

use std::alloc::System;
use std::process::ExitCode;
use std::time::Duration;

use run::{Run, Size};
use scenario::Scenario;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts what is alive: what the allocator keeps for itself is no leak, and the resident memory has both.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const USAGE: &str = "\
usage: cargo xtask stress [scenario..] [--seed N] [--seeds N] [--minutes M] [--full] [--record] [--list]

  --seed N      the first seed (default: drawn, and printed); a seed makes the same plan again
  --seeds N     how many seeds, one after the other: see --list for what each scenario wants (default: its small run)
  --minutes M   goes on with further seeds until so much time has passed
  --full        worlds as large as the figures want them, where a world is one crowd; and the seeds of the full run
  --record      appends what comes out to tests/RESULTS.md
  --list        what there is, and what it proves

Without a name all scenarios run, each small.";

/// What was asked for.
struct Asked {
    scenarios: Vec<&'static Scenario>,
    seed: u64,
    seeds: Option<u64>,
    minutes: Option<u64>,
    size: Size,
    is_recorded: bool,
}

enum Order {
    Run(Asked),
    Help,
    List,
    /// To be another process of a run.
    Role(fn() -> ExitCode),
}

fn main() -> ExitCode {
    match order() {
        Ok(Order::Run(asked)) => run_all(&asked),
        Ok(Order::Role(main)) => main(),
        Ok(Order::Help) => said(USAGE),
        Ok(Order::List) => said(&report::list(scenario::ALL)),
        Err(error) => {
            eprintln!("stress: {error}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn said(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

fn order() -> run::Outcome<Order> {
    use lexopt::prelude::*;

    let mut asked = Asked {
        scenarios: Vec::new(),
        seed: fastrand::u64(..1 << 32),
        seeds: None,
        minutes: None,
        size: Size::Small,
        is_recorded: false,
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("seed") => asked.seed = args.value()?.parse()?,
            Long("seeds") => asked.seeds = Some(args.value()?.parse()?),
            Long("minutes") => asked.minutes = Some(args.value()?.parse()?),
            Long("full") => asked.size = Size::Full,
            Long("record") => asked.is_recorded = true,
            Long("list") => return Ok(Order::List),
            Short('h') | Long("help") => return Ok(Order::Help),
            Value(name) if asked.scenarios.is_empty() && role(&name).is_some() => {
                return Ok(role(&name).map_or(Order::Help, Order::Role));
            }
            Value(name) => {
                let found = scenario::ALL.iter().find(|scenario| name == scenario.name);
                asked
                    .scenarios
                    .push(found.ok_or_else(|| format!("there is no scenario {name:?}: see --list"))?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if asked.seeds == Some(0) {
        return Err("--seeds 0 runs nothing".into());
    }
    if asked.scenarios.is_empty() {
        asked.scenarios.extend(scenario::ALL);
    }
    Ok(Order::Run(asked))
}

/// What makes this program another process of a run.
fn role(name: &std::ffi::OsStr) -> Option<fn() -> ExitCode> {
    let roles: [(&str, fn() -> ExitCode); 3] =
        [(server::NAME, server::main), (site::NAME, site::main), (crowd::NAME, crowd::main)];
    roles.into_iter().find(|(role, _)| name == *role).map(|(_, main)| main)
}

/// Every scenario runs, even if one before it failed.
fn run_all(asked: &Asked) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for scenario in &asked.scenarios {
        let seeds = if asked.size == Size::Full { scenario.seeds_full } else { scenario.seeds_small };
        let seeds = asked.seeds.unwrap_or(seeds);
        let run = Run::new(asked.seed, seeds, asked.minutes.map(|m| Duration::from_secs(m * 60)));
        let run = run.sized(asked.size);
        println!("\n==> {} ({}), seed {}", scenario.name, scenario.proves.join(", "), asked.seed);
        let verdict = (scenario.run)(&run);
        let entry = report::entry(scenario, &run, &verdict);
        println!("{entry}");
        if verdict.is_err() {
            code = ExitCode::FAILURE;
        }
        if asked.is_recorded
            && let Err(error) = report::record(&entry)
        {
            eprintln!("stress: {error}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
