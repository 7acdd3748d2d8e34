//! Tokio's channels.

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast as channel, watch as value};

use super::pump::{self, PumpError};
use crate::error::EventError;
use crate::event::Event;
use crate::limits::Keep;
use crate::log::{Log, LogBuilder};
use crate::topic::TopicSet;

/// A log that is fed by a broadcast channel, and the pump that does it.
///
/// A receiver that lagged has lost messages: readers get a gap with reason `source`, where a handler of one's own
/// would go on as if nothing had been. The log ends when the last sender is gone.
///
/// # Errors
/// The pump stops when `event` fails, or at the first event that the log does not take.
///
/// ```
/// use realtime_core::{Event, Log, adapt};
/// use tokio::sync::broadcast;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (sender, receiver) = broadcast::channel(16);
/// let (log, pump) = adapt::broadcast(Log::builder(), receiver, |n: u32| Event::json("tick", &n));
/// sender.send(1)?;
/// drop(sender);
/// pump.await?;
/// assert_eq!(log.tail().position(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn broadcast<T, F>(
    log: LogBuilder,
    mut receiver: channel::Receiver<T>,
    mut event: F,
) -> (Log, impl Future<Output = Result<(), PumpError>> + use<T, F>)
where
    T: Clone,
    F: FnMut(T) -> Result<Event, EventError>,
{
    let log = log.build();
    let pumped = log.clone();
    let pump = async move {
        loop {
            match receiver.recv().await {
                Ok(message) => pump::publish(&pumped, event(message))?,
                Err(RecvError::Lagged(_)) => pump::lose(&pumped),
                Err(RecvError::Closed) => break,
            }
        }
        pumped.close();
        Ok(())
    };
    (log, pump)
}

/// A log of a watch channel's value, and the pump that keeps it.
///
/// It keeps the latest value only, and a fresh reader gets it at once: a value that was overwritten is no loss.
///
/// # Errors
/// The pump stops when `event` fails, or at the first event that the log does not take.
///
/// ```
/// use realtime_core::{Event, Log, adapt};
/// use tokio::sync::watch;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (sender, receiver) = watch::channel(20.5);
/// let (log, pump) = adapt::watch(Log::builder(), receiver, |degrees| Event::json("degrees", degrees));
/// drop(sender);
/// pump.await?;
/// assert_eq!(log.tail().position(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn watch<T, F>(
    log: LogBuilder,
    mut receiver: value::Receiver<T>,
    mut event: F,
) -> (Log, impl Future<Output = Result<(), PumpError>> + use<T, F>)
where
    F: FnMut(&T) -> Result<Event, EventError>,
{
    let log = log.keep(TopicSet::all(), Keep::latest_per_key(1)).build();
    let pumped = log.clone();
    receiver.mark_changed();
    let pump = async move {
        while receiver.changed().await.is_ok() {
            let made = event(&receiver.borrow_and_update()).and_then(|event| event.with_key(THE_KEY));
            pump::publish(&pumped, made)?;
        }
        pumped.close();
        Ok(())
    };
    (log, pump)
}

/// The one key of a log that holds one value.
const THE_KEY: &str = "value";
