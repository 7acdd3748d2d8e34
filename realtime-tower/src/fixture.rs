//! What the unit tests of this crate are made of: places, batches, and a feed that gives what the test puts in.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::poll_fn;
use realtime_core::{Batch, Cursor, Delivery, Entry, Event, Feed, SourceError};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::config::Config;
use crate::mount::{Mount, Permit};
use crate::signed::{Claim, CursorForm, CursorKeys};

pub(crate) type Item = Result<Delivery, SourceError>;

/// The test's end of a feed. Dropping it ends the feed.
pub(crate) type Script = UnboundedSender<Item>;

/// A feed, and what it is told by.
pub(crate) fn feed() -> (Script, Pin<Box<impl Feed>>) {
    let (script, mut items) = unbounded_channel();
    (script, Box::pin(poll_fn(move |cx| items.poll_recv(cx))))
}

/// A feed that gives these items and then ends.
pub(crate) fn feed_of(items: impl IntoIterator<Item = Item>) -> Pin<Box<impl Feed>> {
    let (script, feed) = feed();
    items.into_iter().for_each(|item| {
        let _ = script.send(item);
    });
    feed
}

pub(crate) fn at(position: u128) -> Cursor {
    Cursor::new(7, position)
}

pub(crate) fn entry(position: u128, event: Event) -> Entry {
    Entry::new(at(position), event)
}

/// Events `n` with payload `n`, at these positions.
pub(crate) fn batch(positions: std::ops::RangeInclusive<u128>, is_live: bool) -> Batch {
    let place = at(*positions.end());
    let entries = positions.map(|n| entry(n, Event::json("n", &(n as u64)).unwrap()));
    Batch::new(entries.collect(), place, is_live).expect("positions")
}

pub(crate) fn events(positions: std::ops::RangeInclusive<u128>) -> Item {
    Ok(Delivery::Events(batch(positions, false)))
}

/// Cursors with a tag.
pub(crate) fn signed() -> CursorForm {
    let keys = CursorKeys::new([7; 32]).expect("32 bytes");
    Claim::default().form(&keys).expect("no cursor is claimed")
}

pub(crate) fn permit(config: Config) -> (Arc<Mount>, Permit) {
    let mount = Mount::new(config, &["test"]);
    let permit = mount.admit(0).expect("an empty mount");
    (mount, permit)
}
