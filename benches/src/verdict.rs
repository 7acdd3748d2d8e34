//! What was to be reached, beside what was: a paragraph per figure, all of it from the run that the report is of.
//!
//! Why a figure is not reached is said in `reasons.md`, under the figure's title.

use std::fmt;

use crate::costs::Costs;
use crate::kind::Kind;
use crate::measure::BURSTS;
use crate::report::{Counts, Pick, Report, Section, median};
use crate::settings::READERS_MAX;

const REASONS: &str = include_str!("../reasons.md");

/// One figure: what it is called, and what it comes to.
struct Figure {
    title: &'static str,
    held: Vec<Held>,
}

/// One thing that is held against a limit, or told beside it.
struct Held {
    what: String,
    found: Option<f64>,
    /// What it may be at most; without it, it is told and not judged.
    most: Option<f64>,
}

impl Held {
    fn new(what: impl Into<String>, found: Option<f64>, most: f64) -> Self {
        Self { what: what.into(), found, most: Some(most) }
    }

    fn told(what: impl Into<String>, found: Option<f64>) -> Self {
        Self { what: what.into(), found, most: None }
    }

    /// Whether it is within its limit; nothing where it was not measured.
    fn is_reached(&self) -> Option<bool> {
        self.found.zip(self.most).map(|(found, most)| found <= most)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found, most } = self;
        match (found, most) {
            (Some(found), Some(most)) if found <= most => {
                write!(f, "{what} {} of at most {}", Number(*found), Number(*most))
            }
            (Some(found), Some(most)) => {
                write!(f, "**{what} {} of at most {}: not reached**", Number(*found), Number(*most))
            }
            (Some(found), None) => write!(f, "({what} {})", Number(*found)),
            (None, _) => write!(f, "{what} not measured"),
        }
    }
}

/// With as many digits as say something.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 10.0 { write!(f, "{:.0}", self.0) } else { write!(f, "{:.2}", self.0) }
    }
}

impl Figure {
    fn new(title: &'static str, held: impl IntoIterator<Item = Held>) -> Self {
        Self { title, held: held.into_iter().collect() }
    }

    /// Why it may not be reached, where that is known.
    fn reason(&self) -> Option<String> {
        let mut parts = REASONS.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'));
        let (_, reason) = parts.find(|(title, _)| *title == self.title)?;
        Some(reason.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judged: Vec<_> =
            self.held.iter().filter(|held| held.most.is_some()).map(Held::is_reached).collect();
        let is_missed = judged.contains(&Some(false));
        let verdict = match (is_missed, judged.contains(&None)) {
            (true, _) => "not reached",
            (false, true) => "not all measured",
            (false, false) => "reached",
        };
        let lines: Vec<_> = self.held.iter().map(Held::to_string).collect();
        write!(f, "**{}: {verdict}.** {}.", self.title, lines.join("; "))?;
        match self.reason().filter(|_| is_missed) {
            Some(reason) => write!(f, " {reason}"),
            None => Ok(()),
        }
    }
}

/// A kilobyte of the limits.
const KB: f64 = 1_024.0;

/// One way of ours that is followed, and what others there are on the same transport.
const FOLLOWED: [(Kind, &[Kind]); 3] = [
    (Kind::OursWs, &[Kind::AxumWs4k, Kind::FastWs, Kind::TokioWs, Kind::SocketIo]),
    (Kind::OursSse, &[Kind::HyperSse, Kind::AxumSharedSse, Kind::AxumSse]),
    (Kind::OursLongPoll, &[Kind::HyperLongPoll, Kind::AxumLongPoll]),
];

impl Report {
    /// A paragraph per figure that was asked for.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        let thousand = self.of(1_000);
        let bursts = |kind, to, most| {
            let of = move |at, size| {
                let found = thousand.and_then(|section| section.ratio(kind, to, Pick::Burst(at)));
                Held::new(format!("bursts of {size}"), found, most)
            };
            BURSTS.into_iter().enumerate().map(move |(at, size)| of(at, size))
        };
        let [sse, fast] = self.sse(bursts(Kind::OursSse, Kind::SendLoop, 0.20));
        let deflated = ratio(thousand, Kind::OursWsDeflate, Kind::OursWs);
        let figures = [
            Figure::new("WebSocket, one event at a time", self.web_socket()),
            Figure::new("WebSocket, bursts", bursts(Kind::OursWs, Kind::SendBurst, 1.4)),
            Figure::new("SSE, any server", sse),
            Figure::new("SSE, fast writer", fast),
            Figure::new("long-poll, poll 200 and 304", self.polls()),
            Figure::new(
                "growth from 100 to 10,000 readers",
                self.changed(self.of(100), self.of(READERS_MAX)),
            ),
            Figure::new("publish at 100,000 parked readers", self.publish()),
            Figure::new("heap of an idle connection at 10,000", self.heap()),
            Figure::new("shared deflate", [Held::new("beside without", deflated, 1.10)]),
            Figure::new("p99 from publish to receipt", self.late()),
            Figure::new("two workers beside one", self.two_workers()),
        ];
        figures.iter().map(Figure::to_string).collect()
    }

