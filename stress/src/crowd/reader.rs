//! One honest reader, over all its connections.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use realtime_tests::checker::Checker;
use realtime_tests::client::{self, Event, Place, Seen, SseForm, Target};
use realtime_tests::dial::Dialer;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Way;
use super::tally::{Counters, Told};
use crate::site::TOPIC;

/// How it comes back where nobody told it when: anything up to this, which doubles with each try. As `docs/wire.md` has it, and
/// realtime-js does.
const BACKOFF: Duration = Duration::from_secs(5);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// What all readers of a crowd share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) dialer: Dialer,
    pub(super) counters: Arc<Counters>,
    /// Bounds how many of them connect at once, the first time.
    pub(super) door: Arc<Semaphore>,
    /// The last place, once it is known.
    pub(super) goal: watch::Receiver<Option<String>>,
    /// The longest silence that they bear.
    pub(super) patience: Duration,
}

pub(super) struct Reader {
    shared: Shared,
    way: Way,
    rng: Rng,
    target: Target,
    place: Place,
    checker: Checker,
    /// When it was told to come back, if it was.
    retry: Option<Duration>,
    tries: u32,
    is_live: bool,
    /// The mark after which it was told to go, and whether it has gone since.
    told_after: Option<u64>,
    has_gone: bool,
    /// The newest place that it was told.
    stood_at: Option<String>,
}

enum Left {
    AtTheEnd,
    Over,
}

impl Reader {
    pub(super) fn new(shared: Shared, way: Way, rng: Rng) -> Self {
        let target = Target {
            http: way.via().http,
            sse: SseForm::Envelope,
            ..Target::new(shared.dialer.clone(), "/events")
        };
        Self {
            shared,
            way,
            rng,
            target,
            place: Place::Earliest,
            checker: Checker::of_topics([TOPIC]),
            retry: None,
            tries: 0,
            is_live: false,
            told_after: None,
            has_gone: false,
            stood_at: None,
        }
    }

    /// Reads until it has come to the goal.
    pub(super) async fn read(mut self) -> Checker {
        let door = self.shared.door.clone();
        let mut permit = door.acquire().await.ok();
        loop {
            self.checker.begin(self.way.via(), &self.place);
            let connecting =
                client::Reader::connect(self.way.via().transport, &self.target, self.place.clone());
            let connected = timeout(self.shared.patience, connecting).await;
            permit.take();
            if let Ok(mut reader) = connected {
                let left = self.stay(&mut reader).await;
                self.place = reader.place().clone();
                self.retry = self.retry.or(reader.retry_ms().map(Duration::from_millis));
                if let Left::AtTheEnd = left {
                    self.set_live(false);
                    return self.checker;
                }
            }
            self.go();
            sleep(self.pause()).await;
        }
    }

    async fn stay(&mut self, reader: &mut client::Reader) -> Left {
        let mut goal = self.shared.goal.clone();
        loop {
            let stands_at = reader.place().cursor().map(str::to_owned);
            let is_there = move |goal: &Option<String>| goal.is_some() && stands_at >= *goal;
            let next = tokio::select! {
                biased;
                reached = goal.wait_for(is_there) => {
                    // The sender gone is the crowd gone.
                    drop(reached);
                    return Left::AtTheEnd;
                }
                next = timeout(self.shared.patience, reader.next()) => next,
            };
            let Ok(Some(seen)) = next else { return Left::Over };
            self.checker.see(&seen);
            self.stood_at = reader.place().cursor().map(str::to_owned);
            self.take(&seen);
            if self.retry.is_some() && matches!(seen, Seen::Status { .. }) {
                return Left::Over; // a long-poll that was sent away
            }
        }
    }

