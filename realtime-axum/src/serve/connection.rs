use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use realtime_tower::{Peer, Stalled, WriteDeadline};
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) builder: Builder<TokioExecutor>,
    pub(super) router: Router,
    pub(super) head_wait: Duration,
    pub(super) write_wait: Duration,
}

/// Serves one connection until it ends, or until its upgrade has taken it away.
pub(super) async fn connection<I>(io: I, peer: SocketAddr, shared: Arc<Shared>, watcher: Watcher)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = WriteDeadline::new(io, shared.write_wait);
    let stalled = io.stalled();
    let asked = Arc::new(AtomicBool::new(false));
    let front = Front { router: shared.router.clone(), peer, stalled: stalled.clone(), asked: asked.clone() };
    let served = shared.builder.serve_connection_with_upgrades(TokioIo::new(io), front);
    let mut served = pin!(watcher.watch(served));
    // hyper's own time-out begins when it knows the version: who sends nothing, or half a preface, is not known to it.
    let ended = tokio::select! {
        biased;
        ended = served.as_mut() => Some(ended),
        () = tokio::time::sleep(shared.head_wait) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None if asked.load(Ordering::Relaxed) => served.await,
        None => {
            tracing::debug!(%peer, "a client has asked for nothing in time");
            return;
        }
    };
    match ended {
        Err(error) if stalled.is_set() => tracing::info!(%peer, error, "a peer reads nothing: evicted"),
        Err(error) => tracing::debug!(%peer, error, "a connection broke off"),
        Ok(()) => {}
    }
}

/// The router, with what the connection knows in each request's extensions.
struct Front {
    router: Router,
    peer: SocketAddr,
    stalled: Stalled,
    asked: Arc<AtomicBool>,
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.asked.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(self.peer));
        extensions.insert(Peer(self.peer));
        extensions.insert(self.stalled.clone());
        // A router is always ready.
        self.router.clone().call(request)
    }
}
