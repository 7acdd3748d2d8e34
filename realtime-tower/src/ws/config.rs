use std::time::Duration;

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
        }
    }
}
