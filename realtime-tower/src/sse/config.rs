use std::time::Duration;

/// The knobs of Server-Sent Events.
///
/// ```
/// use realtime_tower::{Data, SseConfig};
///
/// let config = SseConfig { data: Data::Envelope, ..SseConfig::default() };
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SseConfig {
    /// At least 100 ms. The longest silence. Default 15 s: below the 20 s that the laxest proxies allow (WHATWG HTML, section 9.2.7).
    pub heartbeat: Duration,
    /// Whether a heartbeat is a `$ping` event that scripts see, or a comment that EventSource hides. Default: hidden.
    pub pings: Pings,
    /// What stands in `data:`. Default: the payload alone. A client that sends `Accept: text/event-stream;data=envelope`
    /// gets [`Data::Envelope`] from any mount.
    pub data: Data,
}

impl Default for SseConfig {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(15), pings: Pings::Hidden, data: Data::Payload }
    }
}

/// How heartbeats look to a script.
///
/// ```
/// use realtime_tower::{Pings, SseConfig};
///
/// let config = SseConfig { pings: Pings::Events, ..SseConfig::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pings {
    /// A comment, and the place as an id: EventSource takes the place and fires nothing.
    #[default]
    Hidden,
    /// A `$ping` event.
    Events,
}

/// What stands in an event's `data:`.
///
/// ```
/// use realtime_tower::{Data, SseConfig};
///
/// let config = SseConfig { data: Data::PayloadOrBase64, ..SseConfig::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Data {
    /// The payload as it is. A binary one cannot be sent so: the stream ends with reason `source`, and the log says
    /// which of the others to choose.
    #[default]
    Payload,
    /// The payload as it is, a binary one as base64; the client knows by the event's name.
    PayloadOrBase64,
    /// The whole envelope, as the other transports have it.
    Envelope,
}
