//! The in-memory source: a bounded log of events on topics, one sequence over all of them.
//!
//! ```text
//!            under the log's lock                       under the seats' lock            under none
//! publish ─► state ─► slots, and then the head ───────► whom it concerns is due ───────► the first are woken
//! feed    ─► (where the slots do not settle it: state)─► park, unless the head moved ──► the next few are woken
//! ```
//!
//! - [`state`](self) is plain data: what is kept, what was lost, how much it weighs;
//! - `read` is the rule of what a reader gets, the gap among it;
//! - `ring` holds the newest entries, to be read without a lock;
//! - `seats` knows who waits for what, and who is woken by whom; its lists are `chain`s;
//! - `losses` knows what was lost when;
//! - `ledger` counts bytes, those that readers add without the lock too;
//! - `reader` is the feed that ties them together.
//!
//! A publish costs its thread the same for one reader and for 100,000: it wakes a few dozen, and each reader that comes
//! wakes the next. What bounds the delay of the last is said in `seats`.

mod builder;
pub(crate) mod ledger;
mod losses;
mod read;
mod reader;
mod ring;
mod seats;
mod state;
mod topics;

#[cfg(test)]
#[cfg(realtime_loom)]
mod loom;
#[cfg(test)]
#[cfg(not(realtime_loom))]
mod model;
#[cfg(test)]
#[cfg(not(realtime_loom))]
mod tests;

use std::time::Duration;

use crate::cursor::{Cursor, Start};
use crate::error::{PublishError, PublishErrorKind, SourceError, SourceErrorKind};
use crate::event::Event;
use crate::source::Source;
use crate::sync::{Arc, Mutex};
use crate::topic::{Topic, TopicSet};

pub(crate) use builder::Clock;
pub use builder::LogBuilder;
pub use reader::LogFeed;
use ring::Ring;
use seats::Seats;
use state::State;

/// The in-memory source: publish from anywhere, read from everywhere.
///
/// Cloning gives another handle to the same log. Publishing is synchronous, needs no runtime and is never held up
/// by readers; a reader is a position, so that memory is bounded by the log alone. As a [`Source`] it reads all
/// topics; [`topic`](Self::topic) and [`topics`](Self::topics) narrow it down.
///
/// A publish wakes some dozens of the readers that wait for its topic itself, and each reader that comes wakes the next few,
/// so that it costs the publisher no more with 100,000 of them. Whoever polls, drops or publishes next carries on; only
/// while no feed of the log is polled or dropped and nothing is published do the rest wait. So do not let a reader that is woken
/// wait for what another reader of the same log is going to do; nor keep feeds by the hundred in a task that stops polling them.
///
/// A log ends by [`close`](Self::close) alone. Its readers hold it as well, so that they wait on when the last handle to publish
/// with is dropped.
///
/// Each log draws a random epoch: after a restart an old cursor is answered with a gap, never with silence.
///
/// ```
/// use realtime_core::{Event, Log, Topic};
///
/// let log = Log::new();
/// let first = log.publish(Event::json("tick", &1)?)?;
/// let second = log.publish(Event::json("tick", &2)?.with_topic(Topic::new("clock")?))?;
/// assert!(first < second);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    /// The newest of the state, read without its lock.
    pub(crate) ring: Arc<Ring>,
    pub(crate) seats: Seats,
    pub(crate) clock: Clock,
}

impl std::fmt::Debug for Shared {
    /// Not what it holds: that may be 64 MiB, and is nobody's business in a log file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    /// A log with the default [`Limits`](crate::Limits), whose topics keep [`Keep::history`](crate::Keep::history).
    ///
    /// # Panics
    /// As [`LogBuilder::build`].
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A log to be made otherwise.
    pub fn builder() -> LogBuilder {
        LogBuilder::default()
    }

    /// Stores an event and wakes the readers it concerns. Returns the event's cursor.
    ///
    /// # Errors
    /// The log or the topic is closed, the payload too big, or a topic that keeps the latest per key cannot take
    /// it. Nothing was stored, no position spent.
    pub fn publish(&self, event: Event) -> Result<Cursor, PublishError> {
        let topic = event.topic().cloned();
        let cursor = self
            .shared
            .write(|state, now| state.push(event, now, |name| self.shared.seats.is_named(name)))?;
        self.shared.seats.call(&[topic]);
        Ok(cursor)
    }