    fn take(&mut self, seen: &Seen) {
        match seen {
            Seen::Event(event) => {
                self.shared.counters.events.fetch_add(1, Relaxed);
                if let Some(latency_us) = latency_us(event) {
                    self.shared.counters.arrived(latency_us);
                }
            }
            Seen::End { retry_ms, .. } => {
                self.retry = retry_ms.map(Duration::from_millis);
                self.told(Told::End);
            }
            Seen::Close { code: 1001, reason } if Some(reason.as_str()) == self.stood_at.as_deref() => {
                self.shared.counters.closed_with_place.fetch_add(1, Relaxed);
            }
            Seen::Refused { status, headers, .. } => {
                self.retry = retry_after(headers);
                if status.as_u16() == 503 {
                    self.told(Told::Status);
                }
            }
            _ => {}
        }
        if seen.caught_up() {
            if matches!(seen, Seen::Status { .. }) {
                self.told(Told::Answer);
            }
            let after = if let Seen::Status { headers, .. } = seen { retry_after(headers) } else { None };
            (self.tries, self.retry) = (0, after);
            self.set_live(true);
            if std::mem::take(&mut self.has_gone) {
                self.shared.counters.back.fetch_add(1, Relaxed);
            }
        }
    }

    /// Counts it once between two marks.
    fn told(&mut self, how: Told) {
        let now = self.shared.counters.marks();
        if self.told_after.replace(now) != Some(now) {
            self.shared.counters.told(how);
        }
    }

    fn go(&mut self) {
        if std::mem::replace(&mut self.has_gone, true) {
            return; // it was gone already, and has not got in
        }
        self.set_live(false);
        if self.told_after != Some(self.shared.counters.marks()) {
            self.shared.counters.untold.fetch_add(1, Relaxed);
        }
    }

    fn set_live(&mut self, is_live: bool) {
        match (std::mem::replace(&mut self.is_live, is_live), is_live) {
            (false, true) => drop(self.shared.counters.live.fetch_add(1, Relaxed)),
            (true, false) => drop(self.shared.counters.live.fetch_sub(1, Relaxed)),
            _ => {}
        }
    }

    /// What it was told, which is jittered, or a jitter of its own.
    fn pause(&mut self) -> Duration {
        let most = BACKOFF.saturating_mul(1 << self.tries.min(8)).min(BACKOFF_MAX);
        self.tries += 1;
        self.retry.unwrap_or_else(|| most.mul_f64(self.rng.f64()))
    }
}

fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    headers.get("retry-after")?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// How long an event was on the way, if it says when it was published.
fn latency_us(event: &Event) -> Option<u32> {
    let text = std::str::from_utf8(&event.data).ok()?;
    let at: u128 = text.split(' ').nth(1)?.parse().ok().filter(|at| *at > 0)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_micros();
    Some(u32::try_from(now.saturating_sub(at)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> Reader {
        let dialer = Dialer::new(|| async { Err(std::io::ErrorKind::ConnectionRefused.into()) });
        let (_, goal) = watch::channel(None);
        let (counters, door) = (Arc::<Counters>::default(), Arc::new(Semaphore::new(1)));
        Reader::new(
            Shared { dialer, counters, door, goal, patience: Duration::from_secs(1) },
            Way::Sse,
            Rng::with_seed(1),
        )
    }

    #[test]
    fn it_is_told_once_between_two_marks_and_lost_if_it_was_not() {
        let mut reader = reader();
        let counters = reader.shared.counters.clone();
        let end = Seen::End { reason: "drain".into(), retry_ms: Some(2_100), cursor: None };
        reader.take(&end);
        reader.take(&Seen::Close { code: 1001, reason: "e.1".into() });
        reader.stood_at = Some("e.1".into());
        reader.take(&Seen::Close { code: 1001, reason: "e.1".into() });
        assert_eq!(counters.read().closed_with_place, 1, "another place is none");
        reader.go();
        reader.go();
        assert_eq!((counters.read().told_by_end, counters.read().told(), counters.read().untold), (1, 1, 0));
        assert_eq!(reader.pause(), Duration::from_millis(2_100));
        reader.take(&Seen::Live { cursor: "e.1".into() });
        counters.mark();
        reader.go();
        assert_eq!((counters.read().untold, counters.read().live, counters.read().back), (1, 0, 0));
        reader.take(&Seen::Live { cursor: "e.1".into() });
        assert_eq!((counters.read().back, counters.read().live), (1, 1));
    }

    #[test]
    fn it_waits_longer_each_time_that_nobody_says_how_long() {
        let mut reader = reader();
        for tries in 0..12 {
            assert!(reader.pause() <= BACKOFF * (1 << tries.min(4)), "{tries}");
        }
        assert!((0..64).map(|_| reader.pause()).max() > Some(BACKOFF * 8));
    }
}
