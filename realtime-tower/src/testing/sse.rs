use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use realtime_core::{Cursor, DEFAULT_NAME};

use super::envelope::{self, Envelope};
use super::message::{Data, Event, Message};
use super::sse_lines::{Block, Lines};
use super::{BoxError, PINGS_MAX, Unexpected};

/// Reads the messages of an answer of Server-Sent Events.
///
/// # Errors
/// It is another answer.
///
/// ```
/// use http::Request;
/// use realtime_core::{Event, Log};
/// use realtime_tower::testing::{self, Message};
/// use realtime_tower::{Body, Realtime};
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let log = Log::new();
/// let request = Request::get("/").header("accept", "text/event-stream").body(Body::empty())?;
/// let mut sse = testing::sse(Realtime::new(log.clone()).oneshot(request).await?).await?;
/// assert!(matches!(sse.next().await?, Some(Message::Open { .. })));
/// assert!(matches!(sse.next().await?, Some(Message::Live(_))));
/// assert!(matches!(sse.next().await?, Some(Message::Ping(_))), "fifteen seconds later, in no time");
/// log.close();
/// assert!(matches!(sse.next().await?, Some(Message::End { retry: None, .. })));
/// assert_eq!(sse.next().await?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn sse<B>(response: Response<B>) -> Result<SseReader, Unexpected>
where
    B: http_body::Body + Send + 'static,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == "text/event-stream");
    if response.status() != StatusCode::OK || !is_stream {
        return Err(Unexpected::answer("a stream of events", response).await);
    }
    let (head, body) = response.into_parts();
    let body = body
        .map_err(Into::into)
        .map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
        .boxed_unsync();
    let (lines, messages) = (Lines::default(), VecDeque::new());
    Ok(SseReader { head, body, lines, messages, place: None, token: None, retry: None })
}

/// A client of Server-Sent Events, at the end of a body; made by [`sse`]. Dropping it is the client going away.
#[derive(Debug)]
pub struct SseReader {
    head: Parts,
    body: UnsyncBoxBody<Bytes, BoxError>,
    lines: Lines,
    messages: VecDeque<Message>,
    place: Option<Cursor>,
    token: Option<String>,
    retry: Option<Duration>,
}

impl SseReader {
    /// The next message; none at the end of the stream.
    ///
    /// # Errors
    /// The body broke off, or a message cannot be read.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Option<Message>, Unexpected> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(Some(message));
            }
            let frame = match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(Unexpected::new("the body broke off").because(error)),
            };
            let Some(data) = frame.data_ref() else { continue };
            for block in self.lines.feed(data) {
                self.retry = block.retry.map(Duration::from_millis).or(self.retry);
                if let Some(message) = self.read(block)? {
                    self.messages.push_back(message);
                }
            }
        }
    }

    /// The next event; heartbeats, `$open` and `$live` are passed over.
    ///
    /// # Errors
    /// A gap or the end comes first, or nothing but heartbeats does.
    pub async fn event(&mut self) -> Result<Event, Unexpected> {
        for _ in 0..PINGS_MAX {
            match self.next().await? {
                Some(Message::Event(event)) => return Ok(event),
                Some(Message::Open { .. } | Message::Live(_) | Message::Ping(_)) => {}
                other => return Err(Unexpected::new(format!("expected an event, got {other:?}"))),
            }
        }
        Err(Unexpected::new("expected an event, got heartbeats only"))
    }

    /// The place that a browser would come back with: the last id that was sent.
    pub fn place(&self) -> Option<Cursor> {
        self.place
    }

    /// The same as the server wrote it: with a tag, where the mount signs its cursors.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// How long a browser would wait before it comes back.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The head of the answer.
    pub fn head(&self) -> &Parts {
        &self.head
    }

    fn read(&mut self, block: Block) -> Result<Option<Message>, Unexpected> {
        let id = block.id.as_deref().map(envelope::cursor).transpose()?;
        self.place = id.or(self.place);
        self.token = block.id.clone().or(self.token.take());
        let Some(data) = block.data else {
            // Without data nothing is fired, but the place is taken.
            return Ok((block.is_commented || id.is_some()).then_some(Message::Ping(id)));
        };
        let name = block.event.filter(|name| !name.is_empty()).unwrap_or_else(|| DEFAULT_NAME.to_owned());
        // A mount may have whole envelopes for data: then the block's id stands in it once more.
        let envelope = serde_json::from_str::<Envelope<'_>>(&data).ok().filter(|inner| inner.id == block.id);
        match envelope {
            Some(control) if name.starts_with('$') && control.is(&name) => envelope::message(&data).map(Some),
            Some(event) if id.is_some() => {
                envelope::event(event, id).map(|event| Some(Message::Event(event)))
            }
            _ if name.starts_with('$') => envelope::control(&name, id, &data).map(Some),
            _ => {
                let data = Data::Text(data);
                Ok(Some(Message::Event(Event { id, name, topic: None, key: None, data })))
            }
        }
    }
}
