//! The one file that touches time.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is asked at every event, and mostly leaves it at a look at the clock: with thousands of connections
/// the runtime's own part of it is far away in memory.
#[derive(Debug)]
struct Alarm {
    /// None before somebody waits for it.
    sleep: Option<Pin<Box<Sleep>>>,
    ends: Instant,
    /// Whom `sleep` wakes at `ends`; nobody before it has been polled.
    wakes: Option<Waker>,
}

impl Alarm {
    fn at(ends: Instant) -> Self {
        Self { sleep: None, ends, wakes: None }
    }

    fn restart(&mut self, ends: Instant) {
        (self.ends, self.wakes) = (ends, None);
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(ends);
        }
    }

    /// Wakes nobody till it is asked again, and holds nothing.
    fn rest(&mut self) {
        (self.sleep, self.wakes) = (None, None);
    }

    fn wakes(&self, waker: &Waker) -> bool {
        self.wakes.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if !self.wakes(cx.waker()) {
            self.wakes = Some(cx.waker().clone());
        } else if now < self.ends {
            return Poll::Pending;
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(self.ends)));
        // Beside the task's budget: one that has used it up would leave here without having set the timer, and never
        // look at it again before it is due.
        Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx)
    }
}

/// Comes due when nothing was sent for a while.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    alarm: Alarm,
    every: Duration,
    last: Instant,
    is_touched: bool,
}

impl Heartbeat {
    pub(crate) fn new(every: Duration) -> Self {
        let (last, every) = (Instant::now(), every.max(HEARTBEAT_MIN));
        Self { alarm: Alarm::at(after(last, every)), every, last, is_touched: false }
    }

    pub(crate) fn every(&self) -> Duration {
        self.every
    }

    /// Something was sent: when, the next poll says. The timer itself is left alone; it looks again when it fires.
    pub(crate) fn touched(&mut self) {
        self.is_touched = true;
    }

    /// When something was sent last.
    pub(crate) fn last(&self) -> Moment {
        Moment(if self.is_touched { Instant::now() } else { self.last })
    }

    /// Something was sent then.
    pub(crate) fn touched_at(&mut self, moment: Moment) {
        self.last = self.last.max(moment.0);
    }

    /// Somebody else sees to it: the timer is gone until the next poll.
    pub(crate) fn rest(&mut self) {
        self.alarm.rest();
    }

    /// Nothing was sent since then, to somebody at least.
    pub(crate) fn counts_from(&mut self, moment: Moment) {
        if moment.0 < self.last {
            self.last = moment.0;
            self.alarm.restart(after(self.last, self.every));
        }
    }

    /// Whether it is this task that it wakes.
    pub(crate) fn wakes(&self, waker: &Waker) -> bool {
        self.alarm.wakes(waker)
    }

    /// Ready when nothing was sent for the whole pause; the next pause begins then.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut now = Instant::now();
        if std::mem::take(&mut self.is_touched) {
            self.last = now;
        }
        loop {
            ready!(self.alarm.poll(now, cx));
            now = Instant::now();
            let due = after(self.last, self.every);
            if due <= now {
                self.last = now;
                self.alarm.restart(after(now, self.every));
                return Poll::Ready(());
            }
            self.alarm.restart(due);
        }
    }
}

/// Comes due once.
#[derive(Debug)]
pub(crate) struct Deadline(Alarm);

impl Deadline {
    pub(crate) fn after(pause: Duration) -> Self {
        Self(Alarm::at(after(Instant::now(), pause)))
    }

    pub(crate) fn at(moment: Moment) -> Self {
        Self(Alarm::at(moment.0))
    }

    pub(crate) fn restart(&mut self, pause: Duration) {
        self.0.restart(after(Instant::now(), pause));
    }

    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(Instant::now(), cx)
    }
}

/// How often a peer may do a thing: so many times at once, and so many a second in the long run.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: f64,
    at: Instant,
    burst: u32,
    per_second: u32,
}

impl Allowance {
    pub(crate) fn new(burst: u32, per_second: u32) -> Self {
        Self { left: burst.into(), at: Instant::now(), burst, per_second }
    }

    /// Whether it may do it once more.
    pub(crate) fn take(&mut self) -> bool {
        let now = Instant::now();
        let earned = (now - self.at).as_secs_f64() * f64::from(self.per_second);
        self.left = (self.left + earned).min(self.burst.into());
        self.at = now;
        self.left -= 1.0;
        self.left >= 0.0
    }
}

/// When something was, for those that reckon with time and look at no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Instant);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// How long after another it is; nothing where it is before.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// So long after it.
    pub(crate) fn later(self, pause: Duration) -> Self {
        Self(after(self.0, pause))
    }

    /// Whether it has come.
    pub(crate) fn is_past(self) -> bool {
        self.0 <= Instant::now()
    }
}

/// The future's output, or nothing when it takes longer. It is polled in place, and what is there at once costs no timer.
pub(crate) async fn within<F: Future>(pause: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut deadline) = (pin!(future), None);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => deadline.get_or_insert_with(|| Deadline::after(pause)).poll_due(cx).map(|()| None),
    })
    .await
}

pub(crate) async fn pause(pause: Duration) {
    tokio::time::sleep(pause).await;
}

