use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

/// The knobs of [`serve`](crate::serve()): what holds for a connection, whatever is asked for on it.
///
/// ```
/// use std::time::Duration;
/// use realtime_axum::ServeConfig;
///
/// let config = ServeConfig { write_wait: Duration::from_secs(5), ..ServeConfig::default() };
/// assert_eq!(config.head_wait, Duration::from_secs(30));
/// ```
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Connections at once that speak HTTP; more wait in the kernel's queue. A WebSocket has left HTTP and counts as
    /// a reader of its mount alone: see [`readers_max`](realtime_tower::Config::readers_max). Default 16,384, with a
    /// descriptor each.
    pub connections_max: usize,
    /// How long a client may take for the head of a request, the first one counted from the connection's beginning;
    /// over HTTP/1.1 also how long a connection may idle between two. Default 30 s: what a slow phone needs, and
    /// little for who sends a byte a second to hold a place.
    pub head_wait: Duration,
    /// How long a peer may take no byte of what is written before its connection is closed. Default 10 s: a hiccup of
    /// a mobile network passes, and one that reads nothing is gone soon after the kernel's buffer is full.
    ///
    /// Over HTTP/2 this is the connection's, with all its streams. A peer that reads the connection but gives one stream no
    /// window is not found so. Where that is a WebSocket, the reader is given up after
    /// [`write_wait`](realtime_tower::WebSocketConfig::write_wait) of its own; a response, an event stream too, waits with its
    /// reader as long as the connection is there. What both hold is bounded by `h2_streams_max` and `h2_send_bytes_max`.
    pub write_wait: Duration,
    /// How long a peer may leave what was sent unacknowledged: it has vanished without a word. Linux only
    /// (`TCP_USER_TIMEOUT`); elsewhere the kernel decides. Default 20 s, so that with a heartbeat of 15 s a dead
    /// reader is known within 35; `None` leaves the kernel's quarter of an hour.
    pub unacknowledged_wait: Option<Duration>,
    /// How much of what a peer has no room for may wait in the kernel, in bytes; more waits with its reader, as places in
    /// the log. Linux only (`TCP_NOTSENT_LOWAT`). Default 32 KiB: without it a reader that stalls makes the kernel hold a
    /// megabyte and a half, and some thousand of them all that it has for TCP. What is on its way does not count, so that
    /// a fast reader that is far away is not slowed. `None` leaves it to the kernel.
    pub unsent_bytes_max: Option<u32>,
    /// How much the kernel holds of what a peer has not acknowledged yet, in bytes (`SO_SNDBUF`). Default `None`: the
    /// kernel sizes it by the path. Where `unsent_bytes_max` does nothing, set some 64 KiB for many slow readers, which
    /// slows a fast reader that is far away.
    pub send_buffer_bytes: Option<usize>,
    /// Bytes of an HTTP/1.1 head, and of what waits to be written to one connection, up to one piece of a body more.
    /// Default 64 KiB; at least 8 KiB, which hyper wants.
    pub h1_buffer_bytes: usize,
    /// Streams that one HTTP/2 connection may have open at once. Default 100, the least that RFC 9113, section 6.5.2,
    /// recommends: with the next one it bounds what one peer makes the server hold.
    pub h2_streams_max: u32,
    /// Bytes that wait to be written to one HTTP/2 stream. Default 32 KiB: with 100 streams, and the 24 KiB that a
    /// WebSocket has on its way there, 5.5 MiB for a peer that reads nothing. It is no bound on speed: what the peer takes
    /// makes room at once.
    pub h2_send_bytes_max: usize,
    /// Bytes that a peer may send on one HTTP/2 stream ahead of whoever reads it: its window. Default 256 KiB, so that an
    /// upload over 50 ms of distance has 5 MB/s.
    pub h2_stream_window_bytes: u32,
    /// The same for all streams of a connection together: what one peer can make the server hold unread. Default 1 MiB.
    /// Half of it is what h2 lets crumbs cost (DATA frames below 256 bytes that nobody has read yet): less of it ends
    /// connections of chatty clients.
    pub h2_connection_window_bytes: u32,
    /// Bytes of the decoded headers of an HTTP/2 request. Default 16 KiB.
    pub h2_head_bytes_max: u32,
    /// How often an HTTP/2 peer is asked for a sign of life. Default 20 s.
    pub h2_ping: Duration,
    /// How long its answer may take before its connection is closed. Default 10 s.
    pub h2_pong_wait: Duration,
    /// HTTP/2 streams that a peer may reset before they were looked at; more ends the connection (CVE-2023-44487).
    /// Default 20.
    pub h2_resets_max: usize,
    /// How long to wait after a connection could not be accepted, mostly because the process has no descriptor left.
    /// Default 100 ms: service is back soon after one is free, and the wait costs nothing.
    pub accept_pause: Duration,
    /// How long a graceful stop may take in all. Default 30 s: the write deadline lies within it, so that a peer which
    /// reads nothing is gone by then.
    pub stop_wait: Duration,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            head_wait: Duration::from_secs(30),
            write_wait: Duration::from_secs(10),
            unacknowledged_wait: Some(Duration::from_secs(20)),
            unsent_bytes_max: Some(32 * 1024),
            send_buffer_bytes: None,
            h1_buffer_bytes: 64 * 1024,
            h2_streams_max: 100,
            h2_send_bytes_max: 32 * 1024,
            h2_stream_window_bytes: 256 * 1024,
            h2_connection_window_bytes: 1024 * 1024,
            h2_head_bytes_max: 16 * 1024,
            h2_ping: Duration::from_secs(20),
            h2_pong_wait: Duration::from_secs(10),
            h2_resets_max: 20,
            accept_pause: Duration::from_millis(100),
            stop_wait: Duration::from_secs(30),
        }
    }
}

/// Beyond what a clock can hold, as a knob that means "never" may be, this is never: hyper would panic.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What hyper panics below.
const H1_BUFFER_BYTES_MIN: usize = 8 * 1024;

/// What a window may be at most (RFC 9113, section 6.9.1).
const H2_WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

impl ServeConfig {
    pub(super) fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_wait.min(NEVER))
            .max_buf_size(self.h1_buffer_bytes.max(H1_BUFFER_BYTES_MIN));
        builder
            .http2()
            .timer(TokioTimer::new())
            // A WebSocket over HTTP/2 is asked for by it (RFC 8441).
            .enable_connect_protocol()
            .initial_stream_window_size(self.h2_stream_window_bytes.min(H2_WINDOW_BYTES_MAX))
            .initial_connection_window_size(self.h2_connection_window_bytes.min(H2_WINDOW_BYTES_MAX))
            .max_concurrent_streams(self.h2_streams_max)
            .max_send_buf_size(self.h2_send_bytes_max.min(u32::MAX as usize))
            .max_header_list_size(self.h2_head_bytes_max)
            .keep_alive_interval(self.h2_ping.min(NEVER))
            .keep_alive_timeout(self.h2_pong_wait.min(NEVER))
            .max_pending_accept_reset_streams(self.h2_resets_max);
        builder
    }
}
