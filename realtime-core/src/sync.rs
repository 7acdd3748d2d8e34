//! The locks and atomics of the log's wake-up, in one place so that a model can stand in for them: loom, or shuttle on top of
//! its switch.

#[cfg(all(realtime_loom, not(realtime_shuttle)))]
use loom::sync;
#[cfg(realtime_shuttle)]
use shuttle::sync;
#[cfg(not(realtime_loom))]
use std::sync;

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
