//! The verdict: one pass over what was seen, beside what was published.
//!
//! `due` is the entry that must come next. Whatever moves it forward (an event, a place, a gap's `to`, the end of the
//! run) answers for the wanted entries that it passes over: a retained one is lost; one that is gone needs a gap that
//! was said on this connection, before it, and from a place not after it. A gap pardons a topic until its next event,
//! because what a source drops of a topic is always its oldest part, and all topics until the reader is live.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::truth::{chain, epoch};
use super::{Fault, Faults, Report, Step, Truth, Vacuity};
use crate::client::{Gap, Place, Via};

pub(super) fn judge(
    truth: &Truth,
    topics: Option<&BTreeSet<String>>,
    steps: &[Step],
    vacuity: &Vacuity,
) -> Result<Report, Faults> {
    let mut judge = Judge {
        truth,
        topics,
        delivered: vec![false; truth.entries.len()],
        due: None,
        pardon: None,
        gaps: Vec::new(),
        connection: Connection::default(),
        report: Report::default(),
        faults: Vec::new(),
    };
    steps.iter().for_each(|step| judge.step(step));
    judge.finish(vacuity)
}

struct Judge<'a> {
    truth: &'a Truth,
    topics: Option<&'a BTreeSet<String>>,
    delivered: Vec<bool>,
    due: Option<usize>,
    pardon: Option<Pardon<'a>>,
    gaps: Vec<ToldGap<'a>>,
    connection: Connection<'a>,
    report: Report,
    faults: Vec<Fault>,
}

/// A gap, when it was seen, and where the reader stood.
struct ToldGap<'a> {
    gap: &'a Gap,
    when: Instant,
    stood_at: Option<&'a str>,
}

struct Pardon<'a> {
    from: usize,
    used_up: BTreeSet<Option<&'a str>>,
}

impl Pardon<'_> {
    fn since(from: usize) -> Self {
        Self { from, used_up: BTreeSet::new() }
    }
}

#[derive(Default)]
struct Connection<'a> {
    via: Option<Via>,
    came: Option<&'a Place>,
    gap_promised: bool,
    ended: bool,
    stands_at: Option<&'a str>,
}

impl<'a> Judge<'a> {
    fn step(&mut self, step: &'a Step) {
        if matches!(step, Step::Event { .. } | Step::Gap(..) | Step::Place { .. } | Step::Open { .. }) {
            if self.connection.ended {
                self.faults.push(Fault::AfterEnd);
            }
            if std::mem::take(&mut self.connection.gap_promised) && !matches!(step, Step::Gap(..)) {
                self.faults.push(Fault::GapMissing);
            }
        }
        match step {
            Step::Begin(via, place) => self.begin(*via, place),
            Step::Open { cursor, outcome } => self.open(cursor, outcome),
            Step::Event { id: None, .. } => self.faults.push(Fault::NoCursor),
            Step::Event { id: Some(id), topic, hash } => self.event(id, topic.as_deref(), *hash),
            Step::Gap(gap, when) => self.gap(gap, *when),
            Step::Place { cursor, live } => self.place(cursor, *live),
            Step::End(cursor) => {
                if let Some(cursor) = cursor {
                    self.place(cursor, false);
                }
                self.connection.ended = true;
            }
            Step::Refused => self.report.refused += 1,
            Step::Broken(why) => self.faults.push(Fault::Broken(why.clone())),
        }
    }

    fn begin(&mut self, via: Via, place: &'a Place) {
        if let Some(before) = self.connection.via {
            self.report.disconnects += 1;
            self.report.switches += usize::from(before != via);
        }
        self.connection = Connection {
            via: Some(via),
            came: Some(place),
            stands_at: place.cursor(),
            ..Connection::default()
        };
        self.pardon = None; // a loss is told again on every connection that it concerns
        match place {
            // The earliest retained owes nothing for what is gone before it.
            Place::Earliest => {
                self.pardon = Some(Pardon::since(0));
                self.due = self.due.or(Some(0));
            }
            // A foreign cursor has no rank; its gap says where reading goes on.
            Place::After(cursor) => self.due = self.due.or(self.truth.rank(cursor)),
            Place::Default | Place::Live | Place::Last(_) => {} // the first place that is said decides
        }
    }

    /// The reader stands here from now on; only a gap leads into another epoch.
    fn stand(&mut self, cursor: &'a str) {
        if self.connection.stands_at.replace(cursor).is_some_and(|before| epoch(before) != epoch(cursor)) {
            self.faults.push(Fault::SilentGap(cursor.to_owned()));
        }
    }

    fn open(&mut self, cursor: &'a str, outcome: &str) {
        let came = self.connection.came.unwrap_or(&Place::Default);
        let honest = match (came.cursor(), outcome) {
            (Some(came), "resumed" | "gap") => came == cursor,
            (None, "fresh") => true,
            _ => false,
        };
        if !honest {
            let (cursor, outcome) = (cursor.to_owned(), outcome.to_owned());
            self.faults.push(Fault::Open { came: came.clone(), cursor, outcome });
        }
        self.connection.gap_promised = outcome == "gap";
        if outcome == "fresh" {
            self.place(cursor, false);
        }
    }

