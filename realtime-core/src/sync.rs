//! The locks, atomics and slots of the log, in one place so that a model can stand in for them: loom, or shuttle on top of
//! its switch.

#[cfg(all(realtime_loom, not(realtime_shuttle)))]
use loom::sync;
#[cfg(realtime_shuttle)]
use shuttle::sync;
#[cfg(not(realtime_loom))]
use std::sync;

use std::ops::Deref;

pub(crate) use sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
pub(crate) use sync::{Arc, MutexGuard};

/// A mutex that does not poison: what it guards is whole between any two statements that can panic.
#[derive(Debug)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A place for a shared value that is read without a lock. In a model it has one, so that its reads and stores have an order.
pub(crate) struct Slot<T>(Place<T>);

#[cfg(not(realtime_loom))]
type Place<T> = arc_swap::ArcSwapOption<T>;
#[cfg(realtime_loom)]
type Place<T> = Mutex<Option<std::sync::Arc<T>>>;

impl<T> Slot<T> {
    #[cfg(not(realtime_loom))]
    pub(crate) fn new() -> Self {
        Self(Place::empty())
    }

    #[cfg(realtime_loom)]
    pub(crate) fn new() -> Self {
        Self(Place::new(None))
    }

    #[cfg(not(realtime_loom))]
    pub(crate) fn load(&self) -> impl Deref<Target = Option<std::sync::Arc<T>>> {
        self.0.load()
    }

    #[cfg(realtime_loom)]
    pub(crate) fn load(&self) -> impl Deref<Target = Option<std::sync::Arc<T>>> {
        Box::new(self.0.lock().clone())
    }

    pub(crate) fn store(&self, value: Option<std::sync::Arc<T>>) {
        #[cfg(not(realtime_loom))]
        self.0.store(value);
        #[cfg(realtime_loom)]
        drop(std::mem::replace(&mut *self.0.lock(), value));
    }
}

impl<T> std::fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot")
    }
}
