//! How many of a kind are there for each of some name.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many for each name. It knows those alone that have a claim now, so that names of an attacker's take no room.
pub(crate) struct Quota<K> {
    max: Option<usize>,
    claims: Mutex<HashMap<K, usize>>,
}

impl<K: Eq + Hash + Clone> Quota<K> {
    /// As many as one likes, where there is no `max`.
    pub(crate) fn new(max: Option<usize>) -> Arc<Self> {
        Arc::new(Self { max, claims: Mutex::default() })
    }

    /// Whether there is a limit at all.
    pub(crate) fn is_set(&self) -> bool {
        self.max.is_some()
    }

    /// One more for this name; none where it has as many as it may.
    pub(crate) fn claim(self: &Arc<Self>, name: K) -> Option<Claim<K>> {
        let mut claims = self.claims();
        let held = claims.get(&name).copied().unwrap_or_default();
        if self.max.is_some_and(|max| held >= max) {
            return None;
        }
        claims.insert(name.clone(), held + 1);
        Some(Claim { quota: self.clone(), name })
    }

    fn claims(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> fmt::Debug for Quota<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("max", &self.max).finish_non_exhaustive()
    }
}

/// One of those that a name may have. Dropping it gives it back, on every way out.
pub(crate) struct Claim<K: Eq + Hash + Clone> {
    quota: Arc<Quota<K>>,
    name: K,
}

impl<K: Eq + Hash + Clone> Drop for Claim<K> {
    fn drop(&mut self) {
        let mut claims = self.quota.claims();
        match claims.get_mut(&self.name) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                claims.remove(&self.name);
                // A herd that has left takes its room along.
                if claims.capacity() > 64 && claims.len() < claims.capacity() / 4 {
                    claims.shrink_to(0);
                }
            }
        }
    }
}

impl<K: Eq + Hash + Clone> fmt::Debug for Claim<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_so_many_and_each_comes_back_on_every_way_out() {
        let quota = Quota::new(Some(2));
        let (first, second) = (quota.claim("a").unwrap(), quota.claim("a").unwrap());
        assert!(quota.claim("a").is_none());
        let other = quota.claim("b").unwrap();
        drop(first);
        let third = quota.claim("a").unwrap();
        assert!(quota.claim("a").is_none());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = (second, third);
            panic!("a handler");
        }));
        assert!(panicked.is_err());
        drop(other);
        assert!(quota.claims().is_empty(), "a name leaves with its last");
        assert!(Quota::new(Some(0)).claim("a").is_none());
        assert!(quota.is_set() && !Quota::<u8>::new(None).is_set());
        let unbounded = Quota::new(None);
        assert_eq!((0..1_000).filter_map(|_| unbounded.claim("a")).collect::<Vec<_>>().len(), 1_000);
    }

    #[test]
    fn names_that_have_left_take_no_room() {
        let quota = Quota::new(Some(1));
        let held: Vec<_> = (0..10_000).filter_map(|name| quota.claim(name)).collect();
        assert_eq!(quota.claims().len(), 10_000);
        drop(held);
        assert!(quota.claims().capacity() <= 64, "{}", quota.claims().capacity());
    }

    /// Nor is it given back at each that leaves, which would be a copy of all who stay.
    #[test]
    fn room_is_given_back_once_three_quarters_have_left() {
        let quota = Quota::new(Some(1));
        let room = || quota.claims().capacity();
        let mut held: Vec<_> = (0..10_000).filter_map(|name| quota.claim(name)).collect();
        let full = room();
        held.truncate(5_000);
        assert!(2 * room() > full, "{} of {full}", room());
        held.truncate(1_000);
        assert!(room() / 4 <= 1_000, "{} for 1,000", room());
    }

    #[test]
    fn nothing_shows_whose_claims_there_are() {
        let quota = Quota::new(Some(2));
        let claim = quota.claim("ann").unwrap();
        assert_eq!(format!("{quota:?} {claim:?}"), "Quota { max: Some(2), .. } Claim(..)");
    }
}
