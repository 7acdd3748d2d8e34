//! A mount as a service.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::answering::{Answering, Begun};
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::source::{Fixed, Made as _, MakeSource};
use crate::transport::Transports;
use crate::uplink::{NoUplink, Uplink};
use crate::{All, builder};

/// A mount as a plain service: every request is answered, polling being the default where a mount has it.
///
/// It matches no path, so that it nests anywhere, and never fails: refusals are statuses. Cloning shares the mount.
///
/// ```
/// use http::Request;
/// use realtime_core::{Event, Log};
/// use realtime_tower::{Body, Realtime};
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let log = Log::new();
/// log.publish(Event::json("tick", &1)?)?;
/// let response = Realtime::new(log).oneshot(Request::get("/?offset=-1").body(Body::empty())?).await?;
/// assert_eq!(response.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Realtime<T, M, U = NoUplink> {
    inner: Arc<Inner<T, M, U>>,
}

pub(crate) struct Inner<T, M, U> {
    pub(crate) endpoint: Endpoint<T>,
    pub(crate) make: M,
    pub(crate) uplink: U,
}

impl<S: realtime_core::Source> Realtime<All, Fixed<S>> {
    /// One source for everybody, through all transports, with the defaults.
    pub fn new(source: S) -> Self {
        builder().source(source).service().0
    }
}

impl<T, M, U> Realtime<T, M, U> {
    pub(crate) fn from_inner(inner: Arc<Inner<T, M, U>>) -> Self {
        Self { inner }
    }

    pub(crate) fn inner(&self) -> &Inner<T, M, U> {
        &self.inner
    }
}

impl<T, M, U> Clone for Realtime<T, M, U> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T, M, U> fmt::Debug for Realtime<T, M, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realtime").finish_non_exhaustive()
    }
}

impl<T, M, U, B> Service<Request<B>> for Realtime<T, M, U>
where
    T: Transports,
    M: MakeSource,
    U: Uplink,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = self.inner.clone();
        let (mut parts, body) = request.into_parts();
        let mut admitted = match inner.endpoint.admit(&mut parts, inner.uplink.is_there()) {
            Ok(admitted) => admitted,
            Err(response) => return Answering::refused(response),
        };
        Answering::new(async move {
            let source = match inner.make.make(parts).await {
                Ok(made) => {
                    let (source, session) = made.into_parts();
                    if let Some(session) = session {
                        admitted.add_session(session);
                    }
                    source
                }
                Err(response) => return Begun::Answered(response),
            };
            inner.endpoint.begin(admitted, body, source, inner.uplink.clone()).await
        })
    }
}
