//! Where a request's source comes from.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use http::Response;
use http::request::Parts;
use realtime_core::Source;

use crate::body::Body;
use crate::session::{Guarded, Session};

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
    /// What it makes: a source, or one that is [guarded](Session::guard) by a session.
    type Source: Made;

    /// Makes the source, or says why not.
    fn make(&self, parts: Parts) -> impl Future<Output = Result<Self::Source, Response<Body>>> + Send;
}

impl<F, Fut, S> MakeSource for F
where
    F: Fn(Parts) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<S, Response<Body>>> + Send,
    S: Made,
{
    type Source = S;

    fn make(&self, parts: Parts) -> impl Future<Output = Result<S, Response<Body>>> + Send {
        self(parts)
    }
}

/// What a [`MakeSource`] makes: any source, or a [`Guarded`] one, which is read for as long as its session lasts.
///
/// ```
/// use realtime_core::Log;
/// use realtime_tower::{Made, Session};
///
/// fn is_made(_: impl Made) {}
/// is_made(Log::new());
/// is_made(Session::revocable().0.guard(Log::new()));
/// ```
pub trait Made: Send {
    /// The source inside.
    type Source: Source;

    /// The source, and the session that it is to be read under.
    fn into_parts(self) -> (Self::Source, Option<Session>);
}

impl<S: Source> Made for S {
    type Source = S;

    fn into_parts(self) -> (S, Option<Session>) {
        (self, None)
    }
}

impl<S: Source> Made for Guarded<S> {
    type Source = S;

    fn into_parts(self) -> (S, Option<Session>) {
        (self.source, Some(self.session))
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
