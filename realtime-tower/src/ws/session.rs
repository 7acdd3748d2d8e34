//! One open WebSocket: a loop over what came in, what is handled, what goes out, and three timers.
//!
//! ```text
//!             ┌────────── io ──────────┐
//!  assembler ─┤ messages, pings, Close │            a turn does each of these once and goes round
//!  messages ──┤ replies                ├─► outbox   while any of them moved something
//!  downlink ──┤ events, controls, end  │
//!             └────────────────────────┘
//! ```

mod ending;
mod riding;

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use realtime_core::envelope::{Control, EndReason};
use realtime_core::{Feed, LogView, Payload};

use super::codec::{self, code};
use super::config::WebSocketConfig;
use super::deflate::Window;
use super::frames;
use super::inbound::{Assembler, InboundLimits, Item, Violation};
use super::io::Io;
use super::messages::{Messages, Mode};
use super::outbox::Outbox;
use crate::downlink::{Downlink, Message};
use crate::ride::Ride;
use crate::stats::add;
use crate::timer::{Allowance, Deadline};
use crate::uplink::Uplink;

/// One open WebSocket.
pub(super) struct Session<F, U> {
    io: Io,
    assembler: Assembler,
    /// Everything that was read has been taken in: only then is more read, or what waits would grow without a bound.
    is_dry: bool,
    /// What was read since everything was taken in.
    since_dry: Pieces,
    /// Bytes of messages that were taken in since the task was polled.
    taken_bytes: usize,
    messages: Messages<U>,
    downlink: Downlink<F>,
    outbox: Outbox,
    mode: Mode,
    /// What was agreed on, if messages may be deflated.
    window: Option<Window>,
    config: WebSocketConfig,
    phase: Phase,
    alive: Alive,
    /// Control frames the peer may still send.
    controls: Allowance,
    deadline: Deadline,
    /// The reader's session has ended, and everything that follows from it has been done.
    is_expired: bool,
    /// What is read, where it is a part of a log and others might read it for this session;
    view: Option<LogView>,
    /// and its part in what is written to many, once it has come to rest where they do.
    ride: Option<Ride>,
}

/// Into what pieces a client sends.
#[derive(Debug, Clone, Copy, Default)]
struct Pieces {
    bytes: usize,
    count: usize,
}

/// Bytes that are read ahead of the handler where a connection is shared. Beyond them the client has to wait, as it does
/// at once over a connection of its own.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

/// Bytes and pieces that one turn takes of a stream: a gulp at a time, so that what is written has its turn too.
const GULP_BYTES: usize = 16 * 1024;
const PIECES_MAX: usize = 4096;

/// Pieces below this are what h2 counts against a connection while they wait to be read, till it ends the connection.
const PIECE_BYTES_MIN: usize = 256;

/// Turns before others get theirs: a stream of HTTP/2 may be filled as fast as it is read, and counts no budget.
const TURNS_MAX: usize = 128;

/// Bytes of messages that are taken in before others get their turn, beyond the message that reaches it: as they are inflated, for
/// that is what unmasking, inflating, checking and reading them costs.
const TAKEN_BYTES_MAX: usize = 256 * 1024;

/// How far the closing handshake has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our Close is on its way; the peer's is awaited, and what else it sends is not looked at.
    Closing,
    /// The peer broke the framing, which this code says. What it sent whole before that is answered, for a while; then comes
    /// our Close.
    Broken(u16),
    /// Our Close behind it is on its way, and no answer to it could be read (RFC 6455, section 7.1.7).
    Failing,
    /// Our direction has ended behind that Close. What the peer still sends is read and dropped until it ends its own, for
    /// a connection that is closed over unread bytes may lose the Close (section 7.1.1).
    HungUp,
    /// Both have been sent: write what is left, and hang up.
    Done,
}

/// What the one timer of a connection is for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alive {
    /// Until the next ping. Nothing waits to be written.
    Quiet,
    /// A ping has gone out and nothing has come since.
    Asked,
    /// The peer takes nothing of what is written.
    Stalled,
}

