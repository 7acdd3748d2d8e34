//! Messages up: read one by one, handled in order, answered to that client alone.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Extensions, StatusCode};
use realtime_core::{Payload, envelope};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::codec;
use crate::uplink::{Inbound, Reply, Uplink, UplinkError, WAITING_BYTES_MAX, WAITING_MAX};

/// How messages look on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// An envelope a message, controls included.
    V1,
    /// The payload alone.
    Bare,
}

/// The messages of one connection that wait for the handler, and the one it has.
pub(super) struct Messages<U> {
    uplink: U,
    extensions: Option<Arc<Extensions>>,
    mode: Mode,
    waiting: VecDeque<Asked>,
    running: Running,
}

/// The message that the handler has.
enum Running {
    None,
    Handled(Option<Box<RawValue>>, Handled),
    /// Its reply, which waits for room.
    Replied(Bytes),
}

type Handled = Pin<Box<dyn Future<Output = Result<Reply, UplinkError>> + Send>>;

struct Asked {
    /// As it was sent: a small part of it may hold all.
    bytes: usize,
    reference: Option<Box<RawValue>>,
    message: Result<Inbound, UplinkError>,
}

/// What `realtime.v1` sends up.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(rename = "ref", borrow)]
    reference: Option<&'a RawValue>,
    event: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Bytes of a `ref`, which is sent back as it came.
const REF_BYTES_MAX: usize = 128;

impl<U: Uplink> Messages<U> {
    pub(super) fn new(uplink: U, extensions: Option<Arc<Extensions>>, mode: Mode) -> Self {
        Self { uplink, extensions, mode, waiting: VecDeque::new(), running: Running::None }
    }

    /// Whether another message may be read.
    pub(super) fn has_room(&self) -> bool {
        let bytes: usize = self.waiting.iter().map(|asked| asked.bytes).sum();
        self.waiting.len() < WAITING_MAX && bytes < WAITING_BYTES_MAX
    }

    pub(super) fn takes_any(&self) -> bool {
        self.uplink.is_there()
    }

    pub(super) fn push(&mut self, payload: Payload) {
        let bytes = payload.bytes().len();
        let (reference, message) = match (self.mode, payload) {
            (Mode::V1, Payload::Text(text)) => self.read(&text),
            (_, payload) => (None, Ok(self.inbound(None, payload))),
        };
        self.waiting.push_back(Asked { bytes, reference, message });
    }

    fn inbound(&self, name: Option<String>, payload: Payload) -> Inbound {
        Inbound::new(name, payload, self.extensions.clone())
    }

    /// The `ref` of a message, and what it says.
    fn read(&self, text: &Bytes) -> (Option<Box<RawValue>>, Result<Inbound, UplinkError>) {
        let bad = |title| Err(UplinkError::new(StatusCode::BAD_REQUEST, title));
        // To serde a list may be a struct.
        let is_object = text.trim_ascii_start().starts_with(b"{");
        let Some(sent) = serde_json::from_slice::<Sent<'_>>(text).ok().filter(|_| is_object) else {
            return (None, bad("a message is a JSON object with ref, event and data"));
        };
        let reference = sent.reference.filter(|reference| reference.get().len() <= REF_BYTES_MAX);
        let message = match (reference, sent.reference) {
            (None, Some(_)) => bad("ref takes at most 128 bytes"),
            _ => {
                // An absent member and `null` are alike to serde: there is no part of the text to share.
                let data = sent
                    .data
                    .map_or(Bytes::from_static(b"null"), |data| text.slice_ref(data.get().as_bytes()));
                Inbound::named(sent.event.map(Cow::Owned)).map(|name| self.inbound(name, Payload::Json(data)))
            }
        };
        (reference.map(ToOwned::to_owned), message)
    }

    /// Whether all that was sent has been handled and answered.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && matches!(self.running, Running::None)
    }

    /// Drops what no handler has begun with.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting = VecDeque::new();
    }

    /// Lets the handler go on with what it has begun, and keeps the reply until there is room for it.
    pub(super) fn go_on(&mut self, cx: &mut Context<'_>) {
        if matches!(self.running, Running::Handled(..))
            && let Poll::Ready(Some(frame)) = self.poll_reply(cx)
        {
            self.running = Running::Replied(frame);
        }
    }

    /// The next reply, as a frame; `Ready(None)` when a message needed none.
    pub(super) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if matches!(self.running, Running::None) {
            let Some(Asked { reference, message, .. }) = self.waiting.pop_front() else {
                return Poll::Pending;
            };
            let handled: Handled = match message {
                Ok(message) => Box::pin(self.uplink.handle(message)),
                Err(error) => Box::pin(std::future::ready(Err(error))),
            };
            self.running = Running::Handled(reference, handled);
            if self.waiting.is_empty() {
                self.waiting = VecDeque::new();
            }
        }
        match std::mem::replace(&mut self.running, Running::None) {
            Running::None => Poll::Pending,
            Running::Replied(frame) => Poll::Ready(Some(frame)),
            Running::Handled(reference, mut handled) => match handled.as_mut().poll(cx) {
                Poll::Ready(reply) => Poll::Ready(self.frame(reference.as_deref(), reply)),
                Poll::Pending => {
                    self.running = Running::Handled(reference, handled);
                    Poll::Pending
                }
            },
        }
    }

    fn frame(&self, reference: Option<&RawValue>, reply: Result<Reply, UplinkError>) -> Option<Bytes> {
        match (self.mode, reply) {
            (Mode::V1, Ok(Reply(None))) if reference.is_none() => None,
            (Mode::V1, reply) => Some(codec::text(&in_envelope(reference, &reply))),
            (Mode::Bare, Ok(Reply(payload))) => payload.map(|payload| match payload {
                Payload::Binary(bytes) => codec::binary(&bytes),
                payload => codec::text(payload.bytes()),
            }),
            (Mode::Bare, Err(error)) => Some(codec::text(problem(&error).as_bytes())),
        }
    }
}

fn in_envelope(reference: Option<&RawValue>, reply: &Result<Reply, UplinkError>) -> Vec<u8> {
    let mut out = vec![b'{'];
    if let Some(reference) = reference {
        out.extend_from_slice(b"\"ref\":");
        out.extend_from_slice(reference.get().as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(b"\"event\":\"$reply\"");
    match reply {
        Ok(Reply(Some(payload))) => {
            if matches!(payload, Payload::Binary(_)) {
                out.extend_from_slice(b",\"encoding\":\"base64\"");
            }
            out.extend_from_slice(b",\"data\":");
            envelope::write_payload(payload, &mut out);
        }
        Ok(Reply(None)) => out.extend_from_slice(b",\"data\":null"),
        Err(error) => {
            out.extend_from_slice(b",\"error\":");
            out.extend_from_slice(problem(error).as_bytes());
        }
    }
    out.push(b'}');
    out
}

fn problem(error: &UplinkError) -> String {
    serde_json::json!({ "status": error.status().as_u16(), "title": error.title() }).to_string()
}
