//! What is dropped before a reader has it is said to that reader, and nothing else is (G-03).
//!
//! A seed is a world of turns. In a turn something is lost: a burst beyond what topics keep, the server's log replaced by
//! an empty one, or its process killed and started again. Then some readers read, and since nothing is lost meanwhile it
//! is known of each connection whether it is owed a gap: it must be told one then, and must not otherwise. Some have
//! stayed connected through the loss and are told in mid-stream. In the end the checker judges everything as well.

mod reader;

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;
use futures_util::future::join_all;
use realtime_tests::checker::{Truth, Vacuity};
use realtime_tests::client::Via;
use realtime_tests::fault::{Cut, FaultProxy, Plan, Way};

use self::reader::{Reader, Stay, Told};
use super::Scenario;
use crate::child::Server;
use crate::run::{self, Failure, Figures, Outcome, Run};
use crate::server::{Command, Item, Settings};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "gaps",
    proves: &["G-03"],
    does: "trims, replaced logs and killed servers: each told to each reader that it concerns, on six ways, none invented",
    seeds_small: 5,
    seeds_full: 20,
    run,
};

const READERS: usize = 12;
const TOPICS: usize = 6;
/// What a topic keeps: a burst is up to three times as long.
const KEPT: usize = 8;
const BURST_MAX: usize = 24;
/// Losses of a seed that concern a reader: a twentieth of what twenty of them prove.
const LOSSES: usize = 500;
/// Turns that come to them at the most: it is a turn in two that trims what somebody has not read.
const TURNS_MAX: usize = 4 * LOSSES;
const EPOCHS_MIN: usize = 30;
/// One connection of so many is cut, somewhere in its first bytes.
const CUT_ONE_OF: u32 = 8;
const CUT_AFTER_MAX: u64 = 2_000;

fn run(run: &Run) -> Result<Figures, Failure> {
    let runtime = run::runtime().map_err(|error| Failure::of(run.seed(), error))?;
    let mut sum = Sum::default();
    for seed in run.seeds() {
        let world = runtime.block_on(world(seed)).map_err(|error| Failure::of(seed, error))?;
        world.is_vacuous().map_err(|why| Failure::of(seed, why))?;
        run.tell(format_args!(
            "seed {seed}: {} trims and {} epochs concerned a reader, {} gaps told",
            world.trims,
            world.replaced + world.killed,
            world.told()
        ));
        sum.add(world);
    }
    Ok(sum.figures(run))
}

/// What happened in a world, or in all of them.
#[derive(Default)]
struct Sum {
    turns: usize,
    trims: usize,
    replaced: usize,
    killed: usize,
    events: usize,
    skipped: usize,
    quiet: usize,
    in_mid_stream: usize,
    lost_before: usize,
    ways: BTreeMap<Via, usize>,
}

impl Sum {
    fn losses(&self) -> usize {
        self.trims + self.replaced + self.killed
    }

    fn told(&self) -> usize {
        self.ways.values().sum()
    }

    fn take(&mut self, told: &Told) {
        self.quiet += told.quiet;
        self.in_mid_stream += told.in_mid_stream;
        self.lost_before += told.lost_before;
        for (via, gaps) in &told.gaps {
            *self.ways.entry(*via).or_default() += gaps;
        }
    }

    fn add(&mut self, other: Self) {
        self.turns += other.turns;
        self.trims += other.trims;
        self.replaced += other.replaced;
        self.killed += other.killed;
        self.events += other.events;
        self.skipped += other.skipped;
        self.quiet += other.quiet;
        self.in_mid_stream += other.in_mid_stream;
        self.lost_before += other.lost_before;
        for (via, gaps) in other.ways {
            *self.ways.entry(via).or_default() += gaps;
        }
    }

    fn is_vacuous(&self) -> Result<(), String> {
        let least = self.ways.values().copied().min().unwrap_or(0);
        for (what, is, least) in [
            ("losses that concern a reader", self.losses(), LOSSES),
            ("changes of epoch", self.replaced + self.killed, EPOCHS_MIN),
            ("ways on which a gap was told", self.ways.len(), Via::SIX.len()),
            ("gaps on the quietest of the ways", least, LOSSES / 10),
            ("gaps in mid-stream", self.in_mid_stream, LOSSES / 10),
            ("connections that were owed no gap", self.quiet, LOSSES / 10),
            ("connections that were lost before they were told", self.lost_before, 1),
        ] {
            if is < least {
                return Err(format!("vacuous: {is} {what}, and it should have been {least}"));
            }
        }
        Ok(())
    }

