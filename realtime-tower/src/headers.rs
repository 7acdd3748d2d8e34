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

#[cfg(test)]
mod tests {
    use http::header::ETAG;
    use http_body::Body as _;

    use super::*;

    /// Caches, browsers and scripts of another origin are to treat each alike.
    #[test]
    fn every_answer_begins_with_what_all_of_them_say() {
        let response = answer(Body::from("some".to_owned()));
        assert_eq!(response.body().size_hint().exact(), Some(4));
        let head = response.headers();
        assert_eq!(head.len(), 4);
        assert_eq!(head[CACHE_CONTROL], "no-store");
        assert_eq!(head[X_CONTENT_TYPE_OPTIONS], "nosniff");
        // What chooses an answer is in `Vary`, and what a client reads of it may be read.
        assert_eq!(head[VARY], "accept, prefer, last-event-id");
        let exposed = head[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap();
        for name in [NEXT_OFFSET, UP_TO_DATE, CLOSED, ETAG] {
            assert!(exposed.split(", ").any(|exposed| exposed == name), "{name}");
        }
    }

    #[test]
    fn a_place_comes_with_the_flags_that_are_set() {
        for (up_to_date, closed) in [(false, false), (true, false), (true, true)] {
            let mut head = HeaderMap::new();
            place(&mut head, "7-12", Tail { up_to_date, closed });
            let flag = |name| head.get(name).map(|value| value == "true");
            assert_eq!(head[NEXT_OFFSET], "7-12");
            assert_eq!(
                (flag(UP_TO_DATE), flag(CLOSED)),
                (up_to_date.then_some(true), closed.then_some(true))
            );
        }
    }

    #[test]
    fn no_proxy_keeps_or_changes_a_stream() {
        let mut response = answer(Body::empty());
        stream(response.headers_mut(), "text/event-stream");
        let head = response.headers();
        assert_eq!(head[CONTENT_TYPE], "text/event-stream");
        assert_eq!(head[CACHE_CONTROL], "no-store, no-transform");
        assert_eq!(head[ACCEL_BUFFERING], "no");
    }
}
