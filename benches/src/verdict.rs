//! What was to be reached, beside what was: a paragraph per figure.

use crate::measure::BURSTS;
use crate::report::{Counts, Pick, Report, Section, median};
use crate::{Costs, Kind};

/// One thing that is held against a limit.
struct Held {
    what: String,
    found: Option<f64>,
    most: f64,
}

impl Held {
    fn new(what: impl Into<String>, found: Option<f64>, most: f64) -> Self {
        Self { what: what.into(), found, most }
    }

    fn is_reached(&self) -> Option<bool> {
        self.found.map(|found| found <= self.most)
    }
}

/// A paragraph that says whether all of it was reached.
fn paragraph(title: &str, held: Vec<Held>) -> String {
    let lines: Vec<_> = held
        .iter()
        .map(|held| match (held.found, held.is_reached()) {
            (Some(found), Some(true)) => format!("{} {found:.2} (of {:.2})", held.what, held.most),
            (Some(found), _) => format!("**{} {found:.2} (of {:.2}: not reached)**", held.what, held.most),
            (None, _) => format!("{} not measured", held.what),
        })
        .collect();
    let reached: Vec<_> = held.iter().filter_map(Held::is_reached).collect();
    let verdict = if reached.contains(&false) {
        "not reached"
    } else if reached.len() < held.len() {
        "not all measured"
    } else {
        "reached"
    };
    format!("**{title}: {verdict}.** {}.", lines.join("; "))
}

/// A kilobyte of the limits.
const KB: f64 = 1_024.0;

impl Report {
    /// A paragraph per figure that was asked for.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        let (thousand, many) = (self.of(1_000), self.of(10_000));
        let floor = |section: Option<&Section>, kind, pick| section?.to_floor(kind, pick);
        let ratio = |kind, to, pick| thousand?.ratio(kind, to, pick);
        let bursts = |kind, to, most| {
            BURSTS.iter().enumerate().map(move |(at, size)| {
                Held::new(format!("bursts of {size}"), ratio(kind, to, Pick::Burst(at)), most)
            })
        };

        let mut one = vec![
            Held::new("1,000 readers", floor(thousand, Kind::OursWs, Pick::One), 1.15),
            Held::new("10,000", floor(many, Kind::OursWs, Pick::One), 1.10),
            Held::new("instructions", self.cost(Kind::OursWs, |costs| costs.instructions), 300.0),
            // A count is a slope: a hair of it is what happens once in a while.
            Held::new("allocations", self.cost(Kind::OursWs, |costs| costs.allocations), 0.01),
        ];
        for twin in Kind::OursWs.twins().iter().filter(|twin| **twin != Kind::AxumWs) {
            let most = if *twin == Kind::AxumWs4k { 0.9 } else { 0.95 };
            one.push(Held::new(format!("beside {twin}"), ratio(Kind::OursWs, *twin, Pick::One), most));
        }

        let mut sse = vec![
            Held::new("any server", floor(thousand, Kind::OursSse, Pick::One), 1.35),
            Held::new("beside axum-sse", ratio(Kind::OursSse, Kind::AxumSse, Pick::One), 0.85),
        ];
        sse.extend(bursts(Kind::OursSse, Kind::SendLoop, 0.20));
        sse.push(Held::new("our `serve`", floor(thousand, Kind::OursSseServe, Pick::One), 1.10));

        let polls = [
            (Kind::OursLongPollHyper, Kind::HyperLongPoll),
            (Kind::OursPollHyper, Kind::HyperPoll),
            (Kind::OursNotModifiedHyper, Kind::HyperNotModified),
        ]
        .map(|(ours, hyper)| Held::new(format!("{ours} beside {hyper}"), ratio(ours, hyper, Pick::One), 1.1));

        let noise = |section: Option<&Section>| section.and_then(Section::noise).unwrap_or(0.0);
        let few = self.of(100);
        let beyond = 1.0 + noise(few).max(noise(many));
        let grown = [Kind::OursWs, Kind::OursSse, Kind::OursLongPoll].map(|kind| {
            let (before, after) = (floor(few, kind, Pick::One), floor(many, kind, Pick::One));
            Held::new(format!("{kind}"), before.zip(after).map(|(before, after)| after / before), beyond)
        });

