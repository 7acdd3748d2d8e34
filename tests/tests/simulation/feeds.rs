//! What the server reads its log through, which can be dropped all at once, in the order in which it came.
//!
//! tokio drops the tasks of a crashed host by ids that the whole process shares. A log that outlives its server would keep the
//! order in which they gave their seats up, and a seed would not replay.

use std::sync::{Arc, Mutex, Weak};
use std::task::Poll;

use futures_util::stream;
use realtime_core::{BoxFeed, BoxSource, Source, Start};

type Shared = Mutex<Option<BoxFeed>>;

/// Those that were subscribed.
#[derive(Clone, Default)]
pub(crate) struct Feeds(Arc<Mutex<Vec<Weak<Shared>>>>);

impl Feeds {
    /// The source, with its feeds counted among these.
    pub(crate) fn of(&self, source: BoxSource) -> Watched {
        Watched { source, feeds: self.clone() }
    }

    pub(crate) fn drop_all(&self) {
        for feed in self.0.lock().unwrap().drain(..).filter_map(|feed| feed.upgrade()) {
            let feed = feed.lock().unwrap().take();
            drop(feed);
        }
    }
}

/// A source whose feeds are watched.
pub(crate) struct Watched {
    source: BoxSource,
    feeds: Feeds,
}

impl Source for Watched {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        let feed = Arc::new(Mutex::new(Some(self.source.subscribe(start))));
        self.feeds.0.lock().unwrap().push(Arc::downgrade(&feed));
        Box::pin(stream::poll_fn(move |cx| match feed.lock().unwrap().as_mut() {
            Some(feed) => feed.as_mut().poll_next(cx),
            None => Poll::Pending,
        }))
    }
}
