//! What clients send, and who handles it.

mod error;
mod inbound;
mod reply;

use std::fmt;
use std::future::Future;

use http::StatusCode;
use tower_service::Service;

pub use error::UplinkError;
pub use inbound::Inbound;
pub use reply::{IntoReply, Reply};

/// Handles what clients send: any [`Service`] of an [`Inbound`] whose response turns into a [`Reply`]. An alias with a
/// blanket impl; [`uplink_fn`] makes one of a function.
///
/// Messages of one connection are handled in order, one at a time, and never hold up what goes down. At most
/// [`WAITING_MAX`] wait, or [`WAITING_BYTES_MAX`] of them; then no more are read. A handler that panics closes that connection alone. One that is at work
/// when its WebSocket is closed goes on for [`close_wait`](crate::WebSocketConfig::close_wait), and is dropped where the
/// connection breaks off.
///
/// ```
/// use std::convert::Infallible;
/// use realtime_core::Log;
/// use realtime_tower::{Inbound, UplinkError, builder};
/// use tower::{ServiceBuilder, service_fn};
///
/// // Any tower service, with any layers around it.
/// let handler = ServiceBuilder::new()
///     .map_request(|message: Inbound| message.as_str().unwrap_or_default().to_owned())
///     .service(service_fn(|text: String| async move { Ok::<_, UplinkError>(format!("Roger that! {text}")) }));
/// let (_service, _handle) = builder().source(Log::new()).uplink(handler).service();
/// ```
pub trait Uplink: Clone + Send + Sync + 'static {
    /// Handles one message.
    fn handle(
        &mut self,
        message: Inbound,
    ) -> impl Future<Output = Result<Reply, UplinkError>> + Send + 'static;

    /// Whether there is a handler at all.
    fn is_there(&self) -> bool {
        true
    }
}

/// Messages of one connection that wait for the handler, besides the one it has.
pub const WAITING_MAX: usize = 16;

/// Bytes of messages of one connection, as they were sent, with which no more are read, however few there are: the last
/// one may go over it. Sixteen of the longest would be a mebibyte, and a hundred WebSockets of one HTTP/2 connection a
/// hundred of them, for whoever sends faster than the handler takes.
pub const WAITING_BYTES_MAX: usize = 32 * 1024;

impl<S> Uplink for S
where
    S: Service<Inbound> + Clone + Send + Sync + 'static,
    S::Response: IntoReply,
    S::Error: Into<UplinkError>,
    S::Future: Send + 'static,
{
    fn handle(
        &mut self,
        message: Inbound,
    ) -> impl Future<Output = Result<Reply, UplinkError>> + Send + 'static {
        let mut service = self.clone();
        async move {
            // A service is asked whether it is ready before each call.
            std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
            let called = service.call(message);
            drop(service);
            called.await.into_reply()
        }
    }
}

/// No handler: a POST is 405, a message is answered with an error.
///
/// ```
/// use http::Request;
/// use realtime_core::Log;
/// use realtime_tower::{Body, Realtime};
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let response = Realtime::new(Log::new()).oneshot(Request::post("/").body(Body::empty())?).await?;
/// assert_eq!(response.status(), 405);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NoUplink;

impl Uplink for NoUplink {
    fn handle(&mut self, _: Inbound) -> impl Future<Output = Result<Reply, UplinkError>> + Send + 'static {
        std::future::ready(Err(UplinkError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this stream takes no messages",
        )))
    }

    fn is_there(&self) -> bool {
        false
    }
}

/// An uplink of a function.
///
/// ```
/// use realtime_tower::{Inbound, uplink_fn};
///
/// let echo = uplink_fn(|message: Inbound| async move { message.to_text().map(|text| format!("Roger that! {text}")) });
/// # drop(echo);
/// ```
pub fn uplink_fn<F, Fut>(handle: F) -> UplinkFn<F>
where
    F: FnMut(Inbound) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: IntoReply> + Send + 'static,
{
    UplinkFn(handle)
}

/// The uplink that [`uplink_fn`] makes.
///
/// See there.
#[derive(Clone)]
pub struct UplinkFn<F>(F);

impl<F> fmt::Debug for UplinkFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UplinkFn")
    }
}

impl<F, Fut> Uplink for UplinkFn<F>
where
    F: FnMut(Inbound) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: IntoReply> + Send + 'static,
{
    fn handle(
        &mut self,
        message: Inbound,
    ) -> impl Future<Output = Result<Reply, UplinkError>> + Send + 'static {
        let handled = (self.0)(message);
        async move { handled.await.into_reply() }
    }
}
