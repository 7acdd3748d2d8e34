//! A mount around a service of one's own.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::future::{ResponseBody, ResponseFuture};
use crate::service::{Inner, Realtime};
use crate::source::{Fixed, MakeSource};
use crate::transport::Transports;
use crate::uplink::{NoUplink, Uplink};
use crate::{All, builder};

/// Lays a mount around a service: what plainly asks for events is answered, all else reaches the service inside as it
/// was, byte for byte.
///
/// Plain are an upgrade or CONNECT, an `Accept` that names `text/event-stream`, `Prefer: wait`, `?live=`, and a
/// cursor (or `-1`, `now`, `last-N`; a page's own `?offset=20` is none, and reaches the page); a POST only where an uplink
/// is set. So one URL can be a page for a person and a stream for its script.
///
/// Lay it around one handler, never over a whole axum `Router`: `Router::layer` wraps the fallback too, and any path
/// at all would stream.
///
/// ```
/// use std::convert::Infallible;
/// use http::{Request, Response};
/// use realtime_core::Log;
/// use realtime_tower::{Body, RealtimeLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let page = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("a page"))) });
/// let service = ServiceBuilder::new().layer(RealtimeLayer::new(Log::new())).service(page);
/// let response = service.oneshot(Request::get("/").body(Body::empty())?).await?;
/// assert_eq!(response.headers().get("stream-next-offset"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RealtimeLayer<T, M, U = NoUplink> {
    realtime: Realtime<T, M, U>,
}

impl<S: realtime_core::Source> RealtimeLayer<All, Fixed<S>> {
    /// One source for everybody, through all transports, with the defaults.
    pub fn new(source: S) -> Self {
        builder().source(source).layer().0
    }
}

impl<T, M, U> RealtimeLayer<T, M, U> {
    pub(crate) fn from_inner(inner: Arc<Inner<T, M, U>>) -> Self {
        Self { realtime: Realtime::from_inner(inner) }
    }
}

impl<T, M, U> Clone for RealtimeLayer<T, M, U> {
    fn clone(&self) -> Self {
        Self { realtime: self.realtime.clone() }
    }
}

impl<T, M, U> fmt::Debug for RealtimeLayer<T, M, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeLayer").finish_non_exhaustive()
    }
}

impl<S, T, M, U> Layer<S> for RealtimeLayer<T, M, U> {
    type Service = Layered<S, T, M, U>;

    fn layer(&self, inner: S) -> Self::Service {
        Layered { inner, realtime: self.realtime.clone() }
    }
}

/// A service with a mount around it; made by [`RealtimeLayer`].
///
/// ```
/// use std::convert::Infallible;
/// use http::{Request, Response};
/// use realtime_core::Log;
/// use realtime_tower::{Body, RealtimeLayer};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let page = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("a page"))) });
/// let layered = RealtimeLayer::new(Log::new()).layer(page);
/// let response = layered.oneshot(Request::get("/").header("accept", "text/event-stream").body(Body::empty())?).await?;
/// assert_eq!(response.headers()["content-type"], "text/event-stream");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Layered<S, T, M, U = NoUplink> {
    inner: S,
    realtime: Realtime<T, M, U>,
}

impl<S: Clone, T, M, U> Clone for Layered<S, T, M, U> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), realtime: self.realtime.clone() }
    }
}

impl<S: fmt::Debug, T, M, U> fmt::Debug for Layered<S, T, M, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, T, M, U, B, RB> Service<Request<B>> for Layered<S, T, M, U>
where
    S: Service<Request<B>, Response = Response<RB>>,
    T: Transports,
    M: MakeSource,
    U: Uplink,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let takes_messages = self.realtime.inner().uplink.is_there();
        let (parts, body) = request.into_parts();
        let is_ours = self.realtime.inner().endpoint.is_unmistakable(&parts, takes_messages);
        let request = Request::from_parts(parts, body);
        if is_ours {
            ResponseFuture::ours(self.realtime.call(request))
        } else {
            ResponseFuture::inner(self.inner.call(request))
        }
    }
}
