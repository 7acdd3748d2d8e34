//! What a handler answers with.

use bytes::Bytes;
use http::StatusCode;
use realtime_core::{Event, Payload};
use serde::Serialize;

use super::UplinkError;

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
