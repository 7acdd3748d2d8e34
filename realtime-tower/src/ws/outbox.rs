//! What is to be written: whole frames, pongs between them, and nothing behind a Close.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use realtime_core::Cursor;

use super::codec;
use super::io::Io;

/// Frames on their way out.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The first stands here and not in a queue: one event at a time then takes no allocation.
    first: Option<Bytes>,
    /// What follows it; empty when there is none.
    rest: VecDeque<Bytes>,
    bytes: usize,
    frames_max: usize,
    /// What has been written in part: then nothing may come before its rest.
    begun: Begun,
    /// They go before all frames that have not begun.
    pongs: VecDeque<Bytes>,
    /// What was written is still to be flushed: a TLS connection may hold it back till then.
    is_unflushed: bool,
    is_closed: bool,
    /// Kept for a reader that may be cut off in the middle.
    places: Option<Box<Places>>,
}

/// The place a reader has come to, and where each frame takes it: frame by frame as they wait.
#[derive(Debug, Default)]
struct Places {
    written: Option<Cursor>,
    waiting: VecDeque<Option<Cursor>>,
}

/// What has been written in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Nothing,
    /// The first frame.
    Frame,
    /// The first pong.
    Pong,
}

/// Pongs that wait, 2 KiB of them. To a peer that takes none and sends more pings the newest is owed (RFC 6455, section 5.5.3).
const PONGS_MAX: usize = 16;

/// Frames and bytes that are gathered before anything more is asked for.
const FRAMES: usize = 64;
const BYTES: usize = 64 * 1024;

/// The same where a connection is shared. What is written there waits for another task to take it: many replies are to
/// go at once, or they fall behind what is read.
const FRAMES_SHARED: usize = 1024;

impl Default for Outbox {
    fn default() -> Self {
        Self {
            first: None,
            rest: VecDeque::new(),
            bytes: 0,
            frames_max: FRAMES,
            begun: Begun::Nothing,
            pongs: VecDeque::new(),
            is_unflushed: false,
            is_closed: false,
            places: None,
        }
    }
}

impl Outbox {
    /// For a connection that is shared.
    pub(super) fn shared() -> Self {
        Self { frames_max: FRAMES_SHARED, ..Self::default() }
    }

    /// Has the places written down that [`cut`](Self::cut) asks for.
    pub(super) fn keep_places(&mut self) {
        self.places = Some(Box::default());
    }

    /// Once all that waits has been written, this is the reader's place.
    pub(super) fn leads_to(&mut self, place: Option<Cursor>) {
        if let Some(places) = &mut self.places {
            *places.waiting.back_mut().unwrap_or(&mut places.written) = place;
        }
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        if !self.is_closed {
            if let Some(places) = &mut self.places {
                let here = places.waiting.back().unwrap_or(&places.written);
                places.waiting.push_back(*here);
            }
            self.bytes += frame.len();
            match self.first {
                None => self.first = Some(frame),
                Some(_) => self.rest.push_back(frame),
            }
        }
    }

    /// The rest of a frame that somebody else began to write: nothing may come before it.
    pub(super) fn push_begun(&mut self, rest: Bytes) {
        if self.first.is_none() {
            self.begun = Begun::Frame;
        }
        self.push(rest);
    }

    pub(super) fn pong(&mut self, frame: Bytes) {
        if self.is_closed {
            return;
        }
        if self.pongs.len() == PONGS_MAX {
            self.bytes -= self.pongs.pop_back().map_or(0, |older| older.len());
        }
        self.bytes += frame.len();
        self.pongs.push_back(frame);
    }

    /// A Close: what waits before it still goes out, nothing after it does.
    pub(super) fn close(&mut self, frame: Bytes) {
        self.push(frame);
        self.is_closed = true;
    }

