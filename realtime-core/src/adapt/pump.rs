//! What all pumps do with an event, and how they fail.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{EventError, PublishError, PublishErrorKind, SourceError};
use crate::event::Event;
use crate::log::Log;

/// A pump stopped before its input ended. Readers were told by a gap, unless the log is closed.
///
/// ```
/// use realtime_core::{Event, Log, adapt};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let events = [Event::text("note", "too late")?];
/// let (log, pump) = adapt::iter(Log::builder(), events);
/// log.close();
/// let error = pump.await.unwrap_err();
/// assert_eq!(error.kind(), adapt::PumpErrorKind::Publish);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PumpError {
    kind: PumpErrorKind,
    source: Box<dyn StdError + Send + Sync>,
}

/// Why a pump stopped.
///
/// See [`PumpError`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PumpErrorKind {
    /// An item could not be made into an event.
    Event,
    /// The log did not take an event.
    Publish,
    /// The source underneath failed.
    Source,
}

impl PumpError {
    /// Why it stopped; [`source`](StdError::source) has the error itself.
    pub fn kind(&self) -> PumpErrorKind {
        self.kind
    }

    pub(crate) fn of_source(source: SourceError) -> Self {
        Self { kind: PumpErrorKind::Source, source: source.into() }
    }
}

impl fmt::Display for PumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            PumpErrorKind::Event => "an item could not be made into an event",
            PumpErrorKind::Publish => "the log did not take an event",
            PumpErrorKind::Source => "the source underneath failed",
        })
    }
}

impl StdError for PumpError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

/// Publishes an event; one that cannot be is a gap for the readers and an error for the pump.
pub(crate) fn publish(log: &Log, event: Result<Event, EventError>) -> Result<(), PumpError> {
    let error = match event.map(|event| log.publish(event)) {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(refused)) => PumpError { kind: PumpErrorKind::Publish, source: refused.into() },
        Err(unmade) => PumpError { kind: PumpErrorKind::Event, source: unmade.into() },
    };
    lose(log);
    Err(error)
}

/// Says that events are missing. A closed log has nobody to say it to.
pub(crate) fn lose(log: &Log) {
    let said: Result<_, PublishError> = log.publish_gap();
    debug_assert!(said.map_or_else(|error| error.kind() == PublishErrorKind::Closed, |_| true));
}
