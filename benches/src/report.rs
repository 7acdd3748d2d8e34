//! From figures to the tables: medians over rounds, ratios within a round.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::costs::Costs;
use crate::measure::{BURSTS, Figures};
use crate::{Kind, Machine, Plan, Publishing};

/// Everything that a run found.
#[derive(Debug)]
pub struct Report {
    pub(crate) machine: Machine,
    pub(crate) sections: Vec<Section>,
    pub(crate) counts: Vec<Counts>,
    /// What is said beside the tables: which kinds were left out, and why.
    notes: Vec<String>,
    /// What `bench-log` printed.
    log: Option<String>,
    /// How long each part of the run took.
    took: Vec<(String, Duration)>,
}

/// One setting, with the rounds that went through it.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) plan: Plan,
    pub(crate) rounds: Vec<Vec<(Kind, Figures)>>,
}

/// What was counted of a kind, and not timed.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Which.
    pub kind: Kind,
    /// Of a delivery.
    pub costs: Option<Costs>,
    /// Bytes of heap of an idle connection.
    pub idle_bytes: Option<f64>,
}

/// One of the figures of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    One,
    /// The burst of this place in [`BURSTS`].
    Burst(usize),
    P50,
    P99,
    Idle,
}

impl Pick {
    pub(crate) fn of(self, round: &[(Kind, Figures)], kind: Kind) -> Option<f64> {
        let (_, figures) = round.iter().find(|(visited, _)| *visited == kind)?;
        match self {
            Self::One => Some(figures.one_ns),
            Self::Burst(at) => figures.burst_ns[at],
            Self::P50 => figures.latency_us[0],
            Self::P99 => figures.latency_us[1],
            Self::Idle => Some(figures.idle_bytes),
        }
    }
}

impl Section {
    /// Something that a round may have, from every round that has it, the lowest first.
    pub(crate) fn sorted(&self, of: impl Fn(&[(Kind, Figures)]) -> Option<f64>) -> Vec<f64> {
        let mut values: Vec<_> = self.rounds.iter().filter_map(|round| of(round)).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The median over the rounds.
    pub(crate) fn value(&self, kind: Kind, pick: Pick) -> Option<f64> {
        median(&self.sorted(|round| pick.of(round, kind)))
    }

    /// The median of the ratios to another of the same round.
    pub(crate) fn ratio(&self, kind: Kind, to: Kind, pick: Pick) -> Option<f64> {
        median(&self.sorted(|round| Some(pick.of(round, kind)? / pick.of(round, to)?)))
    }

    /// The same to the floor.
    pub(crate) fn to_floor(&self, kind: Kind, pick: Pick) -> Option<f64> {
        self.ratio(kind, Kind::SendLoop, pick)
    }

    /// How far apart a kind's rounds lie, as a part of their median: differences below that say nothing. One round has none.
    pub(crate) fn noise(&self, kind: Kind) -> Option<f64> {
        let values = self.sorted(|round| Pick::One.of(round, kind));
        match &values[..] {
            [low, .., high] => Some((high - low) / median(&values)?),
            _ => None,
        }
    }

    /// Lowest, median and highest of the ratio to each twin.
    fn beside(&self, kind: Kind, pick: Pick) -> String {
        let ratios = kind.twins().iter().filter_map(|twin| {
            let values = self.sorted(|round| Some(pick.of(round, kind)? / pick.of(round, *twin)?));
            let median = median(&values)?;
            Some(match &values[..] {
                [low, .., high] => format!("{twin} {median:.2} ({low:.2}-{high:.2})"),
                _ => format!("{twin} {median:.2}"),
            })
        });
        let ratios: Vec<_> = ratios.collect();
        if ratios.is_empty() { "-".into() } else { ratios.join(", ") }
    }

    fn row(&self, kind: Kind) -> String {
        let us = |ns: Option<f64>| cell(ns.map(|ns| ns / 1_000.0), 2);
        let mut cells = vec![
            kind.title().to_owned(),
            us(self.value(kind, Pick::One)),
            cell(self.to_floor(kind, Pick::One), 2),
            self.beside(kind, Pick::One),
        ];
        for at in 0..BURSTS.len() {
            let pick = Pick::Burst(at);
            cells.push(us(self.value(kind, pick)));
            cells.push(cell(self.to_floor(kind, pick), 2));
            cells.push(cell(self.ratio(kind, Kind::SendBurst, pick), 2));
        }
        cells.push(cell(self.value(kind, Pick::P50), 0));
        cells.push(cell(self.value(kind, Pick::P99), 0));
        // A loop that only keeps sockets has no memory of its own worth a figure.
        let is_floor = matches!(kind, Kind::SendLoop | Kind::SendBurst);
        let idle = self.value(kind, Pick::Idle).filter(|_| !is_floor);
        cells.push(cell(idle.map(|bytes| bytes.max(0.0) / 1024.0), 1));
        format!("| {} |\n", cells.join(" | "))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { readers, payload_bytes, events, bursts, cores, workers } = self.plan;
        let place = cores.map_or("not bound to cores".into(), |cores| format!("server on core {cores}"));
        let threads = if workers == 1 { "1 worker".into() } else { format!("{workers} workers") };
        let noise =
            self.noise(Kind::SendLoop).map_or("unknown".into(), |noise| format!("{:.0} %", noise * 100.0));
        let rounds = self.rounds.len();
        let sizes: Vec<_> =
            bursts.iter().zip(BURSTS).map(|(n, size)| format!("{n} bursts of {size}")).collect();
        write!(
            f,
            "## {readers} readers, {payload_bytes} bytes, {threads}\n\n\
             {place}; {rounds} rounds of {events} events one at a time, {}; **noise**: the floor's highest and lowest \
             round lie this far apart: {noise}\n\n\
             | | CPU us | floor | beside (lowest-highest round) |",
            sizes.join(", "),
        )?;
        for size in BURSTS {
            write!(f, " bursts of {size}: CPU us | floor | coalesced |")?;
        }
        writeln!(f, " p50 us | p99 us | idle: RSS KB |")?;
        writeln!(f, "|{}", "---|".repeat(4 + 3 * BURSTS.len() + 3))?;
        for kind in Kind::ALL {
            if self.rounds.iter().flatten().any(|(visited, _)| *visited == kind) {
                f.write_str(&self.row(kind))?;
            }
        }
        f.write_char('\n')
    }
}

/// The middle of what is sorted.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    match values.len() {
        0 => None,
        len if len % 2 == 0 => Some((values[len / 2 - 1] + values[len / 2]) / 2.0),
        len => Some(values[len / 2]),
    }
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.digits$}"))
}

