//! Peers that mean harm, many of each kind: the right word and out, at a price that is known (G-13, A-06 to ).
//!
//! Beside them sit honest readers on every way, who must not notice.

mod attack;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

pub(super) use self::attack::Attack;
use super::Scenario;
use super::slow::{JOIN_WAIT, until};
use crate::crowd::dial::Dial;
use crate::crowd::{self, Command, Way};
use crate::run::{self, Failure, Figures, Outcome, Run};
use crate::site::{self, Settings, Site, Stamp};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "hostile",
    proves: &["G-13", "A-06", "A-08", "A-09", "A-10", "A-11", "A-23"],
    does: "fragments, giant frames, ping floods, long queries, newline and nesting bombs, resets: refused, and cheap",
    seeds_small: 1,
    seeds_full: 1,
    run,
};

const HONEST: u64 = 5;
/// Attackers of a kind that are there at once.
const AT_ONCE: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);
/// What one may cost.
const BYTES_EACH_MAX: u64 = 1 << 20;
const CPU_EACH_MAX: Duration = Duration::from_millis(50);
/// What all that come at once over HTTP/2 may cost in memory.
const H2_BYTES_MAX: u64 = 32 << 20;
/// How often it is looked what the site holds, and how often an event is published.
const LOOK: Duration = Duration::from_millis(10);
/// Events that honest readers have to see meanwhile, or nothing is known of them.
const EVENTS_MIN: u64 = 20;

fn run(run: &Run) -> Result<Figures, Failure> {
    run::each(run, world)
}

async fn world(run: &Run, seed: u64) -> Outcome<Figures> {
    let (site, addr, _) = site::start(&Settings::new(seed)).await?;
    let mut published = site.publish(1, 64, Stamp::None).await?;
    let honest = [crowd::start(&crowd::Settings::new(addr, &Way::ALL, seed)).await?];
    honest[0].tell(Command::Join(HONEST as usize)).await?;
    crowd::until(&honest, JOIN_WAIT, "not all are there", |tally| tally.live == HONEST).await?;
    let dial = Dial::new(addr, seed);
    // Once before, so that the allocator and the code are warm.
    for attack in Attack::ALL {
        wave(&site, &dial, HONEST, attack, AT_ONCE, &mut published).await?;
    }
    honest[0].tell(Command::Mark).await?;
    let alone = idle(&site, &mut published).await?;
    let p99_alone_us = honest[0].tally().await?.p99_us;
    honest[0].tell(Command::Mark).await?;
    let (mut figures, mut wrong) = (Figures::default(), Vec::new());
    for attack in Attack::ALL {
        let cost = wave(&site, &dial, HONEST, attack, run.pick(16, 64), &mut published).await?;
        let line = cost.line(alone);
        run.tell(format_args!("{}: {line}", attack.name()));
        wrong.extend(cost.wrong(attack, alone).map(|why| format!("{}: {why} ({line})", attack.name())));
        figures = figures.with(attack.name(), line);
    }
    let beside = honest[0].tally().await?;
    let judged = honest[0].judge(&published).await?;
    if beside.untold > 0 || judged.disconnects > 0 {
        return Err(format!("the honest ones noticed: {beside:?}").into());
    }
    if beside.events < EVENTS_MIN * HONEST {
        return Err(format!("vacuous: the honest ones saw {} events", beside.events).into());
    }
    if !wrong.is_empty() {
        return Err(wrong.join("; ").into());
    }
    site.kill().await?;
    Ok(figures
        .with("events to honest readers meanwhile", beside.events)
        .with(
            "their p99 alone, and beside: ms",
            format_args!("{:.1}, {:.1}", p99_alone_us as f64 / 1e3, beside.p99_us as f64 / 1e3),
        )
        .with("of them lost, repeated, out of order", "0, 0, 0"))
}

/// What a wave of one kind came to.
pub(super) struct Cost {
    attackers: u64,
    cpu_us: u64,
    took: Duration,
    growth_bytes: u64,
    /// What each was told.
    words: BTreeMap<String, u64>,
    /// How long the last reader of theirs was there after they had gone.
    gone_after: Duration,
}

