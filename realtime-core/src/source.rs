//! Anything that can be read after a cursor.

use std::sync::Arc;

use crate::cursor::Start;
use crate::feed::{BoxFeed, Feed};
use crate::log::LogView;

/// Anything that can be read after a cursor: the one thing every transport is built on.
///
/// An implementation keeps these rules:
///
/// - `subscribe` is synchronous and cannot fail: what goes wrong is an item of the feed.
/// - A feed does no I/O until it is polled.
/// - A feed never waits for news before it has said `Live`, so that a poll gets an answer from any source.
/// - What the source cannot replay is said as a gap before the first event after it.
///
/// ```
/// use futures_util::stream;
/// use realtime_core::{BoxFeed, Cursor, Delivery, Opened, Source, Start};
///
/// /// A source in which nothing ever happened.
/// struct Silence;
///
/// impl Source for Silence {
///     type Feed = BoxFeed;
///
///     fn subscribe(&self, _: Start) -> BoxFeed {
///         let here = Cursor::new(0, 0);
///         Box::pin(stream::iter([Ok(Delivery::Open(Opened::new(here).with_end())), Ok(Delivery::Live(here))]))
///     }
/// }
/// # let _ = Silence.subscribe(Start::Live);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of events",
    label = "not a source",
    note = "publish into a `Log`, which is one; a channel, a stream or an iterator becomes one by `realtime_core::adapt`"
)]
pub trait Source: Send + Sync + 'static {
    /// What it is read through.
    type Feed: Feed;

    /// Begins to read. Nothing happens until the feed is polled.
    fn subscribe(&self, start: Start) -> Self::Feed;

    /// The part of a [`Log`](crate::Log) that this source is, where it is that and nothing else. Readers of equal views get the same
    /// deliveries from a place on, so that whoever writes for many of them may read once for all. None, unless a source says
    /// otherwise: that is always right.
    ///
    /// A source that leaves out, changes or checks anything on the way to its readers has to say none: a transport may read the log in
    /// its stead, and never ask its feeds again.
    ///
    /// ```
    /// use realtime_core::{Log, Source, SourceExt};
    ///
    /// let log = Log::new();
    /// assert_eq!(log.topic("a").as_log(), log.topic("a").boxed().as_log());
    /// assert_ne!(log.topic("a").as_log(), log.as_log());
    /// assert_eq!(log.filter(|_| true).as_log(), None);
    /// ```
    fn as_log(&self) -> Option<LogView> {
        None
    }
}

/// Any source at all, its type forgotten; made by [`SourceExt::boxed`]. Cloning shares it.
///
/// It is a type rather than an alias of `Arc<dyn Source<..>>`, for a future that holds one would not be provably `Send`
/// where it is spawned by its concrete type.
#[derive(Clone)]
pub struct BoxSource(Arc<dyn Source<Feed = BoxFeed>>);

impl Source for BoxSource {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        self.0.subscribe(start)
    }

    fn as_log(&self) -> Option<LogView> {
        self.0.as_log()
    }
}

impl std::fmt::Debug for BoxSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoxSource")
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    type Feed = S::Feed;

    fn subscribe(&self, start: Start) -> S::Feed {
        (**self).subscribe(start)
    }

    fn as_log(&self) -> Option<LogView> {
        (**self).as_log()
    }
}

/// What every source can do besides.
///
/// ```
/// use realtime_core::{BoxSource, Log, SourceExt};
///
/// let any: BoxSource = Log::new().boxed();
/// # drop(any);
/// ```
pub trait SourceExt: Source + Sized {
    /// The same source with its type forgotten, for collections and for functions that are not generic.
    fn boxed(self) -> BoxSource {
        BoxSource(Arc::new(Boxed(self)))
    }

    /// The source without the events for which `keep` is false.
    ///
    /// The place moves past a dropped event, and the reader learns of it. A gap may be told although only dropped
    /// events are gone: the source underneath cannot know. Bytes stay shared. Filter before the log where you can:
    /// this runs `keep` once per reader and event.
    fn filter<P>(self, keep: P) -> crate::adapt::Filter<Self, P>
    where
        P: Fn(&crate::Event) -> bool + Send + Sync + 'static,
    {
        crate::adapt::Filter::new(self, keep)
    }
}

impl<S: Source> SourceExt for S {}

struct Boxed<S>(S);

impl<S: Source> Source for Boxed<S> {
    type Feed = BoxFeed;

    fn subscribe(&self, start: Start) -> BoxFeed {
        Box::pin(self.0.subscribe(start))
    }

    fn as_log(&self) -> Option<LogView> {
        self.0.as_log()
    }
}
