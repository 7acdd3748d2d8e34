//! From figures to the table: medians over rounds, ratios within a round.

use std::fmt::{self, Write as _};

use crate::measure::{BURST, Figures, Heap};
use crate::{Kind, Machine, Plan};

/// What all rounds found.
#[derive(Debug)]
pub struct Report {
    machine: Machine,
    plan: Plan,
    rounds: Vec<Vec<(Kind, Figures)>>,
    heaps: Vec<(Kind, Heap)>,
}

impl Report {
    /// An empty one.
    pub fn new(machine: Machine, plan: Plan) -> Self {
        Self { machine, plan, rounds: Vec::new(), heaps: Vec::new() }
    }

    /// Takes in a round: each kind once.
    pub fn round(&mut self, figures: Vec<(Kind, Figures)>) {
        self.rounds.push(figures);
    }

    /// Takes in what a reader of a kind costs the heap.
    pub fn heap(&mut self, kind: Kind, heap: Heap) {
        self.heaps.push((kind, heap));
    }

    /// Something that a round may have, from every round that has it, the lowest first.
    fn sorted(&self, of: impl Fn(&[(Kind, Figures)]) -> Option<f64>) -> Vec<f64> {
        let mut values: Vec<_> = self.rounds.iter().filter_map(|round| of(round)).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self, of: impl Fn(&[(Kind, Figures)]) -> Option<f64>) -> Option<f64> {
        let values = self.sorted(of);
        match values.len() {
            0 => None,
            len if len % 2 == 0 => Some((values[len / 2 - 1] + values[len / 2]) / 2.0),
            len => Some(values[len / 2]),
        }
    }

    /// How far apart the floor lay over the rounds, as a part of its median: differences below that say nothing.
    fn noise(&self) -> Option<f64> {
        let floors = || self.rounds.iter().filter_map(|round| of(round, Kind::SendLoop, Pick::One));
        let (low, high) = (floors().reduce(f64::min)?, floors().reduce(f64::max)?);
        Some((high - low) / self.median(|round| of(round, Kind::SendLoop, Pick::One))?)
    }

    fn row(&self, kind: Kind) -> String {
        let value = |pick| self.median(|round| of(round, kind, pick));
        let ratio = |pick, to| self.median(|round| Some(of(round, kind, pick)? / of(round, to, pick)?));
        let us = |ns: Option<f64>| ns.map_or("-".into(), |ns| format!("{:.2}", ns / 1_000.0));
        let times = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let beside = |pick, twin| {
            let ratio = |round: &[(Kind, Figures)]| Some(of(round, kind, pick)? / of(round, twin, pick)?);
            match (self.median(ratio), &self.sorted(ratio)[..]) {
                (Some(median), [low, .., high]) => format!("{median:.2} ({low:.2}-{high:.2})"),
                (median, _) => times(median),
            }
        };
        let twins = |pick| {
            let ratios: Vec<_> = kind.twins().iter().map(|twin| beside(pick, *twin)).collect();
            if ratios.is_empty() { "-".into() } else { ratios.join(" / ") }
        };
        let heap = self.heaps.iter().find(|(counted, _)| *counted == kind).map(|(_, heap)| heap);
        // A slope may come out a hair below nothing.
        let kb = |bytes: f64| format!("{:.1}", bytes.max(0.0) / 1024.0);
        let cells = [
            kind.title().into(),
            us(value(Pick::One)),
            times(ratio(Pick::One, Kind::SendLoop)),
            twins(Pick::One),
            us(value(Pick::Burst)),
            times(ratio(Pick::Burst, Kind::SendLoop)),
            twins(Pick::Burst),
            heap.map_or("-".into(), |heap| format!("{:.1}", heap.allocations.max(0.0))),
            heap.map_or("-".into(), |heap| kb(heap.idle_bytes)),
            // A loop that only keeps sockets has no memory of its own worth a figure.
            value(Pick::Idle).filter(|_| kind != Kind::SendLoop).map_or("-".into(), kb),
        ];
        format!("| {} |\n", cells.join(" | "))
    }
}

