//! One tiny honest client per transport, and [`Reader`], which is any of them.
//!
//! Honest means: a client believes nothing but the wire, keeps the place that the wire gave it, moves it exactly when
//! the wire says so, says what it was given without repairing it ([`Seen::Broken`]), and never reconnects by itself.
//! Coming back is the test's explicit act: [`Reader::resume`], on whatever transport.

pub mod h2;
pub mod http;
pub mod long_poll;
pub mod poll;
mod reader;
mod seen;
mod signing;
pub mod sse;
pub mod sse_parser;
#[cfg(test)]
mod tests;
mod whole_head;
mod wire;
pub mod ws;

use std::time::Duration;

use ::http::HeaderMap;

pub use reader::{PATIENCE, Reader, SEEN_MAX, Transport, Via};
pub use seen::{Event, Gap, Over, Place, Seen};
pub use signing::Signing;

use crate::dial::Dialer;

/// How a cursor travels to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carry {
    /// As `Last-Event-ID`.
    #[default]
    Header,
    /// As `offset=` in the query.
    Query,
}

/// What the requests are spoken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Http {
    /// HTTP/1.1.
    #[default]
    One,
    /// HTTP/2 by prior knowledge, a WebSocket by extended CONNECT.
    Two,
}

impl Http {
    /// Both.
    pub const ALL: [Self; 2] = [Self::One, Self::Two];
}

/// What an SSE `data` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SseForm {
    /// The bare payload: no topic, and nothing that tells binary from text.
    #[default]
    Bare,
    /// The JSON envelope, as on the other transports.
    Envelope,
}

/// Where and how a client reads: the same for all transports, so that a reader can move between them.
///
/// ```
/// use realtime_tests::client::{Carry, Target};
/// # use realtime_tests::dial::Dialer;
/// # let dialer = Dialer::tcp(([127, 0, 0, 1], 1).into());
/// let target = Target { carry: Carry::Query, ..Target::new(dialer, "/events") };
/// assert_eq!(target.path, "/events");
/// ```
#[derive(Clone, Debug)]
pub struct Target {
    /// Opens connections, one per request.
    pub dialer: Dialer,
    /// What is spoken on them.
    pub http: Http,
    /// Path and query.
    pub path: String,
    /// Headers sent with every request, beside the client's own.
    pub headers: HeaderMap,
    /// How a cursor travels; the reserved words always go in the query.
    pub carry: Carry,
    /// `Prefer: wait=` of a long-poll, in seconds.
    pub wait_s: u32,
    /// How long a poll rests after a page that was up to date.
    pub interval: Duration,
    /// What an SSE `data` is taken for.
    pub sse: SseForm,
    /// The WebSocket subprotocol; `None` is bare mode.
    pub subprotocol: Option<&'static str>,
    /// How the mount signs its cursors; a [`Reader`] shows them without their tags.
    pub signing: Option<Signing>,
}

impl Target {
    /// The usual way of reading `path`.
    pub fn new(dialer: Dialer, path: impl Into<String>) -> Self {
        Self {
            dialer,
            http: Http::default(),
            path: path.into(),
            headers: HeaderMap::new(),
            carry: Carry::default(),
            wait_s: 25,
            interval: Duration::from_secs(1),
            sse: SseForm::default(),
            subprotocol: Some("realtime.v1"),
            signing: None,
        }
    }
}