    /// Stores events one behind the other, with nobody's in between, and wakes each reader once.
    ///
    /// # Errors
    /// The first event that was not taken, as [`publish`](Self::publish) says it. Those before it were:
    /// [`PublishError::taken`] has their cursors; those behind it were not looked at.
    ///
    /// ```
    /// use realtime_core::{Event, Log};
    ///
    /// let log = Log::new();
    /// let cursors = log.publish_all([Event::text("note", "a")?, Event::text("note", "b")?])?;
    /// assert_eq!(cursors[1], log.tail());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_all(&self, events: impl IntoIterator<Item = Event>) -> Result<Vec<Cursor>, PublishError> {
        let events: Vec<_> = events.into_iter().collect();
        let mut cursors = Vec::with_capacity(events.len());
        let mut topics = Vec::new();
        let refused = self.shared.write(|state, now| {
            events.into_iter().find_map(|event| {
                let topic = event.topic().cloned();
                match state.push(event, now, |name| self.shared.seats.is_named(name)) {
                    Ok(cursor) => cursors.push(cursor),
                    Err(kind) => return Some(kind),
                }
                if topics.last() != Some(&topic) {
                    topics.push(topic);
                }
                None
            })
        });
        self.shared.seats.call(&topics);
        match refused {
            Some(kind) => Err(PublishError::after(cursors, kind)),
            None => Ok(cursors),
        }
    }

    /// Says to every reader that events are missing here: they were lost on their way into the log. It spends a
    /// position, whose cursor it returns; a reader before it gets a gap with reason `source`.
    ///
    /// # Errors
    /// The log is closed.
    ///
    /// ```
    /// use realtime_core::Log;
    ///
    /// let log = Log::new();
    /// log.publish_gap()?;                    // the machine that sends us events was away
    /// # Ok::<(), realtime_core::PublishError>(())
    /// ```
    pub fn publish_gap(&self) -> Result<Cursor, PublishError> {
        let cursor = self.shared.write(|state, _| (!state.closed).then(|| state.push_loss()));
        let cursor = cursor.ok_or(PublishErrorKind::Closed)?;
        self.shared.seats.call_all();
        Ok(cursor)
    }

    /// Ends the log: readers get what is there, and then the end. Nothing can be published any more.
    pub fn close(&self) {
        self.shared.state.lock().close();
        self.shared.seats.call_all();
    }

    /// Ends one topic: readers of nothing but ended topics get what is there, and then the end. A topic that
    /// nobody published to is ended too, so that who comes later does not wait for it. A reader by prefix, or of
    /// all topics, does not notice.
    ///
    /// An ended topic that is later forgotten (see [`Limits::topics_max`](crate::Limits::topics_max)) is a topic
    /// like any other again.
    ///
    /// ```
    /// use realtime_core::{Event, Log, Topic};
    ///
    /// let (log, job) = (Log::new(), Topic::new("job/7")?);
    /// log.publish(Event::json("progress", &100)?.with_topic(job.clone()))?;
    /// log.close_topic(&job);
    /// assert!(log.publish(Event::json("progress", &101)?.with_topic(job)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_topic(&self, topic: &Topic) {
        let seats = &self.shared.seats;
        self.shared.state.lock().close_topic(topic, |name| seats.is_named(name));
        seats.call(&[Some(topic.clone())]);
    }

    /// Readers that now read this topic, by name, by prefix or with all others: feeds that were polled and are not
    /// dropped.
    ///
    /// ```
    /// use realtime_core::{Log, Source, Start, Topic};
    ///
    /// let log = Log::new();
    /// let feed = log.topic("lobby").subscribe(Start::Live);
    /// assert_eq!(log.readers(&Topic::new("lobby")?), 0);   // it reads nothing yet
    /// # drop(feed);
    /// # Ok::<(), realtime_core::EventError>(())
    /// ```
    pub fn readers(&self, topic: &Topic) -> usize {
        self.shared.seats.readers(&Some(topic.clone()))
    }

    /// The place of the newest event: a reader that starts after it gets what is published from now on.
    pub fn tail(&self) -> Cursor {
        self.shared.ring.cursor(self.shared.ring.head())
    }

    /// One topic of the log, as a source.
    ///
    /// Any topic of the log can be named so: where the name comes from a client, put a prefix of the route's own before it.
    /// One that no topic can have gives a source that answers with
    /// [`SourceErrorKind::Invalid`], for which transports say 400.
    pub fn topic(&self, topic: impl AsRef<str>) -> LogView {
        let set = Topic::new(topic).map(TopicSet::one).map_err(|error| error.kind());
        LogView { log: self.clone(), set }
    }

    /// Some topics of the log, as a source.
    pub fn topics(&self, set: impl Into<TopicSet>) -> LogView {
        LogView { log: self.clone(), set: Ok(set.into()) }
    }
}