/// The longest that a client is told to stay away, before jitter: one that was told more would not come back at all.
const AWAY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Beyond what an instant can hold, as a knob that means "never" may be, this is never.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn after(from: Instant, pause: Duration) -> Instant {
    from + pause.min(NEVER)
}

/// The shortest pause between two heartbeats: a knob of zero must not become a loop.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);

/// A pause of this long or up to a quarter longer, so that many do not come back at once, and nobody before a source
/// said that it is worth it.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.min(AWAY_MAX).mul_f64(1.0 + fastrand::f64() / 4.0)
}

/// The widest time that returns are spread over: who waits longer for a new server takes it for dead.
const SPREAD_MAX: Duration = Duration::from_secs(30);

/// The pause and anything up to as much as `over` more, for a crowd that comes back to one door.
pub(crate) fn spread(pause: Duration, over: Duration) -> Duration {
    pause.saturating_add(over.min(SPREAD_MAX).mul_f64(fastrand::f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_counts_from_what_was_sent_last() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(Duration::from_secs(10));
        pause(Duration::from_secs(6)).await;
        heartbeat.touched();
        poll_fn(|cx| heartbeat.poll_due(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 16);
        poll_fn(|cx| heartbeat.poll_due(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 26);
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_that_rested_counts_from_what_somebody_else_sent() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(Duration::from_secs(10));
        assert!(within(Duration::from_secs(5), poll_fn(|cx| heartbeat.poll_due(cx))).await.is_none());
        heartbeat.rest();
        pause(Duration::from_secs(25)).await;
        heartbeat.touched_at(Moment::now());
        poll_fn(|cx| heartbeat.poll_due(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 40);
        pause(Duration::from_secs(2)).await;
        heartbeat.counts_from(Moment(start + Duration::from_secs(33)));
        poll_fn(|cx| heartbeat.poll_due(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 43, "somebody has had nothing for longer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_wakes_the_task_that_asked_last() {
        let mut elsewhere = Context::from_waker(Waker::noop());
        let mut heartbeat = Heartbeat::new(Duration::from_secs(10));
        let mut deadline = Deadline::after(Duration::from_secs(10));
        for _ in 0..2 {
            assert!(heartbeat.poll_due(&mut elsewhere).is_pending());
            assert!(deadline.poll_due(&mut elsewhere).is_pending());
        }
        // Time moves on by itself only where somebody waits for it.
        poll_fn(|cx| heartbeat.poll_due(cx)).await;
        deadline.restart(Duration::from_secs(1));
        poll_fn(|cx| deadline.poll_due(cx)).await;
        assert!(deadline.poll_due(&mut elsewhere).is_ready(), "it stays due");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_set_by_a_task_that_has_used_up_its_turn() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(Duration::from_secs(10));
        let mut deadline = Deadline::after(Duration::from_secs(20));
        poll_fn(|cx| {
            while std::pin::pin!(tokio::task::consume_budget()).poll(cx).is_ready() {}
            assert!(heartbeat.poll_due(cx).is_pending() && deadline.poll_due(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let minute = Duration::from_secs(60);
        within(minute, poll_fn(|cx| heartbeat.poll_due(cx))).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        within(minute, poll_fn(|cx| deadline.poll_due(cx))).await;
        assert_eq!(start.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn an_allowance_is_a_burst_and_then_what_is_earned() {
        let mut allowance = Allowance::new(3, 2);
        for at_once in [3, 1, 2, 3] {
            let taken = (0..10).take_while(|_| allowance.take()).count();
            assert_eq!(taken, at_once);
            // The one too many was counted as well: it takes as long as two to earn the next.
            pause(Duration::from_millis(match at_once {
                3 => 1_000,
                1 => 1_500,
                _ => 60_000,
            }))
            .await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_of_nothing_is_no_loop() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(Duration::ZERO);
        poll_fn(|cx| heartbeat.poll_due(cx)).await;
        assert_eq!(start.elapsed(), HEARTBEAT_MIN);
    }

    #[test]
    fn jitter_lengthens_a_pause_by_a_quarter_at_most() {
        for _ in 0..1_000 {
            let pause = jittered(Duration::from_millis(1_000)).as_millis();
            assert!((1_000..=1_250).contains(&pause), "{pause}");
        }
    }

    #[test]
    fn a_spread_fills_the_whole_time_it_is_given() {
        let (pause, over) = (Duration::from_secs(2), Duration::from_secs(20));
        let mut seconds = [0; 22];
        (0..10_000).for_each(|_| seconds[spread(pause, over).as_secs() as usize] += 1);
        assert_eq!(seconds[..2], [0, 0]);
        // Five hundred in the mean; a draw is some twenty off.
        assert!(seconds[2..].iter().all(|back| (300..700).contains(back)), "{seconds:?}");
        assert!(spread(pause, Duration::MAX) <= pause + SPREAD_MAX);
        assert_eq!(spread(Duration::MAX, over), Duration::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_is_too_long_to_reckon_with() {
        assert!(jittered(Duration::MAX) <= AWAY_MAX * 5 / 4);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Heartbeat::new(Duration::MAX).poll_due(&mut cx).is_pending());
        assert!(Deadline::after(Duration::MAX).poll_due(&mut cx).is_pending());
    }
}