    fn web_socket(&self) -> Vec<Held> {
        let mut held = vec![
            Held::new("1,000 readers", floor(self.of(1_000), Kind::OursWs), 1.15),
            Held::new("10,000", floor(self.of(READERS_MAX), Kind::OursWs), 1.10),
            Held::new("instructions", self.cost(Kind::OursWs, |costs| costs.instructions), 300.0),
            // A count is a slope: a hair of it is what happens once in a while.
            Held::new("allocations", self.cost(Kind::OursWs, |costs| costs.allocations.max(0.0)), 0.01),
        ];
        for twin in Kind::OursWs.twins().iter().filter(|twin| **twin != Kind::AxumWs) {
            let most = if *twin == Kind::AxumWs4k { 0.9 } else { 0.95 };
            held.push(Held::new(format!("beside {twin}"), ratio(self.of(1_000), Kind::OursWs, *twin), most));
        }
        held
    }

    /// Under any server, and what the fast writer was to reach under ours.
    fn sse(&self, bursts: impl Iterator<Item = Held>) -> [Vec<Held>; 2] {
        let thousand = self.of(1_000);
        let mut any = vec![
            Held::new("beside the floor", floor(thousand, Kind::OursSse), 1.35),
            Held::new("beside axum-sse", ratio(thousand, Kind::OursSse, Kind::AxumSse), 0.85),
        ];
        any.extend(bursts);
        for least in [Kind::AxumSharedSse, Kind::HyperSse] {
            any.push(Held::told(
                format!("the least under its host, {least}, beside the floor"),
                floor(thousand, least),
            ));
            any.push(Held::told(format!("ours beside {least}"), ratio(thousand, Kind::OursSse, least)));
        }
        [
            any,
            vec![Held::new("under our `serve`, beside the floor", floor(thousand, Kind::OursSseServe), 1.10)],
        ]
    }

    fn polls(&self) -> impl Iterator<Item = Held> {
        let pairs = [
            (Kind::OursLongPollHyper, Kind::HyperLongPoll),
            (Kind::OursPollHyper, Kind::HyperPoll),
            (Kind::OursNotModifiedHyper, Kind::HyperNotModified),
        ];
        pairs.into_iter().map(|(ours, hyper)| {
            Held::new(format!("{ours} beside {hyper}"), ratio(self.of(1_000), ours, hyper), 1.1)
        })
    }

    /// How the ratio to the floor changes from one setting to another, and the same beside whichever other costs least: where
    /// that one changes alike, it is the machine's doing.
    fn changed(&self, before: Option<&Section>, after: Option<&Section>) -> Vec<Held> {
        let change = |kind, to| {
            let of = |section: Option<&Section>| section?.ratio(kind, to, Pick::One);
            Some(of(after)? / of(before)?)
        };
        let mut held = Vec::new();
        for (kind, peers) in FOLLOWED {
            let noise = [before, after]
                .map(|section| Some(section?.noise(kind)?.max(section?.noise(Kind::SendLoop)?)));
            let noise = noise[0].zip(noise[1]).map(|(one, other)| one.max(other));
            // Without a second round there is no noise, and nothing can be held.
            let found = change(kind, Kind::SendLoop).filter(|_| noise.is_some());
            held.push(Held::new(kind.name(), found, 1.0 + noise.unwrap_or(0.0)));
            let cost = |peer: &Kind| floor(after, *peer);
            let best = peers.iter().filter_map(|peer| Some((peer, cost(peer)?)));
            if let Some((best, _)) = best.min_by(|(_, one), (_, other)| one.total_cmp(other)) {
                held.push(Held::told(format!("beside {best}"), change(kind, *best)));
            }
        }
        held
    }

