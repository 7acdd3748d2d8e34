//! A log that can be started over, as a restart of the server would: the next one is empty and has an epoch of its own.
//!
//! Shows what a source of one's own takes: a log inside, and a stream that ends with an error when there is another.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use realtime_core::{BoxFeed, Keep, Log, Source, SourceError, SourceErrorKind, Start, TopicSet};
use tokio::sync::watch;

/// Events the log keeps: five minutes of them at the usual pace. Who was away longer is told of a gap.
const KEPT_MAX: usize = 1_200;

/// How long readers of the old log are told to stay away.
const PAUSE: Duration = Duration::from_millis(500);

/// The log of the moment.
#[derive(Clone)]
pub(crate) struct Restartable(watch::Sender<Log>);

impl Restartable {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(empty()))
    }

    /// The one that is published to now.
    pub(crate) fn log(&self) -> Log {
        self.0.borrow().clone()
    }

    /// Throws away what was published. Readers are told that the source failed; they come back, with cursors of an
    /// epoch that is over.
    pub(crate) fn restart(&self) {
        self.0.send_replace(empty());
    }
}

impl Source for Restartable {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        let mut logs = self.0.subscribe();
        let feed = logs.borrow_and_update().subscribe(start);
        let replaced = async move {
            // An error would say that no other log can come.
            if logs.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let gone = SourceError::new(SourceErrorKind::Unavailable, "the log was started over");
        let gone = stream::iter([Err(gone.with_retry_after(PAUSE))]);
        Box::pin(feed.take_until(replaced).chain(gone))
    }
}

fn empty() -> Log {
    Log::builder().keep(TopicSet::all(), Keep::history().entries(KEPT_MAX)).build()
}

#[cfg(test)]
mod tests {
    use realtime_core::{Cursor, Delivery, Event, GapReason};

    use super::*;

    async fn opened(source: &Restartable, start: Start) -> (Cursor, Option<GapReason>, BoxFeed) {
        let mut feed = source.subscribe(start);
        let Some(Ok(Delivery::Open(opened))) = feed.next().await else { panic!("a feed begins with Open") };
        (opened.cursor, opened.gap.map(|gap| gap.reason), feed)
    }

    #[tokio::test]
    async fn who_read_the_old_log_is_sent_away_and_comes_back_to_a_gap() {
        let source = Restartable::new();
        let place = source.log().publish(Event::text("figures", "1").unwrap()).unwrap();
        let (cursor, gap, mut feed) = opened(&source, Start::After(place)).await;
        assert_eq!((cursor, gap), (place, None));
        assert!(matches!(feed.next().await, Some(Ok(Delivery::Live(_)))));
        source.restart();
        let gone = feed.next().await.unwrap().unwrap_err();
        assert_eq!((gone.kind(), gone.retry_after()), (SourceErrorKind::Unavailable, Some(PAUSE)));
        assert!(feed.next().await.is_none(), "an error is the last item");
        assert_eq!(opened(&source, Start::After(place)).await.1, Some(GapReason::Epoch));
    }
}
