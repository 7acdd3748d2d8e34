//! A server for routers with streams on them: what a layer cannot set, because it is the connection's.
//!
//! ```text
//! listener (Tls) ─► accept, limit, pause ─► WriteDeadline ─► hyper (HTTP/1.1, HTTP/2) ─► Peer, ConnectInfo ─► router
//!                   stop: no more accepted · readers told · GOAWAY, close ─► what was left
//! ```

mod config;
mod connection;
mod listen;
#[cfg(feature = "tls")]
mod tls;

use std::fmt;
use std::future::{Future, IntoFuture, Pending, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::Router;
use futures_util::future::{join, join_all};
use hyper_util::server::graceful::GracefulShutdown;
use realtime_tower::{Drained, Handle};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub use config::ServeConfig;
use connection::{Shared, connection};
pub use listen::Listen;
use listen::is_of_one_connection;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsIo};

/// Serves a router, as `axum::serve` does, and besides
///
/// - evicts a peer that reads nothing, and one that asks for nothing;
/// - sends small events at once (`TCP_NODELAY`);
/// - bounds connections, heads, and what one HTTP/2 peer may hold;
/// - outlives a lack of descriptors;
/// - stops gracefully: every reader is told its place, and what is left is reported.
///
/// It speaks HTTP/1.1 and HTTP/2, WebSockets over both: in the clear whichever the client begins with, encrypted by what
/// ALPN came to (`Tls`, a listener behind the feature `tls`). Requests carry
/// [`ConnectInfo`](axum::extract::ConnectInfo) and [`Peer`](realtime_tower::Peer).
///
/// The handle is that of the mount on the router; for more of them see [`Server::and`]. A stream of a mount whose
/// handle is not here is not told of a stop, and holds it up to its deadline.
///
/// ```no_run
/// use axum::{Router, extract::State, response::Response};
/// use realtime_axum::Realtime;
/// use realtime_core::Log;
/// use tokio::net::TcpListener;
///
/// async fn events(State(log): State<Log>, rt: Realtime) -> Response {
///     rt.serve(log).await
/// }
///
/// # async fn run() -> std::io::Result<()> {
/// let (mount, handle) = realtime_axum::mount().build();
/// let app = Router::new().route("/events", mount.route(events)).with_state(Log::new());
/// let listener = TcpListener::bind("127.0.0.1:3000").await?;
/// let stop = async { drop(tokio::signal::ctrl_c().await) };
/// let stopped = realtime_axum::serve(listener, app, handle).with_graceful_shutdown(stop).await;
/// println!("{} readers told, {} left", stopped.told, stopped.readers_left);
/// # Ok(())
/// # }
/// ```
pub fn serve<L: Listen>(listener: L, router: Router, handle: Handle) -> Server<L> {
    Server { listener, router, handles: vec![handle], config: ServeConfig::default(), signal: pending() }
}

/// A server in the making: await it. Made by [`serve`](crate::serve()).
///
/// # Cancel safety
/// Dropping what awaiting it polls closes every connection at once, and tells nobody; WebSockets live on.
pub struct Server<L, F = Pending<()>> {
    listener: L,
    router: Router,
    handles: Vec<Handle>,
    config: ServeConfig,
    signal: F,
}

impl<L, F> Server<L, F> {
    /// Other knobs than the defaults.
    ///
    /// ```
    /// # use axum::Router;
    /// # use realtime_axum::ServeConfig;
    /// # use tokio::net::TcpListener;
    /// # async fn run() -> std::io::Result<()> {
    /// # let ((mount, handle), app) = (realtime_axum::mount().build(), Router::new());
    /// # drop(mount);
    /// let config = ServeConfig { connections_max: 1_000, ..ServeConfig::default() };
    /// realtime_axum::serve(TcpListener::bind("[::1]:3000").await?, app, handle).config(config).await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn config(mut self, config: ServeConfig) -> Self {
        self.config = config;
        self
    }

    /// One more mount on the router, whose readers are told of a stop.
    #[must_use]
    pub fn and(mut self, handle: Handle) -> Self {
        self.handles.push(handle);
        self
    }

    /// Stops when the signal comes: accepts no more, tells every reader its place and when to come back
    /// ([`Handle::drain`]), lets every connection finish what it is in the middle of, and closes what is left at the
    /// deadline, [`ServeConfig::stop_wait`].
    pub fn with_graceful_shutdown<G>(self, signal: G) -> Server<L, G>
    where
        G: Future<Output = ()> + Send + 'static,
    {
        let Self { listener, router, handles, config, signal: _ } = self;
        Server { listener, router, handles, config, signal }
    }
}

