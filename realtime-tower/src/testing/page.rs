use bytes::Buf;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use realtime_core::{Cursor, Gap};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::{self, Envelope};
use super::message::{Event, Message};
use super::{BoxError, Unexpected};

/// The answer to a poll or a long-poll, JSON or lines: a 200, or a 204 or 304 without news.
///
/// [`page`] makes it, and shows how it is read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// 200, 204 or 304.
    pub status: StatusCode,
    /// Its events in order.
    pub events: Vec<Event>,
    /// What is gone before the first of them.
    pub gap: Option<Gap>,
    /// What to ask with the next time.
    pub next: Cursor,
    /// The same as the server wrote it: with a tag, where the mount signs its cursors.
    pub token: String,
    /// Whether that is the tail.
    pub up_to_date: bool,
    /// Whether the source has ended and nothing follows.
    pub closed: bool,
    /// The `ETag`, to be sent as `If-None-Match`.
    pub etag: Option<String>,
}

/// Reads the answer to a poll or a long-poll.
///
/// # Errors
/// It is another answer, or the body and the headers do not say the same.
///
/// ```
/// use http::Request;
/// use realtime_core::{Event, Log};
/// use realtime_tower::{Body, Realtime, testing};
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let log = Log::new();
/// log.publish(Event::text("note", "hi")?)?;
/// let request = Request::get("/?offset=-1").header("prefer", "wait=20").body(Body::empty())?;
/// let page = testing::page(Realtime::new(log).oneshot(request).await?).await?;
/// assert_eq!(page.events[0].text()?, "hi");
/// assert!(page.up_to_date && !page.closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn page<B>(response: Response<B>) -> Result<Page, Unexpected>
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let told = match response.status() {
        StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => by_headers(&response),
        _ => None,
    };
    let Some(mut page) = told else {
        return Err(Unexpected::answer("a page", response).await);
    };
    let is_lines = is(response.headers(), "application/x-ndjson");
    if page.status == StatusCode::OK && !is_lines && !is(response.headers(), "application/json") {
        return Err(Unexpected::answer("a page as JSON", response).await);
    }
    let body = Box::pin(response.into_body().collect()).await;
    let body = body.map_err(|error| Unexpected::new("the body broke off").because(error))?.to_bytes();
    let text = std::str::from_utf8(&body)
        .map_err(|error| Unexpected::new("the body is not UTF-8").because(error))?;
    let headers = (page.next, page.up_to_date, page.closed);
    match page.status {
        StatusCode::OK if is_lines => lines(text, &mut page)?,
        StatusCode::OK => json(text, &mut page)?,
        _ if text.is_empty() => {}
        _ => return Err(Unexpected::new(format!("a {} with a body: {text}", page.status))),
    }
    if headers != (page.next, page.up_to_date, page.closed) {
        return Err(Unexpected::new(format!("the headers say {headers:?}, the body {text}")));
    }
    Ok(page)
}

fn is(headers: &HeaderMap, media: &str) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value == media)
}

/// What the headers say; nothing where the answer reached no source.
fn by_headers<B>(response: &Response<B>) -> Option<Page> {
    let headers = response.headers();
    let token = headers.get("stream-next-offset")?.to_str().ok()?;
    Some(Page {
        status: response.status(),
        events: Vec::new(),
        gap: None,
        next: envelope::cursor(token).ok()?,
        token: token.to_owned(),
        up_to_date: headers.get("stream-up-to-date").is_some_and(|value| value == "true"),
        closed: headers.get("stream-closed").is_some_and(|value| value == "true"),
        etag: headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Json<'a> {
    #[serde(borrow)]
    gap: Option<&'a RawValue>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    next: String,
    up_to_date: bool,
    closed: bool,
}

fn json(text: &str, page: &mut Page) -> Result<(), Unexpected> {
    let body: Json<'_> = envelope::read(text)?;
    page.gap = body.gap.map(|gap| envelope::gap(gap.get())).transpose()?;
    page.next = envelope::cursor(&body.next)?;
    (page.up_to_date, page.closed) = (body.up_to_date, body.closed);
    for raw in body.events {
        let event: Envelope<'_> = envelope::read(raw.get())?;
        let id = event.id.as_deref().map(envelope::cursor).transpose()?;
        page.events.push(envelope::event(event, id)?);
    }
    Ok(())
}

/// The messages of `realtime.v1`, one a line; the last says the place.
fn lines(text: &str, page: &mut Page) -> Result<(), Unexpected> {
    let mut last = None;
    for line in text.lines() {
        last = Some(match envelope::message(line)? {
            Message::Event(event) => {
                page.events.push(event);
                continue;
            }
            Message::Gap(gap) if page.events.is_empty() && page.gap.is_none() => {
                page.gap = Some(gap);
                continue;
            }
            Message::Live(cursor) => (cursor, true, false),
            Message::Ping(Some(cursor)) => (cursor, false, false),
            Message::End { cursor: Some(cursor), .. } => (cursor, true, true),
            other => return Err(Unexpected::new(format!("{other:?} has no place on a page"))),
        });
    }
    (page.next, page.up_to_date, page.closed) =
        last.ok_or_else(|| Unexpected::new(format!("the last line says no place: {text:?}")))?;
    Ok(())
}