/// What a turn came to.
enum Turn {
    Moved,
    Rested,
    Over,
}

impl<F: Feed, U: Uplink> Session<F, U> {
    /// `sent` is what the client sent right behind its request.
    pub(super) fn new(
        io: Io,
        sent: Bytes,
        downlink: Downlink<F>,
        messages: Messages<U>,
        mode: Mode,
        window: Option<Window>,
        config: WebSocketConfig,
    ) -> Self {
        let message_bytes_max = downlink.permit().config().message_bytes_max;
        let limits = InboundLimits { message_bytes_max, fragments_max: config.fragments_max };
        let mut assembler = Assembler::new(limits);
        if window.is_some() {
            assembler = assembler.with_deflate();
        }
        assembler.feed(&sent);
        let mut outbox = if io.is_shared() { Outbox::shared() } else { Outbox::default() };
        if downlink.permit().is_limited() {
            outbox.keep_places();
        }
        Self {
            io,
            assembler,
            is_dry: false,
            since_dry: Pieces::default(),
            taken_bytes: 0,
            messages,
            downlink,
            outbox,
            mode,
            window,
            config,
            phase: Phase::Open,
            alive: Alive::Quiet,
            controls: Allowance::new(config.controls_burst, config.controls_per_second),
            deadline: Deadline::after(config.ping),
            is_expired: false,
            view: None,
            ride: None,
        }
    }

    /// What is read is this part of a log.
    pub(super) fn of(mut self, view: Option<LogView>) -> Self {
        self.view = view;
        self
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> io::Result<Turn> {
        match self.poll_riding(cx)? {
            Turn::Moved => {}
            rests => return Ok(rests),
        }
        let mut moved = false;
        if !self.is_expired && self.downlink.poll_expired(cx) {
            self.expire();
        }
        // A handler that answers at once empties what was read, as far as there is room for its replies.
        while self.take_in() | self.reply(cx) {
            moved = true;
            if !self.io.is_shared() || self.has_taken_its_fill() {
                break;
            }
        }
        moved |= self.fail(cx);
        let has_more = self.gather(cx);
        // What was written asks for another turn only where something waited for the room.
        moved |= self.write(cx)? && has_more;
        moved |= self.hang_up(cx)?;
        if self.phase == Phase::Done && self.outbox.is_empty() {
            return Ok(self.leave(cx));
        }
        match self.read(cx)? {
            Turn::Moved => moved = true,
            Turn::Rested => {}
            Turn::Over => return Ok(Turn::Over),
        }
        if self.deadline.poll_due(cx).is_ready() {
            if self.phase != Phase::Open || self.is_dead() {
                return Ok(Turn::Over);
            }
            moved = true;
        }
        if moved {
            return Ok(Turn::Moved);
        }
        self.board(cx);
        Ok(Turn::Rested)
    }

    // ---- in

    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<Turn> {
        // A handler that is behind stops the reading, not the writing.
        if self.phase == Phase::Open && !self.is_dry && !self.may_read_ahead() {
            return Ok(Turn::Rested);
        }
        let (mut turn, mut gulp) = (Turn::Rested, 0);
        // Of a stream that others share, all crumbs at once: each waits at their cost.
        for _ in 0..if self.io.is_shared() { PIECES_MAX } else { 1 } {
            let Self { io, assembler, phase, .. } = self;
            let read = io.poll_read(cx, |bytes| {
                if *phase != Phase::Done {
                    assembler.feed(bytes);
                }
            })?;
            match read {
                Poll::Pending => break,
                // What came before is looked at first; the end comes again.
                Poll::Ready(0) if matches!(turn, Turn::Moved) => break,
                Poll::Ready(0) => return Ok(Turn::Over),
                Poll::Ready(bytes) => {
                    self.heard();
                    self.since_dry.bytes += bytes;
                    self.since_dry.count += 1;
                    turn = Turn::Moved;
                    gulp += bytes;
                }
            }
            if gulp >= GULP_BYTES {
                break;
            }
        }
        Ok(turn)
    }

    /// Whether to read on though the handler is behind: what waits on a shared connection is in the way of its other
    /// streams. A client whose large messages wait may be made to wait itself; one that sends crumbs may not, for of them
    /// the whole connection would die (ENHANCE_YOUR_CALM): it is closed instead.
    fn may_read_ahead(&mut self) -> bool {
        if !self.io.is_shared() || self.assembler.waiting_bytes() < AHEAD_BYTES_MAX {
            return self.io.is_shared();
        }
        let are_crumbs = self.since_dry.bytes / self.since_dry.count.max(1) < PIECE_BYTES_MIN;
        if are_crumbs {
            self.refuse(code::POLICY);
        }
        are_crumbs
    }

    /// Any byte is a sign of life.
    fn heard(&mut self) {
        if self.alive == Alive::Asked && self.phase == Phase::Open {
            self.alive = Alive::Quiet;
            self.deadline.restart(self.config.ping);
        }
    }

    /// Looks at what has been read, as long as there is room for what it asks.
    fn take_in(&mut self) -> bool {
        let mut moved = false;
        self.is_dry = false;
        while self.phase != Phase::Done && (self.phase != Phase::Open || self.messages.has_room()) {
            match self.assembler.next_item() {
                Ok(None) => {
                    self.is_dry = true;
                    self.since_dry = Pieces::default();
                    break;
                }
                Ok(Some(item)) => self.take(item),
                Err(Violation { code, reason }) => {
                    let span = self.downlink.permit().span();
                    span.in_scope(|| tracing::debug!(code, reason, "a client broke the protocol"));
                    self.broken(code);
                }
            }
            moved = true;
        }
        moved
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Close { code, .. } => {
                self.outbox.close_now(codec::close_reply(code));
                self.phase = Phase::Done;
                self.deadline.restart(self.config.close_wait);
            }
            // Behind our own Close only the peer's counts.
            _ if self.phase != Phase::Open => {}
            Item::Text(text) => self.message(Payload::Text(text)),
            Item::Binary(bytes) => self.message(Payload::Binary(bytes)),
            Item::Ping(payload) => {
                if self.may_control() {
                    self.outbox.pong(codec::pong(&payload));
                }
            }
            Item::Pong(_) => {
                self.may_control();
            }
        }
    }