impl Report {
    /// An empty one.
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            sections: Vec::new(),
            counts: Vec::new(),
            notes: Vec::new(),
            log: None,
            took: Vec::new(),
        }
    }

    /// Takes in the rounds of a setting, each of which has each kind once.
    pub fn section(&mut self, plan: Plan, rounds: Vec<Vec<(Kind, Figures)>>) {
        self.sections.push(Section { plan, rounds });
    }

    /// Takes in what was counted of a kind.
    pub fn count(&mut self, counts: Counts) {
        self.counts.push(counts);
    }

    /// Says something beside the tables.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Takes in the table that `bench-log` prints.
    pub fn log(&mut self, table: String) {
        self.log = Some(table);
    }

    /// Takes in how long a part of the run took.
    pub fn took(&mut self, part: impl Into<String>, time: Duration) {
        self.took.push((part.into(), time));
    }

    /// The section of so many readers with the small payload, one worker, and a core for the generator alone.
    pub(crate) fn of(&self, readers: usize) -> Option<&Section> {
        self.sections.iter().find(|Section { plan, .. }| {
            plan.readers == readers && plan.payload_bytes == 128 && plan.workers == 1 && plan.is_apart()
        })
    }

    /// What `bench-log` found.
    pub(crate) fn publishing(&self) -> Vec<Publishing> {
        self.log.as_deref().map(Publishing::read).unwrap_or_default()
    }

    /// The whole time of a run, and that of its parts: minutes.
    fn times(&self) -> String {
        let minutes = |time: Duration| format!("{:.1} min", time.as_secs_f64() / 60.0);
        let whole = minutes(self.took.iter().map(|(_, time)| *time).sum());
        let parts: Vec<_> =
            self.took.iter().map(|(part, time)| format!("{part} {}", minutes(*time))).collect();
        format!("- it took {whole}: {}\n", parts.join(", "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, kernel, rustc, date, load } = &self.machine;
        write!(
            f,
            "# The bench\n\n\
             Made by `cargo xtask bench`; no test asserts a time.\n\n\
             - {date}, load average {load} at the start; {cpu}, {cores} cores, Linux {kernel}, {rustc}\n\
             - plain loopback, TCP_NODELAY everywhere; server and generator are processes of their own, the generator \
             one epoll thread on another core\n\
             - each round visits every kind once, in rotated order; figures are medians over the rounds, ratios are \
             taken within a round; the settings take turns, a round of each, so that a slow minute meets all of them\n"
        )?;
        if !self.took.is_empty() {
            f.write_str(&self.times())?;
        }
        for note in &self.notes {
            writeln!(f, "- {note}")?;
        }
        write!(
            f,
            "\n**CPU** is the server's processor time per delivery, user and system, all its threads (`schedstat`). \
             **floor** is the ratio to the bare `send` loop of the same round, **coalesced** to the one that sends a \
             burst as one write. **beside** is the ratio to what a kind is held against: a range that holds 1 is a \
             tie. Peers send the payload alone; ours adds an id to SSE, and resumes. **p50** and **p99** are from \
             `publish` to the reader, one event at a time: of the readers in the crowd, so that most of it is the \
             others' turn. RSS is the resident memory per connection that is idle and has had events; of a long-poll, \
             while it waits. A long-poll's CPU holds its next request; it is answered once per burst, which is why it \
             has no figure there. A poll's delivery is one request and its answer. Our bursts are so many calls of \
             `publish`. Over HTTP/2 a hundred readers share a connection.\n\n\
             ![ratios to the floor](plots/ratios.svg)\n![as readers grow](plots/growth.svg)\n\n"
        )?;
        for section in &self.sections {
            write!(f, "{section}")?;
        }
        if !self.counts.is_empty() {
            write!(
                f,
                "## Counted\n\nThe same on every machine: user instructions (callgrind), allocations and system calls \
                 (strace) per delivery, one event at a time; live heap per idle connection.\n\n\
                 | | instructions | allocations | system calls | idle heap KB |\n|---|---|---|---|---|\n"
            )?;
        }
        for Counts { kind, costs, idle_bytes } in &self.counts {
            let of = |pick: fn(&Costs) -> f64, digits| cell(costs.as_ref().map(|c| pick(c).max(0.0)), digits);
            writeln!(
                f,
                "| {} | {} | {} | {} | {} |",
                kind.title(),
                of(|costs| costs.instructions, 0),
                of(|costs| costs.allocations, 2),
                of(|costs| costs.calls, 2),
                cell(idle_bytes.map(|bytes| bytes.max(0.0) / 1024.0), 1),
            )?;
        }
        if let Some(table) = &self.log {
            write!(f, "\n## `publish` to many parked readers, without sockets (`bench-log`)\n\n{table}\n")?;
        }
        write!(f, "\n## What was to be reached\n\n")?;
        for verdict in self.verdicts() {
            writeln!(f, "{verdict}\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn plan(readers: usize) -> Plan {
        Plan { readers, payload_bytes: 128, events: 1, bursts: [1, 1], cores: None, workers: 1 }
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_then_the_median() {
        // The machine is twice, then ten times as slow; ours stays at one and a half of the floor.
        let rounds = [1.0, 2.0, 10.0].map(|slow| {
            let figures = |ns: f64| Figures {
                one_ns: ns * slow,
                burst_ns: [Some(ns), None],
                latency_us: [Some(5.0), Some(9.0)],
                idle_bytes: 2_048.0,
            };
            vec![
                (Kind::SendLoop, figures(1_000.0)),
                (Kind::AxumSse, figures(3_000.0)),
                (Kind::OursSse, figures(1_500.0)),
            ]
        });
        let mut report = Report::new(Machine::here());
        report.section(plan(8), rounds.into());
        let table = report.to_string();
        assert!(
            table.contains(
                "| **SSE: realtime** | 3.00 | 1.50 | axum-sse 0.50 (0.50-0.50) | 1.50 | 1.50 | - | - | - | - | 5 | 9 | 2.0 |"
            ),
            "{table}"
        );
        assert!(table.contains("lie this far apart: 450 %"), "{table}");
        assert!(!table.contains("long-poll: bare hyper"), "only what was visited has a row");
    }
}
