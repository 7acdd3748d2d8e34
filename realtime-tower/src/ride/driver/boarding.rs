//! A session's part: it boards, is put off or alights, and leaves with its drop.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use realtime_core::{Cursor, LogView};
use tokio::net::tcp::OwnedWriteHalf;

use super::{Driver, State};
use crate::ride::riders::{Alighted, Leash, Rider, Slot};
use crate::ride::run::position;
use crate::timer::Moment;

/// A session's part in a driver. Dropping it takes the session out.
#[derive(Debug)]
pub(crate) struct Ride {
    driver: Arc<Driver>,
    slot: Option<usize>,
    /// When it boarded.
    since: Moment,
}

/// What a session hands over.
#[derive(Debug)]
pub(crate) struct Boarding {
    pub(crate) writer: OwnedWriteHalf,
    /// It has had everything up to here.
    pub(crate) place: Cursor,
    /// When it was sent something last.
    pub(crate) last: Moment,
    pub(crate) leash: Option<Leash>,
}

impl Ride {
    /// One of a session that the driver has counted.
    pub(super) fn new(driver: Arc<Driver>) -> Self {
        Self { driver, slot: None, since: Moment::now() }
    }

    pub(crate) fn is_riding(&self) -> bool {
        self.slot.is_some()
    }

    /// What is read.
    pub(crate) fn view(&self) -> &LogView {
        &self.driver.key.view
    }

    /// Hands the writing over, if there is a driver to be had for it: there is none for one alone, nor for one who stands
    /// before what all others have had. The second is woken by its feed; the first by whoever comes.
    ///
    /// # Errors
    /// Then everything is given back.
    pub(crate) fn board(&mut self, boarding: Boarding, waker: &Waker) -> Result<(), Boarding> {
        let (mut started, mut state) = (None, self.driver.state());
        if state.members < 2 {
            let former = match &state.alone {
                Some(known) if known.will_wake(waker) => None,
                _ => state.alone.replace(waker.clone()),
            };
            drop(state);
            drop(former);
            return Err(boarding);
        }
        if state.running.is_none() {
            let Some(feed) = self.view().follow(boarding.place) else { return Err(boarding) };
            started = Some(self.driver.start(&mut state, boarding.place, feed));
        }
        let State { slots, running: Some(running), .. } = &mut *state else { return Err(boarding) };
        let Boarding { writer, place, last, leash } = boarding;
        if position(place) < running.written || place.epoch() != running.place.epoch() {
            return Err(Boarding { writer, place, last, leash });
        }
        let slot = slots.insert(Slot::Rides(0));
        let leash = leash.map(Box::new);
        let rider = Rider { writer, boarded: position(place), waker: waker.clone(), slot, leash };
        running.riders.board(rider, slots);
        (self.slot, self.since) = (Some(slot), Moment::now());
        let mut driver = None;
        if last < running.silent_since.unwrap_or(running.last) {
            running.silent_since = Some(last);
            driver = running.waker.clone();
        }
        drop(state);
        driver.into_iter().for_each(Waker::wake);
        if let Some(driving) = started {
            driving.spawn();
        }
        Ok(())
    }

    /// Whether it was put off. Else the task is woken when it is.
    pub(crate) fn poll_put_off(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(slot) = self.slot else { return Poll::Ready(()) };
        let mut state = self.driver.state();
        let State { slots, running: Some(running), .. } = &mut *state else { return Poll::Ready(()) };
        let Some(Slot::Rides(index)) = slots.get(slot) else { return Poll::Ready(()) };
        let Some(rider) = running.riders.rider(*index) else { return Poll::Ready(()) };
        if !rider.waker.will_wake(cx.waker()) {
            let former = std::mem::replace(&mut rider.waker, cx.waker().clone());
            drop(state);
            drop(former);
        }
        Poll::Pending
    }

    /// Takes the writing back, where it rides or was put off.
    pub(crate) fn alight(&mut self) -> Option<Alighted> {
        let slot = self.slot.take()?;
        let mut state = self.driver.state();
        let State { slots, running, .. } = &mut *state;
        let left = match (slots.get(slot)?, running) {
            (Slot::Rides(index), Some(running)) => Some(running.remove(*index, slots)),
            _ => None,
        };
        let slot = slots.try_remove(slot)?;
        // A waker runs anybody's code, when it is dropped too.
        drop(state);
        match (left, slot) {
            (Some((_, _, alighted)), _) => Some(alighted),
            (None, Slot::Off(off)) => Some(*off),
            (None, Slot::Rides(_)) => None,
        }
    }

    /// Whether that was since it boarded last: before that, what others were sent is nothing to it.
    pub(crate) fn was_aboard(&self, moment: Moment) -> bool {
        self.since <= moment
    }
}

impl Drop for Ride {
    fn drop(&mut self) {
        drop(self.alight());
        self.driver.mount.views.leave(&self.driver);
    }
}
