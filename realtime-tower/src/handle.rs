//! The owner's grip on a mount.

use std::sync::Arc;
use std::time::Duration;

use crate::mount::{Mount, Told};
use crate::stats::Stats;
use crate::timer;

/// The owner's grip on a mount: end its streams, read its figures. Cloning gives another.
///
/// ```
/// use std::time::Duration;
/// use realtime_core::Log;
/// use realtime_tower::builder;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (_service, handle) = builder().source(Log::new()).service();
/// let drained = handle.drain(Duration::from_secs(10)).await;
/// assert_eq!((drained.told, drained.left), (0, 0));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Handle {
    mount: Arc<Mount>,
}

/// What became of a mount's readers.
///
/// ```
/// use std::time::Duration;
/// use realtime_core::Log;
/// use realtime_tower::{Drained, builder};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (_service, handle) = builder().source(Log::new()).service();
/// let Drained { told, left, .. } = handle.drain(Duration::from_secs(10)).await;
/// assert_eq!((told, left), (0, 0));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Readers that were there and were told.
    pub told: usize,
    /// Readers that have not gone by the deadline: their peers read nothing, and the connection belongs to the
    /// host. Close it, or let the process end.
    pub left: usize,
}

/// Groups in which readers are told, so that not all of them come back in the same moment.
const BATCHES: usize = 16;

/// The share of the deadline over which they are told; the rest is for them to go.
const TELLING: f64 = 0.25;

/// The longest time over which they are told, however far the deadline is.
const TELLING_MAX: Duration = Duration::from_secs(2);

impl Handle {
    pub(crate) fn new(mount: Arc<Mount>) -> Self {
        Self { mount }
    }

    /// Ends every stream of every transport, and lets nobody in any more. Each reader is told its cursor and when to
    /// come back, in jittered groups. Returns when all have gone, WebSockets too, and no handler runs of a message with
    /// an `Idempotency-Key`, whose client may have gone before it; or at the deadline.
    ///
    /// # Cancel safety
    /// Dropped in between, the mount stays closed to newcomers, and some readers have not been told. Call it again.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let mut seats = self.mount.close();
        let told = seats.len();
        let telling = deadline.mul_f64(TELLING).min(TELLING_MAX);
        let _ = timer::within(deadline, async {
            fastrand::shuffle(&mut seats);
            let (pause, size) = (telling / BATCHES as u32, told.div_ceil(BATCHES).max(1));
            let mut groups = Groups { seats, size };
            while let Some(group) = groups.next() {
                group.into_iter().for_each(Told::tell);
                if !groups.seats.is_empty() {
                    timer::pause(timer::jittered(pause)).await;
                }
            }
            self.mount.emptied().await;
            self.mount.once.idle().await;
        })
        .await;
        Drained { told, left: self.mount.readers() }
    }

    /// Waits for a signal and then drains: what to hand to `axum::serve(..).with_graceful_shutdown`, which by itself
    /// waits for no stream to end and for no WebSocket at all.
    pub async fn drain_on(self, signal: impl Future<Output = ()>, deadline: Duration) {
        signal.await;
        let drained = self.drain(deadline).await;
        if drained.left > 0 {
            tracing::warn!(left = drained.left, told = drained.told, "readers have not gone by the deadline");
        }
    }

    /// What the mount has done so far.
    pub fn stats(&self) -> Stats {
        self.mount.stats()
    }
}

struct Groups {
    seats: Vec<Told>,
    size: usize,
}

impl Groups {
    fn next(&mut self) -> Option<Vec<Told>> {
        let rest = self.seats.len().saturating_sub(self.size);
        let group = self.seats.split_off(rest);
        (!group.is_empty()).then_some(group)
    }
}

#[cfg(test)]
mod tests;
