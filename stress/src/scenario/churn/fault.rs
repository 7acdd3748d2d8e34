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
    planned: Arc<Mutex<Vec<Planned>>>,
}

/// What was planned for a connection, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Planned {
    fault: Option<&'static str>,
    way: Way,
    after: u64,
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

    /// What happens to the n-th connection. Some of them have no fault.
    pub(super) fn plan(&self, nth: usize) -> Plan {
        let mut rng = Rng::with_seed(self.seed.wrapping_add(nth as u64));
        let way = if rng.u8(..8) == 0 { Way::Up } else { Way::Down };
        // What goes up is a head or two.
        let after = rng.u64(..if way == Way::Up { 512 } else { BREAKS_AFTER_MAX });
        let (fault, plan) = match rng.u8(..16) {
            0..4 => (Some("cut"), Plan::default().cut(way, after, Cut::Fin)),
            4..7 => (Some("reset"), Plan::default().cut(way, after, Cut::Abrupt)),
            7 => (Some("stall"), Plan::default().stall(way, after)),
            8..10 => {
                let chunks = Chunks::Random { seed: rng.u64(..), max: rng.usize(1..200) };
                (Some("slice"), Plan::default().chunk(Way::Down, chunks.clone()).chunk(Way::Up, chunks))
            }
            10 => {
                let per = Duration::from_millis(rng.u64(1..PACE_MS_MAX));
                (Some("slow"), Plan::default().pace(Way::Down, rng.usize(64..PACE_BYTES), per))
            }
            _ => (None, Plan::default()),
        };
        // From the first byte on where it is the whole connection's.
        let after = if matches!(fault, Some("slice" | "slow")) { 1 } else { after };
        self.locked().push(Planned { fault, way, after });
        plan
    }

    /// How often each fault was met: where so many bytes went that it began.
    pub(super) fn happened(&self, links: &Links) -> BTreeMap<&'static str, u64> {
        let mut happened = BTreeMap::new();
        for (nth, Planned { fault, way, after }) in self.locked().iter().enumerate() {
            if let (Some(fault), Some(link)) = (fault, links.nth(nth)) {
                let is_met = link.bytes(*way) >= *after && (link.fate().is_some() || !Self::ends(fault));
                *happened.entry(*fault).or_default() += u64::from(is_met);
            }
        }
        happened
    }

    fn ends(fault: &str) -> bool {
        matches!(fault, "cut" | "reset")
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Planned>> {
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
        assert!(
            Weather::FAULTS.iter().all(|fault| faults.iter().any(|planned| planned.fault == Some(fault))),
            "all of them are met"
        );
    }
}
