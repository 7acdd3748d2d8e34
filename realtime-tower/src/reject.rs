//! Answers that say no: static problem details (RFC 9457), never an echo of what came in.

use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::body::Body;
use crate::headers;
use crate::mount::Away;
use crate::timer::jittered;

/// A problem with a title and, where it helps, what to do about it.
pub(crate) fn problem(status: StatusCode, detail: &'static str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
    let mut response = headers::answer(Body::from(body.to_string()));
    *response.status_mut() = status;
    let media = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

/// 405, with the methods that would do (RFC 9110, section 15.5.6).
pub(crate) fn method(allowed: &[Method]) -> Response<Body> {
    let mut response =
        problem(StatusCode::METHOD_NOT_ALLOWED, "this resource takes the methods named in Allow");
    response.headers_mut().insert(ALLOW, allow(allowed));
    response
}

/// 204 to OPTIONS, with the methods that would do.
pub(crate) fn options(allowed: &[Method]) -> Response<Body> {
    let mut response = headers::answer(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow(allowed));
    response
}

/// 401: the session is over. The challenge has to be there (RFC 9110, section 15.5.2), and this one (RFC 6750, section 3.1)
/// says what is wrong without making a browser ask for a password.
pub(crate) fn expired() -> Response<Body> {
    let mut response = problem(
        StatusCode::UNAUTHORIZED,
        "the session is over; come back with new credentials and the same cursor",
    );
    let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

/// A reader is kept away for now: 429 where it is for its own client to make room, else 503, with a jittered `Retry-After`.
pub(crate) fn kept_away(away: Away, retry: Duration) -> Response<Body> {
    let status = match away {
        Away::Crowded => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = problem(status, away.detail());
    response.headers_mut().insert(RETRY_AFTER, seconds(retry));
    response
}

/// 503 with a jittered `Retry-After` in whole seconds, at least one.
pub(crate) fn away(detail: &'static str, retry: Duration) -> Response<Body> {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, detail);
    response.headers_mut().insert(RETRY_AFTER, seconds(retry));
    response
}

/// So many seconds from now, jittered and rounded up.
pub(crate) fn seconds(pause: Duration) -> HeaderValue {
    HeaderValue::from((jittered(pause).as_secs_f64().ceil() as u64).max(1))
}

fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<_> = methods.iter().map(Method::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("GET"))
}
