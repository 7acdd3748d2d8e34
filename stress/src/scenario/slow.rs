//! Readers that never read: what they cost is bounded, they are gone soon, and nobody else suffers (G-10, A-04).

use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Scenario;
use crate::crowd::{self, Command, Crowd, Way};
use crate::run::{self, Failure, Figures, Outcome, Run};
use crate::site::{self, Settings, Site, Stamp};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "slow",
    proves: &["G-10", "A-04"],
    does: "a crowd that never reads: memory of server and kernel bounded, all evicted in 15 s, a hundred others lose nothing",
    seeds_small: 1,
    seeds_full: 1,
    run,
};

/// The least that Linux takes; it makes twice of it.
pub(super) const RECEIVE_BYTES: u32 = 2_304;
const HEALTHY: u64 = 100;
/// How long honest readers may take to be there.
pub(super) const JOIN_WAIT: Duration = Duration::from_secs(120);
const EVENT_BYTES: usize = 256;
/// Events that are published at once, and how often.
const BURST: u64 = 8;
const PAUSE: Duration = Duration::from_millis(250);
/// Bursts before the crowd comes, to see how it is without; and those that surely fill whatever holds what is not read.
const BURSTS_ALONE: u64 = 20;
const BURSTS_TO_FILL: u64 = 48;
/// How long those that do not read may be there once they are full.
const EVICTED_WITHIN: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(120);
/// For each that does not read: 256 MiB for ten thousand.
const RSS_GROWTH_EACH_BYTES_MAX: u64 = (256 << 20) / 10_000;
const TCP_BYTES_MAX: u64 = 1 << 30;

fn run(run: &Run) -> Result<Figures, Failure> {
    run::each(run, world)
}

/// What was seen while it went on.
#[derive(Default)]
struct Peaks {
    rss_bytes: u64,
    tcp_bytes: u64,
}

async fn world(run: &Run, seed: u64) -> Outcome<Figures> {
    let sleepers = run.pick(1_000, 10_000_u64);
    let (site, addr, _) = site::start(&Settings::new(seed)).await?;
    let mut published = site.publish(1, EVENT_BYTES, Stamp::None).await?;
    let settings = crowd::Settings::new(addr, &Way::ALL, seed);
    let healthy = crowd::start(&settings).await?;
    healthy.tell(Command::Join(HEALTHY as usize)).await?;
    let healthy = [healthy];
    crowd::until(&healthy, JOIN_WAIT, "not all are there", |tally| tally.live == HEALTHY).await?;
    for _ in 0..BURSTS_ALONE {
        burst(&site, &mut published).await?;
    }
    let alone = healthy[0].tally().await?;
    let (before, tcp_before) = (site.figures().await?, tcp_bytes()?);
    let asleep = [crowd::start(&settings).await?, crowd::start(&settings).await?];
    for crowd in &asleep {
        crowd.tell(Command::Sleep { readers: sleepers as usize / 2, receive_bytes: RECEIVE_BYTES }).await?;
    }
    let there = until(&site, |figures| figures.readers >= sleepers, "the crowd was not let in").await?;
    run.tell(format_args!("{sleepers} that do not read are there: {} MiB", there.rss_bytes >> 20));
    healthy[0].tell(Command::Mark).await?;

    let (first, mut peaks) = (Instant::now(), Peaks::default());
    for _ in 0..BURSTS_TO_FILL {
        burst(&site, &mut published).await?;
        peaks.see(&site).await?;
    }
    let full = Instant::now();
    while site.figures().await?.readers > HEALTHY {
        burst(&site, &mut published).await?;
        peaks.see(&site).await?;
        if full.elapsed() > PATIENCE {
            return Err(
                format!("{} readers are left after {PATIENCE:?}", site.figures().await?.readers).into()
            );
        }
    }
    let (evicted_after, in_all) = (full.elapsed(), first.elapsed());
    let beside = healthy[0].tally().await?;
    let judged = healthy[0].judge(&published).await?;
    let after = site.figures().await?;
    wake(&asleep).await?;
    let (rss, tcp) =
        (peaks.rss_bytes.saturating_sub(before.rss_bytes), peaks.tcp_bytes.saturating_sub(tcp_before));
    let figures = Figures::default()
        .with("readers that do not read, and that do", format_args!("{sleepers}, {HEALTHY}"))
        .with("events published", published.len())
        .with(
            "memory of the server before, at most, after: MiB",
            format_args!("{}, {}, {}", before.rss_bytes >> 20, peaks.rss_bytes >> 20, after.rss_bytes >> 20),
        )
        .with("memory of TCP in the kernel, more than before, at most: MiB", tcp >> 20)
        .with(
            "the last was gone, after all were surely full: s",
            format_args!("{:.1}", evicted_after.as_secs_f64()),
        )
        .with("after the first event: s", format_args!("{:.1}", in_all.as_secs_f64()))
        .with("evictions", after.evictions)
        .with("events to those that read", judged.events)
        .with(
            "their p99 alone, and beside: ms",
            format_args!("{:.1}, {:.1}", alone.p99_us as f64 / 1e3, beside.p99_us as f64 / 1e3),
        )
        .with("lost, repeated, out of order", "0, 0, 0");
    for (name, value) in figures.iter() {
        run.tell(format_args!("{name}: {value}"));
    }
    if after.evictions < sleepers {
        return Err(format!("vacuous: {} evictions", after.evictions).into());
    }
    if rss > RSS_GROWTH_EACH_BYTES_MAX * sleepers || tcp > TCP_BYTES_MAX {
        return Err(format!("the server grew by {rss} bytes, TCP by {tcp}").into());
    }
    if evicted_after > EVICTED_WITHIN {
        return Err(format!("the last one was gone only after {evicted_after:?}").into());
    }
    Ok(figures)
}

/// Publishes a little, and waits a little.
async fn burst(site: &Site, published: &mut Vec<(String, String)>) -> Outcome {
    published.extend(site.publish(BURST, EVENT_BYTES, Stamp::Now).await?);
    sleep(PAUSE).await;
    Ok(())
}

async fn wake(crowds: &[Crowd]) -> Outcome {
    for crowd in crowds {
        crowd.tell(Command::Wake).await?;
    }
    Ok(())
}

/// The site's figures once they are as they should be.
pub(super) async fn until(
    site: &Site,
    is_so: impl Fn(&site::Figures) -> bool,
    what: &str,
) -> Outcome<site::Figures> {
    let begun = Instant::now();
    loop {
        let figures = site.figures().await?;
        if is_so(&figures) {
            return Ok(figures);
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what}: {figures:?}").into());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

impl Peaks {
    async fn see(&mut self, site: &Site) -> Outcome {
        self.rss_bytes = self.rss_bytes.max(site.figures().await?.rss_bytes);
        self.tcp_bytes = self.tcp_bytes.max(tcp_bytes()?);
        Ok(())
    }
}

/// What all of TCP holds in the kernel of this machine.
fn tcp_bytes() -> Outcome<u64> {
    let said = fs::read_to_string("/proc/net/sockstat")?;
    let tcp = said.lines().find(|line| line.starts_with("TCP:")).ok_or("sockstat without TCP")?;
    let pages = tcp.split(' ').skip_while(|word| *word != "mem").nth(1).ok_or("TCP without mem")?;
    Ok(pages.parse::<u64>()? * 4_096)
}
