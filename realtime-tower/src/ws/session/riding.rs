//! A session that has nothing to say but what everybody gets hands its writing over, and takes it back for all else.

use std::io;
use std::task::Context;

use realtime_core::Feed;

use super::{Alive, Phase, Session, Turn};
use crate::ride::{Alighted, Boarding, Ride, Wire};
use crate::uplink::Uplink;
use crate::ws::frames;
use crate::ws::messages::Mode;

impl<F: Feed, U: Uplink> Session<F, U> {
    /// Whether it rides on: then only what calls it is waited for. Else it has alighted, and goes on by itself.
    pub(super) fn poll_riding(&mut self, cx: &mut Context<'_>) -> io::Result<Turn> {
        let Some(ride) = self.ride.as_mut().filter(|ride| ride.is_riding()) else { return Ok(Turn::Moved) };
        let is_put_off = ride.poll_put_off(cx).is_ready();
        let read = self.read(cx);
        let is_called = is_put_off
            | !matches!(read, Ok(Turn::Rested))
            | self.downlink.poll_expired(cx)
            | self.downlink.permit().poll_told(cx).is_ready()
            | self.deadline.poll_due(cx).is_ready();
        if !is_called {
            return Ok(Turn::Rested);
        }
        self.alight()?;
        Ok(match read? {
            Turn::Over => Turn::Over,
            _ => Turn::Moved,
        })
    }

    /// Takes the writing back, and reads on from where it was left.
    pub(super) fn alight(&mut self) -> io::Result<()> {
        let Some(ride) = &mut self.ride else { return Ok(()) };
        let Some(alighted) = ride.alight() else { return Ok(()) };
        let Alighted { writer, place, left, last, error } = alighted;
        self.io.give_back(writer);
        self.outbox.leads_to(Some(place));
        let here = match left {
            None => place,
            Some((rest, behind)) => {
                self.outbox.push_begun(rest);
                self.outbox.leads_to(Some(behind));
                behind
            }
        };
        let sent = ride.was_aboard(last).then_some(last);
        self.downlink.go_on(here, ride.view().follow(here), sent);
        error.map_or(Ok(()), Err)
    }

    /// Hands the writing over if it is quiet. Its feed waits, as the turn before has seen.
    pub(super) fn board(&mut self, cx: &mut Context<'_>) {
        let is_quiet = self.phase == Phase::Open
            && self.alive != Alive::Stalled
            && self.is_dry
            && self.messages.is_empty()
            && self.outbox.is_empty();
        if !is_quiet {
            return;
        }
        let Some((place, last)) = self.downlink.at_rest() else { return };
        if !self.may_ride() {
            return;
        }
        let Some(writer) = self.io.take_writer() else { return };
        let leash = self.downlink.permit().leash();
        let boarding = Boarding { writer, place, last, leash };
        let refused = match &mut self.ride {
            Some(ride) => ride.board(boarding, cx.waker()).err(),
            None => Some(boarding),
        };
        match refused {
            Some(boarding) => self.io.give_back(boarding.writer),
            None => self.downlink.let_go(),
        }
    }

    /// Whether what it reads is what others read, to be written as they get it, to a socket of its own. It joins them then.
    fn may_ride(&mut self) -> bool {
        if self.ride.is_none() && self.io.has_writer() {
            let permit = self.downlink.permit();
            if !permit.cursors().is_plain() && self.mode == Mode::V1 {
                return false;
            }
            let Some(view) = self.view.take() else { return false };
            let (format, encode) = frames::of(self.mode, self.window);
            let wire = Wire { format, encode, beat: frames::beat_of(self.mode) };
            self.ride = Some(self.downlink.permit().join(view, wire, self.config.heartbeat));
        }
        self.ride.is_some()
    }
}

/// One that is dropped while it rides has come as far as it was written to.
impl<F, U> Drop for Session<F, U> {
    fn drop(&mut self) {
        let alighted = self.ride.as_mut().and_then(Ride::alight);
        if let Some(Alighted { writer, place, .. }) = alighted {
            self.io.give_back(writer);
            self.downlink.stopped_at(Some(place));
        }
    }
}
