//! One view's driver: the lock that says whose the writers are, and the task that reads and writes.
//!
//! It runs while somebody rides and at least two readers might: one who is alone reads for itself. Everything that is
//! decided here is decided under the lock of [`State`]; wakers run behind it.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use realtime_core::{Cursor, Delivery, LogFeed, LogView};
use slab::Slab;
use tokio::net::tcp::OwnedWriteHalf;

use super::riders::{Alighted, Leash, Pass, Rider, Riders, Slot, Written};
use super::run::{Run, Wire, position};
use super::views::Key;
use crate::mount::Mount;
use crate::stats::add;
use crate::timer::{Heartbeat, Moment};

/// Writes for one turn of the lock: a session that has to alight waits for no more.
const LOCKED: usize = 16;

/// Turns of the lock in one poll, some 0.3 to 0.9 ms of writing: then other tasks have theirs.
const TURNS: usize = 8;

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
        (Ride { driver: self.clone(), slot: None, since: Moment::now() }, alone)
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
        if let Some(mut driving) = started {
            drop(tokio::spawn(std::future::poll_fn(move |cx| driving.poll_over(cx))));
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

impl Driver {
    /// Begins to read here, in a task that is to be spawned: outside of the lock, for a runtime that ends drops it at once.
    fn start(self: &Arc<Self>, state: &mut State, place: Cursor, feed: LogFeed) -> Driving {
        state.task += 1;
        state.running = Some(Box::new(Running {
            riders: Riders::default(),
            run: None,
            written: position(place),
            place,
            last: Moment::now(),
            before: Moment::now(),
            silent_since: None,
            waker: None,
        }));
        let heartbeat = Heartbeat::new(self.heartbeat);
        Driving { driver: self.clone(), task: state.task, feed, heartbeat }
    }
}

/// The task. However it ends, nobody is left riding.
struct Driving {
    driver: Arc<Driver>,
    task: u64,
    feed: LogFeed,
    heartbeat: Heartbeat,
}

/// What a turn of the lock came to.
enum Turn {
    /// Somebody has still to be served.
    Amid,
    Served,
    Over,
}

/// What there is to be written.
enum News {
    Run(Run),
    Beat,
    /// Nothing, up to here.
    Place(Cursor),
    /// What each has to be told by its own session.
    End,
}

impl Driving {
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            match self.serve(cx) {
                Turn::Amid => continue,
                Turn::Served => {}
                Turn::Over => return Poll::Ready(()),
            }
            let news = match Pin::new(&mut self.feed).poll_next(cx) {
                Poll::Ready(Some(Ok(Delivery::Events(batch)))) => {
                    News::Run(Run::of(&batch, &self.driver.wire))
                }
                Poll::Ready(Some(Ok(Delivery::Live(place)))) => News::Place(place),
                Poll::Ready(_) => News::End,
                Poll::Pending => match self.heartbeat.poll_due(cx) {
                    Poll::Ready(()) => News::Beat,
                    Poll::Pending => return Poll::Pending,
                },
            };
            if self.take(news).is_break() {
                return Poll::Ready(());
            }
        }
        // What is published till the next turn is gathered by the log.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Serves some of those who have not had the run, if there is one.
    fn serve(&mut self, cx: &mut Context<'_>) -> Turn {
        let Self { driver, task, heartbeat, .. } = self;
        let mut state = driver.state();
        let is_ours = state.task == *task;
        let State { slots, running: Some(running), .. } = &mut *state else { return Turn::Over };
        if !is_ours {
            return Turn::Over;
        }
        if let Some(since) = running.silent_since.take() {
            heartbeat.counts_from(since);
        }
        let former = match &running.waker {
            Some(known) if known.will_wake(cx.waker()) => None,
            _ => running.waker.replace(cx.waker().clone()),
        };
        let Some(run) = running.run.clone() else {
            drop(state);
            drop(former);
            return Turn::Served;
        };
        let pass = Pass {
            run: &run,
            wire: &driver.wire,
            here: running.place,
            begun: running.last,
            before: running.before,
        };
        let mut woken = Vec::new();
        let Written { deliveries, bytes } = running.riders.serve(LOCKED, &pass, slots, &mut woken);
        let is_served = running.riders.is_all_served();
        if is_served {
            running.place = running.place.max(running.place.at(run.to().into()));
            if run.are_events {
                running.written = run.to();
            }
            running.run = None;
        }
        drop(state);
        drop(former);
        woken.into_iter().for_each(Waker::wake);
        let counters = driver.mount.counters(driver.key.transport);
        add(&counters.deliveries, deliveries);
        add(&counters.bytes, bytes);
        if is_served { Turn::Served } else { Turn::Amid }
    }

    /// Breaks where the task has come to its end.
    fn take(&mut self, news: News) -> ControlFlow<()> {
        let Self { driver, task, heartbeat, .. } = self;
        let mut state = driver.state();
        let is_ours = state.task == *task;
        let Some(running) = state.running.as_mut().filter(|_| is_ours) else { return ControlFlow::Break(()) };
        let run = match news {
            News::Place(place) => {
                running.place = running.place.max(place);
                return ControlFlow::Continue(());
            }
            News::Run(run) if running.riders.len() > 0 => run,
            News::Beat if running.riders.len() > 0 => {
                // Who boarded in silence gets it as well.
                running.silent_since = None;
                Run::beat(running.place, &driver.wire)
            }
            // Nobody is there to read for, or there is nothing more to be read.
            News::Run(_) | News::Beat | News::End => {
                let ended = state.end();
                drop(state);
                ended.wake();
                return ControlFlow::Break(());
            }
        };
        running.run = Some(Arc::new(run));
        running.riders.begin();
        running.before = std::mem::replace(&mut running.last, Moment::now());
        heartbeat.touched_at(running.last);
        ControlFlow::Continue(())
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        let mut state = self.driver.state();
        if state.task == self.task {
            let ended = state.end();
            drop(state);
            ended.wake();
        }
    }
}
