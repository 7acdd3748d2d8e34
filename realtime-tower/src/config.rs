//! The knobs and bounds of a mount that concern every transport. Each room has its own beside it.

use std::num::NonZeroU32;
use std::time::Duration;

use realtime_core::Start;

use crate::hosts::Hosts;
use crate::once::OnceConfig;
use crate::origin::Origins;
use crate::proxies::Proxies;
use crate::signed::CursorKeys;

/// What holds for a whole mount, whatever the transport.
///
/// ```
/// use realtime_core::Start;
/// use realtime_tower::{Config, Slow};
///
/// let config = Config { default_start: Start::Last(5), slow: Slow::Disconnect, ..Config::default() };
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// Where a reader begins that names no place. Default: at the tail.
    pub default_start: Start,
    /// What happens to a reader that fell so far behind that events are gone. Default: [`Slow::Skip`].
    pub slow: Slow,
    /// Which pages may open a WebSocket or send. Default: those of the same origin.
    pub origins: Origins,
    /// Which hosts a request may be addressed to. Default: any, as behind a reverse proxy; what listens on loopback should
    /// name its own, see [`Hosts`].
    pub hosts: Hosts,
    /// Whose `X-Forwarded-For` and `X-Forwarded-Host` are believed. Default: nobody's.
    pub proxies: Proxies,
    /// Readers at once over all transports, waiting polls among them; more are told to come back. Default 16,384:
    /// with a descriptor each they fit a process that may have 20,000.
    pub readers_max: usize,
    /// Of those, how many may come from one address (IPv4) or one /64 (IPv6), by [`Peer`](crate::Peer) and [`Config::proxies`];
    /// more are answered 429 and told to come back. Default: no limit of its own, for behind a proxy that is not named all are
    /// one address, and behind a carrier's network thousands may be. A host that puts no `Peer` in has none.
    pub readers_per_address_max: Option<usize>,
    /// Of those, how many may be of one [`Principal`](crate::Principal) that the application has named, over all its devices and
    /// tabs; more are answered 429. Default: no limit of its own.
    pub readers_per_principal_max: Option<usize>,
    /// How long a source may take to open, or to give what it has, before polls are told to come back and streams
    /// begin without it. Default 2 s.
    pub source_wait: Duration,
    /// When a client that was sent away comes back, before jitter. Default 2 s.
    pub retry: Duration,
    /// How many readers of a drained mount may come back in a second: what they are told is spread over as long as that takes,
    /// up to 30 s more than [`retry`](Self::retry). A process that takes their place has a TLS handshake, a request and a source
    /// for each of them. Default 500, which two cores bear beside their work: 10,000 come back over 20 s, and fewer than 500
    /// as if they had been one.
    pub returns_per_second: NonZeroU32,
    /// Bytes of one message or body that a client may send. Default 64 KiB.
    pub message_bytes_max: usize,
    /// How long the body of a POST may take to arrive, in all. Default 10 s.
    pub body_wait: Duration,
    /// How much is remembered of messages with an `Idempotency-Key`; see [`OnceConfig`].
    pub once: OnceConfig,
    /// The keys that cursors are signed with, for sources where a place must not be guessed; see [`CursorKeys`]. Default:
    /// none, and cursors are plain.
    pub cursor_keys: Option<CursorKeys>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_start: Start::Live,
            slow: Slow::Skip,
            origins: Origins::default(),
            hosts: Hosts::default(),
            proxies: Proxies::default(),
            readers_max: 16_384,
            readers_per_address_max: None,
            readers_per_principal_max: None,
            source_wait: Duration::from_secs(2),
            retry: Duration::from_secs(2),
            returns_per_second: NonZeroU32::new(500).unwrap_or(NonZeroU32::MIN),
            message_bytes_max: 64 * 1024,
            body_wait: Duration::from_secs(10),
            once: OnceConfig::default(),
            cursor_keys: None,
        }
    }
}

/// What happens to a connected reader whose next events are gone.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{Slow, builder};
///
/// let (_service, _handle) = builder().source(Log::new()).slow(Slow::Disconnect).service();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slow {
    /// It is told of the gap and reads on behind it.
    #[default]
    Skip,
    /// It is disconnected with its cursor, and told of the gap when it comes back.
    Disconnect,
}
