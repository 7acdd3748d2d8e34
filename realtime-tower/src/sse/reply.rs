use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::{Frame, SizeHint};
use realtime_core::envelope::{Control, EndReason};
use realtime_core::{Batch, Entry, Feed, Payload, SourceError, SourceErrorKind};

use super::codec;
use super::config::{Data, Pings, SseConfig};
use crate::body::Body;
use crate::downlink::{Downlink, Message};
use crate::endpoint::is_at_end;
use crate::headers::{self, Tail};
use crate::mount::Away;
use crate::negotiate::{Accepted, Ask, Asked};
use crate::observe;
use crate::page;
use crate::signed::CursorForm;
use crate::stats::add;
use crate::timer::{jittered, spread};
use crate::transport::{Answer, Arrival, Room, Visit};
use crate::uplink::Uplink;

/// Server-Sent Events, as a part of a mount.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{SseConfig, SseTransport, builder};
///
/// let config = SseConfig { pings: realtime_tower::Pings::Events, ..SseConfig::default() };
/// let (_service, _handle) = builder().source(Log::new()).transports((SseTransport(config),)).service();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SseTransport(pub SseConfig);

fn accepted(ask: &Ask) -> Option<Accepted> {
    ask.accept.of("text", "event-stream")
}

/// What stands in `data:`: the client may ask for the envelope, whatever the mount's choice.
fn data(ask: &Ask, config: &SseConfig) -> Data {
    match ask.accept.param("text", "event-stream", "data") {
        Some("envelope") => Data::Envelope,
        _ => config.data,
    }
}

/// What a stream's head begins with, a place for the cursor among it. A copy has room for just that, and hyper keeps it for as
/// long as the stream lives: one that grew by a header would hold half a kilobyte more.
static HEAD: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut head = headers::COMMON.clone();
    headers::stream(&mut head, "text/event-stream");
    head.insert(headers::NEXT_OFFSET, HeaderValue::from_static(""));
    head
});

/// The head of a stream that goes on from this place, if it is known already.
fn head(next: Option<&str>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let mut head = HEAD.clone();
    match next.and_then(|next| HeaderValue::from_str(next).ok()) {
        Some(next) => drop(head.insert(headers::NEXT_OFFSET, next)),
        None => drop(head.remove(headers::NEXT_OFFSET)),
    }
    *response.headers_mut() = head;
    response
}

impl Room for SseTransport {
    const NAME: &'static str = "sse";
    const METHODS: &'static [Method] = &[Method::GET];
    const IS_STREAM: bool = true;

    fn asked(&self, ask: &Ask) -> Option<Asked> {
        let accepted = accepted(ask)?;
        match (ask.live.as_deref(), accepted) {
            (Some("sse"), _) => Some(Asked::OUTRIGHT),
            (Some(_), _) => None,
            (None, Accepted::Named(_)) => Some(Asked::by(accepted, page::RANK_STREAM)),
            (None, Accepted::Any(_)) => Some(Asked::by(accepted, page::RANK_LEAST)),
        }
    }

    fn is_unmistakable(&self, ask: &Ask) -> bool {
        match ask.live.as_deref() {
            Some(live) => live == "sse",
            None => matches!(accepted(ask), Some(Accepted::Named(_))),
        }
    }

    fn head(&self, _: &Ask) -> Response<Body> {
        head(None)
    }

    fn away(&self, ask: &Ask, away: Away, retry: Duration) -> Response<Body> {
        let retry = jittered(retry);
        let reason = if away == Away::Draining { EndReason::Drain } else { EndReason::Source };
        let end = Control::End { cursor: None, reason, retry: Some(retry) };
        let mut response = head(None);
        *response.body_mut() =
            codec::end(&end, Some(retry), data(ask, &self.0), &CursorForm::default()).into();
        response
    }