#[derive(Debug, Clone, Copy)]
enum Pick {
    One,
    Burst,
    Idle,
}

fn of(round: &[(Kind, Figures)], kind: Kind, pick: Pick) -> Option<f64> {
    let (_, figures) = round.iter().find(|(visited, _)| *visited == kind)?;
    match pick {
        Pick::One => Some(figures.one_ns),
        Pick::Burst => figures.burst_ns,
        Pick::Idle => Some(figures.idle_bytes),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, kernel, rustc, date, load } = &self.machine;
        let Plan { readers, events, bursts, core } = self.plan;
        let pinned = match core {
            Some(core) => format!("server on core {core}, generator on another"),
            None => "not bound to cores".into(),
        };
        let noise = self.noise().map_or("unknown".into(), |noise| format!("{:.0} %", noise * 100.0));
        let mut rows = String::new();
        for kind in Kind::ALL {
            if self.rounds.iter().flatten().any(|(visited, _)| *visited == kind) {
                rows.write_str(&self.row(kind))?;
            }
        }
        write!(
            f,
            "# The small bench\n\n\
             Made by `cargo xtask bench`; no test asserts a time.\n\n\
             - {date}, load average {load} at the start; {cpu}, {cores} cores, Linux {kernel}, {rustc}\n\
             - {readers} readers, payloads of 128 bytes, plain loopback, TCP_NODELAY everywhere; {pinned}\n\
             - medians of {} rounds, each visiting every kind once in rotated order: {events} events one at a time \
             (the next is published when all readers have the last), then {bursts} bursts of {BURST}\n\
             - **noise**: the floor's highest and lowest round lie {noise} apart\n\n\
             CPU is the server's processor time per delivery, user and system. `floor` is the ratio to the bare `send` \
             loop of the same round. `axum` is the ratio to axum's own over `tokio::sync::broadcast` in the same round \
             (for WebSocket: to the one with 4 KiB buffers / with default ones), and in brackets its lowest and highest \
             round: a range that holds 1 is a tie. axum's sends the payload alone; ours adds an id to SSE, and resumes. \
             Allocations are those per delivery. Heap and RSS are the live bytes and the resident memory per connection \
             that is idle and has had events; of a long-poll, while it waits. A long-poll's CPU holds its next request; \
             it is answered once per burst, which is why it has no figure there.\n\n\
             | | CPU us | floor | axum | in bursts: CPU us | floor | axum | allocations | idle: heap KB | RSS KB |\n\
             |---|---|---|---|---|---|---|---|---|---|\n\
             {rows}",
            self.rounds.len(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round_and_then_the_median() {
        let plan = Plan { readers: 8, events: 1, bursts: 1, core: None };
        let mut report = Report::new(Machine::here(), plan);
        // The machine is twice, then ten times as slow; ours stays at one and a half of the floor.
        for slow in [1.0, 2.0, 10.0] {
            let figures = |ns: f64| Figures { one_ns: ns * slow, burst_ns: Some(ns), idle_bytes: 2_048.0 };
            report.round(vec![
                (Kind::SendLoop, figures(1_000.0)),
                (Kind::AxumSse, figures(3_000.0)),
                (Kind::OursSse, figures(1_500.0)),
            ]);
        }
        report.heap(Kind::OursSse, Heap { allocations: 1.25, idle_bytes: 1_024.0 });
        let table = report.to_string();
        assert!(
            table.contains(
                "| **SSE: realtime** | 3.00 | 1.50 | 0.50 (0.50-0.50) | 1.50 | 1.50 | 0.50 (0.50-0.50) | 1.2 | 1.0 | 2.0 |"
            ),
            "{table}"
        );
        assert!(table.contains("lie 450 % apart"), "{table}");
        assert!(!table.contains("long-poll: bare hyper"), "only what was visited has a row");
    }
}