    fn figures(self, run: &Run) -> Figures {
        let ways = Via::SIX.map(|via| format!("{via} {}", self.ways.get(&via).copied().unwrap_or(0)));
        Figures::default()
            .with("seeds", run.seeds_given())
            .with("turns", self.turns)
            .with("losses that concerned a reader", self.losses())
            .with("of them trims", self.trims)
            .with("of them logs replaced, servers killed", format!("{}, {}", self.replaced, self.killed))
            .with("gaps told", self.told())
            .with("of them by", ways.join(", "))
            .with("of them in mid-stream", self.in_mid_stream)
            .with("connections lost before they were told, and told again", self.lost_before)
            .with("connections that were owed none, and told none", self.quiet)
            .with("events delivered", self.events)
            .with("events that a gap rightly covered", self.skipped)
            .with("silent, invented", "0, 0")
    }
}

/// A server, what it was given, and what it still has.
struct World {
    server: Server,
    truth: Truth,
    kept: BTreeMap<String, VecDeque<String>>,
    newest: Option<String>,
    published: usize,
    rng: Rng,
}

/// What a turn took away.
enum Loss {
    Trimmed(Vec<(String, String)>),
    Replaced,
    Killed,
}

async fn world(seed: u64) -> Outcome<Sum> {
    let mut rng = Rng::with_seed(seed);
    let server = Server::start(Settings { entries_max: Some(KEPT), ..Settings::default() }).await?;
    let cuts = rng.u64(..);
    let proxy = FaultProxy::bind(server.addr(), move |nth| plan(cuts, nth)).await?;
    let topics: Vec<_> = (0..TOPICS).map(|n| format!("t{n}")).collect();
    let mut readers: Vec<_> =
        (0..READERS).map(|_| Reader::new(rng.fork(), &topics, proxy.dialer())).collect();
    let (truth, kept) = (Truth::default(), BTreeMap::new());
    let mut world = World { server, truth, kept, newest: None, published: 0, rng };

    let mut sum = Sum::default();
    world.publish(&topics).await?;
    visit(&mut readers, &world.truth, Stay::ToTheEnd, |_| true).await?;
    while sum.losses() < LOSSES && sum.turns < TURNS_MAX {
        sum.turns += 1;
        let loss;
        (world, loss) = world.lose(&topics).await?;
        match loss {
            Loss::Trimmed(lost) => {
                sum.trims += usize::from(readers.iter().any(|reader| reader.misses(&lost)))
            }
            Loss::Replaced => sum.replaced += 1,
            Loss::Killed => sum.killed += 1,
        }
        let mut draw = world.rng.fork();
        let who = |reader: &Reader| reader.is_connected() || draw.bool();
        visit(&mut readers, &world.truth, Stay::AsDrawn, who).await?;
    }
    visit(&mut readers, &world.truth, Stay::ToTheEnd, |_| true).await?;

    for (nth, reader) in readers.into_iter().enumerate() {
        let (checker, told) = reader.leave();
        let vacuity = Vacuity { min_gaps: 10, min_disconnects: 10, min_switches: 10, ..Vacuity::default() };
        let report =
            checker.finish(&world.truth, vacuity).map_err(|faults| format!("reader {nth}: {faults}"))?;
        sum.events += report.events;
        sum.skipped += report.skipped;
        sum.take(&told);
    }
    world.server.kill().await?;
    Ok(sum)
}

fn plan(seed: u64, nth: usize) -> Plan {
    let mut rng = Rng::with_seed(seed.wrapping_add(nth as u64));
    if rng.u32(..CUT_ONE_OF) > 0 {
        return Plan::default();
    }
    let cut = if rng.bool() { Cut::Fin } else { Cut::Abrupt };
    Plan::default().cut(Way::Down, rng.u64(..CUT_AFTER_MAX), cut)
}

/// Those whom `who` names read, all at once.
async fn visit(
    readers: &mut [Reader],
    truth: &Truth,
    stay: Stay,
    mut who: impl FnMut(&Reader) -> bool,
) -> Outcome {
    let due: Vec<_> = readers.iter_mut().enumerate().filter(|(_, reader)| who(reader)).collect();
    let read = due.into_iter().map(|(nth, reader)| async move {
        reader.read(truth, stay).await.map_err(|why| format!("reader {nth}: {why}"))
    });
    join_all(read).await.into_iter().collect::<Result<(), _>>().map_err(Into::into)
}

