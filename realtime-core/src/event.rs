//! The value everything carries.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{EventError, EventErrorKind};
use crate::topic::{Topic, printable};

/// A name and a payload, with a topic and a key where they matter.
///
/// It is checked when it is made: what exists can go over every wire. Cloning shares the payload.
///
/// ```
/// use realtime_core::{Event, Topic};
///
/// let event = Event::json("tick", &42)?.with_topic(Topic::new("clock")?);
/// assert_eq!(event.name(), "tick");
/// assert_eq!(&event.payload().bytes()[..], b"42");
/// # Ok::<(), realtime_core::EventError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Event {
    name: Cow<'static, str>,
    topic: Option<Topic>,
    key: Option<Arc<str>>,
    payload: Payload,
}

/// What an event carries.
///
/// ```
/// use realtime_core::{Event, Payload};
///
/// assert_eq!(Event::text("note", "hi")?.payload(), &Payload::Text("hi".into()));
/// assert_eq!(Event::json("note", "hi")?.payload(), &Payload::Json("\"hi\"".into()));
/// assert_eq!(Event::binary("note", vec![1, 2])?.payload().bytes().len(), 2);
/// # Ok::<(), realtime_core::EventError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// One JSON text in UTF-8.
    Json(Bytes),
    /// UTF-8 text; in JSON messages it is a string.
    Text(Bytes),
    /// Any bytes; in JSON messages they are base64 and marked so.
    Binary(Bytes),
}

impl Payload {
    /// The bytes as they were given.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Json(bytes) | Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }
}

/// The name an event has where the wire leaves it out.
pub const DEFAULT_NAME: &str = "message";

impl Event {
    /// An event whose payload is `value` as JSON.
    ///
    /// # Errors
    /// The name is no event name, or the value does not turn into JSON.
    pub fn json<T: Serialize + ?Sized>(
        name: impl Into<Cow<'static, str>>,
        value: &T,
    ) -> Result<Self, EventError> {
        let mut json = serde_json::to_vec(value).map_err(EventError::json)?;
        // A `RawValue` in the value is written as it is.
        to_one_line(&mut json);
        Self::new(name.into(), Payload::Json(json.into()))
    }

    /// An event whose payload is JSON already; its bytes go out as they are, line breaks between
    /// tokens as spaces.
    ///
    /// # Errors
    /// The name is no event name.
    pub fn raw_json(name: impl Into<Cow<'static, str>>, json: Box<RawValue>) -> Result<Self, EventError> {
        let mut json = Box::<str>::from(json).into_boxed_bytes();
        to_one_line(&mut json);
        Self::new(name.into(), Payload::Json(json.into()))
    }

    /// An event whose payload is text.
    ///
    /// # Errors
    /// The name is no event name.
    pub fn text(name: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Result<Self, EventError> {
        Self::new(name.into(), Payload::Text(text.into().into()))
    }

    /// An event whose payload is bytes.
    ///
    /// SSE is text: a mount sends such an event there only where its knobs say how (base64, or the envelope).
    ///
    /// # Errors
    /// The name is no event name.
    pub fn binary(name: impl Into<Cow<'static, str>>, bytes: impl Into<Bytes>) -> Result<Self, EventError> {
        Self::new(name.into(), Payload::Binary(bytes.into()))
    }

    fn new(name: Cow<'static, str>, payload: Payload) -> Result<Self, EventError> {
        printable(&name)?;
        if name.starts_with('$') {
            return Err(EventErrorKind::Reserved.into());
        }
        Ok(Self { name, topic: None, key: None, payload })
    }

    /// The same event on a topic.
    #[must_use]
    pub fn with_topic(mut self, topic: Topic) -> Self {
        self.topic = Some(topic);
        self
    }

    /// The same event with a key, for a topic that keeps the latest per key.
    ///
    /// # Errors
    /// The key is empty, longer than [`NAME_BYTES_MAX`](crate::limits::NAME_BYTES_MAX) bytes, or not printable.
    ///
    /// ```
    /// use realtime_core::{Event, Topic};
    ///
    /// let price = Event::json("price", &101.5)?.with_topic(Topic::new("price/bonds")?).with_key("DE0001102580")?;
    /// assert_eq!(price.key(), Some("DE0001102580"));
    /// # Ok::<(), realtime_core::EventError>(())
    /// ```
    pub fn with_key(mut self, key: impl AsRef<str>) -> Result<Self, EventError> {
        printable(key.as_ref())?;
        self.key = Some(key.as_ref().into());
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topic it is on.
    pub fn topic(&self) -> Option<&Topic> {
        self.topic.as_ref()
    }

    /// Its key within the topic.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    pub(crate) fn shared_key(&self) -> Option<&Arc<str>> {
        self.key.as_ref()
    }

    /// What it carries.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Bytes it takes in memory: payload and key. The name is static or short, the topic shared.
    pub(crate) fn bytes(&self) -> usize {
        self.payload.bytes().len() + self.key.as_ref().map_or(0, |key| key.len()) + self.name.len()
    }
}

/// Between tokens a line break is a space by another name (RFC 8259, section 2); inside a string there is none.
fn to_one_line(json: &mut [u8]) {
    json.iter_mut().filter(|b| matches!(b, b'\r' | b'\n')).for_each(|b| *b = b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NAME_BYTES_MAX;

    #[test]
    fn a_name_that_would_break_a_wire_is_refused_at_the_publisher() {
        let cases = [
            ("a\rb", EventErrorKind::Unprintable),
            ("a\nb", EventErrorKind::Unprintable),
            ("a\0b", EventErrorKind::Unprintable),
            ("$gap", EventErrorKind::Reserved),
            ("$", EventErrorKind::Reserved),
            ("", EventErrorKind::Empty),
        ];
        for (name, kind) in cases {
            assert_eq!(Event::text(name, "x").unwrap_err().kind(), kind, "{name:?}");
        }
        assert!(Event::text("a$", "x").is_ok());
        assert!(Event::text("n".repeat(NAME_BYTES_MAX), "x").is_ok());
        assert_eq!(
            Event::text("n".repeat(NAME_BYTES_MAX + 1), "x").unwrap_err().kind(),
            EventErrorKind::TooLong
        );
    }

    #[test]
    fn json_is_one_line_however_it_came() {
        let raw = || RawValue::from_string("[1,\r\n{\"event\":\"$end\"}\n]".to_owned()).unwrap();
        let within = std::collections::BTreeMap::from([("said", raw())]);
        for event in [Event::raw_json("m", raw()), Event::json("m", &raw()), Event::json("m", &within)] {
            let event = event.unwrap();
            let json = event.payload().bytes();
            assert!(!json.iter().any(|b| matches!(b, b'\r' | b'\n')), "a line of its own: {json:?}");
        }
    }

    #[test]
    fn a_value_that_is_no_json_is_a_typed_error() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = Event::json("m", &map).unwrap_err();
        assert_eq!(error.kind(), EventErrorKind::Json);
        assert!(std::error::Error::source(&error).is_some());
    }
}
