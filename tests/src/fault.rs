//! Faults between a client and a server: cut, stall, re-chunk, at an exact byte, the same in every run.
//!
//! [`Faulty`] wraps the client's end of any stream; [`FaultProxy`] does the same for real sockets. *Down* is what the
//! server sends, *up* what the client sends. No unseeded chance is involved, and no clock but where a plan sets a pace, so
//! that a failing run can be run again.

mod proxy;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::dial::Wire;

pub use proxy::FaultProxy;

/// How a connection ends when it is cut; both directions end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// An orderly end: the reader sees the end of the stream (TCP: FIN).
    Fin,
    /// The reader sees `ConnectionReset` (TCP: RST).
    Abrupt,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Server to client.
    Down,
    /// Client to server.
    Up,
}

/// Into what pieces the bytes of a direction fall.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Chunks {
    /// As they come.
    #[default]
    AsIs,
    /// At most so many at once; 1 is the classic.
    Of(usize),
    /// Between 1 and `max`, drawn from `seed`.
    Random {
        /// Where the draws start.
        seed: u64,
        /// The largest piece.
        max: usize,
    },
}

/// What happens to one connection. The default is nothing.
///
/// ```
/// use realtime_tests::fault::{Chunks, Cut, Plan, Way};
///
/// let plan = Plan::default().cut(Way::Down, 100, Cut::Fin).chunk(Way::Up, Chunks::Of(1));
/// # let _ = plan;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Plan {
    down: Lane,
    up: Lane,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    cut: Option<(u64, Cut)>,
    stall: Option<u64>,
    chunks: Chunks,
    pace: Option<Pace>,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    bytes: usize,
    per: Duration,
}

impl Plan {
    /// Cuts the connection as soon as `after` bytes went that way. 0 cuts at the first attempt.
    pub fn cut(mut self, way: Way, after: u64, cut: Cut) -> Self {
        self.lane(way).cut = Some((after, cut));
        self
    }

    /// Holds everything that way once `after` bytes went, until [`Link::release`].
    pub fn stall(mut self, way: Way, after: u64) -> Self {
        self.lane(way).stall = Some(after);
        self
    }

    /// Re-chunks that way. Upwards the writer also yields after each piece, so that the server sees the pieces.
    pub fn chunk(mut self, way: Way, chunks: Chunks) -> Self {
        self.lane(way).chunks = chunks;
        self
    }

    /// Lets at most `bytes` go that way, then nothing for `per`, and so on: a slow path.
    pub fn pace(mut self, way: Way, bytes: usize, per: Duration) -> Self {
        self.lane(way).pace = Some(Pace { bytes: bytes.max(1), per });
        self
    }

    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::Down => &mut self.down,
            Way::Up => &mut self.up,
        }
    }
}

/// The grip on one connection that has faults: what went through, and faults by hand.
#[derive(Clone)]
pub struct Link(Arc<dyn Grip>);

trait Grip: Send + Sync {
    fn bytes(&self, way: Way) -> u64;
    fn fate(&self) -> Option<Cut>;
    fn cut(&self, cut: Cut);
    fn stall(&self, way: Way);
    fn release(&self, way: Way);
}

impl Link {
    /// How many bytes went that way.
    pub fn bytes(&self, way: Way) -> u64 {
        self.0.bytes(way)
    }

    /// How the connection was cut, if it was.
    pub fn fate(&self) -> Option<Cut> {
        self.0.fate()
    }

    /// Cuts now, whether or not anybody is reading. The first cut decides.
    pub fn cut(&self, cut: Cut) {
        self.0.cut(cut);
    }

    /// Lets nothing more go that way until released.
    pub fn stall(&self, way: Way) {
        self.0.stall(way);
    }