/// How a server has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stopped {
    /// Readers that were there and were told.
    pub told: usize,
    /// Readers that had not gone by the deadline. Their connections are closed now, but for WebSockets, which have a
    /// deadline of their own.
    pub readers_left: usize,
    /// Connections that were still open at the deadline, and are closed now.
    pub connections_left: usize,
}

impl<L: Listen, F: Future<Output = ()> + Send + 'static> Server<L, F> {
    async fn run(self) -> Stopped {
        let Self { mut listener, router, handles, config, signal } = self;
        let shared = Arc::new(Shared {
            builder: config.builder(),
            router: router.with_state(()),
            head_wait: config.head_wait,
            write_wait: config.write_wait,
        });
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut signal = pin!(signal);
        let mut is_failing = false;
        loop {
            let has_room = connections.len() < config.connections_max;
            let (io, peer) = tokio::select! {
                biased;
                () = signal.as_mut() => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a handler panicked: its connection is closed");
                    }
                    continue;
                }
                accepted = accept(&mut listener, &config, &mut is_failing), if has_room => accepted,
            };
            if let Err(error) = listener.prepare(&io, &config) {
                tracing::debug!(%peer, %error, "a connection takes not all of what is set");
            }
            connections.spawn(connection(io, peer, shared.clone(), graceful.watcher()));
        }
        drop(listener);
        stop(&handles, connections, graceful, config.stop_wait).await
    }
}

/// The next connection, however often it fails. A connection that ends meanwhile may begin it anew: it may have left
/// the descriptor that was missing.
async fn accept<L: Listen>(
    listener: &mut L,
    config: &ServeConfig,
    is_failing: &mut bool,
) -> (L::Io, std::net::SocketAddr) {
    loop {
        let error = match listener.accept().await {
            Ok(accepted) => {
                if std::mem::take(is_failing) {
                    tracing::warn!("connections are accepted again");
                }
                return accepted;
            }
            Err(error) => error,
        };
        if is_of_one_connection(&error) {
            continue;
        }
        if !std::mem::replace(is_failing, true) {
            tracing::error!(%error, "no connection can be accepted: trying again until it goes");
        }
        sleep(config.accept_pause).await;
    }
}

async fn stop(
    handles: &[Handle],
    mut connections: JoinSet<()>,
    graceful: GracefulShutdown,
    wait: std::time::Duration,
) -> Stopped {
    let drained = join_all(handles.iter().map(|handle| handle.drain(wait)));
    let ended = timeout(wait, async {
        let all_ended = async { while connections.join_next().await.is_some() {} };
        join(graceful.shutdown(), all_ended).await
    });
    let (drained, _) = join(drained, ended).await;
    while connections.try_join_next().is_some() {}
    let connections_left = connections.len();
    connections.shutdown().await;
    let sum = |of: fn(&Drained) -> usize| drained.iter().map(of).sum();
    let stopped = Stopped {
        told: sum(|drained| drained.told),
        readers_left: sum(|drained| drained.left),
        connections_left,
    };
    if connections_left > 0 {
        tracing::warn!(?stopped, "stopped before everybody had gone");
    }
    stopped
}

/// What awaiting a [`Server`] polls. It is ready only after a graceful shutdown.
pub struct ServerFuture(Pin<Box<dyn Future<Output = Stopped> + Send>>);

impl Future for ServerFuture {
    type Output = Stopped;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Stopped> {
        self.0.as_mut().poll(cx)
    }
}

impl<L: Listen, F: Future<Output = ()> + Send + 'static> IntoFuture for Server<L, F> {
    type Output = Stopped;
    type IntoFuture = ServerFuture;

    fn into_future(self) -> ServerFuture {
        ServerFuture(Box::pin(self.run()))
    }
}

impl<L, F> fmt::Debug for Server<L, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerFuture")
    }
}
