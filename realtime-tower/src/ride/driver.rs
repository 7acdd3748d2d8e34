//! One view's driver: the lock that says whose the writers are.
//!
//! It runs while somebody rides and at least two readers might: one who is alone reads for itself. Everything that is
//! decided here is decided under the lock of [`State`]; wakers run behind it.

mod boarding;
mod task;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use realtime_core::Cursor;
use slab::Slab;

pub(crate) use boarding::{Boarding, Ride};

use super::riders::{Alighted, Riders, Slot};
use super::run::{Run, Wire, position};
use super::views::Key;
use crate::mount::Mount;
use crate::timer::Moment;

/// What the readers of one view share.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(super) key: Key,
    pub(super) mount: Arc<Mount>,
    wire: Wire,
    heartbeat: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Sessions that ride or may.
    members: usize,
    /// Who was not taken in because nobody else was there.
    alone: Option<Waker>,
    slots: Slab<Slot>,
    /// None while no task runs.
    running: Option<Box<Running>>,
    /// Which task it is that runs: one that was let go may not have noticed yet.
    task: u64,
}

#[derive(Debug)]
struct Running {
    riders: Riders,
    run: Option<Arc<Run>>,
    /// Up to here all events have been read and written. Who stands before it would miss some.
    written: u64,
    /// The place of all who have been served; it moves past what is not of the view.
    place: Cursor,
    /// When the last run began,
    last: Moment,
    /// and the one before it: who has not been served knows of no later one.
    before: Moment,
    /// Since when somebody has had nothing, where that is longer than all others.
    silent_since: Option<Moment>,
    waker: Option<Waker>,
}

impl Driver {
    pub(super) fn new(key: Key, mount: Arc<Mount>, wire: Wire, heartbeat: Duration) -> Arc<Self> {
        Arc::new(Self { key, mount, wire, heartbeat, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn members(&self) -> usize {
        self.state().members
    }

    /// Counts a session, and says who was alone so far: it is to be woken, outside of every lock.
    pub(super) fn join(self: &Arc<Self>) -> (Ride, Option<Waker>) {
        let mut state = self.state();
        state.members += 1;
        let alone = state.alone.take();
        (Ride::new(self.clone()), alone)
    }

    /// Counts it no more, and says how many there are. One who is left alone reads for itself.
    pub(super) fn leave(&self) -> (usize, Ended) {
        let mut state = self.state();
        state.members -= 1;
        let members = state.members;
        (members, if members < 2 { state.end() } else { Ended::default() })
    }

    #[cfg(test)]
    pub(crate) fn riders(&self) -> Option<usize> {
        self.state().running.as_ref().map(|running| running.riders.len())
    }
}

/// Who is to be woken, outside of every lock.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Ended(Vec<Waker>);

impl Ended {
    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Lets the task go and puts everybody off, where they stand.
    fn end(&mut self) -> Ended {
        let Some(mut running) = self.running.take() else { return Ended::default() };
        let mut woken = Vec::with_capacity(running.riders.len() + 1);
        while let Some((slot, waker, off)) = running.pop() {
            self.slots[slot] = Slot::Off(Box::new(off));
            woken.push(waker);
        }
        woken.extend(running.waker.take());
        Ended(woken)
    }
}

impl Running {
    /// Where the rider of this index stands.
    fn place(&self, index: usize) -> Cursor {
        let had = match &self.run {
            Some(run) if self.riders.is_served(index) => run.to(),
            _ => position(self.place),
        };
        self.place.at(self.riders.boarded(index).max(had).into())
    }

    /// When something was written to the rider of this index last, if it was there then.
    fn last(&self, index: usize) -> Moment {
        if self.run.is_none() || self.riders.is_served(index) { self.last } else { self.before }
    }

    fn pop(&mut self) -> Option<(usize, Waker, Alighted)> {
        let index = self.riders.len().checked_sub(1)?;
        let (place, last) = (self.place(index), self.last(index));
        Some(self.riders.pop()?.left(place, last))
    }

    fn remove(&mut self, index: usize, slots: &mut Slab<Slot>) -> (usize, Waker, Alighted) {
        let (place, last) = (self.place(index), self.last(index));
        self.riders.remove(index, slots).left(place, last)
    }
}
