//! A message from a client.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use http::{Extensions, StatusCode};
use realtime_core::{DEFAULT_NAME, Payload, Topic};
use serde::de::DeserializeOwned;

use super::UplinkError;

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
    /// None where it has none.
    extensions: Option<Arc<Extensions>>,
}

impl Inbound {
    pub(crate) fn new(name: Option<String>, payload: Payload, extensions: Option<Arc<Extensions>>) -> Self {
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
        Self::new(None, Payload::Text(text.into().into()), None)
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

    /// What was said, in whatever way it came: a text, or the string that a JSON payload is.
    ///
    /// A plain WebSocket sends `hello`; with `realtime.v1`, and by POST, the same is the JSON `"hello"`.
    ///
    /// ```
    /// use realtime_tower::Inbound;
    ///
    /// assert_eq!(Inbound::text("hello").to_text()?, "hello");
    /// # Ok::<(), realtime_tower::UplinkError>(())
    /// ```
    ///
    /// # Errors
    /// It is other JSON, or binary; as an answer this is 422.
    pub fn to_text(&self) -> Result<Cow<'_, str>, UplinkError> {
        let text = match &self.payload {
            Payload::Json(json) => serde_json::from_slice(json).ok().map(Cow::Owned),
            _ => self.as_str().map(Cow::Borrowed),
        };
        text.ok_or_else(|| UplinkError::new(StatusCode::UNPROCESSABLE_ENTITY, "a text is expected here"))
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
        static NONE: LazyLock<Extensions> = LazyLock::new(Extensions::new);
        self.extensions.as_deref().unwrap_or(&NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_word_is_heard_in_whatever_way_it_came() {
        let heard = |payload| {
            let message = Inbound::new(None, payload, None);
            message.to_text().map(Cow::into_owned).map_err(|refused| refused.status().as_u16())
        };
        assert_eq!(heard(Payload::Text("hello".into())).as_deref(), Ok("hello"));
        assert_eq!(heard(Payload::Json(r#""hel\u006co""#.into())).as_deref(), Ok("hello"));
        assert_eq!(heard(Payload::Text(r#""hello""#.into())).as_deref(), Ok(r#""hello""#));
        assert_eq!(heard(Payload::Json("[1]".into())), Err(422));
        assert_eq!(heard(Payload::Binary("hello".into())), Err(422));
    }
}
