//! Readers that come, go and change the way they read, behind a network that breaks: nothing lost, repeated or out of
//! order (G-01).
//!
//! A seed is a world: one server, one proxy whose every connection has a fault of its own, and readers of some topics
//! each. While events are published each reader stays for some events or some time, leaves, and comes back at its place
//! on any of six ways. When all is published it reads on to the end, and the checker judges all that it saw.

mod fault;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use realtime_tests::checker::{Report, Truth};
use realtime_tests::client::Via;
use realtime_tests::fault::FaultProxy;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::fault::Weather;
use self::reader::{Reader, Seen};
use super::Scenario;
use crate::child::Server;
use crate::run::{self, Failure, Figures, Outcome, Run};
use crate::server::{Item, Settings};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "churn",
    proves: &["G-01"],
    does: "readers leave, come back and switch among six ways through a proxy that cuts, stalls, slices, resets and slows",
    seeds_small: 3,
    seeds_full: 20,
    run,
};

const READERS: usize = 48;
const TOPICS: usize = 8;
const EVENTS: usize = 4_000;
/// Events that are published at once, and the longest pause before the next of them.
const BURST_MAX: usize = 8;
const PAUSE_MS_MAX: u64 = 25;
/// How long readers may take to come to the end once all is published. A stall lasts as long as a reader's patience, and
/// most connections have a fault.
const END_WAIT: Duration = Duration::from_secs(60);

/// What a seed has to come to: a twentieth of what twenty of them prove.
const DELIVERED_MIN: usize = 50_000;
const DISCONNECTS_MIN: usize = 500;
const SWITCHES_MIN: usize = 250;
const EACH_FAULT_MIN: u64 = 10;

fn run(run: &Run) -> Result<Figures, Failure> {
    let runtime = run::runtime().map_err(|error| Failure::of(run.seed(), error))?;
    let mut sum = Sum::default();
    for seed in run.seeds() {
        let world = runtime.block_on(world(seed)).map_err(|error| Failure::of(seed, error))?;
        world.is_vacuous().map_err(|why| Failure::of(seed, why))?;
        run.tell(format_args!(
            "seed {seed}: {} delivered, {} disconnects, {} switches",
            world.delivered, world.disconnects, world.switches
        ));
        sum.add(world);
    }
    Ok(sum.figures(run))
}

/// What happened in a world, or in all of them.
#[derive(Default)]
struct Sum {
    published: usize,
    delivered: usize,
    disconnects: usize,
    switches: usize,
    ways: BTreeMap<Via, u64>,
    pairs: BTreeSet<(Via, Via)>,
    faults: BTreeMap<&'static str, u64>,
    rss_bytes_max: u64,
}

impl Sum {
    fn take(&mut self, report: &Report, seen: &Seen) {
        self.delivered += report.events;
        self.disconnects += report.disconnects;
        self.switches += report.switches;
        for (via, events) in &seen.events {
            *self.ways.entry(*via).or_default() += events;
        }
        self.pairs.extend(&seen.pairs);
    }

    fn add(&mut self, other: Self) {
        self.published += other.published;
        self.delivered += other.delivered;
        self.disconnects += other.disconnects;
        self.switches += other.switches;
        self.rss_bytes_max = self.rss_bytes_max.max(other.rss_bytes_max);
        self.pairs.extend(other.pairs);
        for (via, events) in other.ways {
            *self.ways.entry(via).or_default() += events;
        }
        for (fault, times) in other.faults {
            *self.faults.entry(fault).or_default() += times;
        }
    }

    /// A world in which too little happened shows nothing.
    fn is_vacuous(&self) -> Result<(), String> {
        let mut counted = vec![
            ("delivered events", self.delivered, DELIVERED_MIN),
            ("disconnects", self.disconnects, DISCONNECTS_MIN),
            ("switches", self.switches, SWITCHES_MIN),
            ("ways that were read on", self.ways.len(), Via::SIX.len()),
        ];
        counted.extend(Weather::FAULTS.map(|fault| {
            (fault, self.faults.get(fault).map_or(0, |times| *times as usize), EACH_FAULT_MIN as usize)
        }));
        match counted.into_iter().find(|(_, is, least)| is < least) {
            Some((what, is, least)) => Err(format!("vacuous: {is} {what}, and it should have been {least}")),
            None => Ok(()),
        }
    }

    fn figures(self, run: &Run) -> Figures {
        let ways =
            Via::SIX.map(|via| format!("{via} {}", self.ways.get(&via).copied().unwrap_or(0))).join(", ");
        let faults = self
            .faults
            .iter()
            .map(|(fault, times)| format!("{fault} {times}"))
            .collect::<Vec<_>>()
            .join(", ");
        Figures::default()
            .with("seeds", run.seeds_given())
            .with("readers per seed", READERS)
            .with("events published", self.published)
            .with("events delivered", self.delivered)
            .with("of them by", ways)
            .with("disconnects", self.disconnects)
            .with("switches", self.switches)
            .with("pairs of ways that were switched between, of 30", self.pairs.len())
            .with("connections with a fault", faults)
            .with("memory of the server at the end of a seed, at most: MiB", self.rss_bytes_max >> 20)
            .with("lost, repeated, out of order", "0, 0, 0")
    }
}

