//! Routes, and the small gate before a handler of one's own.

use std::convert::Infallible;
use std::future::{IntoFuture, Ready, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, NestedPath, RawPathParams, Request};
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodRouter, any, any_service};
use futures_util::FutureExt;
use futures_util::future::{Either, Map};
use http::Method;
use http::request::Parts;
use realtime_core::Source;
use realtime_tower::{Admitted, Endpoint, Peer, Transports};
use tower_layer::Layer;
use tower_service::Service;

use crate::mount::{Mount, mount};
use crate::reply::{Serve, ServeFuture};

/// A route on which everybody reads the same source, through every transport, with the defaults.
///
/// ```
/// use axum::Router;
/// use realtime_core::Log;
///
/// let app: Router = Router::new().route("/events", realtime_axum::source(Log::new()));
/// # drop(app);
/// ```
pub fn source<S: Source, St: Clone + Send + Sync + 'static>(source: S) -> MethodRouter<St> {
    mount().build().0.source(source)
}

/// A route on which everybody reads the same source through a mount. Nobody hears messages there, and OPTIONS says so.
pub(crate) fn fixed<T, S, St>(mount: Mount<T>, source: S) -> MethodRouter<St>
where
    T: Transports,
    S: Source,
    St: Clone + Send + Sync + 'static,
{
    any_service(Fixed { mount, source: Arc::new(source) })
}

/// Gate and answer in one: where no handler stands between them, nothing has to be carried from the one to the other.
struct Fixed<T, S> {
    mount: Mount<T>,
    source: Arc<S>,
}

impl<T, S> Clone for Fixed<T, S> {
    fn clone(&self) -> Self {
        Self { mount: self.mount.clone(), source: self.source.clone() }
    }
}

impl<T: Transports, S: Source> Service<Request> for Fixed<T, S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Map<ServeFuture, fn(Response) -> Answered>, Ready<Answered>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let endpoint = &self.mount.endpoint;
        match admit(endpoint, &mut parts, false) {
            Ok(admitted) => {
                let serve = Serve::new(endpoint.clone(), admitted, body, self.source.clone());
                Either::Left(serve.into_future().map(Ok))
            }
            Err(response) => Either::Right(ready(Ok(response))),
        }
    }
}

type Answered = Result<Response, Infallible>;

/// A route to a handler that takes [`Realtime`](crate::Realtime), through a mount with the defaults.
///
/// What can be refused without the handler is answered before its extractors run: OPTIONS, 405, 406, a malformed
/// cursor, a page of another origin, a broken handshake, a mount that is full.
///
/// ```
/// use axum::{Router, extract::State, response::Response};
/// use realtime_axum::Realtime;
/// use realtime_core::Log;
///
/// async fn events(State(log): State<Log>, rt: Realtime) -> Response {
///     rt.serve(log).await
/// }
///
/// let app: Router = Router::new().route("/events", realtime_axum::route(events)).with_state(Log::new());
/// # drop(app);
/// ```
pub fn route<H, A, St>(handler: H) -> MethodRouter<St>
where
    H: Handler<A, St>,
    A: 'static,
    St: Clone + Send + Sync + 'static,
{
    mount().build().0.route(handler)
}

pub(crate) fn gated<T, H, A, St>(mount: Mount<T>, handler: H) -> MethodRouter<St>
where
    T: Transports,
    H: Handler<A, St>,
    A: 'static,
    St: Clone + Send + Sync + 'static,
{
    any(handler).layer(GateLayer { mount })
}

/// A request that was let in, on its way to the extractor. Extensions must be `Clone`; this is taken once.
pub(crate) struct Pass<T>(pub(crate) Arc<Mutex<Option<LetIn<T>>>>);

type LetIn<T> = (Arc<Endpoint<T>>, Admitted);

impl<T> Clone for Pass<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Lets a request in, or answers it. Whether the handler takes messages is known only when it has run; till then it
/// may.
pub(crate) fn admit<T: Transports>(
    endpoint: &Endpoint<T>,
    parts: &mut Parts,
    takes_messages: bool,
) -> Result<Admitted, Response> {
    // A layer that has put one in knows better than the socket.
    if parts.extensions.get::<Peer>().is_none()
        && let Some(ConnectInfo(address)) = parts.extensions.get::<ConnectInfo<SocketAddr>>()
    {
        let peer = Peer(*address);
        parts.extensions.insert(peer);
    }
    let mut admitted = endpoint.admit(parts, takes_messages).map_err(|response| response.map(Body::new))?;
    if parts.method == Method::POST
        && let Some(nested) = parts.extensions.get::<NestedPath>().cloned()
    {
        admitted.add_prefix(nested.as_str());
        // Where a prefix has parameters, as `/rooms/{room}` has, the mount sees the rest of the path alone.
        if let Some(Ok(params)) = RawPathParams::from_request_parts(parts, &()).now_or_never() {
            params.iter().for_each(|(_, value)| admitted.add_prefix(value));
        }
    }
    Ok(admitted)
}

struct GateLayer<T> {
    mount: Mount<T>,
}

impl<T> Clone for GateLayer<T> {
    fn clone(&self) -> Self {
        Self { mount: self.mount.clone() }
    }
}

impl<S, T> Layer<S> for GateLayer<T> {
    type Service = Gate<S, T>;

    fn layer(&self, inner: S) -> Gate<S, T> {
        Gate { inner, gate: self.clone() }
    }
}

struct Gate<S, T> {
    inner: S,
    gate: GateLayer<T>,
}

impl<S: Clone, T> Clone for Gate<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), gate: self.gate.clone() }
    }
}

impl<S, T> Service<Request> for Gate<S, T>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    T: Transports,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Answered>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let endpoint = &self.gate.mount.endpoint;
        // What the handler does not hear it refuses itself.
        match admit(endpoint, &mut parts, true) {
            Ok(admitted) => {
                let pass = Pass(Arc::new(Mutex::new(Some((endpoint.clone(), admitted)))));
                parts.extensions.insert(pass);
                Either::Left(self.inner.call(Request::from_parts(parts, body)))
            }
            Err(response) => Either::Right(ready(Ok(response))),
        }
    }
}
