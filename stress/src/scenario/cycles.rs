//! Connections that come, read a little and go, by the hundred thousand: nothing of them is left (G-25).
//!
//! One site; a warm-up, so that the allocator has what it will have, and then so many cycles per seed. Each connects from
//! an address of its own, is told something or waits a moment, and drops everything. When nobody is there any more,
//! tasks, descriptors and subscriptions have to be what they were, and memory nearly so.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use futures_util::{StreamExt, stream};
use realtime_tests::client::{Http, Place, Reader, SseForm, Target, Transport, Via};
use tokio::time::{Instant, sleep, timeout};

use super::Scenario;
use crate::crowd::dial::Dial;
use crate::run::{self, Failure, Figures, Outcome, Run};
use crate::site::{self, Settings, Site, Stamp};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "cycles",
    proves: &["G-25"],
    does: "connects, subscribes and drops, over and over, on eight ways: tasks, descriptors, readers and memory come back",
    seeds_small: 1,
    seeds_full: 20,
    run,
};

/// Cycles of a seed: a twentieth of what twenty of them prove.
const CYCLES: usize = 10_000;
const WARM_UP: usize = 20_000;
/// How many go on at once.
const AT_ONCE: usize = 32;
/// The longest that one which is told nothing stays.
const STAY_MS_MAX: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the last ones may take to be gone, and how often it is looked.
const QUIET_WAIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// What memory may grow by: a twentieth, or this.
const GROWTH_BYTES_MIN: u64 = 2 << 20;

fn run(run: &Run) -> Result<Figures, Failure> {
    let runtime = run::runtime().map_err(|error| Failure::of(run.seed(), error))?;
    runtime.block_on(world(run)).map_err(|error| Failure::of(run.seed(), error))
}

async fn world(run: &Run) -> Outcome<Figures> {
    let (site, addr, _) = site::start(&Settings::new(run.seed())).await?;
    site.publish(4, 64, Stamp::None).await?;
    let fresh = site.figures().await?;
    let mut rng = Rng::with_seed(run.seed());
    let dial = Dial::new(addr, run.seed());
    round(&dial, &mut rng, WARM_UP).await?;
    let before = quiet(&site, &fresh).await?;
    run.tell(format_args!("warmed up by {WARM_UP} cycles: {} KiB", before.rss_bytes >> 10));
    let (mut cycles, mut ways) = (0, BTreeMap::new());
    for seed in run.seeds() {
        for (via, times) in round(&dial, &mut Rng::with_seed(seed), CYCLES).await? {
            *ways.entry(via).or_insert(0) += times;
            cycles += times;
        }
        run.tell(format_args!("{cycles} cycles: {} KiB", site.figures().await?.rss_bytes >> 10));
    }
    let after = quiet(&site, &fresh).await?;
    let allowed = before.rss_bytes + (before.rss_bytes / 20).max(GROWTH_BYTES_MIN);
    if after.rss_bytes > allowed {
        return Err(format!(
            "{} bytes of memory after {cycles} cycles, and {} before",
            after.rss_bytes, before.rss_bytes
        )
        .into());
    }
    if let Some((via, _)) =
        WAYS.map(|via| (via, ways.get(&via).copied().unwrap_or(0))).iter().find(|way| way.1 * 16 < cycles)
    {
        return Err(format!("vacuous: {via} was hardly taken").into());
    }
    site.kill().await?;
    let ways: Vec<_> = ways.iter().map(|(via, times)| format!("{via} {times}")).collect();
    Ok(Figures::default()
        .with("cycles of warm-up", WARM_UP)
        .with("cycles", cycles)
        .with("of them by", ways.join(", "))
        .with("tasks before any, after all", format_args!("{}, {}", fresh.tasks, after.tasks))
        .with("descriptors before any, after all", format_args!("{}, {}", fresh.files, after.files))
        .with("threads before any, after all", format_args!("{}, {}", fresh.threads, after.threads))
        .with("readers and subscriptions after all", format_args!("{}, {}", after.readers, after.subscribed))
        .with(
            "memory after the warm-up, after all: KiB",
            format_args!("{}, {}", before.rss_bytes >> 10, after.rss_bytes >> 10),
        ))
}

/// What is left once nobody is there any more.
async fn quiet(site: &Site, fresh: &site::Figures) -> Outcome<site::Figures> {
    let begun = Instant::now();
    loop {
        let figures = site.figures().await?;
        if figures.is_as_quiet_as(fresh) {
            return Ok(figures);
        }
        if begun.elapsed() > QUIET_WAIT {
            return Err(format!(
                "something is left after {QUIET_WAIT:?}: {figures:?}; before any: {fresh:?}"
            )
            .into());
        }
        sleep(LOOK).await;
    }
}

/// The eight that differ: the six, and the polls as streams of HTTP/2.
const WAYS: [Via; 8] = [
    Via::SIX[0],
    Via::SIX[1],
    Via::SIX[2],
    Via::SIX[3],
    Via::SIX[4],
    Via::SIX[5],
    Via { transport: Transport::Poll, http: Http::Two },
    Via { transport: Transport::LongPoll, http: Http::Two },
];

/// So many cycles, some at once, and how many went each way.
async fn round(dial: &Dial, rng: &mut Rng, cycles: usize) -> Outcome<BTreeMap<Via, usize>> {
    let mut ways = BTreeMap::new();
    let mut cycling = stream::iter((0..cycles).map(|_| cycle(dial, rng.fork()))).buffer_unordered(AT_ONCE);
    while let Some(via) = cycling.next().await {
        *ways.entry(via?).or_insert(0) += 1;
    }
    Ok(ways)
}

async fn cycle(dial: &Dial, mut rng: Rng) -> Outcome<Via> {
    let via = WAYS[rng.usize(..WAYS.len())];
    let target = Target { http: via.http, sse: SseForm::Envelope, ..Target::new(dial.dialer(), "/events") };
    // A long-poll at the tail waits, and is left in the middle of it.
    let waits = via.transport == Transport::LongPoll && rng.bool();
    let place = if waits { Place::Live } else { Place::Earliest };
    let mut reader = timeout(PATIENCE, Reader::connect(via.transport, &target, place)).await?;
    if waits {
        // That it is still waiting when this is over is what should be.
        let _ = timeout(Duration::from_millis(rng.u64(..STAY_MS_MAX)), reader.next()).await;
    } else if timeout(PATIENCE, reader.next()).await?.is_none() {
        return Err(format!("{via}: nothing came: {:?}", reader.over()).into());
    }
    Ok(via)
}
