//! What is to be written: whole frames, a pong between them, and nothing behind a Close.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use realtime_core::Cursor;

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
    /// Whether the first frame has been written in part: then nothing may come before its rest.
    is_begun: bool,
    /// The newest pong; an older one that has not gone out is not owed any more (RFC 6455, section 5.5.3).
    pong: Option<Bytes>,
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
            is_begun: false,
            pong: None,
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
            self.first.take_if(|_| !self.is_begun);
            self.rest.clear();
            self.pong = None;
            self.bytes = self.first.as_ref().map_or(0, Bytes::len);
            // Where the peer has come to is asked by nobody behind its own Close.
            self.places = None;
            self.close(frame);
        }
    }

    /// Drops what waits, a Close too, but for the rest of a frame that has begun: the place that the peer has come to then;
    /// nothing where all is said already, or the peer has closed.
    pub(super) fn cut(&mut self) -> Option<Option<Cursor>> {
        let is_said = self.is_closed && self.rest.is_empty() && (self.is_begun || self.first.is_none());
        if is_said || self.places.is_none() {
            return None;
        }
        self.first.take_if(|_| !self.is_begun);
        self.rest.clear();
        self.pong = None;
        self.bytes = self.first.as_ref().map_or(0, Bytes::len);
        self.is_closed = false;
        let places = self.places.as_mut()?;
        let begun = places.waiting.pop_front().filter(|_| self.is_begun);
        places.waiting.clear();
        let place = begun.unwrap_or(places.written);
        places.waiting.extend(begun);
        Some(place)
    }

    pub(super) fn has_room(&self) -> bool {
        !self.is_closed && self.rest.len() < self.frames_max - 1 && self.bytes < BYTES
    }

    /// Whether all there was has gone out.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_frames() && !self.is_unflushed
    }

    fn has_frames(&self) -> bool {
        self.first.is_some() || self.pong.is_some()
    }

    /// Writes all there is, and flushes it. Returns the bytes that went out before it had to wait, or all of them.
    pub(super) fn poll_write(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
        wrote: &mut usize,
    ) -> Poll<io::Result<()>> {
        while self.has_frames() {
            if let Some(pong) = self.pong.take_if(|_| !self.is_begun) {
                self.bytes += pong.len();
                if let Some(first) = self.first.replace(pong) {
                    self.rest.push_front(first);
                }
                if let Some(places) = &mut self.places {
                    places.waiting.push_front(places.written);
                }
            }
            let written = ready!(io.poll_write(cx, self.first.iter().chain(&self.rest)))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *wrote += written;
            self.is_unflushed = true;
            self.took(written);
        }
        // An idle connection holds no buffer.
        self.rest = VecDeque::new();
        if let Some(places) = &mut self.places {
            places.waiting = VecDeque::new();
        }
        ready!(io.poll_flush(cx))?;
        self.is_unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn took(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = &mut self.first {
            if written < first.len() {
                first.advance(written);
                self.is_begun |= written > 0;
                return;
            }
            written -= first.len();
            self.first = self.rest.pop_front();
            if let Some(places) = &mut self.places
                && let Some(place) = places.waiting.pop_front()
            {
                places.written = place;
            }
            self.is_begun = false;
        }
    }
}
