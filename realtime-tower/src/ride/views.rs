//! Which drivers a mount has: one for each view and format that somebody reads, or a few where many do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use realtime_core::{Format, LogView};
use tokio::runtime::Handle;

use super::driver::{Driver, Ride};
use super::run::Wire;
use crate::mount::Mount;

/// What readers have to have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) view: LogView,
    pub(crate) format: Format,
    /// The transport, by its index: its figures and its knobs are its own.
    pub(crate) transport: usize,
}

/// The drivers of a mount. It holds no log for longer than somebody reads it.
#[derive(Debug, Default)]
pub(crate) struct Views(Mutex<HashMap<Key, Vec<Arc<Driver>>>>);

/// Readers of one driver before a runtime with more workers gets another: it is worth a reader of the log.
const MEMBERS_MIN: usize = 128;

impl Views {
    fn drivers(&self) -> MutexGuard<'_, HashMap<Key, Vec<Arc<Driver>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a session in, at the driver that has the fewest.
    pub(crate) fn join(mount: &Arc<Mount>, key: Key, wire: Wire, heartbeat: Duration) -> Ride {
        let workers = Handle::current().metrics().num_workers();
        let mut views = mount.views.drivers();
        let drivers = views.entry(key.clone()).or_default();
        let fewest =
            drivers.iter().map(|driver| (driver.members(), driver)).min_by_key(|(members, _)| *members);
        let (ride, alone) = match fewest {
            Some((members, driver)) if members < MEMBERS_MIN || drivers.len() >= workers => driver.join(),
            _ => {
                let driver = Driver::new(key, mount.clone(), wire, heartbeat);
                drivers.push(driver.clone());
                driver.join()
            }
        };
        drop(views);
        alone.into_iter().for_each(Waker::wake);
        ride
    }

    /// Takes a session out, and its driver when it was the last.
    pub(super) fn leave(&self, driver: &Arc<Driver>) {
        let mut views = self.drivers();
        let (members, ended) = driver.leave();
        let mut gone = None;
        if members == 0
            && let Entry::Occupied(mut view) = views.entry(driver.key.clone())
        {
            view.get_mut().retain(|other| !Arc::ptr_eq(other, driver));
            gone = view.get().is_empty().then(|| view.remove_entry());
            // Topics of one reader each come and go by the thousands. Of a table half goes, where that holds twice what is there.
            let twice = views.len() * 2;
            views.shrink_to(twice);
        }
        drop(views);
        drop(gone);
        ended.wake();
    }

    /// How many views are read.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.drivers().len()
    }

    /// How many there is room for.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.drivers().capacity()
    }

    #[cfg(test)]
    pub(crate) fn riders(&self) -> Vec<Option<usize>> {
        self.drivers().values().flatten().map(|driver| driver.riders()).collect()
    }
}
