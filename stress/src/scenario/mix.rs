//! All that is hostile at once, under a bound of memory: the server lives, and is itself again when they have gone
//! (G-14, A-27).
//!
//! The bound is the kernel's limit on data (`prlimit --data`): heap and stacks, in place of a cgroup's on memory, which
//! would count the sockets' buffers too. An allocation beyond it fails, and that ends the process, so that it cannot be
//! passed over.

use std::time::Duration;

use tokio::process::Command as Program;
use tokio::time::{Instant, sleep};

use super::Scenario;
use super::hostile::{Attack, wave};
use super::slow::{JOIN_WAIT, RECEIVE_BYTES, until};
use crate::crowd::dial::Dial;
use crate::crowd::{self, Command, Way};
use crate::run::{self, Failure, Figures, Outcome, Run};
use crate::site::{self, Settings, Site, Stamp};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "mix",
    proves: &["G-14", "A-27"],
    does: "readers that never read and every attack at once, the server bound to 512 MiB: no death, and back to what it was",
    seeds_small: 1,
    seeds_full: 1,
    run,
};

const DATA_BYTES_MAX: u64 = 512 << 20;
const HEALTHY: u64 = 100;
/// Attackers of each kind in a round.
const ATTACKERS: usize = 8;
/// Events that are published with each attack: enough that those who do not read are full after a round of them.
const BURST: u64 = 16;
const EVENT_BYTES: usize = 256;
/// Events between the rounds, to see how it is without, and how often.
const QUIET_EVENTS: usize = 40;
const QUIET_PAUSE: Duration = Duration::from_millis(25);
/// What may be allocated beyond the base line: a twentieth, or this. The resident memory is told and not judged: an allocator keeps what it
/// once had, and how much differs from run to run by more than this.
const GROWTH_BYTES_MIN: u64 = 2 << 20;
const ROUNDS_OF_WARM_UP: usize = 2;
/// What the log keeps, so that what it holds is the same before and after.
const ENTRIES_MAX: usize = 4_000;
/// How long those who do not read may be there: until they are full, and evicted.
const ROUND_WAIT: Duration = Duration::from_secs(40);
const RECOVERY_WAIT: Duration = Duration::from_secs(60);

fn run(run: &Run) -> Result<Figures, Failure> {
    run::each(run, world)
}

