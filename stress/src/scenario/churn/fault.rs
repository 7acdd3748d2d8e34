//! What happens to each connection: drawn from the seed and its number, so that a seed has the same faults again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use realtime_tests::dial::Links;
use realtime_tests::fault::{Chunks, Cut, Plan, Way};

/// The faults of a world.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    seed: u64,
    planned: Arc<Mutex<Vec<&'static str>>>,
}

/// Bytes after which a connection breaks, at most: some events, or the middle of the head.
const BREAKS_AFTER_MAX: u64 = 24 * 1024;
/// A slow connection: so many bytes, then a rest.
const PACE_BYTES: usize = 2_048;
const PACE_MS_MAX: u64 = 40;

impl Weather {
    /// Every kind.
    pub(super) const FAULTS: [&str; 5] = ["cut", "reset", "slice", "slow", "stall"];

    pub(super) fn of(seed: u64) -> Self {
        Self { seed, planned: Arc::default() }
    }

    /// What happens to the n-th connection. A third of them have no fault.
    pub(super) fn plan(&self, nth: usize) -> Plan {
        let mut rng = Rng::with_seed(self.seed.wrapping_add(nth as u64));
        let way = if rng.u8(..8) == 0 { Way::Up } else { Way::Down };
        // What goes up is a head or two.
        let after = rng.u64(..if way == Way::Up { 512 } else { BREAKS_AFTER_MAX });
        let (fault, plan) = match rng.u8(..16) {
            0..4 => ("cut", Plan::default().cut(way, after, Cut::Fin)),
            4..7 => ("reset", Plan::default().cut(way, after, Cut::Abrupt)),
            7 => ("stall", Plan::default().stall(way, after)),
            8..10 => {
                let chunks = Chunks::Random { seed: rng.u64(..), max: rng.usize(1..200) };
                ("slice", Plan::default().chunk(Way::Down, chunks.clone()).chunk(Way::Up, chunks))
            }
            10 => {
                let per = Duration::from_millis(rng.u64(1..PACE_MS_MAX));
                ("slow", Plan::default().pace(Way::Down, rng.usize(64..PACE_BYTES), per))
            }
            _ => ("none", Plan::default()),
        };
        self.locked().push(fault);
        plan
    }

    /// How often each fault was met: a cut that came, and the others where bytes went.
    pub(super) fn happened(&self, links: &Links) -> BTreeMap<&'static str, u64> {
        let mut happened = BTreeMap::new();
        for (nth, fault) in self.locked().iter().enumerate() {
            let Some(link) = links.nth(nth) else { continue };
            let is_met = match *fault {
                "none" => false,
                "cut" | "reset" => link.fate().is_some(),
                _ => link.bytes(Way::Down) + link.bytes(Way::Up) > 0,
            };
            *happened.entry(*fault).or_default() += u64::from(is_met);
        }
        happened.remove("none");
        happened
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<&'static str>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_the_same_faults_again() {
        let plans = |seed| {
            let weather = Weather::of(seed);
            let plans: Vec<_> = (0..200).map(|nth| format!("{:?}", weather.plan(nth))).collect();
            (plans, weather.locked().clone())
        };
        let (plans_once, faults) = plans(3);
        assert_eq!(plans_once, plans(3).0);
        assert_ne!(plans_once, plans(4).0);
        assert!(Weather::FAULTS.iter().all(|fault| faults.contains(fault)), "all of them are met");
    }
}