    /// A Close at once: what waits is dropped, but for the rest of a frame that has begun.
    pub(super) fn close_now(&mut self, frame: Bytes) {
        if !self.is_closed {
            self.drop_waiting();
            // Where the peer has come to is asked by nobody behind its own Close.
            self.places = None;
            self.close(frame);
        }
    }

    /// Drops what waits, a Close too, but for the rest of a frame that has begun: the place that the peer has come to then;
    /// nothing where all is said already, or the peer has closed.
    pub(super) fn cut(&mut self) -> Option<Option<Cursor>> {
        let is_begun = self.begun == Begun::Frame;
        let is_said = self.is_closed && self.rest.is_empty() && (is_begun || self.first.is_none());
        if is_said || self.places.is_none() {
            return None;
        }
        let pieces = self.drop_waiting();
        self.is_closed = false;
        let places = self.places.as_mut()?;
        places.waiting.truncate(pieces);
        Some(*places.waiting.back().unwrap_or(&places.written))
    }

    /// Drops what waits, but for the rest of a frame or a pong that has begun. Returns the pieces of the frame.
    fn drop_waiting(&mut self) -> usize {
        let is_begun = self.begun == Begun::Frame;
        let is_in_two = is_begun && self.rest.front().is_some_and(|next| !codec::is_begin(next));
        self.first.take_if(|_| !is_begun);
        self.rest.truncate(usize::from(is_in_two));
        self.pongs.truncate(usize::from(self.begun == Begun::Pong));
        self.bytes = self.first.iter().chain(&self.rest).chain(&self.pongs).map(Bytes::len).sum();
        usize::from(is_begun) + usize::from(is_in_two)
    }

    pub(super) fn has_room(&self) -> bool {
        !self.is_closed && self.rest.len() < self.frames_max - 1 && self.bytes < BYTES
    }

    /// Whether all there was has gone out.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_frames() && !self.is_unflushed
    }

    fn has_frames(&self) -> bool {
        self.first.is_some() || !self.pongs.is_empty()
    }

    /// Writes all there is, and flushes it. Returns the bytes that went out before it had to wait, or all of them.
    pub(super) fn poll_write(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
        wrote: &mut usize,
    ) -> Poll<io::Result<()>> {
        while self.has_frames() {
            let frames = self.first.iter().chain(&self.rest);
            let written = match (self.pongs.is_empty(), self.begun) {
                (true, _) => ready!(io.poll_write(cx, frames))?,
                (false, Begun::Frame) => {
                    let other = self.rest.iter().take_while(|piece| !codec::is_begin(piece));
                    ready!(io.poll_write(cx, self.first.iter().chain(other)))?
                }
                (false, _) => ready!(io.poll_write(cx, self.pongs.iter().chain(frames)))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *wrote += written;
            self.is_unflushed = true;
            self.took(written);
        }
        // An idle connection holds no buffer.
        (self.rest, self.pongs) = (VecDeque::new(), VecDeque::new());
        if let Some(places) = &mut self.places {
            places.waiting = VecDeque::new();
        }
        ready!(io.poll_flush(cx))?;
        self.is_unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn took(&mut self, mut written: usize) {
        self.bytes -= written;
        loop {
            let is_pong = self.begun != Begun::Frame && !self.pongs.is_empty();
            let front = if is_pong { self.pongs.front_mut() } else { self.first.as_mut() };
            let Some(front) = front else { return };
            if written < front.len() {
                front.advance(written);
                if written > 0 {
                    self.begun = if is_pong { Begun::Pong } else { Begun::Frame };
                }
                return;
            }
            written -= front.len();
            self.begun = Begun::Nothing;
            if is_pong {
                self.pongs.pop_front();
                continue;
            }
            self.first = self.rest.pop_front();
            if let Some(places) = &mut self.places
                && let Some(place) = places.waiting.pop_front()
            {
                places.written = place;
            }
            // A signed frame is in two pieces.
            if self.first.as_ref().is_some_and(|next| !codec::is_begin(next)) {
                self.begun = Begun::Frame;
            }
        }
    }
}
