//! A mount without a source: the handler brings one with every request.

use std::fmt;
use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::MethodRouter;
use realtime_core::{Source, Start};
use realtime_tower::{
    All, Builder, Config, CursorKeys, Endpoint, Handle, Hosts, NoSource, NoUplink, OnceConfig, Origins,
    Proxies, Slow, Transports,
};

use crate::route;

/// A place in a router where events are read, with its transports and knobs. Cloning shares it.
///
/// It may stand in the router's state (see [`FromMount`](crate::FromMount)), or make routes itself.
///
/// ```
/// use axum::{Router, extract::State, response::Response};
/// use realtime_axum::Realtime;
/// use realtime_core::{Log, Start};
///
/// async fn events(State(log): State<Log>, rt: Realtime) -> Response {
///     rt.serve(log).await
/// }
///
/// let (mount, handle) = realtime_axum::mount().default_start(Start::Last(5)).build();
/// let app: Router = Router::new().route("/events", mount.route(events)).with_state(Log::new());
/// # drop((app, handle));
/// ```
pub struct Mount<T = All> {
    pub(crate) endpoint: Arc<Endpoint<T>>,
}

impl<T: Transports> Mount<T> {
    /// A route to a handler that takes [`Realtime`](crate::Realtime), through this mount.
    pub fn route<H, A, S>(&self, handler: H) -> MethodRouter<S>
    where
        H: Handler<A, S>,
        A: 'static,
        S: Clone + Send + Sync + 'static,
    {
        route::gated(self.clone(), handler)
    }

    /// A route on which everybody reads the same source, through this mount.
    ///
    /// ```
    /// use axum::Router;
    /// use realtime_core::Log;
    ///
    /// let (mount, handle) = realtime_axum::mount().build();
    /// let app: Router = Router::new().route("/events", mount.source(Log::new()));
    /// # drop((app, handle));
    /// ```
    pub fn source<S: Source, St>(&self, source: S) -> MethodRouter<St>
    where
        St: Clone + Send + Sync + 'static,
    {
        route::fixed(self.clone(), source)
    }
}

impl<T> Clone for Mount<T> {
    fn clone(&self) -> Self {
        Self { endpoint: self.endpoint.clone() }
    }
}

impl<T> fmt::Debug for Mount<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mount").finish_non_exhaustive()
    }
}

/// Begins a mount with all transports and the defaults.
///
/// ```
/// use realtime_tower::Slow;
///
/// let (mount, handle) = realtime_axum::mount().slow(Slow::Disconnect).build();
/// # drop((mount, handle));
/// ```
pub fn mount() -> MountBuilder<All> {
    MountBuilder(realtime_tower::builder())
}

/// Makes a [`Mount`].
#[derive(Debug)]
pub struct MountBuilder<T>(Builder<T, NoSource, NoUplink>);

impl<T> MountBuilder<T> {
    /// The transports, instead of all: a tuple of one to six. The extractor is `Realtime<(...)>` then.
    pub fn transports<N: Transports>(self, transports: N) -> MountBuilder<N> {
        MountBuilder(self.0.transports(transports))
    }

    /// What holds whatever the transport.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self(self.0.config(config))
    }

    /// Where a reader begins that names no place; see [`Config::default_start`].
    #[must_use]
    pub fn default_start(self, start: Start) -> Self {
        Self(self.0.default_start(start))
    }

    /// What happens to a reader that fell behind; see [`Config::slow`].
    #[must_use]
    pub fn slow(self, slow: Slow) -> Self {
        Self(self.0.slow(slow))
    }

    /// Which pages may open a WebSocket or send; see [`Config::origins`].
    #[must_use]
    pub fn origins(self, origins: Origins) -> Self {
        Self(self.0.origins(origins))
    }

    /// Which hosts a request may be addressed to; see [`Config::hosts`].
    #[must_use]
    pub fn hosts(self, hosts: Hosts) -> Self {
        Self(self.0.hosts(hosts))
    }

    /// Whose word about a client is believed; see [`Config::proxies`].
    #[must_use]
    pub fn proxies(self, proxies: Proxies) -> Self {
        Self(self.0.proxies(proxies))
    }

    /// How much is remembered of messages with an `Idempotency-Key`; see [`Config::once`].
    #[must_use]
    pub fn once(self, once: OnceConfig) -> Self {
        Self(self.0.once(once))
    }

    /// Signs cursors with these keys, and takes none without a tag of theirs; see [`Config::cursor_keys`].
    #[must_use]
    pub fn cursor_keys(self, keys: CursorKeys) -> Self {
        Self(self.0.cursor_keys(keys))
    }

    /// The mount, and the grip on it.
    pub fn build(self) -> (Mount<T>, Handle)
    where
        T: Transports,
    {
        let (endpoint, handle) = self.0.endpoint();
        (Mount { endpoint: Arc::new(endpoint) }, handle)
    }
}
