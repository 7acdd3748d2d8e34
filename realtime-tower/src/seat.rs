//! What a reader is told to go through, whoever tells it: the mount that drains, the session that ends.

use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// What a reader is told through.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    told: AtomicU8,
    waker: AtomicWaker,
}

/// Why a reader has to go. The stronger of two holds: nothing may be read any more, drained or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    Drain = 1,
    Expired = 2,
}

impl Seat {
    /// Tells the reader to go, and wakes it.
    pub(crate) fn tell(&self, why: Leave) {
        self.told.fetch_max(why as u8, Ordering::Release);
        self.waker.wake();
    }

    /// Why the reader has to go, if it has.
    pub(crate) fn told(&self) -> Option<Leave> {
        match self.told.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Leave::Drain),
            _ => Some(Leave::Expired),
        }
    }

    /// Ready once the reader has to go; the task is woken when that happens.
    pub(crate) fn poll_told(&self, cx: &mut Context<'_>) -> Poll<Leave> {
        self.waker.register(cx.waker());
        self.told().map_or(Poll::Pending, Poll::Ready)
    }
}
