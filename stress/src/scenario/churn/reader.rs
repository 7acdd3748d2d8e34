//! One logical reader over all its connections.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use realtime_tests::checker::{Checker, Vacuity};
use realtime_tests::client::{self, Place, SseForm, Target, Via};
use realtime_tests::dial::Dialer;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The longest that it stays, in events and in time.
const EVENTS_MAX: usize = 120;
const STAY_MS: std::ops::Range<u64> = 20..1_500;
/// How long it stays when all is published, to come to the end.
const LAST_STAY: Duration = Duration::from_secs(2);
/// How long it rests before it comes back after a connection that failed, so that a dead server is not hammered.
const REST: Duration = Duration::from_millis(5);

/// A reader of some topics.
pub(super) struct Reader {
    rng: Rng,
    target: Target,
    checker: Checker,
    seen: Seen,
}

/// What it counts beside the checker.
#[derive(Default)]
pub(super) struct Seen {
    /// Events that came by each way.
    pub(super) events: BTreeMap<Via, u64>,
    /// Switches, from and to.
    pub(super) pairs: BTreeSet<(Via, Via)>,
}

impl Seen {
    /// What every single reader must have been through.
    pub(super) fn vacuity(&self) -> Vacuity {
        Vacuity { min_events: 100, min_disconnects: 3, min_switches: 1, ..Vacuity::default() }
    }
}

/// How long a reader stays on a connection.
struct Stay {
    events: usize,
    until: Instant,
}

impl Reader {
    /// A reader of some of `topics`, drawn.
    pub(super) fn new(mut rng: Rng, topics: &[String], dialer: Dialer) -> Self {
        let wanted = rng.usize(1..=topics.len());
        let mine: Vec<_> =
            rng.choose_multiple(topics.iter(), wanted).into_iter().map(String::as_str).collect();
        let target = Target {
            wait_s: 1,
            interval: Duration::from_millis(20),
            sse: SseForm::Envelope,
            ..Target::new(dialer, format!("/topics/{}", mine.join(",")))
        };
        Self { rng, target, checker: Checker::of_topics(mine), seen: Seen::default() }
    }

    /// Reads until all is published and it has come to the end.
    pub(super) async fn read(mut self, ended: watch::Receiver<bool>) -> (Checker, Seen) {
        let (mut place, mut via) = (Place::Earliest, self.draw());
        loop {
            let is_last = *ended.borrow();
            let stay = self.stay(is_last);
            let (left_at, came_to_end) = self.visit(via, place, stay).await;
            if is_last && came_to_end {
                return (self.checker, self.seen);
            }
            place = left_at;
            // It comes back the same way once in a while.
            let next = if self.rng.u8(..4) == 0 { via } else { self.draw() };
            if next != via {
                self.seen.pairs.insert((via, next));
            }
            via = next;
        }
    }

    fn draw(&mut self) -> Via {
        Via::SIX[self.rng.usize(..Via::SIX.len())]
    }

    fn stay(&mut self, is_last: bool) -> Stay {
        let now = Instant::now();
        if is_last {
            return Stay { events: usize::MAX, until: now + LAST_STAY };
        }
        Stay {
            events: self.rng.usize(1..=EVENTS_MAX),
            until: now + Duration::from_millis(self.rng.u64(STAY_MS)),
        }
    }

    /// One connection, or a row of polls: where it was left, and whether the server said that there is nothing more.
    async fn visit(&mut self, via: Via, place: Place, stay: Stay) -> (Place, bool) {
        self.checker.begin(via, &place);
        let target = Target { http: via.http, ..self.target.clone() };
        let connecting = client::Reader::connect(via.transport, &target, place.clone());
        let Ok(mut reader) = timeout_at(stay.until, connecting).await else { return (place, false) };
        let (mut events, mut caught_up) = (0, false);
        while events < stay.events
            && let Ok(Some(seen)) = timeout_at(stay.until, reader.next()).await
        {
            self.checker.see(&seen);
            if seen.event().is_some() {
                events += 1;
                *self.seen.events.entry(via).or_default() += 1;
            }
            caught_up = seen.caught_up();
            if caught_up && stay.events == usize::MAX {
                break;
            }
        }
        if reader.over().is_some() {
            tokio::time::sleep(REST).await;
        }
        (reader.place().clone(), caught_up)
    }
}
