//! What a mount counts, per transport.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one transport of a mount has done since it was made.
///
/// ```
/// use http::Request;
/// use realtime_core::{Event, Log};
/// use realtime_tower::{Body, builder};
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let log = Log::new();
/// log.publish(Event::json("tick", &1)?)?;
/// let (service, handle) = builder().source(log).service();
/// service.oneshot(Request::get("/?offset=-1").body(Body::empty())?).await?;
/// let poll = handle.stats().of("poll").unwrap_or_default();
/// assert_eq!((poll.requests, poll.deliveries, poll.connections), (1, 1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TransportStats {
    /// Readers connected or waiting now.
    pub connections: u64,
    /// Requests that got as far as a source.
    pub requests: u64,
    /// Of those, the ones that came with a cursor and lost nothing.
    pub resumes: u64,
    /// Answers without an event: 204, 304, and pages that were empty.
    pub empties: u64,
    /// Events delivered.
    pub deliveries: u64,
    /// Payload bytes handed to the host: bodies or frames, without HTTP's heads.
    pub bytes: u64,
    /// Gaps told.
    pub gaps: u64,
    /// Readers disconnected because they did not keep up.
    pub evictions: u64,
    /// Messages that clients sent on its connections. One by POST belongs to no transport and is not counted.
    pub messages: u64,
}

/// What a mount has done since it was made, by transport.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::builder;
///
/// let (_service, handle) = builder().source(Log::new()).service();
/// let stats = handle.stats();
/// assert_eq!(stats.of("sse").map(|sse| sse.connections), Some(0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Each transport by its name.
    pub transports: Vec<(&'static str, TransportStats)>,
}

impl Stats {
    /// One transport's figures, if the mount has it.
    pub fn of(&self, name: &str) -> Option<TransportStats> {
        self.transports.iter().find(|(n, _)| *n == name).map(|(_, stats)| *stats)
    }
}

/// The counters behind [`TransportStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) resumes: AtomicU64,
    pub(crate) empties: AtomicU64,
    pub(crate) deliveries: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) evictions: AtomicU64,
    pub(crate) messages: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> TransportStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TransportStats {
            connections: read(&self.connections),
            requests: read(&self.requests),
            resumes: read(&self.resumes),
            empties: read(&self.empties),
            deliveries: read(&self.deliveries),
            bytes: read(&self.bytes),
            gaps: read(&self.gaps),
            evictions: read(&self.evictions),
            messages: read(&self.messages),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}
