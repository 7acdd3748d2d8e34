//! What a stream of any kind says, in order: the one place where a feed becomes messages.
//!
//! ```text
//! late? ──► $open ──► $gap? ──► events, $gap, $live once, beats ──► end
//! ```
//!
//! Polls do not come through here: they answer with a [page](crate::page).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream as _;
use realtime_core::envelope::{Control, EndReason};
use realtime_core::{
    Batch, Cursor, Delivery, Feed, Gap, GapReason, LogFeed, Opened, SourceError, SourceErrorKind,
};

use crate::config::Slow;
use crate::mount::Permit;
use crate::observe;
use crate::seat::Leave;
use crate::stats::add;
use crate::timer::{Heartbeat, Moment, jittered};

/// The messages of one stream. It is polled by whoever writes them; after [`Message::End`] it has nothing more.
pub(crate) struct Downlink<F> {
    reads: Reads<F>,
    permit: Permit,
    heartbeat: Heartbeat,
    next: Next,
    place: Option<Cursor>,
    is_live: bool,
    resumed: bool,
}

/// What is read.
enum Reads<F> {
    /// The feed that the source gave.
    Feed(Pin<Box<F>>),
    /// One that goes on where somebody else has stopped reading for this stream.
    Log(Box<LogFeed>),
    /// Nothing: somebody else does.
    Nothing,
}

impl<F: Feed> Reads<F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery, SourceError>>> {
        match self {
            Self::Feed(feed) => feed.as_mut().poll_next(cx),
            Self::Log(feed) => Pin::new(&mut **feed).poll_next(cx),
            // Nobody asks while somebody else reads, and nobody stands where the log has no place.
            Self::Nothing => Poll::Ready(Some(Err(SourceError::new(
                SourceErrorKind::Failed,
                "there is nothing to be read",
            )))),
        }
    }
}

/// What is to be said next. What is said once is in a box: a stream lives long after it.
#[derive(Debug)]
enum Next {
    /// The source has not opened yet.
    Late,
    Open(Box<Opened>),
    Gap(Box<Gap>),
    Read,
    Nothing,
}

/// One message of a stream.
#[derive(Debug)]
pub(crate) enum Message {
    /// A control, for every mode that can carry one: in a box, for what is said at every event is small.
    Control(Box<Control>),
    /// Events.
    Events(Batch),
    /// Nothing was sent for a while; the place may have moved without an event.
    Beat(Option<Cursor>),
    /// The last message.
    End(End),
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Why.
    pub(crate) reason: EndReason,
    /// The client's place.
    pub(crate) cursor: Option<Cursor>,
    /// When to come back, jittered; never, when there is nothing to come back for.
    pub(crate) retry: Option<Duration>,
    /// What the source said, where it failed.
    pub(crate) failure: Option<SourceErrorKind>,
}

impl End {
    /// The same as a control message.
    pub(crate) fn control(&self) -> Control {
        Control::End { cursor: self.cursor, reason: self.reason, retry: self.retry }
    }
}

impl<F: Feed> Downlink<F> {
    pub(crate) fn new(
        feed: Pin<Box<F>>,
        opened: Option<Opened>,
        permit: Permit,
        resumed: bool,
        heartbeat: Duration,
    ) -> Self {
        let next = opened.map_or(Next::Late, |opened| Next::Open(Box::new(opened)));
        let heartbeat = Heartbeat::new(heartbeat);
        let reads = Reads::Feed(feed);
        Self { reads, permit, heartbeat, next, place: None, is_live: false, resumed }
    }

    /// The client's place, where it has been told all that comes before the next news, and when something was sent last.
    /// That the feed waits the caller knows.
    pub(crate) fn at_rest(&self) -> Option<(Cursor, Moment)> {
        let is_at_rest = self.is_live && matches!(self.next, Next::Read) && !self.permit.is_told();
        is_at_rest.then_some((self.place?, self.heartbeat.last()))
    }

    /// Somebody else reads, and sees to the heartbeat: feed and timer are gone.
    pub(crate) fn let_go(&mut self) {
        self.reads = Reads::Nothing;
        self.heartbeat.rest();
    }

    /// Reads on by itself from this place. None is one that the log does not have: then the source has failed.
    pub(crate) fn go_on(&mut self, place: Cursor, feed: Option<LogFeed>, sent: Option<Moment>) {
        self.place = Some(place);
        self.reads = feed.map_or(Reads::Nothing, |feed| Reads::Log(Box::new(feed)));
        if let Some(sent) = sent {
            self.heartbeat.touched_at(sent);
        }
    }

    /// The reader's leave, for what a room counts itself.
    pub(crate) fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The client's place, once it has what was said so far.
    pub(crate) fn place(&self) -> Option<Cursor> {
        self.place
    }

    /// Something was sent.
    pub(crate) fn touched(&mut self) {
        self.heartbeat.touched();
    }