    fn event(&mut self, id: &'a str, topic: Option<&str>, hash: u64) {
        let Some(at) = self.truth.position(id) else {
            return self.faults.push(Fault::Unknown(id.to_owned()));
        };
        self.stand(id);
        let entry = &self.truth.entries[at];
        if !self.wanted(at) {
            self.faults.push(Fault::Stray(id.to_owned()));
        }
        if entry.hash != hash || topic.is_some_and(|topic| entry.topic.as_deref() != Some(topic)) {
            self.faults.push(Fault::Altered(id.to_owned()));
        }
        if self.delivered[at] {
            return self.faults.push(Fault::Duplicate(id.to_owned()));
        }
        let due = *self.due.get_or_insert(at);
        if at < due {
            self.faults.push(Fault::Reordered(id.to_owned()));
        } else {
            self.pass(at);
            self.due = Some(at + 1);
        }
        self.delivered[at] = true;
        self.report.events += 1;
        let link = self.report.chains.entry(entry.topic.clone()).or_default();
        *link = chain(*link, hash);
        if let Some(pardon) = &mut self.pardon {
            pardon.used_up.insert(entry.topic.as_deref());
        }
    }

    fn gap(&mut self, gap: &'a Gap, when: Instant) {
        self.report.gaps += 1;
        let stood_at = self.connection.stands_at.replace(&gap.to);
        self.gaps.push(ToldGap { gap, when, stood_at });
        let from = gap.from.as_deref().and_then(|from| self.truth.rank(from)).unwrap_or(0);
        let to = self.truth.rank(&gap.to).unwrap_or(self.truth.entries.len());
        self.pardon = Some(Pardon::since(from));
        match self.due {
            // The source itself was thrown back: reading goes on at what it has.
            Some(due) if to < due && matches!(gap.reason.as_str(), "epoch" | "diverged") => {
                self.due = Some(to)
            }
            Some(due) if to < due => self.faults.push(Fault::PlaceBack(gap.to.clone())),
            Some(_) => self.pass(to),
            None => self.due = Some(to),
        }
    }

    fn place(&mut self, cursor: &'a str, live: bool) {
        self.stand(cursor);
        if let Some(rank) = self.truth.rank(cursor) {
            match self.due {
                Some(due) if rank < due => self.faults.push(Fault::PlaceBack(cursor.to_owned())),
                Some(_) => self.pass(rank),
                None => self.due = Some(rank),
            }
        }
        if live {
            self.pardon = None;
        }
    }

    /// Moves on to `to` and answers for what lies between.
    fn pass(&mut self, to: usize) {
        let from = self.due.unwrap_or(to);
        for at in (from..to).filter(|at| self.owed(*at)).collect::<Vec<_>>() {
            let entry = &self.truth.entries[at];
            let pardoned = self
                .pardon
                .as_ref()
                .is_some_and(|pardon| pardon.from <= at && !pardon.used_up.contains(&entry.topic.as_deref()));
            match (self.truth.may_be_lost(at), pardoned) {
                (true, true) => self.report.skipped += 1,
                (true, false) => self.faults.push(Fault::SilentGap(entry.cursor.clone())),
                (false, _) => self.faults.push(Fault::Lost(entry.cursor.clone())),
            }
        }
        self.due = Some(from.max(to));
    }

    fn wanted(&self, at: usize) -> bool {
        let topic = self.truth.entries[at].topic.as_ref();
        self.topics.is_none_or(|topics| topic.is_some_and(|topic| topics.contains(topic)))
    }

    fn owed(&self, at: usize) -> bool {
        self.wanted(at) && !self.delivered[at] && !self.truth.entries[at].superseded
    }

    fn finish(mut self, vacuity: &Vacuity) -> Result<Report, Faults> {
        if vacuity.to_the_end && self.due.is_some() {
            self.pass(self.truth.entries.len());
        }
        let false_gaps = self.gaps.iter().filter(|told| !self.is_justified(told));
        self.faults.extend(false_gaps.map(|told| Fault::FalseGap(told.gap.clone())).collect::<Vec<_>>());
        let published = self.published_chains();
        for (topic, link) in &self.report.chains {
            if published.get(topic) != Some(link) {
                self.faults.push(Fault::Chain(topic.clone()));
            }
        }
        for (what, is, least) in [
            ("events", self.report.events, vacuity.min_events),
            ("disconnects", self.report.disconnects, vacuity.min_disconnects),
            ("switches", self.report.switches, vacuity.min_switches),
            ("gaps", self.report.gaps, vacuity.min_gaps),
        ] {
            if is < least {
                self.faults.push(Fault::Vacuous(what, is, least));
            }
        }
        if self.faults.is_empty() { Ok(self.report) } else { Err(Faults(self.faults)) }
    }

    /// A gap is true if something that it may speak of was gone by then and never came; where only the broker could know,
    /// it is believed.
    fn is_justified(&self, ToldGap { gap, when, stood_at }: &ToldGap<'_>) -> bool {
        let since = gap.from.as_deref().map_or(Some(0), |from| self.truth.rank(from));
        let is_from = |from: &str| stood_at.is_none_or(|stood_at| epoch(stood_at) == epoch(from));
        match gap.reason.as_str() {
            "diverged" | "source" => true,
            "epoch" if gap.from.as_deref().is_none_or(|from| epoch(from) != epoch(&gap.to)) => {
                gap.from.as_deref().is_none_or(is_from)
            }
            // Beyond the tail of its own epoch: nothing was published after it.
            "epoch" => since.is_none_or(|since| self.truth.rank_is_tail(since)),
            _ => since.is_none_or(|since| {
                (since..self.delivered.len())
                    .any(|at| self.owed(at) && self.truth.may_be_told_lost(at, *when))
            }),
        }
    }

    fn published_chains(&self) -> BTreeMap<Option<String>, u64> {
        let mut chains = BTreeMap::new();
        for (entry, _) in self.truth.entries.iter().zip(&self.delivered).filter(|(_, delivered)| **delivered)
        {
            let link = chains.entry(entry.topic.clone()).or_default();
            *link = chain(*link, entry.hash);
        }
        chains
    }
}
