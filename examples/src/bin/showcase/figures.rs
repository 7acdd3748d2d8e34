//! The machine's own figures, published from a plain thread: a log needs no runtime.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use realtime_core::Event;
use serde::Serialize;
use sysinfo::{Networks, System};

use crate::restart::Restartable;

/// The name of the event.
pub(crate) const FIGURES: &str = "figures";

/// One sample. Every transport carries the same bytes of it.
#[derive(Debug, Serialize)]
struct Figures {
    /// 1, 2, 3 and so on: by it the page counts what was lost and what came twice.
    seq: u64,
    /// When it was published: milliseconds since 1970, with microseconds behind the point.
    at: f64,
    /// How long until the next one, in milliseconds.
    every_ms: u64,
    /// Percent of each core.
    cpu: Vec<f32>,
    mem: Memory,
    net: Network,
    /// Load average over one minute.
    load: f64,
}

/// Bytes.
#[derive(Debug, Serialize)]
struct Memory {
    used: u64,
    total: u64,
}

/// Bytes a second, over all interfaces but the loopback.
#[derive(Debug, Serialize)]
struct Network {
    received: u64,
    sent: u64,
}

/// How often the machine is looked at; a page may change it.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Mutex<Duration>,
    changed: Condvar,
}

impl Pace {
    /// Four times a second.
    const USUAL: Duration = Duration::from_millis(250);
    /// Below this the figures of a core mean nothing.
    pub(crate) const FASTEST: Duration = sysinfo::MINIMUM_CPU_UPDATE_INTERVAL;
    /// Slow enough to see what polling does while nothing happens.
    pub(crate) const SLOWEST: Duration = Duration::from_secs(10);

    /// Takes effect at once. What is too fast or too slow is set to the bound.
    pub(crate) fn set(&self, every: Duration) -> Duration {
        let every = every.clamp(Self::FASTEST, Self::SLOWEST);
        *self.every.lock().unwrap_or_else(PoisonError::into_inner) = every;
        self.changed.notify_all();
        every
    }

    pub(crate) fn get(&self) -> Duration {
        *self.every.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until the next sample is due, counted from the last one.
    fn sleep(&self, last: Instant) {
        let mut every = self.every.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = every.saturating_sub(last.elapsed());
            if left.is_zero() {
                return;
            }
            every = self.changed.wait_timeout(every, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { every: Mutex::new(Self::USUAL), changed: Condvar::new() }
    }
}

/// Begins to publish; ends when a log is closed.
///
/// # Errors
/// The operating system gives no thread.
pub(crate) fn publish_from_a_thread(logs: Restartable, pace: Arc<Pace>) -> io::Result<()> {
    thread::Builder::new().name(FIGURES.into()).spawn(move || publish(&logs, &pace)).map(drop)
}

fn publish(logs: &Restartable, pace: &Pace) {
    let mut machine = Machine::new();
    for seq in 1_u64.. {
        // The processors' figures are the work since the last look, so the first look comes a pause later.
        pace.sleep(machine.looked);
        let figures = machine.look(seq, pace.get());
        let event = Event::json(FIGURES, &figures).expect("numbers in objects are JSON");
        if logs.log().publish(event).is_err() {
            return;
        }
    }
}

/// What is needed to tell how much there was since the last look.
struct Machine {
    system: System,
    networks: Networks,
    looked: Instant,
}

impl Machine {
    fn new() -> Self {
        let mut system = System::new();
        system.refresh_cpu_usage();
        Self { system, networks: Networks::new_with_refreshed_list(), looked: Instant::now() }
    }

    fn look(&mut self, seq: u64, every: Duration) -> Figures {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.networks.refresh(true);
        let seconds = self.looked.elapsed().as_secs_f64().max(0.001);
        self.looked = Instant::now();
        let outside = || self.networks.iter().filter(|(name, _)| !matches!(name.as_str(), "lo" | "lo0"));
        let per_second = |bytes: u64| (bytes as f64 / seconds) as u64;
        Figures {
            seq,
            cpu: self.system.cpus().iter().map(|cpu| round(cpu.cpu_usage())).collect(),
            mem: Memory { used: self.system.used_memory(), total: self.system.total_memory() },
            net: Network {
                received: per_second(outside().map(|(_, network)| network.received()).sum()),
                sent: per_second(outside().map(|(_, network)| network.transmitted()).sum()),
            },
            load: System::load_average().one,
            every_ms: millis(every) as u64,
            // Last, so that the delay which the page shows is the transport's alone.
            at: now_ms(),
        }
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub(crate) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, millis)
}

/// With microseconds behind the point.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

/// To a tenth of a percent: what is to be seen, and no more bytes than that.
fn round(percent: f32) -> f32 {
    (percent * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_stays_within_its_bounds() {
        let pace = Pace::default();
        assert_eq!(pace.set(Duration::ZERO), Pace::FASTEST);
        assert_eq!(pace.set(Duration::from_secs(3600)), Pace::SLOWEST);
        assert_eq!(pace.get(), Pace::SLOWEST);
    }
}