    fn publish(&self) -> Vec<Held> {
        let lines = self.publishing();
        let mut held = Vec::new();
        for line in lines.iter().filter(|line| line.readers == 100_000) {
            let threads =
                if line.threads == 1 { "one thread".into() } else { format!("{} threads", line.threads) };
            let by = format!("{}, {threads}", line.publisher.to_lowercase());
            match &line.what[..] {
                "log" => {
                    held.push(Held::new(format!("{by}: publish, us"), Some(line.publish_us), 50.0));
                    held.push(Held::new("a reader, ns", Some(line.reader_ns as f64), 300.0));
                }
                "broadcast" => {
                    held.push(Held::told(format!("{by}: broadcast, us"), Some(line.publish_us)));
                    held.push(Held::told("a reader, ns", Some(line.reader_ns as f64)));
                }
                _ => {}
            }
        }
        if held.is_empty() {
            held.push(Held::new("publish, us", None, 50.0));
        }
        held
    }

    fn heap(&self) -> Vec<Held> {
        let heap = |kind| self.counted(kind)?.idle_bytes.map(|bytes| bytes / KB);
        let beyond = |kind, hyper| heap(kind).zip(heap(hyper)).map(|(ours, hyper)| ours - hyper);
        let resident = |kind| self.of(READERS_MAX)?.value(kind, Pick::Idle).map(|bytes| bytes / KB);
        vec![
            Held::new("WebSocket, KB", heap(Kind::OursWs), 2.0),
            Held::told("resident", resident(Kind::OursWs)),
            Held::new("SSE beyond hyper's own, KB", beyond(Kind::OursSseHyper, Kind::HyperSse), 1.0),
            Held::told("under `axum::serve`", heap(Kind::OursSse)),
            Held::told("resident", resident(Kind::OursSse)),
            Held::new(
                "parked long-poll beyond hyper's own, KB",
                beyond(Kind::OursLongPollHyper, Kind::HyperLongPoll),
                1.0,
            ),
            Held::told("under `axum::serve`", heap(Kind::OursLongPoll)),
            Held::told("resident", resident(Kind::OursLongPoll)),
        ]
    }

    /// Beside the median of the other WebSockets, and of the other SSEs.
    fn late(&self) -> impl Iterator<Item = Held> {
        let web_sockets = [Kind::AxumWs4k, Kind::FastWs, Kind::TokioWs, Kind::SocketIo];
        let late = move |kind, peers: &[Kind]| {
            let section = self.of(1_000)?;
            let mut p99: Vec<_> = peers.iter().filter_map(|peer| section.value(*peer, Pick::P99)).collect();
            p99.sort_by(f64::total_cmp);
            Some(section.value(kind, Pick::P99)? / median(&p99)?)
        };
        [
            Held::new("WebSocket beside the others' median", late(Kind::OursWs, &web_sockets), 1.2),
            Held::new("SSE beside the WebSockets' median", late(Kind::OursSse, &web_sockets), 1.2),
            Held::told("SSE beside axum-sse", late(Kind::OursSse, &[Kind::AxumSse])),
        ]
        .into_iter()
    }

    /// Processor time per delivery with two workers over that with one, both as ratios to the floor.
    fn two_workers(&self) -> Vec<Held> {
        let of = |workers| {
            self.sections.iter().find(|section| !section.plan.is_apart() && section.plan.workers == workers)
        };
        self.changed(of(1), of(2))
    }

    fn counted(&self, kind: Kind) -> Option<&Counts> {
        self.counts.iter().find(|counts| counts.kind == kind)
    }

    fn cost(&self, kind: Kind, pick: fn(&Costs) -> f64) -> Option<f64> {
        self.counted(kind)?.costs.as_ref().map(pick)
    }
}

/// One event at a time, beside the floor.
fn floor(section: Option<&Section>, kind: Kind) -> Option<f64> {
    section?.to_floor(kind, Pick::One)
}

