use std::time::Duration;

/// Whether messages of a WebSocket are compressed.
///
/// ```
/// use realtime_tower::{Compression, WebSocketConfig};
///
/// let config = WebSocketConfig { compression: Compression::Deflate, ..WebSocketConfig::default() };
/// assert_eq!(WebSocketConfig::default().compression, Compression::Off);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// No extension is answered.
    #[default]
    Off,
    /// permessage-deflate (RFC 7692) with each client that offers it, as browsers do, without a context in either direction.
    ///
    /// An event is deflated once, whoever reads it, and no connection holds any state for it. Of JSON of 200 bytes it saves a quarter, of
    /// 1 KiB half; it costs some 10 to 20 us an event, 300 KiB a thread, and the bytes of one more format in the log, beside those
    /// for readers without it. Events below 128 bytes, controls and replies go as they are. What clients send is inflated up to the mount's
    /// [`message_bytes_max`](crate::Config::message_bytes_max), never beyond.
    ///
    /// Leave it off where one event holds a secret beside text that an attacker chooses and the attacker sees how long frames are: the length
    /// tells how alike they are (CRIME; RFC 7692, section 8). For that reason readers of `realtime.v1` whose cursors are signed have none.
    Deflate,
}

/// The knobs and bounds of WebSockets. How large a message may be is the mount's
/// [`message_bytes_max`](crate::Config::message_bytes_max).
///
/// ```
/// use std::time::Duration;
/// use realtime_tower::WebSocketConfig;
///
/// let config = WebSocketConfig { write_wait: Duration::from_secs(5), ..WebSocketConfig::default() };
/// ```
#[derive(Debug, Clone, Copy)]
pub struct WebSocketConfig {
    /// At least 100 ms. The longest silence: then a `$ping` message with the place, or a ping frame in bare mode. Default 15 s.
    pub heartbeat: Duration,
    /// How often the peer is asked for a sign of life, by a ping frame. Default 25 s.
    pub ping: Duration,
    /// How long its answer may take before it counts as dead. Default 8 s, so that a dead peer is known in 33.
    pub pong_wait: Duration,
    /// How long a peer may take nothing of what is written before it is disconnected as too slow. Default 10 s.
    pub write_wait: Duration,
    /// How long the peer may take to answer a Close. Default 5 s.
    pub close_wait: Duration,
    /// Fragments of one message. Default 128: what no honest client needs, and no hostile one gains by.
    pub fragments_max: u32,
    /// Control frames a peer may send at once, and
    pub controls_burst: u32,
    /// how many a second in the long run; more is 1008. Defaults 60 and 20.
    pub controls_per_second: u32,
    /// Whether messages are compressed with those who offer it. Default [`Off`](Compression::Off).
    pub compression: Compression,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            ping: Duration::from_secs(25),
            pong_wait: Duration::from_secs(8),
            write_wait: Duration::from_secs(10),
            close_wait: Duration::from_secs(5),
            fragments_max: 128,
            controls_burst: 60,
            controls_per_second: 20,
            compression: Compression::Off,
        }
    }
}
