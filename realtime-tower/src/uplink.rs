//! What clients send, and who handles it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, StatusCode};
use realtime_core::{
    DEFAULT_NAME, Event, EventError, EventErrorKind, Payload, PublishError, PublishErrorKind, Topic,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_service::Service;

/// A message from a client, by WebSocket or by POST.
///
/// ```
/// use realtime_tower::Inbound;
///
/// let message = Inbound::text("hello");
/// assert_eq!(message.as_str(), Some("hello"));
/// assert_eq!(message.name(), "message");
/// ```
#[derive(Debug, Clone)]
pub struct Inbound {
    name: Cow<'static, str>,
    payload: Payload,
    extensions: Arc<Extensions>,
}

impl Inbound {
    pub(crate) fn new(name: Option<String>, payload: Payload, extensions: Arc<Extensions>) -> Self {
        Self { name: name.map_or(Cow::Borrowed(DEFAULT_NAME), Cow::Owned), payload, extensions }
    }

    /// The name that a client gives a message; none where it gives none, or an empty one.
    ///
    /// # Errors
    /// It is none that an event may have: a handler that publishes what it hears would be refused it.
    pub(crate) fn named(name: Option<Cow<'_, str>>) -> Result<Option<String>, UplinkError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
        if name.starts_with('$') || Topic::new(&name).is_err() {
            return Err(UplinkError::new(
                StatusCode::BAD_REQUEST,
                "an event name is printable, has at most 128 bytes, and does not start with $",
            ));
        }
        Ok(Some(name.into_owned()))
    }

    /// A text message, for tests of a handler.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(None, Payload::Text(text.into().into()), Arc::default())
    }

    /// What the client calls it; `message` where it does not.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it carries.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The payload as text: the JSON text of a JSON payload, nothing for a binary one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.payload {
            Payload::Binary(_) => None,
            payload => std::str::from_utf8(payload.bytes()).ok(),
        }
    }

    /// What was said, in whatever way it came: a text, or the string that a JSON payload is; nothing otherwise.
    ///
    /// A plain WebSocket sends `hello`; with `realtime.v1`, and by POST, the same is the JSON `"hello"`.
    ///
    /// ```
    /// use realtime_tower::Inbound;
    ///
    /// assert_eq!(Inbound::text("hello").to_text().as_deref(), Some("hello"));
    /// ```
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        match &self.payload {
            Payload::Json(json) => serde_json::from_slice(json).ok().map(Cow::Owned),
            _ => self.as_str().map(Cow::Borrowed),
        }
    }

    /// The payload as a value.
    ///
    /// # Errors
    /// It is not the JSON of a `T`; as an answer this is 422.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, UplinkError> {
        serde_json::from_slice(self.payload.bytes()).map_err(|_| {
            UplinkError::new(StatusCode::UNPROCESSABLE_ENTITY, "not the JSON that is expected here")
        })
    }

    /// What the layers in front of the mount put into the request, for example who the user is.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

/// A handler's answer to one client: a payload, or none.
///
/// ```
/// use realtime_tower::{IntoReply, Reply};
///
/// let reply: Reply = "Roger that!".into_reply()?;
/// let nothing: Reply = ().into_reply()?;
/// # Ok::<(), realtime_tower::UplinkError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Reply(pub(crate) Option<Payload>);

impl Reply {
    /// A reply of any value that turns into JSON.
    ///
    /// ```
    /// let reply = realtime_tower::Reply::json(&[1, 2, 3])?;
    /// # drop(reply);
    /// # Ok::<(), realtime_tower::UplinkError>(())
    /// ```
    ///
    /// # Errors
    /// The value does not; as an answer this is 500.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, UplinkError> {
        let json = serde_json::to_vec(value).map_err(|_| {
            UplinkError::new(StatusCode::INTERNAL_SERVER_ERROR, "the reply does not turn into JSON")
        })?;
        Ok(Self(Some(Payload::Json(json.into()))))
    }
}

/// A handler's refusal: a status and a title, both for the client to see.
///
/// ```
/// use http::StatusCode;
/// use realtime_tower::UplinkError;
///
/// let error = UplinkError::new(StatusCode::TOO_MANY_REQUESTS, "one message a second, please");
/// assert_eq!(error.status(), StatusCode::TOO_MANY_REQUESTS);
/// ```
#[derive(Debug, Clone)]
pub struct UplinkError {
    status: StatusCode,
    title: Cow<'static, str>,
}

impl UplinkError {
    /// A refusal. The status is one of an error; any other is sent as 500.
    pub fn new(status: StatusCode, title: impl Into<Cow<'static, str>>) -> Self {
        let is_error = status.is_client_error() || status.is_server_error();
        let status = if is_error { status } else { StatusCode::INTERNAL_SERVER_ERROR };
        Self { status, title: title.into() }
    }

    /// The status of a POST, and a member of the `$reply`.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What the client is told.
    pub fn title(&self) -> &str {
        &self.title
    }
}

impl fmt::Display for UplinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.title)
    }
}

impl std::error::Error for UplinkError {}

/// So that a handler can publish with `?`. A name or a topic that cannot be is the client's mistake, 422; a value that
/// does not turn into JSON is the handler's, 500.
impl From<EventError> for UplinkError {
    fn from(error: EventError) -> Self {
        match error.kind() {
            EventErrorKind::Json => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "this cannot be published"),
            _ => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        }
    }
}

