//! The headers that more than one transport sends.

use http::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
const UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
const CLOSED: HeaderName = HeaderName::from_static("stream-closed");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Headers that an answer of ours has, and one of the host's: room for all of them is made at once.
pub(crate) const COUNT_MAX: usize = 12;

/// What an answer knows of the tail.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tail {
    pub(crate) up_to_date: bool,
    pub(crate) closed: bool,
}

/// The place to come back with, and what is known of the tail.
pub(crate) fn place(headers: &mut HeaderMap, next: &str, tail: Tail) {
    if let Ok(next) = HeaderValue::from_str(next) {
        headers.insert(NEXT_OFFSET, next);
    }
    const TRUE: HeaderValue = HeaderValue::from_static("true");
    if tail.up_to_date {
        headers.insert(UP_TO_DATE, TRUE);
    }
    if tail.closed {
        headers.insert(CLOSED, TRUE);
    }
}

/// The head of a stream that proxies are to pass on as it comes.
pub(crate) fn stream(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

/// What every answer says.
pub(crate) fn common(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("accept, prefer, last-event-id"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.append(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("stream-next-offset, stream-up-to-date, stream-closed, etag, retry-after"),
    );
}