    async fn answer<F: Feed, U: Uplink>(&self, visit: Visit<F, U>) -> Answer {
        let Arrival { ask, permit, opened, resumed, .. } = &*visit.arrival;
        if let Some(opened) = opened.filter(is_at_end) {
            // A browser stops for good at a 204: there is nothing to come back for.
            observe::connected(permit, &opened, *resumed);
            add(&permit.counters().empties, 1);
            let mut response = headers::answer(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            let next = permit.cursors().text(opened.cursor);
            headers::place(response.headers_mut(), &next, Tail { up_to_date: true, closed: true });
            return response.into();
        }
        let next = opened.map(|opened| permit.cursors().text(opened.cursor));
        let mut response = head(next.as_deref());
        // What stands in case nobody can say more, as in a crash: as wide as others draw their first wait then.
        let retry = permit.config().retry;
        let retry = jittered(spread(retry, retry));
        let (data, pings) = (data(ask, &self.0), self.0.pings);
        let (downlink, _) = visit.downlink(self.0.heartbeat);
        let ready = Ready::Piece(codec::preamble(retry));
        *response.body_mut() =
            Body::stream(SseBody { downlink, ready, left: None, copied: None, data, pings });
        response.into()
    }
}

/// The body: messages as they come, shared bytes where they are events.
struct SseBody<F> {
    downlink: Downlink<F>,
    ready: Ready,
    /// What has still to go out of a batch, behind what is ready. In a box: a live reader gets events one at a time.
    left: Option<Box<Left>>,
    /// What was copied last, for as long as the host may have it still.
    copied: Option<Bytes>,
    data: Data,
    pings: Pings,
}

/// What is to be handed to the host before anything is asked for.
enum Ready {
    Nothing,
    Piece(Bytes),
    /// The last piece, perhaps empty.
    Last(Bytes),
    Done,
}

impl Ready {
    fn take(&mut self) -> Option<Bytes> {
        let next = if matches!(self, Self::Last(_) | Self::Done) { Self::Done } else { Self::Nothing };
        match std::mem::replace(self, next) {
            Self::Piece(piece) | Self::Last(piece) => Some(piece),
            Self::Nothing | Self::Done => None,
        }
    }
}

/// A batch, and how many of its events have gone out: not all.
struct Left {
    batch: Batch,
    sent: usize,
}

impl<F: Feed> SseBody<F> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if !matches!(self.ready, Ready::Nothing) {
                return Poll::Ready(self.ready.take());
            }
            if let Some(mut left) = self.left.take() {
                if self.downlink.poll_expired(cx) {
                    // The place of the stream is behind this batch, the client's is where it was cut.
                    let last = left.sent.checked_sub(1).and_then(|sent| left.batch.iter().nth(sent));
                    self.downlink.stopped_at(last.map(Entry::cursor));
                    let end = self.downlink.end(EndReason::Expired, None);
                    self.take(end);
                    continue;
                }
                let piece = self.events(&left.batch, &mut left.sent);
                if left.sent < left.batch.len() {
                    self.left = Some(left);
                }
                return Poll::Ready(piece);
            }
            match ready!(self.downlink.poll_message(cx)) {
                Message::Events(batch) => {
                    let mut sent = 0;
                    let piece = self.events(&batch, &mut sent);
                    if sent < batch.len() {
                        self.left = Some(Box::new(Left { batch, sent }));
                    }
                    return Poll::Ready(piece);
                }
                message => self.take(message),
            }
        }
    }

    fn take(&mut self, message: Message) {
        let (data, cursors) = (self.data, self.downlink.permit().cursors());
        self.ready = match message {
            Message::Control(control) => Ready::Piece(codec::control(&control, data, cursors)),
            Message::Events(batch) => {
                self.left = Some(Box::new(Left { batch, sent: 0 }));
                Ready::Nothing
            }
            Message::Beat(place) => Ready::Piece(match (self.pings, place) {
                (Pings::Events, Some(place)) => codec::control(&Control::Ping(place), data, cursors),
                (_, place) => codec::beat(place, cursors),
            }),
            Message::End(end) => Ready::Last(codec::end(&end.control(), end.retry, data, cursors)),
        };
    }

    /// What is shared of an event; none where its payload cannot be said.
    fn shared(&self, entry: &Entry) -> Option<Bytes> {
        match self.data {
            Data::Payload if matches!(entry.event().payload(), Payload::Binary(_)) => None,
            Data::Payload | Data::PayloadOrBase64 => Some(entry.encoded(codec::PAYLOAD, codec::payload)),
            Data::Envelope => Some(entry.encoded(codec::ENVELOPE, codec::in_envelope)),
        }
    }

    /// The next events of a batch, of which so many have gone out.
    fn events(&mut self, batch: &Batch, sent: &mut usize) -> Option<Bytes> {
        let (entry, rest) = batch.iter().as_slice().get(*sent..)?.split_first()?;
        let Some(piece) = self.shared(entry) else {
            *sent = batch.len();
            return self.unsayable();
        };
        *sent += 1;
        let permit = self.downlink.permit();
        if !permit.cursors().is_plain() {
            let (id, shared) = codec::signed(entry, &piece, self.data, permit.cursors());
            self.ready = Ready::Piece(shared);
            return Some(id);
        }
        // Under a session that may end each is looked at before it is said.
        if rest.is_empty() || permit.is_limited() {
            return Some(piece);
        }
        let (piece, more) = self.together(piece, rest);
        *sent += more;
        Some(piece)
    }

    /// A piece, and as many events behind it as may be, in one: a copy of a few hundred bytes costs less than what a host
    /// does for each piece. Says how many there are behind it.
    fn together(&mut self, piece: Bytes, rest: &[Entry]) -> (Bytes, usize) {
        self.forget_copy();
        if self.copied.is_some() {
            return (piece, 0);
        }
        let mut room = COPY_BYTES_MAX.saturating_sub(piece.len());
        let fits = |next: &Bytes| {
            let left = room.checked_sub(next.len());
            room = left.unwrap_or(room);
            left.is_some()
        };
        let mut behind = rest.iter().map_while(|entry| self.shared(entry)).take_while(fits).peekable();
        if behind.peek().is_none() {
            return (piece, 0);
        }
        let mut out = Vec::with_capacity((piece.len() * (rest.len() + 1)).min(COPY_BYTES_MAX));
        out.extend_from_slice(&piece);
        let more = behind.map(|next| out.extend_from_slice(&next)).count();
        let copy = Bytes::from(out);
        self.copied = Some(copy.clone());
        (copy, more)
    }

    /// What was copied last, where the host has written it and let it go.
    fn forget_copy(&mut self) {
        self.copied.take_if(|copied| copied.is_unique());
    }

    /// The end, for an event that has no form here.
    fn unsayable(&mut self) -> Option<Bytes> {
        let error = SourceError::new(
            SourceErrorKind::Failed,
            "a binary event on an SSE mount whose data is the bare payload: choose Data::PayloadOrBase64 or \
             Data::Envelope",
        );
        observe::failed(self.downlink.permit(), Some(&error));
        // The place of the stream is behind this batch, the client's is before it.
        self.downlink.forget_place();
        let Message::End(end) = self.downlink.end(EndReason::Source, Some(&error)) else {
            return None;
        };
        self.ready = Ready::Done;
        let cursors = self.downlink.permit().cursors();
        Some(codec::end(&end.control(), end.retry, self.data, cursors))
    }
}

/// Bytes of events that leave together. They are this reader's alone, and a host takes a dozen pieces ahead of a client that reads
/// nothing: so there is one such copy at a time, and what comes while the host has it is shared. Larger events always are.
const COPY_BYTES_MAX: usize = 4 * 1024;

impl<F: Feed> http_body::Body for SseBody<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let Poll::Ready(piece) = this.poll_piece(cx) else {
            // Nothing is held by a stream that rests.
            this.forget_copy();
            return Poll::Pending;
        };
        if let Some(piece) = &piece {
            this.downlink.touched();
            add(&this.downlink.permit().counters().bytes, piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.ready, Ready::Done)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use realtime_core::{LogView, Source};

    use super::*;

    /// There are thousands of them, and each event goes through every one: what is rare is in a box, or somewhere else.
    #[test]
    fn what_an_event_goes_through_is_small() {
        type ViewFeed = <LogView as Source>::Feed;
        let sizes = [size_of::<SseBody<ViewFeed>>(), size_of::<ViewFeed>(), size_of::<Message>()];
        assert!(sizes.iter().zip([312, 160, 64]).all(|(size, bytes_max)| *size <= bytes_max), "{sizes:?}");
    }
}
