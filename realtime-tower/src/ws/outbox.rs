//! What is to be written: whole frames, a pong between them, and nothing behind a Close.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::io::Io;

/// Frames on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Whether the first frame has been written in part: then nothing may come before its rest.
    is_begun: bool,
    /// The newest pong; an older one that has not gone out is not owed any more (RFC 6455, section 5.5.3).
    pong: Option<Bytes>,
    is_closed: bool,
}

/// Frames and bytes that are gathered before anything more is asked for.
const FRAMES: usize = 64;
const BYTES: usize = 64 * 1024;

/// Frames for which an idle connection keeps room: what one turn makes of a live event, 128 bytes.
const FRAMES_KEPT: usize = 4;

impl Outbox {
    pub(super) fn push(&mut self, frame: Bytes) {
        if !self.is_closed {
            self.bytes += frame.len();
            self.frames.push_back(frame);
        }
    }

    pub(super) fn pong(&mut self, frame: Bytes) {
        if !self.is_closed {
            self.pong = Some(frame);
        }
    }

    /// A Close: what waits before it still goes out, nothing after it does.
    pub(super) fn close(&mut self, frame: Bytes) {
        self.push(frame);
        self.is_closed = true;
    }

    /// A Close at once: what waits is dropped, but for the rest of a frame that has begun.
    pub(super) fn close_now(&mut self, frame: Bytes) {
        if !self.is_closed {
            self.frames.truncate(self.is_begun.into());
            self.pong = None;
            self.bytes = self.frames.iter().map(Bytes::len).sum();
            self.close(frame);
        }
    }

    pub(super) fn has_room(&self) -> bool {
        !self.is_closed && self.frames.len() < FRAMES && self.bytes < BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.pong.is_none()
    }

    /// Writes all there is. Returns the bytes that went out before it had to wait, or all of them.
    pub(super) fn poll_write(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
        wrote: &mut usize,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            if let Some(pong) = self.pong.take_if(|_| !self.is_begun) {
                self.bytes += pong.len();
                self.frames.push_front(pong);
            }
            let written = ready!(io.poll_write(cx, self.frames.iter()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *wrote += written;
            self.took(written);
        }
        // An idle connection holds next to nothing; room for a few stays, or every event would cost an allocation.
        self.frames.shrink_to(FRAMES_KEPT);
        io.poll_flush(cx)
    }

    fn took(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = self.frames.front_mut() {
            if written < first.len() {
                first.advance(written);
                self.is_begun |= written > 0;
                return;
            }
            written -= first.len();
            self.frames.pop_front();
            self.is_begun = false;
        }
    }
}