    /// Whether the reader's session has ended; the task is woken when it does.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> bool {
        self.permit.poll_expired(cx)
    }

    /// The next message. `Pending` wakes the task at news, at a beat, when the mount drains, and when the session ends.
    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        if matches!(self.next, Next::Nothing) {
            return Poll::Pending;
        }
        // Before anything else: nothing is said under a session that has ended.
        if self.permit.poll_expired(cx) {
            return Poll::Ready(self.end(EndReason::Expired, None));
        }
        match &self.next {
            Next::Open(opened) => return Poll::Ready(self.open(**opened)),
            Next::Gap(gap) => {
                let gap = **gap;
                self.next = Next::Read;
                return Poll::Ready(self.tell(gap));
            }
            Next::Late | Next::Read | Next::Nothing => {}
        }
        if self.permit.is_told() {
            return Poll::Ready(self.end(EndReason::Drain, None));
        }
        loop {
            // In place: what a feed says is large.
            return Poll::Ready(match self.reads.poll(cx) {
                // A task that waits here for the first time leaves word with the mount; the timer does so by itself.
                Poll::Pending if !self.heartbeat.wakes(cx.waker()) => {
                    if let Poll::Ready(why) = self.permit.poll_told(cx) {
                        let reason = match why {
                            Leave::Drain => EndReason::Drain,
                            Leave::Expired => EndReason::Expired,
                        };
                        return Poll::Ready(self.end(reason, None));
                    }
                    return self.heartbeat.poll_due(cx).map(|()| Message::Beat(self.place));
                }
                Poll::Pending => return self.heartbeat.poll_due(cx).map(|()| Message::Beat(self.place)),
                Poll::Ready(Some(Ok(Delivery::Open(opened)))) => self.open(opened),
                Poll::Ready(Some(Ok(Delivery::Events(batch)))) => {
                    self.place = Some(batch.cursor());
                    add(&self.permit.counters().deliveries, batch.len() as u64);
                    Message::Events(batch)
                }
                Poll::Ready(Some(Ok(Delivery::Gap(gap)))) if self.is_too_slow(&gap) => {
                    self.end(EndReason::Slow, None)
                }
                Poll::Ready(Some(Ok(Delivery::Gap(gap)))) => self.tell(gap),
                Poll::Ready(Some(Ok(Delivery::Live(cursor)))) => {
                    self.place = Some(cursor);
                    if std::mem::replace(&mut self.is_live, true) {
                        continue;
                    }
                    Message::Control(Box::new(Control::Live(cursor)))
                }
                Poll::Ready(Some(Ok(_))) => continue,
                Poll::Ready(Some(Err(error))) => {
                    observe::failed(&self.permit, Some(&error));
                    self.end(EndReason::Source, Some(&error))
                }
                Poll::Ready(None) => self.end(EndReason::Closed, None),
            });
        }
    }

    fn open(&mut self, opened: Opened) -> Message {
        observe::connected(&self.permit, &opened, self.resumed);
        self.place = Some(opened.cursor);
        self.next = opened.gap.map_or(Next::Read, |gap| Next::Gap(Box::new(gap)));
        let (resumed, heartbeat) = (self.resumed, self.heartbeat.every());
        Message::Control(Box::new(Control::Open { opened, resumed, heartbeat }))
    }

    fn tell(&mut self, gap: Gap) -> Message {
        observe::gap(&self.permit, &gap);
        self.place = Some(gap.to);
        Message::Control(Box::new(Control::Gap(gap)))
    }

    fn is_too_slow(&self, gap: &Gap) -> bool {
        gap.reason == GapReason::Overflow && self.permit.config().slow == Slow::Disconnect
    }

    /// The client's place is what it had before the message that could not be written.
    pub(crate) fn forget_place(&mut self) {
        self.place = None;
    }

    /// Whether it has said its last.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }

    /// Ends the stream; the writer calls it too, when the peer takes nothing.
    pub(crate) fn end(&mut self, reason: EndReason, error: Option<&SourceError>) -> Message {
        self.next = Next::Nothing;
        observe::ended(&self.permit, reason, self.place);
        let retry = match reason {
            EndReason::Closed | EndReason::Expired => None,
            _ => {
                let hint = error.and_then(SourceError::retry_after);
                Some(jittered(hint.unwrap_or_else(|| self.permit.retry())))
            }
        };
        Message::End(End { reason, cursor: self.place, retry, failure: error.map(SourceError::kind) })
    }
}

impl<F> Downlink<F> {
    /// The client's place is this, whatever else was taken: the rest was not written, and will not be.
    pub(crate) fn stopped_at(&mut self, place: Option<Cursor>) {
        self.place = place;
    }
}

/// A stream that is dropped before its end: the host has seen its write deadline pass, or the client go. Nobody else
/// hears of it.
impl<F> Drop for Downlink<F> {
    fn drop(&mut self) {
        match self.next {
            Next::Nothing => {}
            _ if self.permit.is_stalled() => observe::ended(&self.permit, EndReason::Slow, None),
            // Nothing was said of it so far.
            Next::Late | Next::Open(_) => {}
            Next::Gap(_) | Next::Read => observe::gone(&self.permit, self.place),
        }
    }
}

impl<F> std::fmt::Debug for Downlink<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Downlink")
            .field("next", &self.next)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