    /// Ends a stall, planned or by hand, one that has not begun yet too.
    pub fn release(&self, way: Way) {
        self.0.release(way);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (down, up) = (self.bytes(Way::Down), self.bytes(Way::Up));
        f.debug_struct("Link").field("down", &down).field("up", &up).field("fate", &self.fate()).finish()
    }
}

/// A stream with faults, used in place of the client's end.
#[derive(Debug)]
pub struct Faulty<S>(Arc<Mutex<State<S>>>);

#[derive(Debug)]
struct State<S> {
    inner: Option<S>,
    fate: Option<Cut>,
    reset: fn(&S),
    down: Flow,
    up: Flow,
}

#[derive(Debug)]
struct Flow {
    lane: Lane,
    bytes: u64,
    rng: fastrand::Rng,
    yielded: bool,
    waker: Option<Waker>,
    /// Bytes that may go before the next rest, and the rest, while there is one.
    burst: usize,
    rest: Option<Pin<Box<Sleep>>>,
}

impl<S: Wire> Faulty<S> {
    /// Wraps `inner`, and hands out the grip on it.
    pub fn new(inner: S, plan: Plan) -> (Self, Link) {
        Self::with_reset(inner, plan, |_| {})
    }

    /// `reset` prepares the stream so that dropping it is as abrupt as its kind allows.
    fn with_reset(inner: S, plan: Plan, reset: fn(&S)) -> (Self, Link) {
        let (down, up) = (Flow::new(plan.down), Flow::new(plan.up));
        let state = Arc::new(Mutex::new(State { inner: Some(inner), fate: None, reset, down, up }));
        (Self(state.clone()), Link(state))
    }
}

impl<S> Drop for Faulty<S> {
    fn drop(&mut self) {
        locked(&self.0).inner = None; // a link that is kept must not keep the connection
    }
}

impl Flow {
    fn new(lane: Lane) -> Self {
        let seed = if let Chunks::Random { seed, .. } = lane.chunks { seed } else { 0 };
        let burst = lane.pace.map_or(usize::MAX, |pace| pace.bytes);
        let rng = fastrand::Rng::with_seed(seed);
        Self { lane, bytes: 0, rng, yielded: false, waker: None, burst, rest: None }
    }

    fn cut_due(&self) -> Option<Cut> {
        self.lane.cut.and_then(|(after, cut)| (self.bytes >= after).then_some(cut))
    }

    fn stalled(&self) -> bool {
        self.lane.stall.is_some_and(|after| self.bytes >= after)
    }

    /// How many of `wanted` bytes may go now; at least 1 if `wanted` is, for cut and stall were looked at before.
    fn allowance(&mut self, wanted: usize) -> usize {
        let chunk = match self.lane.chunks {
            Chunks::AsIs => usize::MAX,
            Chunks::Of(n) => n.max(1),
            Chunks::Random { max, .. } => self.rng.usize(1..=max.max(1)),
        };
        let bound = |after: u64| usize::try_from(after - self.bytes).unwrap_or(usize::MAX);
        let cut = self.lane.cut.map_or(usize::MAX, |(after, _)| bound(after));
        let stall = self.lane.stall.map_or(usize::MAX, bound);
        wanted.min(chunk).min(cut).min(stall).min(self.burst)
    }

    /// These went.
    fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let Some(pace) = self.lane.pace else { return };
        self.burst = self.burst.saturating_sub(bytes);
        if self.burst == 0 {
            self.rest = Some(Box::pin(tokio::time::sleep(pace.per)));
            self.burst = pace.bytes;
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(rest) = &mut self.rest {
            std::task::ready!(rest.as_mut().poll(cx));
            self.rest = None;
        }
        Poll::Ready(())
    }
}

impl<S> State<S> {
    fn flow(&mut self, way: Way) -> &mut Flow {
        match way {
            Way::Down => &mut self.down,
            Way::Up => &mut self.up,
        }
    }

