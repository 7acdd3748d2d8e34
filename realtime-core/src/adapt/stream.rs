//! Streams and iterators of events.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_core::Stream;

use super::pump::{self, PumpError};
use crate::event::Event;
use crate::log::{Log, LogBuilder};

/// A log that is fed by a stream, and the pump that does it.
///
/// # Errors
/// The pump stops at the first event that the log does not take.
///
/// ```
/// use futures_util::stream;
/// use realtime_core::{Event, Log, adapt};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let ticks = stream::iter((1..=3).map(|n| Event::json("tick", &n).expect("a number is JSON")));
/// let (log, pump) = adapt::stream(Log::builder(), ticks);
/// pump.await?;                                   // a service spawns it
/// assert_eq!(log.tail().position(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn stream<S>(log: LogBuilder, events: S) -> (Log, impl Future<Output = Result<(), PumpError>> + use<S>)
where
    S: Stream<Item = Event>,
{
    let log = log.build();
    let pumped = log.clone();
    let pump = async move {
        let mut events = pin!(events);
        while let Some(event) = poll_fn(|cx| events.as_mut().poll_next(cx)).await {
            pump::publish(&pumped, Ok(event))?;
        }
        pumped.close();
        Ok(())
    };
    (log, pump)
}

/// A log that is fed by an iterator, and the pump that does it.
///
/// The pump lets other tasks run after every 64 events; an iterator that blocks blocks the pump's thread.
///
/// # Errors
/// The pump stops at the first event that the log does not take.
///
/// ```
/// use realtime_core::{Event, Log, adapt};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (log, pump) = adapt::iter(Log::builder(), [Event::text("note", "a")?, Event::text("note", "b")?]);
/// pump.await?;
/// assert_eq!(log.tail().position(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn iter<I>(log: LogBuilder, events: I) -> (Log, impl Future<Output = Result<(), PumpError>> + use<I>)
where
    I: IntoIterator<Item = Event>,
{
    let log = log.build();
    let pumped = log.clone();
    let pump = async move {
        for (n, event) in events.into_iter().enumerate() {
            pump::publish(&pumped, Ok(event))?;
            if n % EVENTS_PER_TURN == EVENTS_PER_TURN - 1 {
                yield_now().await;
            }
        }
        pumped.close();
        Ok(())
    };
    (log, pump)
}

/// Events an iterator's pump publishes before other tasks have a turn.
const EVENTS_PER_TURN: usize = 64;

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