/// One event at a time, beside another.
fn ratio(section: Option<&Section>, kind: Kind, to: Kind) -> Option<f64> {
    section?.ratio(kind, to, Pick::One)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Figures;
    use crate::publishing::tests::line;
    use crate::settings::{COUNTED, HEAPS, whole};
    use crate::{Machine, Publishing};

    #[test]
    fn a_paragraph_says_what_was_not_reached_and_what_not_measured() {
        let said = |found| {
            let held =
                [Held::new("a", Some(1.0), 1.0), Held::new("b", found, 20.0), Held::told("c", Some(3.0))];
            Figure::new("x", held).to_string()
        };
        assert_eq!(said(Some(12.0)), "**x: reached.** a 1.00 of at most 1.00; b 12 of at most 20; (c 3.00).");
        assert_eq!(
            said(Some(21.0)),
            "**x: not reached.** a 1.00 of at most 1.00; **b 21 of at most 20: not reached**; (c 3.00)."
        );
        assert!(said(None).starts_with("**x: not all measured.**"));
    }

    #[test]
    fn a_reason_is_printed_where_the_figure_is_not_reached_and_nowhere_else() {
        let said = |found| Figure::new("SSE, fast writer", [Held::new("a", Some(found), 1.0)]).to_string();
        assert!(said(2.0).contains("not reached**. It is left out."), "{}", said(2.0));
        assert!(!said(1.0).contains("left out"));
    }

    /// As long as the plan is gone through, whatever it finds.
    fn report(ns: impl Fn(Kind, &Section) -> f64) -> Report {
        let mut report = Report::new(Machine::here());
        for setting in whole(Some("0")) {
            let mut section = Section { plan: setting.plan, rounds: Vec::new() };
            for _ in 0..setting.rounds {
                let figures = |kind| Figures {
                    one_ns: ns(kind, &section),
                    burst_ns: [Some(100.0); 2],
                    latency_us: [Some(5.0), Some(9.0)],
                    idle_bytes: 2_048.0,
                };
                let round = setting.kinds.iter().map(|kind| (*kind, figures(*kind))).collect();
                section.rounds.push(round);
            }
            report.section(section.plan, section.rounds);
        }
        for kind in Kind::ALL {
            let costs = Costs { instructions: 1.0, allocations: 0.0, calls: 1.0 };
            report.count(Counts {
                kind,
                costs: COUNTED.contains(&kind).then_some(costs),
                idle_bytes: HEAPS.contains(&kind).then_some(1_000.0),
            });
        }
        report.log(format!("{}\n{}\n", Publishing::HEAD, line("Outside", 1, 49.0, 301)));
        report
    }

    fn verdict<'a>(verdicts: &'a [String], title: &str) -> &'a str {
        verdicts.iter().find(|said| said.starts_with(&format!("**{title}"))).expect("a figure")
    }

    #[test]
    fn the_whole_plan_measures_every_figure() {
        for said in report(|_, _| 1.0).verdicts() {
            assert!(!said.contains("not measured") && !said.contains("not all measured"), "{said}");
        }
    }

    #[test]
    fn every_reason_is_of_a_figure() {
        let verdicts = report(|_, _| 1.0).verdicts();
        for part in REASONS.split("\n## ").skip(1) {
            let (title, reason) = part.split_once('\n').expect("a heading, and why");
            verdict(&verdicts, &format!("{title}: "));
            assert!(!reason.trim().is_empty(), "{title}");
        }
    }

    #[test]
    fn what_one_publish_costs_is_held_by_its_thread_and_by_reader() {
        let verdicts = report(|_, _| 1.0).verdicts();
        assert_eq!(
            verdict(&verdicts, "publish").split(" Of what").next(),
            Some(
                "**publish at 100,000 parked readers: not reached.** outside, one thread: publish, us 49 of at most 50; \
                 **a reader, ns 301 of at most 300: not reached**."
            )
        );
    }

    #[test]
    fn growth_is_beside_the_floor_and_beside_the_peer_that_costs_least() {
        let verdicts = report(|kind, section| {
            let many = section.plan.readers == READERS_MAX;
            match kind {
                Kind::OursSse if many => 4.0,
                Kind::OursSse | Kind::AxumSharedSse => 2.0,
                Kind::HyperSse if many => 1.5,
                Kind::AxumSse => 3.0,
                _ => 1.0,
            }
        })
        .verdicts();
        let said = verdict(&verdicts, "growth");
        assert!(
            said.contains("**ours-sse 2.00 of at most 1.00: not reached**; (beside hyper-sse 1.33)"),
            "{said}"
        );
        assert!(said.contains("ours-ws 1.00 of at most 1.00"), "{said}");
    }

    #[test]
    fn what_grows_within_the_noise_of_its_own_rounds_does_not_grow_and_one_round_has_none() {
        let slow = |kind, section: &Section| {
            let many = section.plan.readers == READERS_MAX;
            if kind == Kind::OursWs && many { [1.0, 1.1, 1.2][section.rounds.len()] } else { 1.0 }
        };
        let mut report = report(slow);
        let verdicts = report.verdicts();
        assert!(verdict(&verdicts, "growth").contains("ours-ws 1.10 of at most 1.18"), "{verdicts:?}");
        for section in &mut report.sections {
            section.rounds.truncate(1);
        }
        let verdicts = report.verdicts();
        assert!(verdict(&verdicts, "growth").contains("ours-ws not measured"), "{verdicts:?}");
        assert!(verdict(&verdicts, "two workers").contains("ours-ws not measured"), "{verdicts:?}");
    }
}