impl World {
    /// Something is lost; what there is now is published behind it.
    async fn lose(mut self, topics: &[String]) -> Outcome<(Self, Loss)> {
        match self.rng.u8(..20) {
            0 => {
                self.forget();
                self.server.tell(Command::Forget).await?;
                self.publish(topics).await?;
                Ok((self, Loss::Replaced))
            }
            1 => {
                self.forget();
                self.server = self.server.restart().await?;
                self.publish(topics).await?;
                Ok((self, Loss::Killed))
            }
            _ => {
                let lost = self.publish(topics).await?;
                Ok((self, Loss::Trimmed(lost)))
            }
        }
    }

    /// All is about to go.
    fn forget(&mut self) {
        if let Some(newest) = &self.newest {
            self.truth.lose_now(None, newest);
        }
        self.kept.clear();
    }

    /// Publishes a burst on one to three topics, all at once, and returns what fell out by it: its topic and its place.
    async fn publish(&mut self, topics: &[String]) -> Outcome<Vec<(String, String)>> {
        let mut items = Vec::new();
        for _ in 0..self.rng.usize(1..=3) {
            let topic = self.rng.choice(topics).ok_or("a world has topics")?;
            for _ in 0..self.rng.usize(1..=BURST_MAX) {
                items.push(Item { topic: topic.clone(), text: format!("event {}", self.published) });
                self.published += 1;
            }
        }
        // It is known before it happens: a gap may be seen before we hear of the places.
        let mut lost = Vec::new();
        for topic in topics {
            let kept = self.kept.entry(topic.clone()).or_default();
            let new = items.iter().filter(|item| &item.topic == topic).count();
            let old = (kept.len() + new).saturating_sub(KEPT).min(kept.len());
            lost.extend(kept.drain(..old).map(|cursor| (topic.clone(), cursor)));
        }
        for (topic, cursor) in &lost {
            self.truth.lose_now(Some(topic), cursor);
        }
        let told: Vec<_> = items.iter().map(|item| (item.topic.clone(), item.text.clone())).collect();
        let cursors = self.server.publish(items).await?;
        if cursors.len() != told.len() {
            return Err(format!("{} places for {} events", cursors.len(), told.len()).into());
        }
        for (cursor, (topic, text)) in cursors.iter().zip(told) {
            self.truth.publish(cursor, Some(&topic), text.as_bytes());
            let kept = self.kept.entry(topic.clone()).or_default();
            kept.push_back(cursor.clone());
            // A burst longer than what is kept loses of its own: nobody was connected to whom it came before.
            if kept.len() > KEPT
                && let Some(cursor) = kept.pop_front()
            {
                self.truth.lose(Some(&topic), &cursor);
                lost.push((topic, cursor));
            }
        }
        self.newest = cursors.last().cloned();
        Ok(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Sum {
        Sum {
            trims: LOSSES,
            replaced: EPOCHS_MIN,
            quiet: LOSSES,
            in_mid_stream: LOSSES,
            lost_before: 1,
            ways: Via::SIX.into_iter().map(|via| (via, LOSSES)).collect(),
            ..Sum::default()
        }
    }

    #[test]
    fn a_world_in_which_too_little_happened_is_vacuous() {
        assert_eq!(full().is_vacuous(), Ok(()));
        let mut one_way_less = full();
        one_way_less.ways.remove(&Via::SIX[3]);
        for (sum, what) in [
            (Sum { trims: 0, ..full() }, "losses that concern a reader"),
            (Sum { replaced: 0, ..full() }, "changes of epoch"),
            (Sum { in_mid_stream: 0, ..full() }, "gaps in mid-stream"),
            (Sum { quiet: 0, ..full() }, "connections that were owed no gap"),
            (Sum { lost_before: 0, ..full() }, "connections that were lost before they were told"),
            (one_way_less, "ways on which a gap was told"),
        ] {
            let why = sum.is_vacuous().unwrap_err();
            assert!(why.starts_with("vacuous: ") && why.contains(what), "{why}");
        }
    }

    #[test]
    fn a_seed_has_the_same_plan_again() {
        let plans = |seed| (0..100).map(|nth| format!("{:?}", plan(seed, nth))).collect::<Vec<_>>();
        assert_eq!(plans(1), plans(1));
        assert_ne!(plans(1), plans(2));
    }
}
