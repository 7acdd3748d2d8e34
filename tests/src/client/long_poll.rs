//! Long-polling: polling that asks the server to wait, and so needs no rest of its own.

use super::poll::Poll;
use super::{Over, Place, Seen, Target};

/// A client that long-polls by `Prefer: wait=N`.
#[derive(Debug)]
pub struct LongPoll(Poll);

impl LongPoll {
    /// A client at `start`. Nothing is sent before the first [`next`](LongPoll::next).
    pub fn connect(target: &Target, start: Place) -> Self {
        Self(Poll::waiting(target, start, Some(target.wait_s)))
    }

    /// The next thing told; a wait that ran out is a [`Seen::Status`].
    ///
    /// # Cancel safety
    /// As [`Poll::next`].
    pub async fn next(&mut self) -> Option<Seen> {
        self.0.next().await
    }

    /// The place that it would resume from.
    pub fn place(&self) -> &Place {
        self.0.place()
    }

    /// How it ended, if it did.
    pub fn over(&self) -> Option<&Over> {
        self.0.over()
    }

    /// How many requests it has made.
    pub fn requests(&self) -> u64 {
        self.0.requests()
    }
}
