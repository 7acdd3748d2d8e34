use std::time::Duration;

/// How much a mount remembers of the messages that came with an `Idempotency-Key`, so that a repeated one is answered and
/// has no second effect.
///
/// What is remembered is in memory and this mount's alone: neither another process nor a restarted one knows of it.
/// Whatever bound is met first, the answers that were given first are forgotten first; a message whose handler still
/// runs never is.
///
/// A handler that refuses with 429 or 503 says "not now": nothing was done, and the same message is handled when it comes
/// again. Any other answer is for good, the 500 of a handler that panicked among them. A handler runs to its end, in a
/// task of its own, whether or not its client waits.
///
/// ```
/// use std::time::Duration;
/// use realtime_core::Log;
/// use realtime_tower::{OnceConfig, builder};
///
/// let once = OnceConfig { keep: Duration::from_secs(60 * 60), ..OnceConfig::default() };
/// let (_service, _handle) = builder().source(Log::new()).once(once).service();
/// ```
#[derive(Debug, Clone)]
pub struct OnceConfig {
    /// How long an answer is remembered, from when it was given. Default 10 min: a client that has been offline for
    /// longer asks its user.
    pub keep: Duration,
    /// Messages that are known at once, running ones among them; at least one. Default 32,768: about 12 MiB beside the
    /// answers, and ten minutes at fifty a second.
    pub keys_max: usize,
    /// Handlers that run at once; at least one, and no more than `keys_max`. More messages with a key are told to come
    /// back: a handler goes on when its client has gone, so that connections do not bound them. Default 1,024: with
    /// the longest message each, by default, they hold 64 MiB.
    pub running_max: usize,
    /// Bytes of the remembered answers' bodies. One that is longer than that alone is given to the first request only;
    /// a repeated one is told so by 410, and has no effect. Default 16 MiB: half a KiB for each key.
    pub answer_bytes_max: usize,
}

impl Default for OnceConfig {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(10 * 60),
            keys_max: 32_768,
            running_max: 1_024,
            answer_bytes_max: 16 * 1024 * 1024,
        }
    }
}
