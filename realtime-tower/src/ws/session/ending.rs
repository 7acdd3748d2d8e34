//! How a connection ends: by the source, by the session, by what the client did; and what of it is still said.

use std::io;
use std::task::{Context, Poll};

use realtime_core::envelope::EndReason;
use realtime_core::{Cursor, Feed, SourceErrorKind};

use super::{Phase, Session, Turn};
use crate::downlink::{End, Message};
use crate::uplink::Uplink;
use crate::ws::codec::{self, code};

impl<F: Feed, U: Uplink> Session<F, U> {
    pub(super) fn broken(&mut self, code: u16) {
        let is_open = self.phase == Phase::Open;
        self.phase = if is_open { Phase::Broken(code) } else { Phase::Failing };
        if is_open {
            self.deadline.restart(self.config.close_wait);
        }
    }

    /// Closes behind the last answer to who broke the framing, or when the handler has taken too long.
    pub(super) fn fail(&mut self, cx: &mut Context<'_>) -> bool {
        let Phase::Broken(code) = self.phase else { return false };
        if !self.messages.is_empty() && self.deadline.poll_due(cx).is_pending() {
            return false;
        }
        self.refuse(code);
        self.phase = Phase::Failing;
        self.deadline.restart(self.config.close_wait);
        true
    }

    /// The session has ended: what waits to be written or handled is dropped, and the client is told where it was cut. A handler
    /// that has begun goes on, unanswered.
    pub(super) fn expire(&mut self) {
        self.is_expired = true;
        self.messages.forget_waiting();
        let Some(place) = self.outbox.cut() else { return };
        self.downlink.stopped_at(place);
        let end = match self.downlink.is_over() {
            false => self.downlink.end(EndReason::Expired, None),
            // It had come to its end; the client has not heard of it.
            true => {
                Message::End(End { reason: EndReason::Expired, cursor: place, retry: None, failure: None })
            }
        };
        if let Message::End(end) = end {
            self.end(&end);
        }
    }

    pub(super) fn end(&mut self, end: &End) {
        let code = match (end.reason, end.failure) {
            (EndReason::Drain, _) => code::DRAIN,
            (EndReason::Source, Some(SourceErrorKind::Unavailable)) => code::OVERLOAD,
            (EndReason::Source, _) => code::SOURCE_FAILED,
            (EndReason::Expired, _) => code::EXPIRED,
            (EndReason::Slow, _) => code::SLOW,
            _ => code::END,
        };
        self.say(&end.control());
        self.close(code, end.cursor);
    }

    /// Closes because of what the client did.
    pub(super) fn refuse(&mut self, code: u16) {
        self.close(code, self.downlink.place());
    }

    /// Closes behind what waits to be written; the reason is the client's place then.
    pub(super) fn close(&mut self, code: u16, place: Option<Cursor>) {
        let cursors = self.downlink.permit().cursors();
        let reason = place.map(|place| cursors.text(place));
        self.outbox.close(codec::close(code, reason.as_deref().unwrap_or_default()));
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
            self.deadline.restart(self.config.close_wait);
        }
    }

    /// Ends our direction, once the Close that says what the peer broke has gone out.
    pub(super) fn hang_up(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.phase != Phase::Failing || !self.outbox.is_empty() {
            return Ok(false);
        }
        let Poll::Ready(result) = self.io.poll_shutdown(cx) else { return Ok(false) };
        self.phase = Phase::HungUp;
        result.map(|()| true)
    }

    /// The peer has closed and was answered. What it sent before is handled to the end, for a while: to send and to close
    /// is no way of not sending.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>) -> Turn {
        if self.messages.is_empty() || self.deadline.poll_due(cx).is_ready() {
            return Turn::Over;
        }
        let _ = self.io.poll_shutdown(cx);
        Turn::Rested
    }
}
