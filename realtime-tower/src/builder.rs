//! How a mount is made.

use std::fmt;
use std::sync::Arc;

use realtime_core::{Source, Start};

use crate::config::{Config, Slow};
use crate::endpoint::Endpoint;
use crate::handle::Handle;
use crate::hosts::Hosts;
use crate::layer::RealtimeLayer;
use crate::once::OnceConfig;
use crate::origin::Origins;
use crate::proxies::Proxies;
use crate::service::{Inner, Realtime};
use crate::signed::CursorKeys;
use crate::source::{Fixed, MakeSource};
use crate::transport::Transports;
use crate::uplink::{NoUplink, Uplink};
use crate::{All, LongPollTransport, PollTransport, SseTransport, WebSocketTransport};

/// Makes a mount: a source, its transports and its configuration, at one place of somebody's router.
///
/// ```
/// use realtime_core::{Log, Start};
/// use realtime_tower::{SseConfig, SseTransport, builder};
///
/// let (layer, handle) = builder()
///     .source(Log::new())
///     .transports((SseTransport(SseConfig::default()),))
///     .default_start(Start::Last(5))
///     .layer();
/// # drop((layer, handle));
/// ```
pub struct Builder<T, M, U> {
    transports: T,
    make: M,
    uplink: U,
    config: Config,
}

/// No source yet.
///
/// It is there before [`Builder::source`], and where an integration brings a source with every request.
#[derive(Debug, Clone, Copy)]
pub struct NoSource;

/// A mount with all transports and the defaults, whose source is to be named.
///
/// ```
/// use realtime_core::Log;
///
/// let (service, handle) = realtime_tower::builder().source(Log::new()).service();
/// # drop((service, handle));
/// ```
pub fn builder() -> Builder<All, NoSource, NoUplink> {
    let transports = (
        WebSocketTransport::default(),
        SseTransport::default(),
        LongPollTransport::default(),
        PollTransport::default(),
    );
    Builder { transports, make: NoSource, uplink: NoUplink, config: Config::default() }
}

impl<T, M, U> Builder<T, M, U> {
    /// The same source for everybody.
    pub fn source<S: Source>(self, source: S) -> Builder<T, Fixed<S>, U> {
        self.make_source(Fixed::new(source))
    }

    /// A source made for each request: a function `|parts| async { Ok(source) }`, or any [`MakeSource`].
    pub fn make_source<N: MakeSource>(self, make: N) -> Builder<T, N, U> {
        Builder { transports: self.transports, make, uplink: self.uplink, config: self.config }
    }

    /// Who handles what clients send. Without one a POST is 405.
    pub fn uplink<V: Uplink>(self, uplink: V) -> Builder<T, M, V> {
        Builder { transports: self.transports, make: self.make, uplink, config: self.config }
    }

    /// The transports, instead of all: a tuple of one to six.
    pub fn transports<N: Transports>(self, transports: N) -> Builder<N, M, U> {
        Builder { transports, make: self.make, uplink: self.uplink, config: self.config }
    }

    /// What holds whatever the transport.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Where a reader begins that names no place; see [`Config::default_start`].
    #[must_use]
    pub fn default_start(mut self, start: Start) -> Self {
        self.config.default_start = start;
        self
    }

    /// What happens to a reader that fell behind; see [`Config::slow`].
    #[must_use]
    pub fn slow(mut self, slow: Slow) -> Self {
        self.config.slow = slow;
        self
    }

    /// Which pages may open a WebSocket or send; see [`Config::origins`].
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.config.origins = origins;
        self
    }

    /// Which hosts a request may be addressed to; see [`Config::hosts`].
    #[must_use]
    pub fn hosts(mut self, hosts: Hosts) -> Self {
        self.config.hosts = hosts;
        self
    }

    /// Whose word about a client is believed; see [`Config::proxies`].
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.config.proxies = proxies;
        self
    }

    /// How much is remembered of messages with an `Idempotency-Key`; see [`Config::once`].
    #[must_use]
    pub fn once(mut self, once: OnceConfig) -> Self {
        self.config.once = once;
        self
    }

    /// Signs cursors with these keys, and takes none without a tag of theirs; see [`Config::cursor_keys`].
    #[must_use]
    pub fn cursor_keys(mut self, keys: CursorKeys) -> Self {
        self.config.cursor_keys = Some(keys);
        self
    }
}

impl<T: Transports, M: MakeSource, U: Uplink> Builder<T, M, U> {
    /// The mount as a service, and the grip on it.
    pub fn service(self) -> (Realtime<T, M, U>, Handle) {
        let (inner, handle) = self.build();
        (Realtime::from_inner(inner), handle)
    }

    /// The mount as a layer, and the grip on it.
    pub fn layer(self) -> (RealtimeLayer<T, M, U>, Handle) {
        let (inner, handle) = self.build();
        (RealtimeLayer::from_inner(inner), handle)
    }

    fn build(self) -> (Arc<Inner<T, M, U>>, Handle) {
        let endpoint = Endpoint::new(self.transports, self.config);
        let handle = Handle::new(endpoint.mount().clone());
        (Arc::new(Inner { endpoint, make: self.make, uplink: self.uplink }), handle)
    }
}

impl<T: Transports, M, U> Builder<T, M, U> {
    /// The mount without a source of its own, for an integration that brings one with every request, and the grip on
    /// it. `realtime_axum` is built on this.
    pub fn endpoint(self) -> (Endpoint<T>, Handle) {
        let endpoint = Endpoint::new(self.transports, self.config);
        let handle = Handle::new(endpoint.mount().clone());
        (endpoint, handle)
    }
}

impl<T, M, U> fmt::Debug for Builder<T, M, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}
