//! The locks and atomics of the log's wake-up, in one place so that loom can stand in for them.

#[cfg(not(realtime_loom))]
pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering},
};

#[cfg(realtime_loom)]
pub(crate) use loom::sync::{
    Arc,
    atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering},
};

#[cfg(realtime_loom)]
type Inner<T> = loom::sync::Mutex<T>;
#[cfg(not(realtime_loom))]
type Inner<T> = std::sync::Mutex<T>;

#[cfg(realtime_loom)]
pub(crate) use loom::sync::MutexGuard;
#[cfg(not(realtime_loom))]
pub(crate) use std::sync::MutexGuard;

/// A mutex that does not poison: what it guards is whole between any two statements that can panic.
#[derive(Debug)]
pub(crate) struct Mutex<T>(Inner<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Inner::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