        let heap = |kind| self.counted(kind)?.idle_bytes.map(|bytes| bytes / KB);
        let beside = |kind, hyper| heap(kind).zip(heap(hyper)).map(|(ours, hyper)| ours - hyper);
        let idle = vec![
            Held::new("WebSocket, KB", heap(Kind::OursWs), 2.0),
            Held::new("SSE beyond hyper's, KB", beside(Kind::OursSseHyper, Kind::HyperSse), 1.0),
            Held::new(
                "long-poll beyond hyper's, KB",
                beside(Kind::OursLongPollHyper, Kind::HyperLongPoll),
                1.0,
            ),
        ];

        let peers = [Kind::AxumWs4k, Kind::FastWs, Kind::TokioWs, Kind::SocketIo];
        let peers = |section: &Section| {
            let mut p99: Vec<_> = peers.iter().filter_map(|kind| section.value(*kind, Pick::P99)).collect();
            p99.sort_by(f64::total_cmp);
            median(&p99)
        };
        let late =
            |kind| thousand.and_then(|section| Some(section.value(kind, Pick::P99)? / peers(section)?));

        vec![
            paragraph("WebSocket, one event at a time", one),
            paragraph("WebSocket, bursts", bursts(Kind::OursWs, Kind::SendBurst, 1.4).collect()),
            paragraph("SSE", sse),
            paragraph("long-poll, poll 200 and 304", polls.into()),
            paragraph("growth from 100 to 10,000 readers, beside the floor's noise", grown.into()),
            "**`publish` at 100,000 parked readers**: see the table of `bench-log`, where there is one."
                .into(),
            paragraph("heap of an idle connection at 10,000", idle),
            paragraph(
                "shared deflate",
                vec![Held::new("beside without", ratio(Kind::OursWsDeflate, Kind::OursWs, Pick::One), 1.10)],
            ),
            paragraph(
                "p99 from publish to receipt, beside the median of the WebSocket peers",
                vec![
                    Held::new("WebSocket", late(Kind::OursWs), 1.2),
                    Held::new("SSE", late(Kind::OursSse), 1.2),
                ],
            ),
            paragraph("two workers beside one, on the same two cores", self.two_workers()),
        ]
    }

    /// Processor time per delivery with two workers over that with one, both as ratios to the floor.
    fn two_workers(&self) -> Vec<Held> {
        let Some(two) = self.sections.iter().find(|section| section.plan.workers == 2) else {
            return vec![Held::new("two workers", None, 1.0)];
        };
        let mut ones = self
            .sections
            .iter()
            .filter(|section| section.plan.workers == 1 && section.plan.cores == two.plan.cores);
        let one = ones.next();
        let noise = two.noise().unwrap_or(0.0).max(one.and_then(Section::noise).unwrap_or(0.0));
        let kinds = [Kind::OursWs, Kind::OursSse, Kind::OursLongPoll];
        let of = |section: &Section, kind| section.to_floor(kind, Pick::One);
        kinds
            .map(|kind| {
                let ratio = of(two, kind).zip(one.and_then(|one| of(one, kind))).map(|(two, one)| two / one);
                Held::new(kind.name(), ratio, 1.0 + noise)
            })
            .into()
    }

    fn counted(&self, kind: Kind) -> Option<&Counts> {
        self.counts.iter().find(|counts| counts.kind == kind)
    }

    fn cost(&self, kind: Kind, pick: fn(&Costs) -> f64) -> Option<f64> {
        self.counted(kind)?.costs.as_ref().map(pick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_says_what_was_not_reached_and_what_not_measured() {
        let held = |found| vec![Held::new("a", Some(1.0), 1.0), Held::new("b", found, 2.0)];
        assert_eq!(paragraph("x", held(Some(2.0))), "**x: reached.** a 1.00 (of 1.00); b 2.00 (of 2.00).");
        assert!(paragraph("x", held(Some(2.1))).starts_with("**x: not reached.**"));
        assert!(paragraph("x", held(None)).starts_with("**x: not all measured.**"));
    }
}