/// So that a handler can publish with `?`: 410 where the log or the topic has ended, 413 for what is too big, 507 where
/// there is no room for another key, 500 where one is missing.
impl From<PublishError> for UplinkError {
    fn from(error: PublishError) -> Self {
        let (status, title) = match error.kind() {
            PublishErrorKind::Closed => (StatusCode::GONE, "this has ended"),
            PublishErrorKind::TooBig => (StatusCode::PAYLOAD_TOO_LARGE, "this is too large to be published"),
            PublishErrorKind::TooManyKeys | PublishErrorKind::Full => {
                (StatusCode::INSUFFICIENT_STORAGE, "there is no room for more")
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "this cannot be published"),
        };
        Self::new(status, title)
    }
}

/// What a handler may return: nothing, text, bytes, JSON, an event's payload, or any of these perhaps.
///
/// ```
/// use realtime_tower::{IntoReply, UplinkError};
///
/// fn answer(text: Option<&str>) -> Result<impl IntoReply + use<>, UplinkError> {
///     Ok(text.map(str::to_uppercase))
/// }
/// assert!(answer(Some("hello")).into_reply().is_ok());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no reply",
    label = "not a reply",
    note = "reply with text, bytes, `serde_json::Value`, `Reply::json(&value)?`, an `Event`, or an `Option` or `Result` of these"
)]
pub trait IntoReply {
    /// The reply, or the refusal.
    ///
    /// # Errors
    /// The handler refused.
    fn into_reply(self) -> Result<Reply, UplinkError>;
}

impl IntoReply for () {
    fn into_reply(self) -> Result<Reply, UplinkError> {
        Ok(Reply(None))
    }
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply, UplinkError> {
        Ok(self)
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Result<Reply, UplinkError> {
        Ok(Reply(Some(Payload::Text(self.into()))))
    }
}

impl IntoReply for &str {
    fn into_reply(self) -> Result<Reply, UplinkError> {
        self.to_owned().into_reply()
    }
}

impl IntoReply for Bytes {
    fn into_reply(self) -> Result<Reply, UplinkError> {
        Ok(Reply(Some(Payload::Binary(self))))
    }
}

impl IntoReply for serde_json::Value {
    fn into_reply(self) -> Result<Reply, UplinkError> {
        Ok(Reply(Some(Payload::Json(self.to_string().into()))))
    }
}

impl IntoReply for Event {
    fn into_reply(self) -> Result<Reply, UplinkError> {
        Ok(Reply(Some(self.payload().clone())))
    }
}

impl<R: IntoReply> IntoReply for Option<R> {
    fn into_reply(self) -> Result<Reply, UplinkError> {
        self.map_or(Ok(Reply(None)), R::into_reply)
    }
}

impl<R: IntoReply, E: Into<UplinkError>> IntoReply for Result<R, E> {
    fn into_reply(self) -> Result<Reply, UplinkError> {
        self.map_err(E::into).and_then(R::into_reply)
    }
}

/// Handles what clients send: any [`Service`] of an [`Inbound`] whose response turns into a [`Reply`]. An alias with a
/// blanket impl; [`uplink_fn`] makes one of a function.
///
/// Messages of one connection are handled in order, one at a time, and never hold up what goes down. At most
/// [`WAITING_MAX`] wait; then no more are read. A handler that panics closes that connection alone. One that is at work
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

#[cfg(test)]
mod tests {
    use realtime_core::{Keep, Limits, Log, Topic, TopicSet};

    use super::*;

    #[test]
    fn the_same_word_is_heard_in_whatever_way_it_came() {
        let heard = |payload| Inbound::new(None, payload, Arc::default()).to_text().map(Cow::into_owned);
        assert_eq!(heard(Payload::Text("hello".into())).as_deref(), Some("hello"));
        assert_eq!(heard(Payload::Json(r#""hel\u006co""#.into())).as_deref(), Some("hello"));
        assert_eq!(heard(Payload::Text(r#""hello""#.into())).as_deref(), Some(r#""hello""#));
        assert_eq!(heard(Payload::Json("[1]".into())), None);
        assert_eq!(heard(Payload::Binary("hello".into())), None);
    }

    #[test]
    fn what_cannot_be_published_is_refused_by_whose_mistake_it_is() {
        let keyed = TopicSet::from(Topic::new("prices").unwrap());
        let log = Log::builder()
            .limits(Limits { event_bytes_max: 5, ..Limits::default() })
            .keep(keyed, Keep::latest_per_key(1))
            .build();
        let said = |topic: &str, name: &str, key: Option<&str>, text: &str| -> Result<(), UplinkError> {
            let event = Event::text(name.to_owned(), text)?.with_topic(Topic::new(topic)?);
            let event = match key {
                Some(key) => event.with_key(key)?,
                None => event,
            };
            log.publish(event)?;
            Ok(())
        };
        let status = |said: Result<(), UplinkError>| said.err().map(|error| error.status().as_u16());
        assert_eq!(status(said("lobby", "said", None, "hello")), None);
        assert_eq!(status(said("lobby", "said", None, "longer")), Some(413));
        assert_eq!(status(said("lobby", "$end", None, "hello")), Some(422));
        assert_eq!(status(said("two\nlines", "said", None, "hello")), Some(422));
        assert_eq!(status(said("prices", "price", None, "1")), Some(500));
        assert_eq!(status(said("prices", "price", Some("a"), "1")), None);
        assert_eq!(status(said("prices", "price", Some("b"), "1")), Some(507));
        log.close();
        assert_eq!(status(said("lobby", "said", None, "hello")), Some(410));
    }
}