impl Shared {
    /// Changes the state under its lock, and shows what came of it to those who read without.
    fn write<T>(&self, change: impl FnOnce(&mut State, Duration) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let outcome = change(&mut state, now);
        state.show();
        outcome
    }
}

impl Source for Log {
    type Feed = LogFeed;

    fn subscribe(&self, start: Start) -> LogFeed {
        LogFeed::new(self.shared.clone(), TopicSet::all(), start)
    }

    fn as_log(&self) -> Option<LogView> {
        Some(self.topics(TopicSet::all()))
    }
}

/// Some topics of a [`Log`], as a source.
///
/// ```
/// use realtime_core::{Log, TopicSet};
///
/// let log = Log::new();
/// let lobby = log.topic("lobby");
/// let rooms = log.topics(TopicSet::prefix("room/")?);
/// # drop((lobby, rooms));
/// # Ok::<(), realtime_core::EventError>(())
/// ```
///
/// Two are equal when they are the same topics of the same log.
#[derive(Debug, Clone)]
pub struct LogView {
    log: Log,
    set: Result<TopicSet, crate::error::EventErrorKind>,
}

impl LogView {
    /// A feed that goes on where a reader of this view stood that was live: it does not open, and what the log has lost
    /// since is a gap of the reason `overflow`. None for a place that this log does not have.
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// use realtime_core::{Delivery, Event, Log};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let log = Log::new();
    /// let (view, place) = (log.topic("lobby"), log.tail());
    /// log.publish(Event::text("note", "hi")?.with_topic(realtime_core::Topic::new("lobby")?))?;
    /// let mut feed = view.follow(place).expect("a place of this log");
    /// assert!(matches!(feed.next().await, Some(Ok(Delivery::Events(_)))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn follow(&self, place: Cursor) -> Option<LogFeed> {
        let set = self.set.as_ref().ok()?;
        let at = self.log.shared.state.lock().position_of(place)?;
        Some(LogFeed::following(self.log.shared.clone(), set.clone(), at))
    }
}

impl PartialEq for LogView {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.log.shared, &other.log.shared) && self.set == other.set
    }
}

impl Eq for LogView {}

impl std::hash::Hash for LogView {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.log.shared).hash(state);
        self.set.as_ref().ok().hash(state);
    }
}

impl Source for LogView {
    type Feed = ViewFeed;

    fn subscribe(&self, start: Start) -> ViewFeed {
        ViewFeed(match &self.set {
            Ok(set) => Ok(LogFeed::new(self.log.shared.clone(), set.clone(), start)),
            Err(kind) => {
                let cause = crate::error::EventError::from(*kind);
                Err(Some(SourceError::new(SourceErrorKind::Invalid, cause)))
            }
        })
    }

    fn as_log(&self) -> Option<LogView> {
        self.set.is_ok().then(|| self.clone())
    }
}

/// What a [`LogView`] is read through.
#[derive(Debug)]
pub struct ViewFeed(Result<LogFeed, Option<SourceError>>);

impl futures_core::Stream for ViewFeed {
    type Item = Result<crate::feed::Delivery, SourceError>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        match &mut self.get_mut().0 {
            Ok(feed) => std::pin::Pin::new(feed).poll_next(cx),
            Err(error) => std::task::Poll::Ready(error.take().map(Err)),
        }
    }
}
