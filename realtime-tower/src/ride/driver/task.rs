//! The task that reads once for all who ride, and writes to each.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use realtime_core::{Cursor, Delivery, LogFeed};

use super::{Driver, Running, State};
use crate::ride::riders::{Pass, Riders, Written};
use crate::ride::run::{Run, position};
use crate::stats::add;
use crate::timer::{Heartbeat, Moment};

/// Writes for one turn of the lock: a session that has to alight waits for no more.
const LOCKED: usize = 16;

/// Turns of the lock in one poll, some 0.3 to 0.9 ms of writing: then other tasks have theirs.
const TURNS: usize = 8;

impl Driver {
    /// Begins to read here, in a task that is to be spawned: outside of the lock, for a runtime that ends drops it at once.
    pub(super) fn start(self: &Arc<Self>, state: &mut State, place: Cursor, feed: LogFeed) -> Driving {
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
pub(super) struct Driving {
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
    pub(super) fn spawn(mut self) {
        drop(tokio::spawn(std::future::poll_fn(move |cx| self.poll_over(cx))));
    }

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
        // The task is its own: each of its wakers wakes it.
        running.waker.get_or_insert_with(|| cx.waker().clone());
        let Some(run) = running.run.clone() else { return Turn::Served };
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
