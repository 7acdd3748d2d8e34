//! A handler's refusal, and what else turns into one.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use realtime_core::{EventError, EventErrorKind, PublishError, PublishErrorKind};

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

#[cfg(test)]
mod tests {
    use realtime_core::{Event, Keep, Limits, Log, Topic, TopicSet};

    use super::*;

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
