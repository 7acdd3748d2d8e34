//! What the author of a source supplies.

use std::future::poll_fn;
use std::ops::Range;
use std::task::Poll;

use crate::source::Source;

/// Numbers that a law publishes at most between two trims: the source has to retain so many.
pub const RETAINED: u64 = 64;

/// A source with an empty history, and the means to act on it.
///
/// Laws publish numbers, each one once and in rising order. An event's payload is its number as JSON; its name and its
/// topic are the author's choice. A method that does not have to be there says by its answer whether the fixture can do
/// it; one that cannot is listed as untested.
///
/// See the [module](super) for an example.
pub trait Fixture {
    /// What is tested.
    type Source: Source;

    /// The source, or another handle to the same; it is asked for whenever a reader begins.
    fn source(&self) -> Self::Source;

    /// Publishes an event for each number, and returns once they can be read.
    fn publish(&self, numbers: Range<u64>) -> impl Future<Output = ()>;

    /// So long a wait that what is to come has come: a law that hears nothing for so long takes it for silence.
    ///
    /// By default other tasks run a few times: enough for sources in memory. A source that asks a server sleeps here.
    fn pause(&self) -> impl Future<Output = ()> {
        turns(32)
    }

    /// Makes the source drop some of the numbers published so far, and returns those that are still there. Best are
    /// some that are older than the newest that went.
    fn trim(&self) -> impl Future<Output = Option<Vec<u64>>> {
        async { None }
    }

    /// Whether the source may say a gap where nothing was lost, because it cannot know. [`trim`](Self::trim) has to be
    /// exact all the same.
    fn over_reports(&self) -> bool {
        false
    }

    /// Makes the source start over with another epoch and an empty history, as after a crash.
    fn restart(&self) -> impl Future<Output = bool> {
        async { false }
    }

    /// Publishes an event that moves the place of this source's readers without being theirs: on another topic, or one
    /// that a filter drops.
    fn pass_by(&self) -> impl Future<Output = bool> {
        async { false }
    }

    /// Publishes an event with a key on a topic that keeps the latest per key: its payload is the value as JSON. The
    /// topic has to hold 400 keys.
    fn put(&self, key: &str, value: u64) -> impl Future<Output = bool> {
        let _ = (key, value);
        async { false }
    }

    /// Ends the source.
    fn close(&self) -> impl Future<Output = bool> {
        async { false }
    }

    /// Makes the source fail, as when its server went away: feeds that are open end with an error.
    fn fail(&self) -> impl Future<Output = bool> {
        async { false }
    }

    /// How many feeds hold something of the source now: a seat, a subscription, a connection.
    fn readers(&self) -> Option<usize> {
        None
    }

    /// How often the source did I/O to read since it was made.
    fn reads(&self) -> Option<u64> {
        None
    }
}

/// Lets others run so many times.
async fn turns(mut left: usize) {
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