async fn world(seed: u64) -> Outcome<Sum> {
    let mut rng = Rng::with_seed(seed);
    let server = Server::start(Settings {
        entries_max: Some(EVENTS),
        heartbeat_ms: Some(1_000),
        ..Settings::default()
    })
    .await?;
    let weather = Weather::of(rng.u64(..));
    let planned = weather.clone();
    let proxy = FaultProxy::bind(server.addr(), move |nth| planned.plan(nth)).await?;

    let (end, ended) = watch::channel(false);
    let mut readers = JoinSet::new();
    for nth in 0..READERS {
        let reader = Reader::new(rng.fork(), &topics(), proxy.dialer());
        let ended = ended.clone();
        readers.spawn(async move { (nth, reader.read(ended).await) });
    }
    let truth = publish(&server, &mut rng).await?;
    end.send_replace(true);

    let mut sum = Sum { published: EVENTS, ..Sum::default() };
    let all = async {
        while let Some(read) = readers.join_next().await {
            let (nth, (checker, seen)) = read?;
            let vacuity = seen.vacuity();
            let report =
                checker.finish(&truth, vacuity).map_err(|faults| format!("reader {nth}: {faults}"))?;
            sum.take(&report, &seen);
        }
        Outcome::Ok(())
    };
    timeout(END_WAIT, all)
        .await
        .map_err(|_| format!("a reader did not come to the end within {END_WAIT:?}"))??;
    sum.faults = weather.happened(proxy.links());
    sum.rss_bytes_max = server.figures().await?.rss_bytes;
    server.kill().await?;
    Ok(sum)
}

fn topics() -> Vec<String> {
    (0..TOPICS).map(|n| format!("t{n}")).collect()
}

/// Publishes everything, in bursts with pauses between, and writes it down.
async fn publish(server: &Server, rng: &mut Rng) -> Outcome<Truth> {
    let (mut truth, topics, mut published) = (Truth::default(), topics(), 0);
    while published < EVENTS {
        let burst = rng.usize(1..=BURST_MAX).min(EVENTS - published);
        let items: Vec<_> = (published..published + burst)
            .map(|n| Item { topic: topics[rng.usize(..TOPICS)].clone(), text: text(n, rng) })
            .collect();
        published += burst;
        let texts: Vec<_> = items.iter().map(|item| (item.topic.clone(), item.text.clone())).collect();
        let cursors = server.publish(items).await?;
        if cursors.len() != texts.len() {
            return Err(format!("{} places for {} events", cursors.len(), texts.len()).into());
        }
        for (cursor, (topic, text)) in cursors.iter().zip(texts) {
            truth.publish(cursor, Some(&topic), text.as_bytes());
        }
        sleep(Duration::from_millis(rng.u64(..PAUSE_MS_MAX))).await;
    }
    Ok(truth)
}

/// A payload that is unlike any other; now and then a long one, with what SSE and JSON have to escape.
fn text(n: usize, rng: &mut Rng) -> String {
    let filler = if rng.u8(..32) == 0 { rng.usize(..4_096) } else { rng.usize(..64) };
    format!("{n}\n\"ä\u{1F980}\" {}", "x".repeat(filler))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Sum {
        Sum {
            delivered: DELIVERED_MIN,
            disconnects: DISCONNECTS_MIN,
            switches: SWITCHES_MIN,
            ways: Via::SIX.into_iter().map(|via| (via, 1)).collect(),
            faults: Weather::FAULTS.into_iter().map(|fault| (fault, EACH_FAULT_MIN)).collect(),
            ..Sum::default()
        }
    }

    #[test]
    fn a_world_in_which_too_little_happened_is_vacuous() {
        assert_eq!(full().is_vacuous(), Ok(()));
        let (mut one_way_less, mut one_fault_less) = (full(), full());
        one_way_less.ways.remove(&Via::SIX[5]);
        one_fault_less.faults.remove("stall");
        for (sum, what) in [
            (Sum { delivered: DELIVERED_MIN - 1, ..full() }, "delivered events"),
            (Sum { disconnects: DISCONNECTS_MIN - 1, ..full() }, "disconnects"),
            (Sum { switches: SWITCHES_MIN - 1, ..full() }, "switches"),
            (one_way_less, "ways that were read on"),
            (one_fault_less, "stall"),
        ] {
            let why = sum.is_vacuous().unwrap_err();
            assert!(why.starts_with("vacuous: ") && why.contains(what), "{why}");
        }
    }

    #[test]
    fn twenty_seeds_come_to_what_is_promised() {
        let seeds = usize::try_from(SCENARIO.seeds_full).unwrap();
        assert!(
            DELIVERED_MIN * seeds >= 1_000_000
                && DISCONNECTS_MIN * seeds >= 10_000
                && SWITCHES_MIN * seeds >= 5_000
        );
    }
}
