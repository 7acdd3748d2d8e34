//! A connection whose peer has to read.
//!
//! HTTP servers do not ask a response body for more while the connection takes nothing, so a stream cannot notice by
//! itself that its reader has stalled: only whoever owns the connection can. `realtime_axum::serve` wraps every
//! connection in this; so may any host that is written by hand.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::timer::Deadline;

/// A connection that fails with [`TimedOut`](io::ErrorKind::TimedOut) when its peer takes no byte of what is written
/// for the whole of a deadline. Any byte taken begins it anew.
///
/// Reading it rests for a moment every 16 KiB, so that a flood on one stream of an HTTP/2 connection is handled in turns with
/// what reads that stream: h2 ends a connection on which some 2,000 crumbs wait.
///
/// It costs a branch while writes succeed; the timer is made when a write has to wait, and gone when it has been
/// taken. What the kernel's buffer holds counts as taken: a peer that stalls is found once that is full.
///
/// ```
/// use std::time::Duration;
/// use realtime_tower::WriteDeadline;
/// use tokio::io::AsyncWriteExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let (ours, _theirs) = tokio::io::duplex(8);
/// let mut ours = WriteDeadline::new(ours, Duration::from_secs(10));
/// let stalled = ours.stalled();
/// let error = ours.write_all(b"more than eight bytes").await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
/// assert!(stalled.is_set());
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct WriteDeadline<I> {
    io: I,
    wait: Duration,
    pending: Option<(Op, Deadline)>,
    /// Bytes read since there was nothing to read, or since the last rest.
    read_bytes: usize,
    stalled: Stalled,
}

/// Bytes that are read before others get their turn. As DATA frames of one byte they are 1,600 crumbs, each of which counts
/// 255 bytes with h2 until somebody takes it: together less than the 512 KiB that it allows to a window of 1 MiB.
const READ_BYTES_MAX: usize = 16 * 1024;

/// Whether the peer of a connection was found to take nothing. Cloning shares it.
///
/// A host puts it into the extensions of each request of the connection; a stream that is dropped with it set counts
/// as an eviction, and not as a client that went.
///
/// [`WriteDeadline::stalled`] gives it.
#[derive(Debug, Clone, Default)]
pub struct Stalled(Arc<AtomicBool>);

/// What waits. A flush that has nothing to do says nothing about a write that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Write,
    Flush,
}

impl Stalled {
    /// Whether it was.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl<I> WriteDeadline<I> {
    /// Wraps a connection whose peer may take nothing for so long.
    pub fn new(io: I, wait: Duration) -> Self {
        Self { io, wait, pending: None, read_bytes: 0, stalled: Stalled::default() }
    }

    /// Tells, to whoever keeps it, that the deadline has passed.
    pub fn stalled(&self) -> Stalled {
        self.stalled.clone()
    }

    /// The connection inside.
    pub fn get_ref(&self) -> &I {
        &self.io
    }

    /// The connection inside, for one that keeps a deadline of its own.
    pub fn into_inner(self) -> I {
        self.io
    }

    fn guard<T>(&mut self, op: Op, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if self.pending.as_ref().is_some_and(|(waiting, _)| op == Op::Write || *waiting == op) {
                self.pending = None;
            }
            return polled;
        }
        let wait = self.wait;
        let (_, deadline) = self.pending.get_or_insert_with(|| (op, Deadline::after(wait)));
        ready!(deadline.poll_due(cx));
        // Before the error: it is what makes the host drop the streams that look at this.
        self.stalled.0.store(true, Ordering::Release);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing of what is written")))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WriteDeadline<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read_bytes >= READ_BYTES_MAX {
            this.read_bytes = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let may = READ_BYTES_MAX - this.read_bytes;
        let polled = if buf.remaining() <= may {
            Pin::new(&mut this.io).poll_read(cx, buf)
        } else {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(may));
            let polled = Pin::new(&mut this.io).poll_read(cx, &mut part);
            let read = part.filled().len();
            buf.advance(read);
            polled
        };
        this.read_bytes = if polled.is_pending() { 0 } else { this.read_bytes + buf.filled().len() - before };
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(cx, buf);
        this.guard(Op::Write, cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.guard(Op::Write, cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_flush(cx);
        this.guard(Op::Flush, cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_shutdown(cx);
        this.guard(Op::Flush, cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_at_the_deadline() {
        let (ours, _theirs) = duplex(4);
        let mut ours = WriteDeadline::new(ours, WAIT);
        let start = Instant::now();
        let error = ours.write_all(&[0; 5]).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (io::ErrorKind::TimedOut, WAIT));
        assert!(ours.stalled().is_set());
        let again = ours.write_all(&[0; 5]).await.unwrap_err();
        assert_eq!((again.kind(), start.elapsed()), (io::ErrorKind::TimedOut, WAIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_taken_begins_the_deadline_anew() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = WriteDeadline::new(ours, WAIT);
        let stalled = ours.stalled();
        let slow = async {
            let mut byte = [0];
            for _ in 0..8 {
                sleep(WAIT - Duration::from_millis(1)).await;
                theirs.read_exact(&mut byte).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(&[0; 12]), slow);
        written.unwrap();
        assert!(!stalled.is_set() && ours.pending.is_none());
    }

    #[tokio::test]
    async fn whoever_is_fed_without_end_rests_now_and_then_and_misses_nothing() {
        let (ours, mut theirs) = duplex(1024 * 1024);
        let mut ours = WriteDeadline::new(ours, WAIT);
        let sent: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        theirs.write_all(&sent).await.unwrap();
        let (mut seen, mut rests) = (Vec::new(), 0);
        let mut buffer = [0; 1000];
        while seen.len() < sent.len() {
            let mut buffer = ReadBuf::new(&mut buffer);
            let polled = std::future::poll_fn(|cx| {
                Poll::Ready(Pin::new(&mut ours).poll_read(cx, &mut buffer).is_ready())
            });
            if polled.await {
                seen.extend_from_slice(buffer.filled());
            } else {
                rests += 1;
            }
            // Not the runtime's own rests, which come after so many reads.
            tokio::task::yield_now().await;
        }
        assert_eq!((seen == sent, rests), (true, 200_000 / READ_BYTES_MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn no_timer_runs_while_nothing_waits() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = WriteDeadline::new(ours, WAIT);
        ours.write_all(&[0; 4]).await.unwrap();
        ours.flush().await.unwrap();
        sleep(WAIT * 3).await;
        assert!(ours.pending.is_none() && !ours.stalled().is_set());
        theirs.read_exact(&mut [0; 4]).await.unwrap();
        ours.write_all(&[0; 4]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_flush_does_not_put_off_the_deadline_of_a_write() {
        let (ours, _theirs) = duplex(4);
        let mut ours = WriteDeadline::new(ours, WAIT);
        ours.write_all(&[0; 4]).await.unwrap();
        let start = Instant::now();
        let mut flushes = 0;
        let error = loop {
            tokio::select! {
                biased;
                written = ours.write(&[0]) => break written.unwrap_err(),
                () = sleep(Duration::from_secs(3)) => {}
            }
            ours.flush().await.unwrap();
            flushes += 1;
        };
        assert_eq!((error.kind(), start.elapsed(), flushes), (io::ErrorKind::TimedOut, WAIT, 3));
    }
}