impl Cost {
    /// What one cost of a processor, less what the site takes by itself.
    fn cpu_each(&self, alone_per_s: Duration) -> Duration {
        let alone = alone_per_s.mul_f64(self.took.as_secs_f64());
        Duration::from_micros(self.cpu_us).saturating_sub(alone) / self.attackers as u32
    }

    fn line(&self, alone: Duration) -> String {
        let words: Vec<_> = self.words.iter().map(|(word, times)| format!("{word} {times}x")).collect();
        let cpu_ms = self.cpu_each(alone).as_secs_f64() * 1e3;
        let kib = (self.growth_bytes >> 10) / AT_ONCE as u64;
        format!("{}; {cpu_ms:.1} ms of CPU and {kib} KiB each", words.join(", "))
    }

    fn wrong(&self, attack: Attack, alone: Duration) -> Option<String> {
        let told = |word: &&String| attack.right_words().contains(&word.as_str());
        let right: u64 = self.words.iter().filter(|(word, _)| told(word)).map(|(_, times)| times).sum();
        let cut = self.words.get(attack::CUT).copied().unwrap_or(0);
        // Who goes on sending behind a Close may find that the kernel has thrown it away.
        if right + cut < self.attackers || right * 2 < self.attackers {
            return Some("not what they should have been told".into());
        }
        if self.gone_after > Duration::from_secs(1) {
            return Some(format!("their readers were there for {:?} more", self.gone_after));
        }
        let growth = if attack.is_h2() { H2_BYTES_MAX } else { BYTES_EACH_MAX * AT_ONCE as u64 };
        if self.growth_bytes > growth {
            return Some(format!("memory grew by {} bytes", self.growth_bytes));
        }
        let cpu = self.cpu_each(alone);
        (!attack.is_served() && cpu > CPU_EACH_MAX).then(|| format!("{cpu:?} of CPU each"))
    }
}

/// So many of a kind, some at once, while events are published to so many others at the most.
pub(super) async fn wave(
    site: &Site,
    dial: &Dial,
    others: u64,
    attack: Attack,
    attackers: usize,
    published: &mut Vec<(String, String)>,
) -> Outcome<Cost> {
    let before = site.figures().await?;
    let begun = Instant::now();
    let one = || async move { timeout(PATIENCE, attack.run(dial)).await };
    let mut attacking = stream::iter((0..attackers).map(|_| one())).buffer_unordered(AT_ONCE);
    let (mut words, mut rss_bytes) = (BTreeMap::new(), before.rss_bytes);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            told = attacking.next() => match told {
                Some(told) => *words.entry(told??).or_default() += 1,
                None => break,
            },
            _ = look.tick() => {
                published.extend(site.publish(1, 64, Stamp::Now).await?);
                rss_bytes = rss_bytes.max(site.figures().await?.rss_bytes);
            }
        }
    }
    drop(attacking);
    let gone = Instant::now();
    until(site, |figures| figures.readers <= others, "readers of attackers are left").await?;
    let (after, took) = (site.figures().await?, begun.elapsed());
    Ok(Cost {
        attackers: attackers as u64,
        cpu_us: after.cpu_us - before.cpu_us,
        took,
        growth_bytes: rss_bytes.max(after.rss_bytes) - before.rss_bytes,
        words,
        gone_after: gone.elapsed(),
    })
}

/// What the site takes of a processor in a second, with honest readers alone.
async fn idle(site: &Site, published: &mut Vec<(String, String)>) -> Outcome<Duration> {
    let (before, begun) = (site.figures().await?.cpu_us, Instant::now());
    for _ in 0..200 {
        sleep(LOOK).await;
        published.extend(site.publish(1, 64, Stamp::Now).await?);
        site.figures().await?;
    }
    let cpu = Duration::from_micros(site.figures().await?.cpu_us - before);
    Ok(cpu.div_f64(begun.elapsed().as_secs_f64()))
}