    /// Whether others are to have their turn: a few bytes on the wire may be many once they are inflated.
    fn has_taken_its_fill(&self) -> bool {
        self.taken_bytes >= TAKEN_BYTES_MAX
    }

    fn message(&mut self, payload: Payload) {
        self.taken_bytes += payload.bytes().len();
        add(&self.downlink.permit().counters().messages, 1);
        if self.mode == Mode::Bare && !self.messages.takes_any() {
            self.refuse(code::UNSUPPORTED);
        } else {
            self.messages.push(payload);
        }
    }

    fn may_control(&mut self) -> bool {
        let may = self.controls.take();
        if !may {
            self.refuse(code::POLICY);
        }
        may
    }

    // ---- out

    /// Replies wait while the peer takes nothing: then the next message does too, and the reading in the end. A handler
    /// that has begun goes on all the same: it may hold what others wait for. Behind a Close nobody is answered.
    fn reply(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while !self.answers() || self.outbox.has_room() {
            let Poll::Ready(reply) = self.messages.poll_reply(cx) else { return moved };
            if let Some(frame) = reply {
                self.outbox.push(frame);
                self.downlink.touched();
            }
            moved = true;
        }
        self.messages.go_on(cx);
        moved
    }

    fn answers(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Broken(_))
    }

    /// Takes what the downlink has, as long as the outbox has room. Whether there may be more.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        while self.phase == Phase::Open {
            if !self.outbox.has_room() {
                return true;
            }
            let Poll::Ready(message) = self.downlink.poll_message(cx) else { return false };
            // A ping or pong frame is no message: a script does not see it, and no place is in it.
            self.downlink.touched();
            match message {
                Message::Events(batch) => {
                    let (format, encode) = frames::of(self.mode, self.window);
                    let cursors = self.downlink.permit().cursors();
                    if cursors.is_plain() || self.mode == Mode::Bare {
                        for (frame, entry) in batch.encoded(format, encode).zip(batch.iter()) {
                            self.outbox.push(frame);
                            self.outbox.leads_to(Some(entry.cursor()));
                        }
                    } else {
                        for entry in &batch {
                            let (id, rest) = frames::signed(entry, &entry.encoded(format, encode), cursors);
                            self.outbox.push(id);
                            self.outbox.push(rest);
                            self.outbox.leads_to(Some(entry.cursor()));
                        }
                    }
                    self.outbox.leads_to(self.downlink.place());
                }
                Message::Control(control) => match *control {
                    Control::Gap(gap) if self.mode == Mode::Bare => self.close(code::GAP, Some(gap.to)),
                    control => {
                        self.say(&control);
                        self.outbox.leads_to(self.downlink.place());
                    }
                },
                Message::Beat(Some(place)) if self.mode == Mode::V1 => {
                    self.say(&Control::Ping(place));
                    self.outbox.leads_to(Some(place));
                }
                Message::Beat(_) => self.outbox.push(codec::ping(b"")),
                Message::End(end) => self.end(&end),
            }
        }
        false
    }

    fn say(&mut self, control: &Control) {
        if self.mode == Mode::V1 {
            let cursors = self.downlink.permit().cursors();
            let message = control.message_with(|cursor| cursors.text(cursor));
            self.outbox.push(codec::text(message.as_bytes()));
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.outbox.is_empty() {
            return Ok(false);
        }
        let mut wrote = 0;
        let written = self.outbox.poll_write(&mut self.io, cx, &mut wrote);
        if wrote > 0 {
            add(&self.downlink.permit().counters().bytes, wrote as u64);
        }
        match written {
            Poll::Ready(result) => {
                result?;
                if self.alive == Alive::Stalled && self.phase == Phase::Open {
                    self.alive = Alive::Quiet;
                    self.deadline.restart(self.config.ping);
                }
            }
            Poll::Pending if self.phase == Phase::Open && (wrote > 0 || self.alive != Alive::Stalled) => {
                self.alive = Alive::Stalled;
                self.deadline.restart(self.config.write_wait);
            }
            Poll::Pending => {}
        }
        Ok(wrote > 0)
    }

    /// The timer of an open connection has run out: asks for a sign of life, or says that there is none.
    fn is_dead(&mut self) -> bool {
        match self.alive {
            Alive::Quiet => {
                self.outbox.push(codec::ping(b""));
                // Nobody hears an answer while the reading rests.
                let (alive, wait) = if self.is_dry {
                    (Alive::Asked, self.config.pong_wait)
                } else {
                    (Alive::Quiet, self.config.ping)
                };
                self.alive = alive;
                self.deadline.restart(wait);
                false
            }
            Alive::Asked => {
                let span = self.downlink.permit().span();
                span.in_scope(|| tracing::debug!("a peer gives no sign of life"));
                true
            }
            Alive::Stalled => {
                self.downlink.forget_place();
                let _ = self.downlink.end(EndReason::Slow, None);
                true
            }
        }
    }
}

impl<F: Feed, U: Uplink> Session<F, U> {
    /// Goes round until the connection has ended.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.taken_bytes = 0;
        for _ in 0..TURNS_MAX {
            match self.turn(cx) {
                Ok(Turn::Moved) if self.has_taken_its_fill() => break,
                Ok(Turn::Moved) => {}
                Ok(Turn::Rested) => return Poll::Pending,
                Ok(Turn::Over) => {
                    // Whether the peer sees the end of the connection is its own affair now.
                    let _ = self.io.poll_shutdown(cx);
                    return Poll::Ready(());
                }
                Err(error) => {
                    let span = self.downlink.permit().span();
                    span.in_scope(|| tracing::debug!(error = %error, "a connection broke off"));
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