    fn sever(&mut self, cut: Cut) {
        if self.fate.is_some() {
            return;
        }
        self.fate = Some(cut);
        if let Some(inner) = self.inner.take()
            && cut == Cut::Abrupt
        {
            (self.reset)(&inner);
        }
        for flow in [&mut self.down, &mut self.up] {
            if let Some(waker) = flow.waker.take() {
                waker.wake();
            }
        }
    }

    fn sever_if_due(&mut self) {
        if let Some(cut) = self.down.cut_due().or(self.up.cut_due()) {
            self.sever(cut);
        }
    }

    /// Parks behind a stall, and rests where there is a pace. The waker is kept in any case, for a cut by hand.
    fn poll_stall(&mut self, way: Way, cx: &mut Context<'_>) -> Poll<()> {
        let flow = self.flow(way);
        flow.waker = Some(cx.waker().clone());
        if flow.stalled() { Poll::Pending } else { flow.poll_rest(cx) }
    }
}

impl<S: Wire> Grip for Mutex<State<S>> {
    fn bytes(&self, way: Way) -> u64 {
        locked(self).flow(way).bytes
    }

    fn fate(&self) -> Option<Cut> {
        locked(self).fate
    }

    fn cut(&self, cut: Cut) {
        locked(self).sever(cut);
    }

    fn stall(&self, way: Way) {
        let mut state = locked(self);
        let flow = state.flow(way);
        flow.lane.stall = Some(flow.bytes);
    }

    fn release(&self, way: Way) {
        let mut state = locked(self);
        let flow = state.flow(way);
        flow.lane.stall = None;
        if let Some(waker) = flow.waker.take() {
            waker.wake();
        }
    }
}

fn locked<S>(state: &Mutex<State<S>>) -> MutexGuard<'_, State<S>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Wire> AsyncRead for Faulty<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = locked(&self.0);
        state.sever_if_due();
        if state.fate.is_none() && state.poll_stall(Way::Down, cx).is_pending() {
            return Poll::Pending;
        }
        let allowed = if state.fate.is_none() { state.down.allowance(buf.remaining()) } else { 0 };
        let Some(inner) = state.inner.as_mut() else {
            return Poll::Ready(match state.fate {
                Some(Cut::Abrupt) => Err(io::ErrorKind::ConnectionReset.into()),
                _ => Ok(()),
            });
        };
        let mut piece = ReadBuf::new(buf.initialize_unfilled_to(allowed));
        std::task::ready!(Pin::new(inner).poll_read(cx, &mut piece))?;
        let read = piece.filled().len();
        buf.advance(read);
        state.down.count(read);
        if read > 0 {
            state.sever_if_due(); // now, and not at the next read: the server is to see it at this byte
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Wire> AsyncWrite for Faulty<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = locked(&self.0);
        state.sever_if_due();
        if state.fate.is_none() {
            if state.poll_stall(Way::Up, cx).is_pending() {
                return Poll::Pending;
            }
            if std::mem::take(&mut state.up.yielded) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let allowed = if state.fate.is_none() { state.up.allowance(buf.len()) } else { 0 };
        let Some(inner) = state.inner.as_mut() else {
            return Poll::Ready(Err(match state.fate {
                Some(Cut::Abrupt) => io::ErrorKind::ConnectionReset.into(),
                _ => io::ErrorKind::BrokenPipe.into(),
            }));
        };
        let written = std::task::ready!(Pin::new(inner).poll_write(cx, &buf[..allowed]))?;
        state.up.count(written);
        state.up.yielded = state.up.lane.chunks != Chunks::AsIs;
        if written > 0 {
            state.sever_if_due();
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match locked(&self.0).inner.as_mut() {
            Some(inner) => Pin::new(inner).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = locked(&self.0);
        if state.inner.is_some() && state.poll_stall(Way::Up, cx).is_pending() {
            return Poll::Pending; // the end may not overtake what is held
        }
        match state.inner.as_mut() {
            Some(inner) => Pin::new(inner).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
