//! From a source and perhaps a handler of messages to a response.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use realtime_core::Source;
use realtime_tower::{
    Admitted, Answering, CursorScope, Endpoint, Inbound, IntoReply, NoUplink, Principal, Transports, Uplink,
    UplinkFn, uplink_fn,
};

/// An answer in the making: await it.
pub struct Serve<T, S, U> {
    endpoint: Arc<Endpoint<T>>,
    admitted: Admitted,
    body: Body,
    source: S,
    uplink: U,
}

impl<T, S> Serve<T, S, NoUplink> {
    pub(crate) fn new(endpoint: Arc<Endpoint<T>>, admitted: Admitted, body: Body, source: S) -> Self {
        Self { endpoint, admitted, body, source, uplink: NoUplink }
    }

    /// Makes it two-way on every transport: what the client sends, by WebSocket or by POST, is handed to `handle`, and
    /// what that returns goes back to this client alone.
    ///
    /// Messages of one connection are handled in order. Without a handler a POST is 405.
    pub fn on_message<F, Fut>(self, handle: F) -> Serve<T, S, UplinkFn<F>>
    where
        F: FnMut(Inbound) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.uplink(uplink_fn(handle))
    }

    /// The same with a tower service as the handler.
    pub fn uplink<U: Uplink>(self, uplink: U) -> Serve<T, S, U> {
        let Self { endpoint, admitted, body, source, .. } = self;
        Serve { endpoint, admitted, body, source, uplink }
    }
}

impl<T, S, U> Serve<T, S, U> {
    /// Who sends it, as the handler's own extractors found out: signed cursors are theirs alone, an `Idempotency-Key` of theirs is known among their
    /// messages alone, and stays theirs when their token is refreshed. See [`Principal`] for who it is without this.
    ///
    /// ```
    /// use axum::{extract::State, response::Response};
    /// use realtime_axum::{Realtime, UplinkError};
    /// use realtime_core::{Event, Log};
    /// # use axum::extract::Path as User;
    ///
    /// async fn orders(User(name): User<String>, State(log): State<Log>, rt: Realtime) -> Response {
    ///     let orders = log.clone();
    ///     rt.serve(log)
    ///         .principal(&name)
    ///         .on_message(move |order| {
    ///             let orders = orders.clone();
    ///             async move {
    ///                 orders.publish(Event::json("order", &order.to_text()?)?)?;
    ///                 Ok::<_, UplinkError>(())
    ///             }
    ///         })
    ///         .await
    /// }
    /// let app: axum::Router = axum::Router::new().route("/{user}", realtime_axum::route(orders)).with_state(Log::new());
    /// # drop(app);
    /// ```
    #[must_use]
    pub fn principal(mut self, who: impl AsRef<[u8]>) -> Self {
        self.admitted.set_principal(Principal::new(who));
        self
    }

    /// What is read, where the mount signs its cursors ([`MountBuilder::cursor_keys`](crate::MountBuilder::cursor_keys)): a
    /// cursor that was given for something else is refused. With [`principal`](Self::principal) it is also this reader's
    /// alone. See [`CursorScope`].
    ///
    /// ```
    /// use axum::{Router, extract::{Path, State}, response::Response};
    /// use realtime_axum::Realtime;
    /// use realtime_core::Log;
    /// use realtime_tower::CursorKeys;
    ///
    /// async fn room(Path(room): Path<String>, State(log): State<Log>, rt: Realtime) -> Response {
    ///     rt.serve(log.topic(&*room)).cursor_scope(&room).await
    /// }
    ///
    /// // From wherever secrets are kept.
    /// let secret = [7; 32];
    /// let (mount, _handle) = realtime_axum::mount().cursor_keys(CursorKeys::new(secret)?).build();
    /// let app: Router = Router::new().route("/rooms/{room}", mount.route(room)).with_state(Log::new());
    /// # drop(app);
    /// # Ok::<(), realtime_tower::CursorKeysError>(())
    /// ```
    #[must_use]
    pub fn cursor_scope(mut self, what: impl AsRef<[u8]>) -> Self {
        self.admitted.set_cursor_scope(CursorScope::new(what));
        self
    }
}

impl<T, S, U> fmt::Debug for Serve<T, S, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("admitted", &self.admitted).finish_non_exhaustive()
    }
}

/// What awaiting a [`Serve`] polls.
#[derive(Debug)]
pub struct ServeFuture(Answering);

impl Future for ServeFuture {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let Ok(response) = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(response.map(Body::new))
    }
}

impl<T: Transports, S: Source, U: Uplink> IntoFuture for Serve<T, S, U> {
    type Output = Response;
    type IntoFuture = ServeFuture;

    fn into_future(self) -> ServeFuture {
        let Self { endpoint, admitted, body, source, uplink } = self;
        ServeFuture(endpoint.answer(admitted, body, source, uplink))
    }
}
