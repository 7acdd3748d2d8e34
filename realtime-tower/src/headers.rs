//! The headers that more than one transport sends.

use std::sync::LazyLock;

use http::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::body::Body;

pub(crate) const NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
pub(crate) const UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
pub(crate) const CLOSED: HeaderName = HeaderName::from_static("stream-closed");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A flag that is set.
pub(crate) const TRUE: HeaderValue = HeaderValue::from_static("true");

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

/// What every answer says. An answer begins with a copy of it: that costs less than to look up where each belongs.
pub(crate) static COMMON: LazyLock<HeaderMap> = LazyLock::new(|| {
    let exposed = "stream-next-offset, stream-up-to-date, stream-closed, etag, retry-after";
    let common = [
        (VARY, "accept, prefer, last-event-id"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, exposed),
    ];
    common.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
});

/// An answer as each begins.
pub(crate) fn answer(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = COMMON.clone();
    response
}