async fn world(run: &Run, seed: u64) -> Outcome<Figures> {
    let mut bounded = Program::new("prlimit");
    bounded.arg(format!("--data={DATA_BYTES_MAX}")).arg(std::env::current_exe()?).arg(site::NAME);
    let (site, addr, _) =
        site::start_as(bounded, &Settings { entries_max: ENTRIES_MAX, ..Settings::new(seed) })
            .await
            .map_err(|error| format!("prlimit (util-linux) is needed to bound the server: {error}"))?;
    let mut published = site.publish(1, EVENT_BYTES, Stamp::None).await?;
    let settings = crowd::Settings::new(addr, &Way::ALL, seed);
    let healthy = [crowd::start(&settings).await?];
    healthy[0].tell(Command::Join(HEALTHY as usize)).await?;
    crowd::until(&healthy, JOIN_WAIT, "not all are there", |tally| tally.live == HEALTHY).await?;
    let asleep = crowd::start(&settings).await?;
    let storm =
        Storm { site: &site, dial: Dial::new(addr, seed), asleep: &asleep, sleepers: run.pick(500, 2_000) };

    // First rounds, so that the allocator has what it will have; the log is full before them.
    while published.len() <= ENTRIES_MAX {
        published.extend(site.publish(BURST * 4, EVENT_BYTES, Stamp::None).await?);
        sleep(QUIET_PAUSE).await;
    }
    for _ in 0..ROUNDS_OF_WARM_UP {
        storm.round(&mut published).await?;
    }
    let before = storm.over(&mut published).await?;
    run.tell(format_args!(
        "warmed up: {:.1} MiB, {:.1} of them in use",
        mib(before.rss_bytes),
        mib(before.heap_bytes)
    ));
    healthy[0].tell(Command::Mark).await?;
    for _ in 0..QUIET_EVENTS {
        published.extend(site.publish(1, EVENT_BYTES, Stamp::Now).await?);
        sleep(QUIET_PAUSE).await;
    }
    let p99_alone_us = healthy[0].tally().await?.p99_us;
    healthy[0].tell(Command::Mark).await?;
    let (begun, mut rounds, mut rss_bytes) = (Instant::now(), 0, 0);
    let lasts = Duration::from_secs(run.pick(15, 600));
    while begun.elapsed() < lasts {
        rss_bytes = storm.round(&mut published).await?.max(rss_bytes);
        rounds += 1;
        let settled = storm.over(&mut published).await?;
        run.tell(format_args!(
            "round {rounds}: at most {:.1} MiB, then {:.1}, {:.1} of them in use",
            mib(rss_bytes),
            mib(settled.rss_bytes),
            mib(settled.heap_bytes)
        ));
    }
    let beside = healthy[0].tally().await?;
    let after = storm.recovered(&before, &mut published).await?;
    let judged = healthy[0].judge(&published).await?;
    if after.evictions == 0 || judged.events < published.len() * HEALTHY as usize {
        return Err(format!("vacuous: {} evictions, {} events", after.evictions, judged.events).into());
    }
    let sleepers = storm.sleepers;
    site.kill().await?;
    Ok(Figures::default()
        .with(
            "readers that do not read in a round, and attackers",
            format_args!("{}, {}", sleepers, ATTACKERS * Attack::ALL.len()),
        )
        .with("rounds", rounds)
        .with("evictions", after.evictions)
        .with("bound of data: MiB", DATA_BYTES_MAX >> 20)
        .with(
            "memory before, at most, after: MiB",
            format_args!("{:.1}, {:.1}, {:.1}", mib(before.rss_bytes), mib(rss_bytes), mib(after.rss_bytes)),
        )
        .with(
            "of them allocated before, after: MiB",
            format_args!("{:.1}, {:.1}", mib(before.heap_bytes), mib(after.heap_bytes)),
        )
        .with("events to a hundred that read", judged.events)
        .with(
            "their p99 alone, and beside: ms",
            format_args!("{:.1}, {:.1}", p99_alone_us as f64 / 1e3, beside.p99_us as f64 / 1e3),
        )
        .with("lost, repeated, out of order", "0, 0, 0"))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

struct Storm<'a> {
    site: &'a Site,
    dial: Dial,
    asleep: &'a crowd::Crowd,
    sleepers: usize,
}

impl Storm<'_> {
    /// Everybody at once, until those who do not read are evicted; and the most memory that was seen.
    async fn round(&self, published: &mut Vec<(String, String)>) -> Outcome<u64> {
        self.asleep.tell(Command::Sleep { readers: self.sleepers, receive_bytes: RECEIVE_BYTES }).await?;
        let (begun, mut rss_bytes) = (Instant::now(), 0);
        until(self.site, |figures| figures.readers >= self.sleepers as u64, "they were not let in").await?;
        let others = HEALTHY + self.sleepers as u64;
        while self.site.figures().await?.readers > HEALTHY {
            for attack in Attack::ALL {
                published.extend(self.site.publish(BURST, EVENT_BYTES, Stamp::Now).await?);
                // What they are told is judged elsewhere.
                wave(self.site, &self.dial, others, attack, ATTACKERS, published).await?;
                rss_bytes = rss_bytes.max(self.site.figures().await?.rss_bytes);
            }
            if begun.elapsed() > ROUND_WAIT {
                return Err(format!("who does not read is there after {ROUND_WAIT:?}").into());
            }
        }
        self.asleep.tell(Command::Wake).await?;
        Ok(rss_bytes)
    }

    /// Nobody but the healthy is left.
    async fn over(&self, published: &mut Vec<(String, String)>) -> Outcome<site::Figures> {
        published.extend(self.site.publish(1, EVENT_BYTES, Stamp::Now).await?);
        until(self.site, |figures| figures.readers <= HEALTHY, "readers are left").await
    }

    /// The same, and what is allocated is what it was.
    async fn recovered(
        &self,
        before: &site::Figures,
        published: &mut Vec<(String, String)>,
    ) -> Outcome<site::Figures> {
        let begun = Instant::now();
        let allowed = before.heap_bytes + (before.heap_bytes / 20).max(GROWTH_BYTES_MIN);
        loop {
            let now = self.over(published).await?;
            if now.heap_bytes <= allowed {
                return Ok(now);
            }
            if begun.elapsed() > RECOVERY_WAIT {
                return Err(format!(
                    "{} bytes stay allocated; it were {} ({} resident, {} before)",
                    now.heap_bytes, before.heap_bytes, now.rss_bytes, before.rss_bytes
                )
                .into());
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
}
