//! What readers count together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::Tally;

/// How a reader was told to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    End,
    Answer,
    Status,
}

/// The counters of a crowd.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) live: AtomicU64,
    pub(super) asleep: AtomicU64,
    pub(super) closed_with_place: AtomicU64,
    pub(super) untold: AtomicU64,
    pub(super) back: AtomicU64,
    pub(super) events: AtomicU64,
    told: [AtomicU64; 3],
    marks: AtomicU64,
    latencies_us: Mutex<Vec<u32>>,
}

impl Counters {
    /// How many marks there were: a reader is told once between two.
    pub(super) fn marks(&self) -> u64 {
        self.marks.load(Relaxed)
    }

    pub(super) fn told(&self, how: Told) {
        self.told[how as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn arrived(&self, latency_us: u32) {
        self.latencies_us.lock().unwrap_or_else(PoisonError::into_inner).push(latency_us);
    }

    pub(super) fn mark(&self) {
        self.marks.fetch_add(1, Relaxed);
        self.latencies_us.lock().unwrap_or_else(PoisonError::into_inner).clear();
        [&self.closed_with_place, &self.untold, &self.back, &self.events]
            .into_iter()
            .chain(&self.told)
            .for_each(|n| n.store(0, Relaxed));
    }

    pub(super) fn read(&self) -> Tally {
        let [told_by_end, told_by_answer, told_by_status] =
            [0, 1, 2].map(|how: usize| self.told[how].load(Relaxed));
        let mut latencies = self.latencies_us.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Tally {
            live: self.live.load(Relaxed),
            asleep: self.asleep.load(Relaxed),
            told_by_end,
            told_by_answer,
            told_by_status,
            closed_with_place: self.closed_with_place.load(Relaxed),
            untold: self.untold.load(Relaxed),
            back: self.back.load(Relaxed),
            events: self.events.load(Relaxed),
            p99_us: p99(&mut latencies).into(),
        }
    }
}

fn p99(latencies_us: &mut [u32]) -> u32 {
    if latencies_us.is_empty() {
        return 0;
    }
    let at = (latencies_us.len() - 1) * 99 / 100;
    *latencies_us.select_nth_unstable(at).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_lets_only_what_is_now_stand() {
        let counters = Counters::default();
        counters.live.store(3, Relaxed);
        counters.told(Told::Answer);
        counters.told(Told::Status);
        (1..=200).rev().for_each(|us| counters.arrived(us));
        let tally = counters.read();
        assert_eq!((tally.live, tally.told_by_answer, tally.told(), tally.p99_us), (3, 1, 2, 198));
        counters.mark();
        assert_eq!(counters.read(), Tally { live: 3, ..Tally::default() });
        assert_eq!(counters.marks(), 1);
    }
}
