//! Where a request's source comes from.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use http::Response;
use http::request::Parts;
use realtime_core::Source;

use crate::body::Body;

/// Makes the source that a request reads: authorisation, tenancy and the choice of topics live here. It is asked for
/// every request, resumes and messages too, after everything that can be refused without it.
///
/// A function `|parts| async { Ok(source) }` is one; [`Fixed`] gives everybody the same.
///
/// ```
/// use http::{Response, StatusCode, request::Parts};
/// use realtime_core::{Log, LogView};
/// use realtime_tower::{Body, builder};
///
/// let log = Log::new();
/// let (service, _handle) = builder()
///     .make_source(move |parts: Parts| {
///         let room = parts.uri.path().strip_prefix("/rooms/").map(|room| log.topic(room));
///         async move {
///             room.ok_or_else(|| {
///                 let mut missing = Response::new(Body::empty());
///                 *missing.status_mut() = StatusCode::NOT_FOUND;
///                 missing
///             })
///         }
///     })
///     .service();
/// # drop(service);
/// ```
pub trait MakeSource: Send + Sync + 'static {
    /// What it makes.
    type Source: Source;

    /// Makes the source, or says why not.
    fn make(&self, parts: Parts) -> impl Future<Output = Result<Self::Source, Response<Body>>> + Send;
}

impl<F, Fut, S> MakeSource for F
where
    F: Fn(Parts) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<S, Response<Body>>> + Send,
    S: Source,
{
    type Source = S;

    fn make(&self, parts: Parts) -> impl Future<Output = Result<S, Response<Body>>> + Send {
        self(parts)
    }
}

/// The same source for everybody.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{Fixed, builder};
///
/// // What `Builder::source` does.
/// let (_service, _handle) = builder().make_source(Fixed::new(Log::new())).service();
/// ```
pub struct Fixed<S>(Arc<S>);

impl<S: Source> Fixed<S> {
    /// This source.
    pub fn new(source: S) -> Self {
        Self(Arc::new(source))
    }
}

impl<S: Source> MakeSource for Fixed<S> {
    type Source = Arc<S>;

    async fn make(&self, _: Parts) -> Result<Arc<S>, Response<Body>> {
        Ok(self.0.clone())
    }
}

impl<S> fmt::Debug for Fixed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fixed")
    }
}
