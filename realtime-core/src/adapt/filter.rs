//! A source with some of its events left out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::cursor::{Cursor, Start};
use crate::error::SourceError;
use crate::event::Event;
use crate::feed::{Batch, Delivery};
use crate::source::Source;

/// A source without the events for which a predicate is false; made by [`SourceExt::filter`](crate::SourceExt::filter).
///
/// ```
/// use realtime_core::{Log, SourceExt};
///
/// let log = Log::new();
/// let alarms = log.filter(|event| event.name() == "alarm");
/// # drop(alarms);
/// ```
#[derive(Debug)]
pub struct Filter<S, P> {
    source: S,
    keep: Arc<P>,
}

impl<S, P> Filter<S, P> {
    pub(crate) fn new(source: S, keep: P) -> Self {
        Self { source, keep: Arc::new(keep) }
    }
}

impl<S, P> Source for Filter<S, P>
where
    S: Source,
    P: Fn(&Event) -> bool + Send + Sync + 'static,
{
    type Feed = FilterFeed<S::Feed, P>;

    fn subscribe(&self, start: Start) -> Self::Feed {
        FilterFeed {
            feed: self.source.subscribe(start),
            keep: self.keep.clone(),
            is_live: false,
            moved: None,
        }
    }
}

pin_project! {
    /// What a [`Filter`] is read through.
    pub struct FilterFeed<F, P> {
        #[pin]
        feed: F,
        keep: Arc<P>,
        is_live: bool,
        // Where the place went with events that were dropped, until the reader is told.
        moved: Option<Cursor>,
    }
}

impl<F, P> std::fmt::Debug for FilterFeed<F, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterFeed").finish_non_exhaustive()
    }
}

impl<F, P> Stream for FilterFeed<F, P>
where
    F: Stream<Item = Result<Delivery, SourceError>>,
    P: Fn(&Event) -> bool,
{
    type Item = Result<Delivery, SourceError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            match this.feed.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(Delivery::Events(batch)))) => match kept(&batch, &**this.keep) {
                    Some(batch) => {
                        *this.moved = None;
                        return Poll::Ready(Some(Ok(Delivery::Events(batch))));
                    }
                    None => *this.moved = Some(batch.cursor()),
                },
                Poll::Ready(other) => {
                    *this.is_live |= matches!(other, Some(Ok(Delivery::Live(_))));
                    *this.moved = None;
                    return Poll::Ready(other);
                }
                // The source has told its place, by events that nobody sees: so it is told here. Before the first
                // `Live` that is not for us to say, and will come.
                Poll::Pending => {
                    return match this.moved.take_if(|_| *this.is_live) {
                        Some(cursor) => Poll::Ready(Some(Ok(Delivery::Live(cursor)))),
                        None => Poll::Pending,
                    };
                }
            }
        }
    }
}

/// The batch without what is dropped, its place being that of the whole.
fn kept(batch: &Batch, keep: impl Fn(&Event) -> bool) -> Option<Batch> {
    if batch.iter().all(|entry| keep(entry.event())) {
        return Some(batch.clone());
    }
    let entries = batch.iter().filter(|entry| keep(entry.event())).cloned().collect();
    Batch::new(entries, batch.cursor(), batch.is_live())
}
