//! Sources into one log.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::pump::{self, PumpError};
use crate::cursor::Start;
use crate::error::{EventError, SourceError};
use crate::event::Event;
use crate::feed::{BoxFeed, Delivery};
use crate::log::{Log, LogBuilder};
use crate::source::{BoxSource, Source};

/// A log of the events of several sources, and the pump that fills it.
///
/// Two sources have no order and no scalar cursor between them; the log gives them both: its cursor is its own, and
/// each source's events keep their order. A gap of one is a gap of all. The log ends when every source has.
///
/// # Errors
/// The pump stops when a source fails, or at the first event that the log does not take.
///
/// ```
/// use realtime_core::{Event, Log, SourceExt, Start, adapt};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (news, weather) = (Log::new(), Log::new());
/// let (both, pump) = adapt::merge(Log::builder(), [news.clone().boxed(), weather.clone().boxed()], Start::Live);
/// news.publish(Event::text("headline", "it rains")?)?;
/// weather.publish(Event::text("sky", "grey")?)?;
/// news.close();
/// weather.close();
/// pump.await?;
/// # assert_eq!(both.tail().position(), 0, "Live: what was published before the first poll is not new");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn merge(
    log: LogBuilder,
    sources: impl IntoIterator<Item = BoxSource>,
    start: Start,
) -> (Log, impl Future<Output = Result<(), PumpError>>) {
    let feeds: Vec<BoxFeed> = sources.into_iter().map(|source| source.subscribe(start)).collect();
    let log = log.build();
    (log.clone(), fill(log, feeds, |event| Ok(event.clone())))
}

/// A log of a source's events, each changed by `change`, and the pump that fills it.
///
/// An event is changed and encoded once, however many read it.
///
/// # Errors
/// The pump stops when the source or `change` fails, or at the first event that the log does not take.
///
/// ```
/// use realtime_core::{Event, Log, Start, adapt};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let log = Log::new();
/// log.publish(Event::text("note", "hi")?)?;
/// log.close();
/// let (loud, pump) = adapt::map(Log::builder(), log, Start::Earliest, |event| {
///     Event::text("note", String::from_utf8_lossy(event.payload().bytes()).to_uppercase())
/// });
/// pump.await?;
/// assert_eq!(loud.tail().position(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn map<S, F>(
    log: LogBuilder,
    source: S,
    start: Start,
    change: F,
) -> (Log, impl Future<Output = Result<(), PumpError>> + use<S, F>)
where
    S: Source,
    F: FnMut(&Event) -> Result<Event, EventError>,
{
    let log = log.build();
    (log.clone(), fill(log, vec![Box::pin(source.subscribe(start)) as BoxFeed], change))
}

async fn fill<F>(log: Log, mut feeds: Vec<BoxFeed>, mut change: F) -> Result<(), PumpError>
where
    F: FnMut(&Event) -> Result<Event, EventError>,
{
    let mut next = 0;
    while let Some(delivery) = poll_fn(|cx| poll_any(&mut feeds, &mut next, cx)).await {
        match delivery {
            Ok(Delivery::Events(batch)) => {
                for entry in &batch {
                    pump::publish(&log, change(entry.event()))?;
                }
            }
            Ok(Delivery::Gap(_)) => pump::lose(&log),
            Ok(Delivery::Open(opened)) if opened.gap.is_some() => pump::lose(&log),
            Ok(Delivery::Open(_) | Delivery::Live(_)) => {}
            Err(error) => {
                pump::lose(&log);
                return Err(PumpError::of_source(error));
            }
        }
    }
    log.close();
    Ok(())
}

/// Whatever is ready, each feed in its turn; nothing once all have ended.
fn poll_any(
    feeds: &mut Vec<BoxFeed>,
    next: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Delivery, SourceError>>> {
    let mut waiting = 0;
    while waiting < feeds.len() {
        *next = (*next + 1) % feeds.len();
        match feeds[*next].as_mut().poll_next(cx) {
            Poll::Ready(Some(delivery)) => return Poll::Ready(Some(delivery)),
            Poll::Ready(None) => {
                drop(feeds.swap_remove(*next));
                waiting = 0;
            }
            Poll::Pending => waiting += 1,
        }
    }
    if feeds.is_empty() { Poll::Ready(None) } else { Poll::Pending }
}
