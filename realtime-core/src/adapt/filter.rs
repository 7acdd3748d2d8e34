//! A source with some of its events left out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::cursor::Start;
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
        FilterFeed { feed: self.source.subscribe(start), keep: self.keep.clone(), is_live: false }
    }
}

pin_project! {
    /// What a [`Filter`] is read through.
    pub struct FilterFeed<F, P> {
        #[pin]
        feed: F,
        keep: Arc<P>,
        is_live: bool,
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
            let delivery = ready!(this.feed.as_mut().poll_next(cx));
            match delivery {
                Some(Ok(Delivery::Events(batch))) => {
                    if let Some(batch) = kept(&batch, &**this.keep) {
                        return Poll::Ready(Some(Ok(Delivery::Events(batch))));
                    }
                    // All of it was dropped. The place has moved all the same, and the reader is to know: once it
                    // is live there may be nothing else to tell it. Before that more follows at once.
                    if *this.is_live && batch.is_live() {
                        return Poll::Ready(Some(Ok(Delivery::Live(batch.cursor()))));
                    }
                }
                Some(Ok(Delivery::Live(cursor))) => {
                    *this.is_live = true;
                    return Poll::Ready(Some(Ok(Delivery::Live(cursor))));
                }
                other => return Poll::Ready(other),
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
