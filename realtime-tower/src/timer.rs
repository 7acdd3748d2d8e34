//! The one file that touches time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Comes due when nothing was sent for a while.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    sleep: Pin<Box<Sleep>>,
    every: Duration,
    last: Instant,
}

impl Heartbeat {
    pub(crate) fn new(every: Duration) -> Self {
        let last = Instant::now();
        Self { sleep: Box::pin(sleep_until(after(last, every))), every, last }
    }

    pub(crate) fn every(&self) -> Duration {
        self.every
    }

    /// Something was sent. The timer itself is left alone: it looks again when it fires.
    pub(crate) fn touched(&mut self) {
        self.last = Instant::now();
    }

    /// Ready when nothing was sent for the whole pause; the next pause begins then.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let now = Instant::now();
            let due = after(self.last, self.every);
            if due <= now {
                self.last = now;
                self.sleep.as_mut().reset(after(now, self.every));
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
    }
}

/// Comes due once.
#[derive(Debug)]
pub(crate) struct Deadline(Pin<Box<Sleep>>);

impl Deadline {
    pub(crate) fn after(pause: Duration) -> Self {
        Self(Box::pin(sleep_until(after(Instant::now(), pause))))
    }

    pub(crate) fn restart(&mut self, pause: Duration) {
        self.0.as_mut().reset(after(Instant::now(), pause));
    }

    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

/// The future's output, or nothing when it takes longer. It is polled in place: the timer is all that is added.
pub(crate) async fn within<F: Future>(pause: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(pause, future).await.ok()
}

pub(crate) async fn pause(pause: Duration) {
    tokio::time::sleep(pause).await;
}

/// Now, for a deadline over several steps.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The longest that a client is told to stay away, before jitter: one that was told more would not come back at all.
const AWAY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Beyond what an instant can hold, as a knob that means "never" may be, this is never.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn after(from: Instant, pause: Duration) -> Instant {
    from + pause.min(NEVER)
}

/// A pause of about this long: three quarters to five quarters, so that many do not come back at once.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.min(AWAY_MAX).mul_f64(0.75 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_counts_from_what_was_sent_last() {
        let start = now();
        let mut heartbeat = Heartbeat::new(Duration::from_secs(10));
        pause(Duration::from_secs(6)).await;
        heartbeat.touched();
        poll_fn(|cx| heartbeat.poll_due(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 16);
        poll_fn(|cx| heartbeat.poll_due(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 26);
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        for _ in 0..1_000 {
            let pause = jittered(Duration::from_millis(1_000)).as_millis();
            assert!((750..=1_250).contains(&pause), "{pause}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_is_too_long_to_reckon_with() {
        assert!(jittered(Duration::MAX) <= AWAY_MAX * 5 / 4);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Heartbeat::new(Duration::MAX).poll_due(&mut cx).is_pending());
        assert!(Deadline::after(Duration::MAX).poll_due(&mut cx).is_pending());
    }
}
