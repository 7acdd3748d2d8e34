//! The extractor.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRef, FromRequest, MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use realtime_core::Source;
use realtime_tower::{Admitted, All, Endpoint, NoUplink, Session, Transports};

use crate::mount::Mount;
use crate::reply::Serve;
use crate::route::{Pass, admit};

/// In the answer too: whoever meets it first has written the route a minute ago, and no subscriber for a log yet.
const NO_MOUNT: &str = "this route has no mount, or one of other transports: make it by realtime_axum::route(handler) or \
                        Mount::route(handler), not by get(handler)";

/// A request for events, let in by its route's mount. It takes the body of a POST, so it stands last in a handler.
///
/// The route is to be made by [`route`](crate::route()) or [`Mount::route`]; under any other it is a 500 that says so. For a mount that stands in the router's state there is [`FromMount`].
///
/// ```
/// use axum::{extract::{Path, State}, http::HeaderMap, response::{IntoResponse, Response}};
/// use realtime_axum::Realtime;
/// use realtime_core::Log;
///
/// async fn room(Path(room): Path<String>, headers: HeaderMap, State(log): State<Log>, rt: Realtime) -> Response {
///     if !headers.contains_key("authorization") {
///         return axum::http::StatusCode::UNAUTHORIZED.into_response();
///     }
///     rt.serve(log.topic(room)).on_message(|message| async move { message.to_text().map(String::from) }).await
/// }
/// let app: axum::Router = axum::Router::new().route("/{room}", realtime_axum::route(room)).with_state(Log::new());
/// # drop(app);
/// ```
pub struct Realtime<T = All> {
    endpoint: Arc<Endpoint<T>>,
    admitted: Admitted,
    body: Body,
}

impl<T: Transports> Realtime<T> {
    /// Ends the answer when the session ends: a stream with `$end` (`expired`) and 4401, its place kept. For who knows the user by
    /// the handler's own extractors; of several sessions, one that a layer has put in among them, the first to end counts.
    /// See [`Session`].
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use axum::{extract::State, response::Response};
    /// use realtime_axum::{Realtime, Session};
    /// use realtime_core::Log;
    /// # #[derive(Clone, Copy)] struct Claims { exp: u64 }
    /// # impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Claims {
    /// #     type Rejection = axum::http::StatusCode;
    /// #     async fn from_request_parts(_: &mut axum::http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
    /// #         Ok(Self { exp: 0 })
    /// #     }
    /// # }
    ///
    /// async fn events(claims: Claims, State(log): State<Log>, rt: Realtime) -> Response {
    ///     let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(claims.exp);
    ///     let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
    ///     rt.session(Session::expires_in(left)).serve(log).await
    /// }
    /// let app: axum::Router = axum::Router::new().route("/", realtime_axum::route(events)).with_state(Log::new());
    /// # drop(app);
    /// ```
    #[must_use]
    pub fn session(mut self, session: Session) -> Self {
        self.admitted.add_session(session);
        self
    }

    /// Answers from a source, by the transport that was asked for. The status is known only after looking: await it.
    pub fn serve<S: Source>(self, source: S) -> Serve<T, S, NoUplink> {
        Serve::new(self.endpoint, self.admitted, self.body, source)
    }
}

impl<T> fmt::Debug for Realtime<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realtime").field("admitted", &self.admitted).finish_non_exhaustive()
    }
}

impl<T: Transports, S: Send + Sync> FromRequest<S> for Realtime<T> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let pass = parts.extensions.remove::<Pass<T>>();
        // A lock that nobody holds: the pass went from the gate to here.
        let admitted = pass.and_then(|pass| pass.0.lock().ok()?.take());
        match admitted {
            Some((endpoint, admitted)) => Ok(Self { endpoint, admitted, body }),
            None => {
                // The route and not the path: in a path may stand a token.
                let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
                tracing::error!(route, "{NO_MOUNT}");
                Err((StatusCode::INTERNAL_SERVER_ERROR, NO_MOUNT).into_response())
            }
        }
    }
}

/// [`Realtime`] through a [`Mount`] that stands in the router's state, on any route at all.
///
/// ```
/// use axum::{Router, extract::{FromRef, State}, response::Response, routing::any};
/// use realtime_axum::{FromMount, Mount};
/// use realtime_core::Log;
/// use realtime_tower::Handle;
///
/// #[derive(Clone)]
/// struct App { log: Log, mount: Mount, handle: Handle }
///
/// impl FromRef<App> for Mount {
///     fn from_ref(app: &App) -> Mount { app.mount.clone() }
/// }
/// impl FromRef<App> for Handle {
///     fn from_ref(app: &App) -> Handle { app.handle.clone() }
/// }
///
/// async fn events(State(app): State<App>, FromMount(rt): FromMount) -> Response {
///     rt.serve(app.log).await
/// }
/// async fn readers(State(handle): State<Handle>) -> String {
///     format!("{:?}", handle.stats())
/// }
///
/// let (mount, handle) = realtime_axum::mount().build();
/// let app: Router = Router::new()
///     .route("/events", any(events))
///     .route("/stats", any(readers))
///     .with_state(App { log: Log::new(), mount, handle });
/// # drop(app);
/// ```
#[derive(Debug)]
pub struct FromMount<T = All>(pub Realtime<T>);

impl<T, S> FromRequest<S> for FromMount<T>
where
    T: Transports,
    S: Send + Sync,
    Mount<T>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let Mount { endpoint } = Mount::from_ref(state);
        let (mut parts, body) = request.into_parts();
        let admitted = admit(&endpoint, &mut parts, true)?;
        Ok(Self(Realtime { endpoint, admitted, body }))
    }
}
